"""An idempotency key is of one command of one person: whatever is said otherwise is another command."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import BaseModel

from handfast.core.domain.events import Actor
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.people import NewPerson
from handfast.server.api.schema_gate import ActionIn, ReadIn, ReadsIn
from handfast.server.api.schema_grant import RedeemIn, ScopeIn
from handfast.server.api.schema_handoff import DecisionIn
from handfast.server.api.schema_review import ReviewIn
from handfast.server.api.schema_routing import OverrideIn
from handfast.server.api.schema_runner import RunnerStartIn
from handfast.server.api.schema_work import RunIn, TaskIn
from handfast.server.application import create_app
from tests.prepared import quick_hashes
from tests.served import LOGIN, OPERATOR, PASSWORD, PIN, PUSH, Json, Served, decision

KEY = {"Idempotency-Key": "k1"}
PROOF = {"person", "pin", "idempotency_key"}  # who says it is in the key
DIGEST = "sha256:" + "e" * 64


@dataclass(frozen=True)
class Command:
    """A request that is taken, and what else each of its fields might hold. `silent` say nothing themselves."""

    client: httpx.Client
    path: str
    body: Json
    asked: type[BaseModel]
    others: Mapping[str, object]
    silent: frozenset[str] = field(default_factory=frozenset)


def new_task(served: Served, **more: object) -> str:
    body = {"brief": {"intent": "x"}, "repository": "/srv/a", "base_commit": "0" * 40, **more}
    made = served.client("operator").post("/v1/tasks", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["task_id"])


def create_task(served: Served) -> Command:
    body = {"brief": {"intent": "x"}, "repository": "/srv/a", "base_commit": "0" * 40}
    others = {
        "brief": {"intent": "x", "acceptance": ["It works"]},
        "repository": "/srv/b",
        "target_branch": "next",
        "base_commit": "1" * 40,
        "parent": new_task(served),
    }
    return Command(served.client("operator"), "/v1/tasks", body, TaskIn, others)


def create_run(served: Served) -> Command:
    other = served.engine.agents.add(OPERATOR, "another", "codex")["agent_id"]
    body = {"task_id": new_task(served), "command": ["a"], "agent_id": served.agent_id}
    others = {
        "harness": "codex",
        "agent_id": other,
        "mode": "observe",
        "task_id": new_task(served),
        "command": ["b"],
        "contained": "off",
        "allow_hosts": ["example.org:443"],
        "labels": ["gpu"],
    }
    of_sessions = frozenset({"session_id", "cwd", "repository", "runner_id"})
    return Command(served.client("operator"), "/v1/runs", body, RunIn, others, of_sessions)


def propose_action(served: Served) -> Command:
    operand = {"path": "go.sh", "digest": DIGEST}
    call = {"tool": "Bash", "arguments": {"command": "sh go.sh"}, "operands": [operand]}
    body = {"key": "t1", "call": call, "facts": PUSH["facts"]}
    others = {
        "key": "t2",
        "call": {**call, "cwd": "/tmp"},
        "facts": {**PUSH["facts"], "reversible": True},
        "shown": {"kind": "text", "text": "-"},
        "subagent": "helper",
        "agent_says": "trust me",
        "executor": "mediated",
        "epoch": 0,
        "wait_possible": False,
        "require_approval": True,
        "preview": "p",
        "undo": "u",
        "previews": True,
        "previewed": {"command": ["dry"], "output": "-"},
        "operand_texts": {"go.sh": "echo"},
    }
    path = f"/v1/runs/{served.session_run()}/actions"
    return Command(served.client("runner"), path, body, ActionIn, others)


def _read(**more: object) -> Json:
    facts = {"effect": "read", "summary": "reads"}
    call = {"tool": "Read", "arguments": {"file_path": "a"}}
    return {"key": "r1", "call": call, "facts": facts, "at": "2026-11-02T10:00:00Z", **more}


def record_reads(served: Served) -> Command:
    others = {"steps": [_read(), _read(key="r2")]}
    path = f"/v1/runs/{served.session_run()}/steps"
    return Command(served.client("runner"), path, {"steps": [_read()]}, ReadsIn, others)


def record_read(served: Served) -> Command:
    """Each member of a read, too."""
    made = record_reads(served)
    parts = {
        "key": "r2",
        "call": {"tool": "Read", "arguments": {"file_path": "b"}},
        "facts": {"effect": "read", "summary": "reads", "paths": ["a"]},
        "at": "2026-11-02T10:00:01Z",
    }
    others = {name: [_read(**{name: value})] for name, value in parts.items()}
    return Command(made.client, made.path, made.body, ReadIn, others)


def _body(served: Served, text: str) -> str:
    stored = served.client("runner").post("/v1/bodies", content=text.encode())
    return str(stored.json()["body_id"])


def open_review(served: Served) -> Command:
    runner = served.client("runner")
    asked = {"task_id": new_task(served), "command": ["a"], "agent_id": served.agent_id}
    run = served.client("operator").post("/v1/runs", json=asked).json()["run_id"]
    epoch = runner.post("/v1/leases", json={"runner_id": "r1", "host": "h"}).json()["epoch"]
    change = {"path": "a", "status": "A", "new_mode": "100644"}
    body = {"epoch": epoch, "base_commit": "a" * 40, "head_commit": "b" * 40, "target_branch": "main", "files": ["a"], "changes": [change]}  # fmt: skip
    files = {"tree": "c" * 40, "files": [{"path": "a", "mode": "100644", "old": "", "new": "x\n"}]}
    words = ("files", "outside_scope", "powerful", "symlinks", "submodules", "mode_changes", "details", "hazards", "not_seen")  # fmt: skip
    lines = ("base_commit", "head_commit", "target_branch", "diff", "agent_says", "since_commit", "since_diff", "snapshot_ref", "snapshot_commit", "target_commit")  # fmt: skip
    others: Json = {name: ["w"] for name in words} | dict.fromkeys(lines, "other")
    others |= {
        "epoch": epoch + 1,
        "diff_body_id": _body(served, "+one\n"),
        "changes": [{**change, "added": 1}],
        "commits": [{"commit": "b" * 40}],
        "commands": [{"command": "pytest"}],
        "insertions": 1,
        "deletions": 1,
        "attempts": [{"tried": "x", "outcome": "y"}],
        "written_at": "2026-11-02T10:00:00Z",
        "returns": True,
        "since_diff_body_id": _body(served, "+two\n"),
        "session_body_id": _body(served, "{}"),
        "parts": [{"person_id": served.person_id}],
        "files_body_id": _body(served, json.dumps(files)),
    }
    ignored = frozenset({"evidence"})  # of older runners; nobody looks at it
    return Command(runner, f"/v1/runs/{run}/reviews", body, ReviewIn, others, ignored)


def decide_handoff(served: Served) -> Command:
    handoff = served.stop()
    others = {
        "kind": "reject",
        "presented_digest": DIGEST,
        "reason": "other",
        "answer": "other",
        "edited_call": "git push origin next",
        "edited_files": [{"path": "a", "text": "b"}],
        "scope": {"times": 2},
        "covers_unshown": True,
    }
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    return Command(served.client("operator"), path, decision(handoff), DecisionIn, others)


def scope_of_a_decision(served: Served) -> Command:
    made = decide_handoff(served)
    scope = {"times": 1, "within_s": 600, "until": "2100-01-01T00:00:00Z"}
    parts = {"times": 2, "span": "task", "within_s": 601, "until": "2100-01-01T00:00:01Z"}
    others = {name: {"scope": {**scope, name: value}} for name, value in parts.items()}
    return Command(made.client, made.path, {**made.body, "scope": scope}, ScopeIn, others)


def override_handoff(served: Served) -> Command:
    handoff = served.stop()
    body = {"presented_digest": handoff["presented_digest"], "reason": "now", "person": LOGIN, "pin": PIN}  # fmt: skip
    others = {"presented_digest": DIGEST, "reason": "other"}
    path = f"/v1/handoffs/{handoff['handoff_id']}/override"
    return Command(served.client("operator"), path, body, OverrideIn, others)


def redeem_grant(served: Served) -> Command:
    handoff = served.stop()
    operator = served.client("operator")
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    grant = operator.post(path, json=decision(handoff)).json()["grant"]["grant_id"]
    others = {"action_digest": DIGEST, "epoch": 0, "executor": "hooked", "run_id": "run_0"}
    body = {"action_digest": handoff["action_digest"]}
    return Command(operator, f"/v1/grants/{grant}/redeem", body, RedeemIn, others)


def start_runner(served: Served) -> Command:
    others = {"host": "i", "pid": 2, "version": "2", "capacity": 2, "name": "other"}
    body = {"host": "h", "name": "n"}
    return Command(served.client("runner"), "/v1/runners/start", body, RunnerStartIn, others)


COMMANDS: tuple[Callable[[Served], Command], ...] = (
    create_task, create_run, propose_action, record_reads, record_read, open_review, decide_handoff,
    scope_of_a_decision, override_handoff, redeem_grant, start_runner,
)  # fmt: skip
NESTED = {"record_read": "steps", "scope_of_a_decision": ""}


@pytest.mark.parametrize("made", COMMANDS, ids=lambda m: str(m.__name__))
def test_a_used_key_is_refused_for_whatever_differs(
    served: Served, made: Callable[[Served], Command]
) -> None:
    c = made(served)
    assert set(c.others) | PROOF | c.silent >= set(c.asked.model_fields)
    first = c.client.post(c.path, json=c.body, headers=KEY)
    assert first.is_success, first.text
    nested = NESTED.get(made.__name__)
    for name, value in c.others.items():
        other = value if nested == "" else {nested or name: value}
        assert isinstance(other, dict)
        answer = c.client.post(c.path, json={**c.body, **other}, headers=KEY)
        assert answer.status_code == 409, (name, answer.text)
        assert "was used for another command" in answer.json()["detail"], name
    again = c.client.post(c.path, json=c.body, headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)


def test_every_keyed_operation_is_in_the_table(served: Served) -> None:
    """Those that decide several have the key of one decision for each item."""
    paths = create_app(served.engine).openapi()["paths"]
    keyed = {
        operation["operationId"]
        for methods in paths.values()
        for operation in methods.values()
        if any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ()))
    }
    together = {"decide_handoffs", "decide_checkpoint"}
    assert keyed == {made.__name__ for made in COMMANDS} - set(NESTED) | together


POLICY = """version: 1
gates:
  - id: two
    when: 'call.command.startsWith("git push")'
    require: {approvals: 2}
    risk: low
