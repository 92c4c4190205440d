"""Every call of the API, as a value to send. Paths and fields are those of the API's own description.

A command that must not happen twice carries an idempotency key, drawn here: sending one Request again
repeats nothing. Build a new Request for a new command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handfast.client.request import (
    Json,
    Request,
    new_key,
    read_bytes,
    read_items,
    read_nothing,
    read_object,
)
from handfast.client.request import get as _get
from handfast.client.request import path_part as _id
from handfast.client.request import post as _post
from handfast.core.domain.action import Call, Facts
from handfast.core.domain.codec import encode

LONG_POLL_MARGIN_S = 10.0


# -- server


def health() -> Request[Json]:
    return _get("/healthz", read_object)


# -- tasks and runs


def create_task(
    brief: Mapping[str, object], repository: str, target_branch: str, parent: str = ""
) -> Request[Json]:
    body = {"brief": dict(brief), "repository": repository, "target_branch": target_branch}
    body |= {"parent": parent} if parent else {}
    return _post("/v1/tasks", body, new_key())


def tasks(after: str = "", limit: int = 50) -> Request[Json]:
    return _get("/v1/tasks", read_object, {"after": after, "limit": limit})


def task(task_id: str) -> Request[Json]:
    return _get(f"/v1/tasks/{_id(task_id)}", read_object)


def create_run(
    task_id: str,
    command: Sequence[str],
    *,
    harness: str,
    mode: str = "enforce",
    agent_id: str = "",
    contained: str = "",
    allow_hosts: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> Request[Json]:
    body: Json = {"task_id": task_id, "command": list(command), "harness": harness, "mode": mode}
    if labels:
        body["labels"] = list(labels)
    if contained or allow_hosts:
        body |= {"contained": contained or None, "allow_hosts": list(allow_hosts)}
    return _post("/v1/runs", {**body, "agent_id": agent_id or None}, new_key())


def session_run(
    session_id: str,
    cwd: str,
    *,
    harness: str,
    agent_id: str = "",
    mode: str = "",
    repository: str = "",
) -> Request[Json]:
    """The run of a person's own session, made on first sight. Idempotent by agent and session."""
    body = {
        "harness": harness,
        "session_id": session_id,
        "cwd": cwd,
        "agent_id": agent_id or None,
        "mode": mode or None,
        "repository": repository or None,
    }
    return _post("/v1/runs", body, f"session:{agent_id}:{session_id}")


def runs(task_id: str = "", after: str = "", limit: int = 50) -> Request[Json]:
    return _get("/v1/runs", read_object, {"task_id": task_id, "after": after, "limit": limit})


def run(run_id: str) -> Request[Json]:
    return _get(f"/v1/runs/{_id(run_id)}", read_object)


def steps(run_id: str, after: int = 0, limit: int = 200) -> Request[Json]:
    return _get(f"/v1/runs/{_id(run_id)}/steps", read_object, {"after": after, "limit": limit})


def about_run(run_id: str, what: str, fields: Mapping[str, object]) -> Request[Json]:
    """What a runner says about a run: started, paused, exited, never-started, settle, …"""
    return _post(f"/v1/runs/{_id(run_id)}/{what}", fields, new_key())


def settle(run_id: str, epoch: int | None = None) -> Request[Json]:
    """The agent's process is gone: starts without an effect become doubts. Idempotent."""
    return _post(f"/v1/runs/{_id(run_id)}/settle", {"epoch": epoch}, new_key())


def review(run_id: str, fields: Mapping[str, object]) -> Request[Json]:
    return _post(f"/v1/runs/{_id(run_id)}/reviews", fields, new_key())


# -- gate checks


@dataclass(frozen=True, slots=True)
class Proposed:
    """A call about to be made. `subagent` and `agent_says` are the agent's words; `shown` is how a person
    should read the call (`{kind, text}`) where its arguments are not the best way. `require_approval` asks
    a person whatever policy says; `preview` and `undo` are shown as the caller's words."""

    call: Call
    facts: Facts
    executor: str = "hooked"
    epoch: int | None = None
    subagent: str = ""
    agent_says: str = ""
    shown: Mapping[str, str] | None = None
    require_approval: bool = False
    preview: str = ""
    undo: str = ""
    previews: bool = False
    previewed: Mapping[str, object] | None = None
    operand_texts: Mapping[str, str] | None = None


