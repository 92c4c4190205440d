"""Decisions in the terminal: only with a PIN typed on the controlling terminal."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief
from handfast.core.domain.canonical import sha256
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.core.domain.package import ReviewedWork
from handfast.core.domain.publication import ORGANISATION
from handfast.core.domain.reviewed_files import ReviewedFile
from handfast.engine.access import PrincipalKind
from handfast.engine.gating import Proposal
from handfast.engine.packages import ReviewFacts
from handfast.engine.people import NewPerson
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import NewRun, Pause, Session
from handfast.engine.tasks import NewTask
from tests.commands import DEADLINE_S, Command, serving
from tests.large_diff import large_diff, reviewed

PIN = "123456"
OPERATOR, RUNNER = Actor("operator", "operator", "token"), Actor("runner", "runner", "token")


@dataclass(frozen=True)
class World:
    """An installation with Ana, an agent with a run, and a server that runs."""

    home: Path
    handfast: Command
    run_id: str
    token: str

    def waiting(self, command: str) -> str:
        """The id of a new waiting handoff."""
        engine = open_engine(home=self.home)
        try:
            call = Call("Bash", {"command": command})
            facts = Facts(Effect.NETWORK, f"pushes with {command}", ("git.push",))
            key = call.digest
            asked = engine.actions.propose(RUNNER, Proposal(self.run_id, key, call, facts))
        finally:
            engine.close()
        assert asked["verdict"] == "wait"
        return str(asked["handoff_id"])

    def inbox(self) -> list[str]:
        items = self.handfast("inbox", "--json").json["items"]
        return [str(item["handoff_id"]) for item in items]

    def refusals(self) -> list[tuple[str, str]]:
        """(who, what) of the refusals in the audit trail."""
        engine = open_engine(home=self.home)
        try:
            rows = engine.kernel.store.events(types=["access.refused"], limit=1000)
        finally:
            engine.close()
        found = [json.loads(row.data) for row in rows]
        return [(e["actor"]["type"], e["data"]["what"]) for e in found]

    def ratings(self, handoff_id: str) -> list[tuple[bool, list[str]]]:
        found = self.handfast("handoff", "show", handoff_id, "--json").json["ratings"]
        return [(r["good"], r["lacks"]) for r in found]

    def status(self, handoff_id: str) -> str:
        return str(self.handfast("handoff", "show", handoff_id, "--json").json["status"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("decide")
    home = folder / "data"
    engine = open_engine(home=home)
    for kind in (PrincipalKind.OPERATOR, PrincipalKind.RUNNER):
        engine.access.ensure_file_token(home, kind)
    agent_id = str(engine.agents.add(OPERATOR, "claude", "claude-code")["agent_id"])
    token = engine.agents.issue(OPERATOR, agent_id).token
    engine.people.set_up(engine.people.invite(), NewPerson("Ana", "ana", "long-enough-1", PIN))
    session = Session(agent_id, "claude-code", "session-1", str(folder), Mode.ENFORCE)
    run_id = str(engine.runs.session(OPERATOR, session)["run_id"])
    engine.close()
    handfast = Command(home, folder, {})
    with serving(handfast, "--no-runner"):
        yield World(home, handfast, run_id, token)


def test_a_pin_typed_on_the_terminal_approves_what_was_shown(world: World) -> None:
    handoff_id = world.waiting("git push origin one")
    done = world.handfast.typed(
        "handoff", "approve", handoff_id, "--json", answers=[("Login", "ana"), ("PIN", PIN)]
    )
    assert (done.code, done.err) == (0, "")
    assert done.json["decision"]["kind"] == "approve"
    assert done.json["decision"]["auth"] == "pin"
    assert PIN not in done.terminal, "the PIN is not echoed"
    asked = done.terminal.index("PIN")
    digest = done.json["presented_digest"]
    assert digest in done.terminal[:asked]
    assert "git push origin one" in done.terminal[:asked]


def finished_work(world: World) -> str:
    """The id of a review whose one file can be edited."""
    engine = open_engine(home=world.home)
    try:
        task = engine.tasks.create(OPERATOR, NewTask(Brief("Tidy up"), "/srv/x", "main", "a" * 40))
        agent_id = str(engine.views.agents()[0]["agent_id"])
        new = NewRun(str(task["task_id"]), agent_id, "none", ("agent", "go"))
        run_id = str(engine.runs.create(OPERATOR, new)["run_id"])
        # Another test's run may be queued, or have lost its runner.
        while (run := engine.runs.lease(RUNNER, "runner-1", "host")) and run.run_id != run_id:
            pass
        assert run is not None
        work = ReviewedWork("a" * 40, "b" * 40, "main", files=("a.txt",), tree="c" * 40)
        changed = ChangedFile("a.txt", status="M", new_mode="100644")
        file = ReviewedFile("a.txt", "100644", "", "one\r\ntwo")
        facts = ReviewFacts(work, "diff", 1, 0, changes=(changed,), files=(file,))
        done = engine.reviews.open(RUNNER, FinishedWork(run_id, run.epoch, facts, Pause()))
    finally:
        engine.close()
    return str(done["handoff_id"])


def test_finished_work_is_approved_with_files_edited_here(world: World) -> None:
    handoff_id, mine = finished_work(world), world.home.parent / "mine.txt"
    mine.write_bytes(b"one\r\nTWO")
    verb = ("handoff", "approve", handoff_id)
    answers = [("Login", "ana"), ("PIN", PIN)]
    for wrong in ("a.txt", f"a.txt={mine}.gone"):
        refused = world.handfast(*verb, "--edit-file", wrong)
        assert (refused.code, "--edit-file" in refused.err or "cannot be read" in refused.err) == (
            2,
            True,
        )
    other = world.handfast.typed(*verb, "--edit-file", f"b.txt={mine}", answers=[])
    assert "is no file of this change" in other.err
    assert world.status(handoff_id) == "routed"
    done = world.handfast.typed(*verb, "--edit-file", f"a.txt={mine}", "--json", answers=answers)
    assert (done.code, done.err) == (0, ""), done.err
    assert done.json["decision"]["kind"] == "approve_with_edits"
    (edit,) = done.json["decision"]["edited_call"]["arguments"]["edits"]
    assert edit["after"] == sha256(b"one\r\nTWO")
    asked = done.terminal[: done.terminal.index("PIN")]
    assert "-two" in asked
    assert "+TWO" in asked
    shown = world.handfast("handoff", "show", handoff_id).out
    assert f"a.txt  {edit['before'][7:19]} -> {edit['after'][7:19]}" in shown


def test_the_last_login_is_offered_again(world: World) -> None:
    (world.home / "last-login").write_text("ana\n")
    handoff_id = world.waiting("git push origin two")
    answers = [("Reason", "not today"), ("Login [ana]", ""), ("PIN", PIN)]
    done = world.handfast.typed("handoff", "reject", handoff_id, answers=answers)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{handoff_id}: reject by Ana\n"


def test_one_acknowledges_decides_and_rates_what_was_shown(world: World) -> None:
    handoff_id = world.waiting("git push origin rated")
    answers = [("Login", "ana"), ("PIN", PIN)]
    held = world.handfast.typed("handoff", "acknowledge", handoff_id, answers=answers)
    assert (held.code, held.out) == (0, f"{handoff_id}: you have it\n"), held.err
    early = world.handfast.typed("handoff", "rate", handoff_id, "good", answers=answers)
    assert (early.code, world.ratings(handoff_id)) == (0, [(True, [])]), early.err
    words = ("lacking", "--lacks", "evidence", "--note", "Ran the tests myself.")
    done = world.handfast.typed("handoff", "rate", handoff_id, *words, answers=answers)
    assert (done.code, done.out) == (0, f"{handoff_id}: rated lacking\n"), done.err
    assert world.ratings(handoff_id) == [(False, ["evidence"])], "the last rating counts"
    assert world.status(handoff_id) != "decided"


@pytest.mark.parametrize("verb", ["approve", "reject", "request-changes", "acknowledge"])
def test_without_a_terminal_nothing_is_decided_and_the_try_is_recorded(
    world: World, verb: str
) -> None:
    handoff_id = world.waiting(f"git push origin {verb}")
    done = world.handfast("handoff", verb, handoff_id, "--json", stdin=f"ana\n{PIN}\n")
    assert done.code == 4
    assert done.problem["code"] == "no_terminal"
    assert done.problem["status"] == 403
    assert world.status(handoff_id) == "routed"
    operation = "acknowledge_handoff" if verb == "acknowledge" else "decide_handoff"
    assert ("operator", operation) in world.refusals()  # equal ones of a minute are one entry


def test_an_agents_token_decides_nothing_even_at_a_terminal(world: World) -> None:
    handoff_id = world.waiting("git push origin agent")
    before = world.refusals()
    done = world.handfast.typed(
        "handoff", "approve", handoff_id, answers=[], HANDFAST_TOKEN=world.token
    )
    assert done.code == 4
    assert "agents cannot decide" in done.err
    assert world.refusals()[len(before) :] == [("agent", "decide_handoff")]
    assert world.status(handoff_id) == "routed"


def test_the_pin_has_no_other_way_in(world: World) -> None:
    handoff_id = world.waiting("git push origin pin")
    done = world.handfast("handoff", "approve", handoff_id, "--pin", PIN, HANDFAST_PIN=PIN)
    assert done.code == 2
    assert "--pin" in done.err
    assert world.status(handoff_id) == "routed"


def test_a_wrong_pin_decides_nothing(world: World) -> None:
    handoff_id = world.waiting("git push origin wrong")
    answers = [("Login", "ana"), ("PIN", "654321")]
    done = world.handfast.typed("handoff", "approve", handoff_id, "--json", answers=answers)
    assert done.code == 4
    assert done.problem["code"] == "wrong_secret"
    assert world.status(handoff_id) == "routed"


def test_a_second_decision_hears_of_the_first(world: World) -> None:
    handoff_id = world.waiting("git push origin twice")
    answers = [("Login", "ana"), ("PIN", PIN)]
    assert world.handfast.typed("handoff", "approve", handoff_id, answers=answers).code == 0
    done = world.handfast.typed("handoff", "reject", handoff_id, answers=[])
    assert done.code == 3
    assert "approve by Ana" in done.err


def test_what_an_agent_wrote_cannot_steer_the_terminal(world: World) -> None:
    handoff_id = world.waiting("git push \x1b[2J\x1b[31m\u202e origin\r APPROVED")
    done = world.handfast.typed(
        "handoff", "approve", handoff_id, answers=[("Login", "ana"), ("PIN", PIN)]
    )
    assert done.code == 0
    listed = world.handfast("handoff", "list", "--status", "all")
    shown = world.handfast("handoff", "show", handoff_id)
    as_json = world.handfast("handoff", "show", handoff_id, "--json")
    for text in (done.terminal, done.out, listed.out, shown.out, as_json.out):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "\u2039U+001B\u203a" in shown.out
    assert "\r APPROVED" not in shown.out


def test_the_inbox_lists_what_waits(world: World) -> None:
    handoff_id = world.waiting("git push origin inbox")
    listed = world.handfast("inbox").out.splitlines()
    assert listed[0].split("\t")[0] == "id"
    assert handoff_id in [line.split("\t")[0] for line in listed[1:]]
    assert handoff_id in world.inbox()
    comment = world.handfast("handoff", "comment", handoff_id, "looks odd")
    assert comment.code == 0
    assert "looks odd" in world.handfast("handoff", "show", handoff_id).out


def test_the_inbox_can_be_watched(world: World) -> None:
    handoff_id = world.waiting("git push origin watched")
    process = world.handfast.start("inbox", "--watch", "--json")
    assert process.stdout is not None
    lines = (json.loads(line) for line in process.stdout)
    assert handoff_id in [next(lines)["handoff_id"] for _ in range(len(world.inbox()))]
    later = world.waiting("git push origin later")
    assert next(lines)["handoff_id"] == later
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130


def test_loosening_the_hook_is_a_persons(world: World) -> None:
    before = world.refusals()
    assert world.handfast("hook", "mode", "enforce").code == 0
    for words in (("pause", "15m"), ("mode", "observe")):
        done = world.handfast("hook", *words, "--json", stdin=f"ana\n{PIN}\n")
        assert (done.code, done.problem["code"]) == (4, "no_terminal")
    recorded = [what for _, what in world.refusals()[len(before) :]]
    assert recorded == ["pause_hooks", "set_hook_mode"]
    answers = [("Login", "ana"), ("PIN", PIN)]
    paused = world.handfast.typed("hook", "pause", "15m", "--reason", "a test", answers=answers)
    assert (paused.code, paused.err) == (0, "")
    assert "PAUSED until" in world.handfast("hook", "status").out
    assert world.handfast("hook", "resume").code == 0
    assert world.handfast("hook", "status", "--json").json["paused_until"] == ""
    assert world.handfast("hook", "pause", "30s").code == 2
    assert world.handfast.typed("hook", "mode", "observe", answers=answers).code == 0
    assert world.handfast("hook", "status", "--json").json["mode"] == "observe"
    assert world.handfast("hook", "mode", "enforce").code == 0


def test_a_run_is_shown_and_replays(world: World) -> None:
    world.waiting("git push origin shown")
    shown = world.handfast("run", "show", world.run_id)
    assert shown.code == 0
    assert "git push" in shown.out
    story = world.handfast("run", "replay", world.run_id, "--json")
    assert story.json["events"][0]["type"] == "run.created"
    replayed = world.handfast("run", "replay", world.run_id, "--verify", "--json")
    assert replayed.code == 0
    streams = [item["stream"] for item in replayed.json["items"]]
    assert streams[0] == f"run/{world.run_id}"
    assert any(s.startswith("handoff/") for s in streams)
    assert world.handfast("run", "replay", "--all", "--verify").code == 0


def test_a_server_announces_itself_and_only_once(world: World) -> None:
    assert json.loads((world.home / "server.json").read_text())["url"].startswith("http://127.")
    done = world.handfast("serve", "--port", "0", "--json")
    assert done.code == 3
    assert done.problem["code"] == "server_running"


SCOPED = """\
version: 1
builtin: {off: [push]}
gates: [{id: push, when: "size(call.hazards) > 0", require: {scope: {times: 3}}}]
actions: [{id: push, when: "true", reversible: true}]
"""


def test_a_scope_is_given_and_taken_back_at_the_terminal(world: World) -> None:
    engine = open_engine(home=world.home)
    person = engine.people.with_pin("ana", PIN)
    engine.policies.propose(person, ORGANISATION, SCOPED)
    engine.close()
    handoff_id = world.waiting("git push origin scoped")
    answers = [("Login", "ana"), ("PIN", PIN)]
    done = world.handfast.typed(
        *("handoff", "approve", handoff_id, "--times", "2", "--until", "2h"), answers=answers
    )
    assert (done.code, done.err) == (0, "")
    assert "May give  3 times, for this run" in done.terminal
    grant_id = handoff_id.replace("ho_", "gr_")
    assert f"grant {grant_id}, 2 times for this run" in done.out
    taken = world.handfast.typed("grant", "revoke", grant_id, answers=answers)
    assert (taken.code, taken.out) == (0, f"{grant_id}: revoked\n")
    without = world.handfast("grant", "revoke", grant_id, stdin=f"ana\n{PIN}\n")
    assert without.code == 4


def test_what_was_not_shown_is_printed_and_approved_by_a_word_of_its_own(world: World) -> None:
    engine = open_engine(home=world.home)
    try:
        handoff_id = reviewed(engine, 8_000)
    finally:
        engine.close()
    login = [("Login", "ana")]
    refused = world.handfast.typed("handoff", "approve", handoff_id, answers=())
    assert refused.code != 0
    assert "too large to be shown with handoff" in refused.err
    assert f"handfast handoff changes {handoff_id}" in refused.err
    printed = world.handfast("handoff", "changes", handoff_id)
    assert printed.out == large_diff(8_000)
    answers = [*login, ("PIN", PIN)]
    done = world.handfast.typed(
        "handoff", "approve", handoff_id, "--covers-unshown", "--json", answers=answers
    )
    assert (done.code, done.json["decision"]["kind"]) == (0, "approve")