"""


@pytest.mark.parametrize("together", [False, True], ids=["decision", "bulk"])
def test_the_key_of_one_person_does_not_swallow_the_vote_of_another(
    served: Served, together: bool
) -> None:
    engine = served.engine
    noor = Actor("person", served.person_id, "browser")
    with quick_hashes():
        link = engine.people.invite_another(noor, ("reviewer", "admin"))
        made = engine.people.set_up(link, NewPerson("Mia Lang", "mia", PASSWORD, PIN))
    mia = Actor("person", str(made["person_id"]), "browser")
    text = POLICY if not together else POLICY.replace("git push", "ls")
    proposed = engine.policies.propose(noor, ORGANISATION, text)
    engine.policies.approve(mia, ORGANISATION, str(proposed["digest"]))
    handoff = _waits(served, "ls" if together else "git push origin main")
    item = {"handoff_id": handoff["handoff_id"], "presented_digest": handoff["presented_digest"]}
    path, body = f"/v1/handoffs/{handoff['handoff_id']}/decisions", decision(handoff)
    if together:
        path, body = "/v1/handoffs/decisions", {"items": [item], "reason": "fine", "pin": PIN}
    operator = served.client("operator")
    for login in (LOGIN, LOGIN, "mia"):  # the repeat of Noor's is no second vote
        answer = operator.post(path, json={**body, "person": login}, headers=KEY)
        assert answer.is_success, answer.text
        assert not answer.json().get("results", [{}])[0].get("refused"), answer.text
    after = operator.get(f"/v1/handoffs/{handoff['handoff_id']}").json()
    assert after["takes"]["clauses"][0]["approved_by"] == ["Noor Haddad"]
    assert after["decision"]["by_name"] == "Mia Lang"


def _waits(served: Served, command: str) -> Json:
    call = {"tool": "Bash", "arguments": {"command": command}}
    facts = {"effect": "write", "summary": "lists", "reversible": True}
    asked = {"key": "t1", "call": call, "facts": facts}
    path = f"/v1/runs/{served.session_run()}/actions"
    found = served.client("runner").post(path, json=asked).json()
    shown: Json = served.client("operator").get(f"/v1/handoffs/{found['handoff_id']}").json()
    return shown