def propose(run_id: str, key: str, proposed: Proposed) -> Request[Json]:
    """Ask whether a call may run. `key` is the harness's id of the call.

    An answer `allow` to a gated call has used up its grant: the repeat of one Request gets the same
    answer again, a new Request is a new question.
    """
    body = {
        "call": proposed.call.canonical(),
        "facts": encode(proposed.facts),
        "key": key,
        "executor": proposed.executor,
        "epoch": proposed.epoch,
        "subagent": proposed.subagent or None,
        "agent_says": proposed.agent_says or None,
        "shown": dict(proposed.shown) if proposed.shown else None,
        "require_approval": proposed.require_approval or None,
        "preview": proposed.preview or None,
        "undo": proposed.undo or None,
        "previews": proposed.previews or None,
        "previewed": dict(proposed.previewed) if proposed.previewed else None,
        "operand_texts": dict(proposed.operand_texts) if proposed.operand_texts else None,
    }
    return _post(f"/v1/runs/{_id(run_id)}/actions", body, new_key())


def record_reads(
    run_id: str, reads: Sequence[Mapping[str, object]], key: str = ""
) -> Request[Json]:
    """Reads that ran without asking: `{key, call, facts, at}` each."""
    return _post(f"/v1/runs/{_id(run_id)}/steps", {"steps": [dict(r) for r in reads]}, key)


def record_result(run_id: str, result: Mapping[str, object]) -> Request[Json]:
    """What came of a step: `{key, exit_code?, failed?, duration_ms?, output?}`. Idempotent by nature."""
    return _post(f"/v1/runs/{_id(run_id)}/results", result, new_key())


def report_usage(run_id: str, usage: Mapping[str, object]) -> Request[Json]:
    """Totals of a run: `{cost_usd?, tokens_in?, tokens_out?, reasoning_ms?, compactions?, context_fill?,
    confidence?, turn_over?}`. Idempotent by nature."""
    return _post(f"/v1/runs/{_id(run_id)}/usage", usage, new_key())


# -- handoffs


def handoffs(
    status: str = "waiting",
    *,
    run_id: str = "",
    task_id: str = "",
    after: str = "",
    limit: int = 50,
) -> Request[Json]:
    query = {"status": status, "run_id": run_id, "task_id": task_id, "after": after, "limit": limit}
    return _get("/v1/handoffs", read_object, query)


def handoff(handoff_id: str) -> Request[Json]:
    return _get(f"/v1/handoffs/{_id(handoff_id)}", read_object)


def wait(handoff_id: str, timeout_s: float) -> Request[Json]:
    """The handoff once it is decided or final; `decided` false when `timeout_s` passed first."""
    return Request(
        "GET",
        f"/v1/handoffs/{_id(handoff_id)}/wait",
        read_object,
        query={"timeout_s": f"{timeout_s:g}"},
        timeout_s=timeout_s + LONG_POLL_MARGIN_S,
    )


def decide(
    handoff_id: str,
    kind: str,
    presented_digest: str,
    *,
    reason: str = "",
    edited_call: object = None,
    answer: str = "",
    person: str = "",
    pin: str = "",
) -> Request[Json]:
    """`edited_call` is the command as it should run. A person's PIN goes with a token that is not theirs."""
    key = new_key()
    body = {
        "kind": kind,
        "presented_digest": presented_digest,
        "reason": reason or None,
        "edited_call": edited_call,
        "answer": answer or None,
        "person": person or None,
        "pin": pin or None,
        "idempotency_key": key,
    }
    return _post(f"/v1/handoffs/{_id(handoff_id)}/decisions", body, key)


def about_handoff(handoff_id: str, what: str, fields: Mapping[str, object]) -> Request[Json]:
    """acknowledge, release, route, snooze, unvote, override, comments, viewed, rating."""
    return _post(f"/v1/handoffs/{_id(handoff_id)}/{what}", fields, new_key())


# -- grants


def grant(grant_id: str) -> Request[Json]:
    """The grant with the exact call it permits."""
    return _get(f"/v1/grants/{_id(grant_id)}", read_object)


def redeem(
    grant_id: str, action_digest: str, *, executor: str, run_id: str = "", epoch: int | None = None
) -> Request[Json]:
    """Take the one start. `action_digest` is of what is about to run, hashed now."""
    body = {
        "action_digest": action_digest,
        "executor": executor,
        "run_id": run_id or None,
        "epoch": epoch,
    }
    return _post(f"/v1/grants/{_id(grant_id)}/redeem", body, new_key())


