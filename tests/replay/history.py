"""Writes a golden log: one history with every type of event, and the states it leads to.

    python -m tests.replay.history

writes `tests/replay/logs/<version>.jsonl` (the entries, one a line, as they are in the log) and
`<version>.states.json` (size, root of the tree, the state of every stream). Run it once for a release,
commit both, and never change them again: a later version must read them, whatever it writes itself.
Clock, ids and salts are fixed, so a second run gives the same files but for the installation's key.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

import handfast
from handfast.core.audit.tree import Frontier
from handfast.core.domain import events_handoff as h
from handfast.core.domain import events_org as o
from handfast.core.domain import handoff_routing as routing
from handfast.core.domain.action import Effect, Facts
from handfast.core.domain.brief import Brief
from handfast.core.domain.errors import GateClosed
from handfast.core.domain.events import SYSTEM, WIRE, Actor
from handfast.core.domain.events_control import RotationCovered
from handfast.core.domain.events_handoff import DecisionKind, Executor
from handfast.core.domain.events_identity import PasskeyAdded, PasskeyRemoved
from handfast.core.domain.events_work import AgentStarted, Mode, RunOutcome
from handfast.core.domain.grant_scope import Wanted
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import AgentId, HandoffId, PersonId, RunId
from handfast.core.domain.installation import Installation
from handfast.core.domain.limit_facts import Reported
from handfast.core.domain.notice import Notice
from handfast.core.domain.package import ReviewedWork
from handfast.core.domain.person import Person
from handfast.core.domain.publication import ORGANISATION
from handfast.core.domain.reach import Quiet
from handfast.core.domain.run import Run
from handfast.engine import ids, vault
from handfast.engine.carrying import Proof
from handfast.engine.federation import Identity
from handfast.engine.grants import EffectReport, Redemption
from handfast.engine.kernel import Result, Unit
from handfast.engine.leasing import Kept, Seat
from handfast.engine.overrides import Emergency
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runners import NewRunner, Process
from handfast.engine.runs import Exit, NewRun, Pause, Session
from handfast.engine.staff import Absence
from handfast.engine.takeovers import Changed, Found
from handfast.engine.tasks import NewTask
from tests.engine_room import OPERATOR, PASSWORD, RUNNER, Room, opened

LOGS = Path(__file__).parent / "logs"
DAY_S = 86_400
LOCAL = ("fs.delete-tracked",)
GATHERED = "version: 1\ninterruptions: {cost: 3}\n"


@contextmanager
def _fixed() -> Iterator[None]:
    """Ids, secrets and salts that count upwards."""
    number = count(1)

    def some(size: int) -> bytes:
        return next(number).to_bytes(size, "big")

    clock = SimpleNamespace(time_ns=lambda: 1_767_268_800_000_000_000)
    drawn = SimpleNamespace(token_urlsafe=lambda _: some(32).hex(), token_bytes=some)
    with ExitStack() as stack:
        for target, name, fake in (
            (ids, "_drawn", lambda: some(10)),
            (ids, "time", clock),
            (ids, "secrets", drawn),
            (vault, "secrets", drawn),
        ):
            stack.enter_context(patch.object(target, name, fake))
        yield


def _people_and_agents(room: Room) -> None:
    engine = room.engine
    engine.server_started("test")
    issued = engine.agents.issue(OPERATOR, room.agent_id)
    engine.agents.revoke(OPERATOR, issued.token_id)
    engine.agents.suspend(OPERATOR, room.agent_id, "looked odd")
    engine.agents.reinstate(OPERATOR, room.agent_id, "checked")
    engine.people.sign_out(engine.people.sign_in("ana", PASSWORD).secret)
    engine.hooks.installed(OPERATOR, "claude-code", "user", room.agent_id, Mode.ENFORCE)
    engine.hooks.set_mode(OPERATOR, Mode.ENFORCE)
    engine.hooks.pause(room.me, 5, "demonstration")
    engine.hooks.resume(room.me)
    engine.access.refused(Actor("agent", room.agent_id, "token"), "decide", "a token cannot")
    _organisation(room)


def _organisation(room: Room) -> None:
    """Somebody is away, covered, given other roles; everything is stopped and let go in stages."""
    engine, now = room.engine, room.clock.now()
    day = timedelta(days=1)
    engine.staff.away(room.me, Absence(now, now + day))
    engine.staff.back(room.me)
    engine.staff.set_roles(room.me, "ana", ("admin", "operator", "reviewer"))
    engine.switch.kill(room.me, "all", "a demonstration")
    for stage, named in (("review", ()), ("agents", (room.agent_id,)), ("all", ())):
        engine.switch.release(room.me, "all", stage, "it went well", named)

    def work(unit: Unit) -> Result:
        me = PersonId(room.me.id)
        covered = RotationCovered("payments", me, now, now + day, me, unit.put("a swap"))
        unit.record(Installation, "1", [covered])
        return {}

    engine.kernel.run(room.me, work)


def _gate(room: Room) -> None:
    """Every way a case may go: run, refused, edited, overtaken, expired, doubtful."""
    engine = room.engine
    room.propose("read", "ls", ())
    room.propose("denied", "handfast hooks pause 60", ("control-plane",))
    pushed = room.propose("push", "git push origin h\u00e9 \U0001f600")["handoff_id"]
    engine.handoffs.viewed(room.me, cast("str", pushed), 1500)
    engine.handoffs.acknowledge(room.me, cast("str", pushed))
    engine.handoffs.comment(room.me, cast("str", pushed), "who asked for this?")
    engine.handoffs.release(room.me, cast("str", pushed))
    room.decide(pushed)
    room.propose("push", "git push origin h\u00e9 \U0001f600")
    room.result("push")
    room.decide(room.propose("r", "git push -f")["handoff_id"], DecisionKind.REJECT)
    edited = room.propose("e", "git push --tags")["handoff_id"]
    room.decide(edited, DecisionKind.APPROVE_WITH_EDITS, edited="git push origin v1")
    room.propose("changing", "git push a")
    room.decide(room.propose("changing", "git push b")["handoff_id"])
    room.propose("lost", "git push lost")
    room.decide(room.propose("lost", "git push lost")["handoff_id"])
    room.propose("lost", "git push lost")
    doubts = cast("list[str]", engine.runs.settle(RUNNER, room.run_id, None)["doubts"])
    room.decide(doubts[0], DecisionKind.ANSWER, answer="it_ran")
    room.propose("silence", "git push silence")
    question = engine.reviews.ask(RUNNER, room.run_id, "Which branch?")
    room.decide(question["handoff_id"], DecisionKind.ANSWER, answer="main")
    room.clock.move(2 * DAY_S)
    engine.sweep()


def _limits(room: Room) -> None:
    """A run that is warned, handed over, let go on, handed over again, and stopped."""
    limits = room.engine.limits
    session = Session(room.agent_id, "claude-code", "session-2", "/repo", Mode.ENFORCE)
    run_id = cast("str", room.engine.runs.session(RUNNER, session)["run_id"])
    for cost, kind in (("3.00", None), ("6.00", "approve"), ("12.00", "reject")):
        limits.report(RUNNER, run_id, Reported(cost_usd=cost, context_fill="0.5"))
        asked = room.propose(f"cost {cost}", "make", (), run_id=run_id)
        if kind:
            room.decide(asked["handoff_id"], DecisionKind(kind))


SCOPED = """\
version: 1
carry_over: [no-code-change]
builtin: {off: [push]}
gates: [{id: push, when: "size(call.hazards) > 0", require: {scope: {times: 3}}}]
"""


def _scoped(room: Room) -> None:
    """A permission for three starts: one reported, one in doubt, the last taken back."""
    room.engine.policies.propose(room.me, ORGANISATION, SCOPED)
    facts = Facts(Effect.WRITE, "writes", ("git.push",), reversible=True)
    asked = room.propose("s1", "git push scoped", facts=facts)["handoff_id"]
    room.decide(asked, scope=Wanted(3))
    room.propose("s1", "git push scoped", facts=facts)
    room.result("s1")
    room.propose("s2", "git push scoped", facts=facts)
    doubt = room.propose("s3", "git push scoped", facts=facts)["handoff_id"]
    room.decide(doubt, DecisionKind.ANSWER, answer="it_ran")
    room.engine.grants.revoke(room.me, cast("str", asked), "enough")


def _work(room: Room) -> None:
    """A run that pauses, is taken over and merged; one that never starts; one that ends early."""
    runs = room.engine.runs
    run_id = room.queued_run()
    first = runs.lease(RUNNER, "runner-1", "host")
    assert first is not None
    runs.started(RUNNER, AgentStarted(RunId(run_id), first.epoch, 10, 20, "boot", "/trees/1"))
    asked = cast("str", room.propose("w", "git push w", run_id=run_id)["handoff_id"])
    runs.gap(RUNNER, run_id, "hook-missed", "one call")
    pause = Pause("refs/handfast/1", "c" * 40, b"session", (asked,), "waits")
    runs.paused(RUNNER, run_id, first.epoch, pause)
    room.decide(asked)
    second = runs.lease(RUNNER, "runner-2", "host")
    assert second is not None
    runs.exited(RUNNER, run_id, second.epoch, Exit(0, None, "done", "0.25", 7, 900, "bye"))
    work = ReviewedWork("a" * 40, "b" * 40, "main", files=("billing/total.py",))
    work = replace(work, target_commit="d" * 40)
    facts = ReviewFacts(work, "diff", 1, 0, "I am done")
    review = room.engine.reviews.open(RUNNER, FinishedWork(run_id, second.epoch, facts, Pause()))
    granted = cast("str", room.decide(review["handoff_id"])["grant_id"])
    proof = Proof("no-code-change", "b" * 40, "d" * 40, "e" * 40)
    room.engine.carrying.carry(RUNNER, cast("str", review["handoff_id"]), proof, "")
    _merge(room, cast("str", review["handoff_id"]), granted)
    runs.ended(RUNNER, run_id, second.epoch, RunOutcome.MERGED)
    room.queued_run()
    third = runs.lease(RUNNER, "runner-1", "host")
    assert third is not None
    runs.never_started(RUNNER, third.run_id, third.epoch, "no such program", "not found")
    room.propose("open", "git push open")
    runs.ended(RUNNER, room.run_id, None, RunOutcome.SESSION_OVER)


def _runners(room: Room) -> None:
    """A runner of its own: a run it gives back, a second process, and its end."""
    runners, leasing = room.engine.runners, room.engine.runs.leasing
    added = runners.add(OPERATOR, NewRunner("builder", ("https://*",), (room.agent_id,), ("gpu",)))
    runner_id = cast("str", added["runner_id"])
    begun = runners.start(RUNNER, runner_id, Process("host", 7, "1", 4))
    room.queued_run()
    run = leasing.lease(RUNNER, Seat("runner-1", "host"))
    assert run is not None
    kept = Kept("refs/handfast/2", "c" * 40, b"session")
    leasing.release(RUNNER, run.run_id, run.epoch, "the runner stops", kept)
    runners.stop(RUNNER, runner_id, cast("int", begun["instance"]), "told to stop")
    runners.retire(OPERATOR, runner_id, "the machine is gone")


def _in_hands(room: Room) -> None:
    """A run that a person takes over, works on, and hands back."""
    runs, takeovers = room.engine.runs, room.engine.takeovers
    room.queued_run()
    run = runs.lease(RUNNER, "runner-1", "host")
    assert run is not None
    run_id = run.run_id
    runs.started(RUNNER, AgentStarted(run_id, run.epoch, 10, 20, "boot", "/trees/3"))
    takeovers.take(room.me, run_id, "I see what is wrong")
    ref = "refs/handfast/snapshots/1"
    seen: dict[str, object] = {"processes": []}
    found = Found("host", "/trees/3", "b", "a" * 40, ref, "b" * 40, b"session", seen)
    takeovers.handed_over(RUNNER, run_id, run.epoch, found)
    takeovers.hand_back(room.me, run_id, "mind the second half")
    again = runs.lease(RUNNER, "runner-1", "host")
    assert again is not None
    assert again.run_id == run_id
    work: dict[str, object] = {"diff": "diff"}
    changed = Changed("b" * 40, "c" * 40, ref, "d" * 40, 1, work)
    takeovers.recorded(RUNNER, run_id, again.epoch, changed)
    runs.started(RUNNER, AgentStarted(run_id, again.epoch, 11, 21, "boot", "/trees/3"))
    runs.ended(RUNNER, run_id, again.epoch, RunOutcome.FAILED)


def _merge(room: Room, handoff_id: str, grant_id: str) -> None:
    grant = room.handoff(handoff_id).grant
    assert grant is not None
    digest = grant.action_digest
    right = Redemption(handoff_id, grant_id, digest, Executor.MEDIATED)
    start = cast("str", room.engine.grants.redeem(RUNNER, right)["start_id"])
    for _ in range(2):
        try:
            room.engine.grants.redeem(RUNNER, right)
        except GateClosed:
            continue
    done = EffectReport(handoff_id, start, h.EffectOutcome.VERIFIED, digest, 0, "merged")
    room.engine.grants.effect(RUNNER, done)


QUORUM = """version: 1
gates:
  - {id: two, when: 'call.command.contains("two")', require: {approvals: 2, within: 1h}}
  - id: late
    when: call.command.contains("late")
    risk: low
    require: {within: 1h, silence: auto_proceed}
