"""`handfast policy` as people and scripts use it: real commands, a running server, a PIN at the terminal."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.engine.access import PrincipalKind
from handfast.engine.gating import Proposal
from handfast.engine.people import NewPerson
from handfast.engine.runs import Session
from tests.commands import Command, serving

PIN = "123456"
OPERATOR, RUNNER = Actor("operator", "operator", "token"), Actor("runner", "runner", "token")
POLICY = """\
version: 1
gates:
  - id: migrations
    when: change.files.exists(f, f.path.contains("/migrations/"))
    risk: high
    require: {approvals: 1, from: reviewers, within: 4h, silence: reject}
  - id: no-tags
    when: call.command.contains("push --tags")
    deny: tags are made by the release pipeline
"""


@dataclass(frozen=True)
class World:
    """An installation with Ana and Bob, who both may publish, and a server that runs."""

    folder: Path
    handfast: Command
    run_id: str
    token: str

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def propose(self, key: str, command: str) -> str:
        engine = open_engine(home=self.handfast.home)
        try:
            call = Call("Bash", {"command": command})
            facts = Facts(Effect.NETWORK, command, ("git.push",))
            asked = engine.actions.propose(RUNNER, Proposal(self.run_id, key, call, facts))
        finally:
            engine.close()
        return str(asked["verdict"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("policy")
    home = folder / "data"
    engine = open_engine(home=home)
    for kind in (PrincipalKind.OPERATOR, PrincipalKind.RUNNER):
        engine.access.ensure_file_token(home, kind)
    agent_id = str(engine.agents.add(OPERATOR, "claude", "claude-code")["agent_id"])
    token = engine.agents.issue(OPERATOR, agent_id).token
    engine.people.set_up(engine.people.invite(), NewPerson("Ana", "ana", "long-enough-1", PIN))
    ana = engine.people.with_pin("ana", PIN)
    invitation = engine.people.invite_another(ana, ("reviewer", "operator"))
    engine.people.set_up(invitation, NewPerson("Bob", "bob", "long-enough-1", PIN))
    session = Session(agent_id, "claude-code", "session-1", str(folder), Mode.ENFORCE)
    run_id = str(engine.runs.session(OPERATOR, session)["run_id"])
    engine.close()
    handfast = Command(home, folder, {})
    with serving(handfast, "--no-runner"):
        yield World(folder, handfast, run_id, token)


def test_check_says_line_and_column(world: World) -> None:
    good = world.write("good.yaml", POLICY)
    assert world.handfast("policy", "check", good).code == 0
    bad = world.write("bad.yaml", POLICY.replace("f.path", "f.pth").replace("4h", "4"))
    done = world.handfast("policy", "check", bad)
    assert done.code == 2
    assert f"{bad}:6:" in done.out
    assert "`gates[0].require.within` is 4" in done.out
    listed = world.handfast("policy", "check", bad, "--json").json
    assert listed["ok"] is False
    assert listed["problems"][0]["line"] == 6
    assert world.handfast("policy", "check", world.folder / "none.yaml").code == 2


def test_a_policy_is_published_by_two_people_and_holds_at_once(world: World) -> None:
    file = world.write("policy.yaml", POLICY)
    assert world.propose("1", "git push --tags one") == "wait"
    answers = [("Login", "ana"), ("PIN", PIN)]
    done = world.handfast.typed("policy", "publish", file, "--json", answers=answers)
    assert (done.code, done.err) == (0, "")
    assert done.json["status"] == "proposed"
    digest = done.json["digest"]
    assert world.handfast("policy", "show", "--proposed").out == POLICY
    assert "no-tags: denies" in world.handfast("policy", "diff").out
    own = world.handfast.typed(
        "policy", "approve", digest, "--json", answers=[("Login", "ana"), ("PIN", PIN)]
    )
    assert own.code == 4
    assert "author" in own.problem["detail"]
    assert world.propose("2", "git push --tags two") == "wait"
    approved = world.handfast.typed(
        "policy", "approve", digest, answers=[("Login", "bob"), ("PIN", PIN)]
    )
    assert (approved.code, approved.err) == (0, "")
    assert world.propose("3", "git push --tags three") == "deny"
    assert world.handfast("policy", "show").out == POLICY
    assert world.handfast("policy", "list", "--json").json["items"][0]["version"] == 1
    explained = world.handfast("policy", "explain", "git push --tags", "--json").json
    assert explained["verdict"] == "deny"


def test_nothing_is_published_without_a_terminal_or_with_an_agents_token(world: World) -> None:
    file = world.write("other.yaml", POLICY + "# other\n")
    assert world.handfast("policy", "publish", file, stdin=f"ana\n{PIN}\n").code == 4
    done = world.handfast.typed("policy", "publish", file, answers=[], HANDFAST_TOKEN=world.token)
    assert done.code == 4


def test_decide_answers_every_line(world: World) -> None:
    file = world.write("policy.yaml", POLICY)
    changed = {"files": [{"path": "db/migrations/1.py", "added": 2}]}
    write = {"tool": "Write", "arguments": {"file_path": "x"}, "change": changed}
    write["facts"] = {"effect": "write"}
    lines = [
        json.dumps("git push --tags"),
        json.dumps({"command": "pytest -q"}),
        json.dumps(write),
        json.dumps({"command": "ls", "run": {"cost": 1}}),
        json.dumps({"command": "ls", "time": "yesterday"}),
        "7",
        "nonsense",
        json.dumps({"tool": "mcp__x__y", "arguments": {"a": 1}}),
    ]
    done = world.handfast("policy", "decide", "--policy", file, stdin="\n".join(lines) + "\n")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [f["verdict"] for f in found] == [
        "deny", "allow", "gate", "gate", "gate", "gate", "gate", "gate",
    ]  # fmt: skip
    assert [i for i, f in enumerate(found) if "error" in f] == [3, 4, 5, 6]
    assert "`run.cost` is unknown" in found[3]["error"]
    assert found[2]["rules"][0]["id"] == "migrations"
    assert found[2]["requirement"] == {
        "clauses": [{"approvals": 1, "audience": ["reviewers"]}],
        "within_s": 14_400,
        "silence": "reject",
        "levels": [],
    }


EXAMPLES = """\
examples:
  - name: tags are denied
    action: git push --tags
    expect: {verdict: deny, rules: [no-tags]}
  - name: tests run
    action: {command: pytest}
    expect: {verdict: allow}