def effect(
    grant_id: str,
    start_id: str,
    outcome: str,
    *,
    executed_digest: str = "",
    exit_code: int | None = None,
    output: str = "",
    note: str = "",
    doubt: bool = False,
) -> Request[Json]:
    """What a start led to. A second report of one start changes nothing: the answer's `outcome` is the
    recorded one. `doubt` asks a person what became of a start whose outcome is `unknown`."""
    body = {
        "start_id": start_id,
        "outcome": outcome,
        "executed_digest": executed_digest or None,
        "exit_code": exit_code,
        "output": output or None,
        "note": note or None,
        "doubt": doubt or None,
    }
    return _post(f"/v1/grants/{_id(grant_id)}/effect", body, new_key())


# -- events, bodies, audit


def events(after: int = 0, types: Sequence[str] = (), run_id: str = "") -> Request[Json]:
    query = {"after": after, "types": ",".join(types), "run_id": run_id}
    return _get("/v1/events", read_object, query)


def events_stream(after: int = 0, types: Sequence[str] = (), run_id: str = "") -> Request[None]:
    """For `Client.events`."""
    given = {"after": str(after), "types": ",".join(types), "run_id": run_id}
    query = {k: v for k, v in given.items() if v}
    return Request("GET", "/v1/events", read_nothing, query=query, accept="text/event-stream")


def put_body(content: bytes, content_type: str) -> Request[Json]:
    return Request(
        "POST",
        "/v1/bodies",
        read_object,
        content=content,
        content_type=content_type,
        key=new_key(),
        timeout_s=60.0,
    )


def body(body_id: str, of: str = "") -> Request[bytes]:
    """`of` is the handoff, run or task that names it."""
    path, query = f"/v1/bodies/{_id(body_id)}", {"of": of} if of else {}
    return Request("GET", path, read_bytes, query=query, accept="*/*", timeout_s=60.0)


def erase_body(body_id: str) -> Request[None]:
    return Request("DELETE", f"/v1/bodies/{_id(body_id)}", read_nothing)


def audit_head() -> Request[Json]:
    """The signed tree head: `{size, note}`."""
    return _get("/v1/audit/head", read_object)


def inclusion_proof(position: int) -> Request[Json]:
    return _get(f"/v1/audit/entries/{position}/proof", read_object)


def consistency_proof(old: int, new: int) -> Request[Json]:
    return _get("/v1/audit/consistency", read_object, {"from": old, "to": new})


# -- agents and hooks


def agents() -> Request[list[Json]]:
    return _get("/v1/agents", read_items)


def add_agent(name: str, harness: str, team: str = "") -> Request[Json]:
    """Register an agent. An equal name is refused."""
    body = {"name": name, "harness": harness, "team": team or None}
    return _post("/v1/agents", body, new_key())


def issue_token(agent_id: str, scopes: Sequence[str] = (), expires_in_s: int = 0) -> Request[Json]:
    """A new token of an agent: the only time its text is seen. Not repeated: each sending issues one."""
    body: Json = {"scopes": list(scopes)}
    if expires_in_s:
        body["expires_in_s"] = expires_in_s
    return _post(f"/v1/agents/{_id(agent_id)}/tokens", body)


def revoke_token(token_id: str) -> Request[None]:
    return Request("DELETE", f"/v1/tokens/{_id(token_id)}", read_nothing)


def suspend_agent(agent_id: str, reason: str = "") -> Request[Json]:
    return _post(f"/v1/agents/{_id(agent_id)}/suspend", {"reason": reason}, new_key())


def reinstate_agent(agent_id: str, reason: str = "") -> Request[Json]:
    return _post(f"/v1/agents/{_id(agent_id)}/reinstate", {"reason": reason}, new_key())


def hook_status() -> Request[Json]:
    return _get("/v1/hooks/status", read_object)


def pause_hooks(minutes: int, reason: str, person: str, pin: str) -> Request[Json]:
    body: Json = {"minutes": minutes, "reason": reason, "person": person, "pin": pin}
    return _post("/v1/hooks/pause", body, new_key())


def resume_hooks() -> Request[Json]:
    return _post("/v1/hooks/resume", {}, new_key())


def set_hook_mode(mode: str, person: str = "", pin: str = "") -> Request[Json]:
    """Loosening to `observe` needs a person's PIN."""
    body = {"mode": mode, "person": person or None, "pin": pin or None}
    return _post("/v1/hooks/mode", body, new_key())


def hook_installed(harness: str, scope: str, agent_id: str, mode: str) -> Request[Json]:
    body: Json = {"harness": harness, "scope": scope, "agent_id": agent_id, "mode": mode}
    return _post("/v1/hooks/installed", body, new_key())