"""


def _together(room: Room) -> None:
    """Two asks that wait for a checkpoint, and one that joins them."""
    room.engine.policies.propose(room.me, ORGANISATION, GATHERED)
    asked = [cast("str", room.propose(f"g{n}", f"rm {n}", LOCAL)["handoff_id"]) for n in (1, 2)]
    room.clock.move(11 * 60)
    room.engine.checkpoints.sweep()
    asked.append(cast("str", room.propose("g3", "rm 3", LOCAL)["handoff_id"]))
    room.engine.checkpoints.sweep()
    for handoff_id in asked:
        room.decide(handoff_id, DecisionKind.REJECT)
    room.engine.policies.propose(room.me, ORGANISATION, SCOPED)


def _several(room: Room) -> None:
    """More than one person: a policy of two, votes, an edit, other people asked, an emergency."""
    engine = room.engine
    ben = room.another("ben", ("reviewer", "operator"))
    for text in (QUORUM, QUORUM.replace("1h", "2h")):
        proposed = engine.policies.propose(room.me, "organisation", text)
        digest = cast("str", proposed["digest"])
        if text is QUORUM:
            engine.policies.approve(ben, "organisation", digest)
        else:
            engine.policies.decline(ben, "organisation", digest)
    run_id = room.queued_run()
    asked = cast("str", room.propose("two", "git push two", run_id=run_id)["handoff_id"])
    room.decide(asked, actor=ben)
    engine.handoffs.unvote(ben, asked)
    edit = DecisionKind.APPROVE_WITH_EDITS
    room.decide(asked, edit, actor=ben, edited="git push two origin")
    engine.handoffs.re_route(ben, asked, ("person:ana",), "she knows the remote")
    engine.handoffs.acknowledge(room.me, asked)
    engine.saved_views.save(room.me, "Mine", "held=me")
    engine.handoffs.snooze(room.me, asked, room.clock.now() + timedelta(minutes=5))
    seen = room.handoff(asked).presented_digest
    engine.overrides.override(room.me, Emergency(asked, seen, "the site is down"))
    engine.ratings.rate(room.me, asked, good=False, lacks=["evidence"], note="ran the tests myself")
    engine.ratings.attended(room.me, asked, seen, 4_200, ["Evidence"])
    late = Facts(Effect.WRITE, "writes late", (), reversible=True)
    room.propose("late", "touch late", facts=late, run_id=run_id)
    room.clock.move(2 * 3600)
    engine.sweep()
    engine.runs.ended(OPERATOR, run_id, None, RunOutcome.FAILED)
    task_id = room.engine.kernel.state(Run, run_id).task_id
    engine.runs.create(OPERATOR, NewRun(task_id, room.agent_id, "none", ("agent", "again")))


def _audit(room: Room) -> None:
    """Erasure, export, and what no command of this version records yet."""
    row = next(r for r in room.engine.kernel.store.scan() if r.type == "handoff.requested")
    package = cast("dict[str, dict[str, str]]", json.loads(row.data)["data"])["package"]
    room.engine.audit.erase(room.me, package["body_id"], "asked for")
    room.engine.audit.export(room.me, room.home / "out.hfbundle", bodies=False)
    run_id = room.queued_run()
    asked = cast("str", room.propose("frozen", "git push frozen", run_id=run_id)["handoff_id"])

    def work(unit: Unit) -> Result:
        published = o.TreeHeadPublished("file", 1, "00" * 32)
        unit.record(Installation, "1", [published])
        hid = HandoffId("ho_returned")
        request = h.HandoffRequested(
            hid,
            h.HandoffKind.ESCALATION,
            "low",
            AgentId(room.agent_id),
            "",
            "sha256:presented",
            unit.put("package"),
            unit.put("ask"),
            (DecisionKind.TAKE_OVER,),
            (60, 60),
        )
        unit.record(Handoff, hid, [request, h.HandoffReturned(hid, ("why_now",))])
        frozen = unit.get(Handoff, asked)
        unit.record(Handoff, asked, routing.freeze(frozen, "kill switch"))
        unit.record(Handoff, asked, routing.thaw(unit.get(Handoff, asked)))
        return {}

    room.engine.kernel.run(SYSTEM, work)


def _kept(room: Room) -> None:
    """A legal hold, and an erasure on request."""
    new = NewTask(Brief("Tidy up"), "/repo", "main", "0" * 40)
    task_id = cast("str", room.engine.tasks.create(OPERATOR, new)["task_id"])
    room.engine.tasks.create(OPERATOR, replace(new, parent=task_id))
    room.engine.erasure.hold(room.me, task_id, "a lawsuit")
    room.engine.erasure.release(room.me, task_id, "settled")
    room.engine.erasure.erase(room.me, task_id, "asked for")


def _given_up(room: Room) -> None:
    """A delivery that never arrived, and one more try."""
    deliveries = room.engine.deliveries
    row = room.engine.kernel.store.outbox(1)[0]
    deliveries.bury(row, "ConnectionError: no route to host")
    deliveries.retry(room.me, row.id)


def _notified(room: Room) -> None:
    """Contacts, quiet hours, and a notice with each of its ends."""
    engine, me = room.engine, room.me
    hook = "https://192.0.2.7/hook"
    with patch("handfast.engine.contacts.Poster.check"):
        first = cast("str", engine.contacts.add(me, "webhook", hook, "all")["contact_id"])
        second = cast("str", engine.contacts.add(me, "webhook", hook, "all")["contact_id"])
    engine.contacts.change(me, first, "digest")
    engine.contacts.rotate(me, first)
    engine.contacts.set_quiet(me, Quiet("Europe/Berlin", (5,), 0, 60), 15)
    run_id = room.queued_run()
    asked = cast("str", engine.reviews.ask(RUNNER, run_id, "Which one?")["handoff_id"])
    engine.notices.plan(asked)
    told = engine.notices.of_handoff(asked)
    ids = {cast("str", n["contact_id"]): cast("str", n["notice_id"]) for n in told}
    engine.notices.failed([ids[second]], 7, 1, "ConnectionError: no route to host")
    engine.notices.delivered([ids[second]], 7, 2, "msg_7")
    notice = engine.kernel.state(Notice, ids[second])
    engine.notices.links.open(me, engine.notices.links.path(notice).removeprefix("/n/"))
    room.clock.move(20 * 60)
    engine.notices.release()
    room.decide(asked, DecisionKind.REJECT)
    engine.notices.to_send([ids[first]])
    engine.contacts.remove(me, first)


def _identities(room: Room) -> None:
    """How people prove who they are, and what they may know. Last: a project hides what is in none."""
    engine, me = room.engine, room.me
    issued = engine.own_tokens.issue(me, "a script", ("read",))
    engine.own_tokens.revoke(me, issued.token_id)
    linked = engine.federation.link(me, Identity("https://id.example", "u-1"))
    engine.federation.unlink(me, str(linked["account"]))
    _passkey(room)
    room.another("leaver")
    engine.disabling.disable(me, "leaver")
    engine.disabling.enable(me, "leaver")
    engine.knowing.set_teams(me, "ana", ["dba"])
    engine.knowing.set_project(me, "all", ["/repo"], ["ana"], ["dba"])


def _passkey(room: Room) -> None:
    """Its events alone: what a browser gives for one is in `tests/e2e/test_passkeys.py`."""

    def work(unit: Unit) -> Result:
        person_id = PersonId(room.me.id)
        added = PasskeyAdded(person_id, "credential", "key", unit.put("a laptop"))
        removed = PasskeyRemoved(person_id, "credential", person_id)
        unit.record(Person, person_id, [added, removed])
        return {}

    room.engine.kernel.run(room.me, work)


def record() -> tuple[list[bytes], dict[str, object]]:
    """The entries of the history, and what they lead to."""
    with tempfile.TemporaryDirectory() as folder, _fixed(), opened(Path(folder) / "home") as room:
        chapters = (
            _people_and_agents, _gate, _limits, _scoped, _together, _work, _audit, _several, _runners, _kept,
            _given_up, _in_hands, _notified, _identities,
        )  # fmt: skip
        for chapter in chapters:
            chapter(room)
            room.clock.move(60)
        room.check()
        store = room.engine.kernel.store
        rows = list(store.scan())
        states: dict[str, object] = {}
        for stream in sorted({row.stream for row in rows}):
            state = store.load(stream)
            assert state is not None
            states[stream] = {"version": state.version, "doc": json.loads(state.doc)}
        root = Frontier.from_bytes(store.frontier()).root().hex()
    return [row.data for row in rows], {"size": len(rows), "root": root, "states": states}


def main() -> None:
    entries, reached = record()
    missing = set(WIRE) - {cast("str", json.loads(entry)["type"]) for entry in entries}
    if missing:
        raise SystemExit(f"the history lacks {', '.join(sorted(missing))}")
    name = handfast.__version__
    LOGS.mkdir(exist_ok=True)
    (LOGS / f"{name}.jsonl").write_bytes(b"".join(entry + b"\n" for entry in entries))
    text = json.dumps(reached, indent=1, sort_keys=True, ensure_ascii=False)
    (LOGS / f"{name}.states.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