"""


def test_examples_beside_a_policy(world: World) -> None:
    file = world.write("p.yaml", POLICY)
    world.write("p.examples.yaml", EXAMPLES)
    done = world.handfast("policy", "test", file)
    assert (done.code, done.out) == (0, "2 of 2 examples hold\n")
    world.write("p.examples.yaml", EXAMPLES.replace("verdict: allow", "verdict: gate"))
    failed = world.handfast("policy", "test", file)
    assert failed.code == 1
    assert "p.examples.yaml:5: tests run: verdict is allow, not gate" in failed.out
    world.write("p.examples.yaml", EXAMPLES.replace("expect:", "expects:"))
    assert world.handfast("policy", "test", file).code == 2


def test_a_change_is_simulated_on_what_was_recorded_and_on_a_file(world: World) -> None:
    loose = world.write("loose.yaml", "version: 1\nbuiltin: {off: [push]}\n")
    world.propose("simulated", "git push origin simulated")
    done = world.handfast("policy", "simulate", loose, "--json").json
    assert done["judged"] >= 1
    assert all(a["now"] == "allow" for a in done["actions"])
    actions = world.write("actions.jsonl", '"git push"\n"ls"\n{"command": "rm -rf src"}\n')
    read = world.handfast("policy", "simulate", loose, "--from", actions).out
    assert "3 actions judged" in read
    assert "gate → allow: 1" in read
    wrong = world.write("wrong.jsonl", '"ls"\n{"comand": "ls"}\n')
    refused = world.handfast("policy", "simulate", loose, "--from", wrong)
    assert refused.code == 2
    assert "wrong.jsonl:2" in refused.err
