"""The main job over HTTP: a call stops, a person decides, the call goes on once; work is leased and reviewed."""

import json

import httpx
import pytest

from handfast.core.domain.action import Call
from handfast.engine.reviews import merge_call
from tests.served import LOGIN, PIN, PUSH, Json, Served, decision


@pytest.fixture
def runner(served: Served) -> httpx.Client:
    return served.client("runner")


@pytest.fixture
def operator(served: Served) -> httpx.Client:
    return served.client("operator")


def propose(runner: httpx.Client, run: str, command: str, key: str = "t1", **more: object) -> Json:
    call = {"tool": "Bash", "arguments": {"command": command}}
    body = {"key": key, "call": call, "facts": PUSH["facts"], **more}
    answer = runner.post(f"/v1/runs/{run}/actions", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def decide(operator: httpx.Client, handoff: Json, kind: str = "approve", **more: object) -> Json:
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    answer = operator.post(path, json=decision(handoff, kind, **more))
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


def test_an_approved_call_runs_once_and_its_result_closes_the_case(
    served: Served, runner: httpx.Client, operator: httpx.Client
) -> None:
    handoff = served.stop()
    run = handoff["run_id"]
    assert handoff["offered"] == ["approve", "approve_with_edits", "request_changes", "reject"]
    assert propose(runner, run, "git push origin main")["handoff_id"] == handoff["handoff_id"]
    assert decide(operator, handoff)["grant"]["status"] == "minted"
    allowed = propose(runner, run, "git push origin main", key="t2")
    assert (allowed["verdict"], allowed["would"]) == ("allow", "gate")
    assert allowed["grant_id"] == handoff["handoff_id"].replace("ho_", "gr_")
    result = {"key": "t2", "exit_code": 0, "output": "Everything up-to-date"}
    assert runner.post(f"/v1/runs/{run}/results", json=result).json()["settled"] is True
    closed = operator.get(f"/v1/handoffs/{handoff['handoff_id']}").json()
    assert (closed["status"], closed["effect"]["outcome"]) == ("closed", "reported")
    assert "up-to-date" in closed["effect"]["output"]
    steps = operator.get(f"/v1/runs/{run}/steps").json()["items"]
    assert [s["verdict"] for s in steps] == ["wait", "wait", "allow"]
    assert steps[-1]["exit_code"] == 0


def test_a_repeat_with_the_same_idempotency_key_gets_the_same_start(
    served: Served, runner: httpx.Client, operator: httpx.Client
) -> None:
    handoff = served.stop()
    decide(operator, handoff)
    runner.headers["Idempotency-Key"] = "once"
    first = propose(runner, handoff["run_id"], "git push origin main", key="t2")
    assert propose(runner, handoff["run_id"], "git push origin main", key="t2") == first
    body = {
        "key": "t2",
        "call": {"tool": "Bash", "arguments": {"command": "other"}},
        "facts": PUSH["facts"],
    }
    other = runner.post(f"/v1/runs/{handoff['run_id']}/actions", json=body)
    assert (other.status_code, other.json()["code"]) == (409, "invalid_transition")


def test_an_edit_allows_only_the_edited_call(
    served: Served, runner: httpx.Client, operator: httpx.Client
) -> None:
    handoff = served.stop()
    decided = decide(
        operator, handoff, "approve_with_edits", edited_call="git push --dry-run origin main"
    )
    assert decided["decision"]["edited_call"]["arguments"]["command"].startswith("git push --dry")
    denied = propose(runner, handoff["run_id"], "git push origin main", key="t2")
    assert denied["verdict"] == "deny"
    assert "--dry-run" in denied["reason"]


@pytest.mark.parametrize(("kind", "said"), [("reject", "rejected"), ("request_changes", "changes")])
def test_a_refusal_reaches_the_agent_with_its_reason(
    served: Served, runner: httpx.Client, operator: httpx.Client, kind: str, said: str
) -> None:
    handoff = served.stop()
    decide(operator, handoff, kind, reason="use the release branch")
    denied = propose(runner, handoff["run_id"], "git push origin main", key="t2")
    assert denied["verdict"] == "deny"
    assert said in denied["reason"]
    assert "release branch" in denied["reason"]


def test_a_decision_on_something_else_than_was_shown_is_refused(
    served: Served, operator: httpx.Client
) -> None:
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    stale = operator.post(path, json=decision(handoff, presented_digest="sha256:00"))
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_decision")
    assert stale.json()["presented_digest"] == handoff["presented_digest"]


def test_the_second_decision_is_told_who_and_when(served: Served, operator: httpx.Client) -> None:
    handoff = served.stop()
    first = decide(operator, handoff)
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    late = operator.post(path, json=decision(handoff, "reject"))
    assert (late.status_code, late.json()["code"]) == (409, "already_decided")
    assert late.json()["decided_by"] == served.person_id
    assert late.json()["decided_by_name"] == "Noor Haddad"
    assert late.json()["decided_at"] == first["decision"]["at"]
    assert late.json()["decision"] == "approve"


def test_a_decision_with_a_key_can_be_sent_again(served: Served, operator: httpx.Client) -> None:
    handoff = served.stop()
    once = decide(operator, handoff, idempotency_key="mine")
    assert decide(operator, handoff, idempotency_key="mine")["decision"] == once["decision"]


def test_a_question_is_answered(served: Served, operator: httpx.Client) -> None:
    run = served.session_run()
    path = f"/v1/runs/{run}/questions"
    asked = served.client("agent").post(path, json={"question": "Which branch?"})
    handoff = operator.get(f"/v1/handoffs/{asked.json()['handoff_id']}").json()
    assert handoff["package"]["agent_says"] == "Which branch?"
    decided = decide(operator, handoff, "answer", answer="release/2")
    assert decided["decision"]["answer"] == "release/2"


def new_task(operator: httpx.Client) -> str:
    brief = {"intent": "Round invoice lines", "acceptance": ["The tests pass"]}
    body = {"brief": brief, "repository": "/srv/git/billing", "target_branch": "main"}
    made = operator.post("/v1/tasks", json=body, headers={"Idempotency-Key": "task-1"})
    assert made.status_code == 201, made.text
    again = operator.post("/v1/tasks", json=body, headers={"Idempotency-Key": "task-1"})
    assert again.json()["task_id"] == made.json()["task_id"]
    return str(made.json()["task_id"])


def lease(runner: httpx.Client, runner_id: str = "r1") -> httpx.Response:
    return runner.post("/v1/leases", json={"runner_id": runner_id, "host": "laptop", "capacity": 1})


def test_a_task_is_run_reviewed_and_merged_through_its_grant(
    served: Served, runner: httpx.Client, operator: httpx.Client
) -> None:
    assert lease(runner).status_code == 204
    task = new_task(operator)
    command = ["claude", "-p", "go"]
    made = operator.post("/v1/runs", json={"task_id": task, "command": command})
    run = made.json()["run_id"]
    assert (made.status_code, made.json()["status"]) == (201, "queued")
    leased = lease(runner).json()
    assert (leased["run_id"], leased["epoch"], leased["command"]) == (run, 1, command)
    assert leased["brief"]["acceptance"] == ["The tests pass"]
    started = {"epoch": 1, "pid": 42, "pid_started_at": 7, "worktree": "/srv/w", "branch": "hf/1"}
    assert runner.post(f"/v1/runs/{run}/started", json=started).status_code == 200
    held = runner.post(f"/v1/runs/{run}/heartbeat", json={"runner_id": "r1", "epoch": 1})
    assert held.json() == {"held": True, "killed": False, "taken_over": False}
    stale = runner.post(f"/v1/runs/{run}/exited", json={"epoch": 0, "exit_code": 0})
    assert (stale.status_code, stale.json()["code"], stale.json()["epoch"]) == (
        409,
        "stale_epoch",
        1,
    )
    left = {"epoch": 1, "exit_code": 0, "cost_usd": "0.41", "turns": 3, "duration_ms": 1200}
    assert runner.post(f"/v1/runs/{run}/exited", json=left).status_code == 200
    diff = runner.post("/v1/bodies", content=b"+one\n", headers={"Content-Type": "text/x-diff"})
    review = {
        "epoch": 1,
        "base_commit": "a" * 40,
        "head_commit": "b" * 40,
        "target_branch": "main",
        "diff_body_id": diff.json()["body_id"],
        "files": ["invoice.py"],
        "commits": [{"commit": "b" * 40, "subject": "Round lines"}],
        "commands": [{"command": "pytest -q", "exit_code": 0}],
        "insertions": 1,
        "snapshot_ref": "refs/handfast/1",
    }
    opened = runner.post(f"/v1/runs/{run}/reviews", json=review)
    assert opened.status_code == 201, opened.text
    handoff = operator.get(f"/v1/handoffs/{opened.json()['handoff_id']}").json()
    assert handoff["package"]["review"]["commits"][0]["subject"] == "Round lines"
    assert handoff["package"]["what_will_happen"]["text"] == "+one\n"
    assert operator.get(f"/v1/runs/{run}").json()["cost_usd"] == "0.41"
    decided = decide(operator, handoff)
    again = lease(runner, "r2").json()
    assert (again["epoch"], again["ready_for"]) == (2, handoff["handoff_id"])
    merge(runner, decided, run)
    assert operator.get(f"/v1/runs/{run}").json()["outcome"] == "merged"
    assert operator.get(f"/v1/tasks/{task}").json()["outcome"] == "merged"


def merge(runner: httpx.Client, handoff: Json, run: str) -> None:
    grant = runner.get(f"/v1/grants/{handoff['grant']['grant_id']}").json()
    expected = merge_call("/srv/git/billing", "main", "b" * 40)
    found = Call(grant["call"]["tool"], grant["call"]["arguments"], grant["call"]["cwd"])
    assert found.digest == expected.digest == handoff["action_digest"]
    path = f"/v1/grants/{grant['grant_id']}"
    wrong = runner.post(f"{path}/redeem", json={"action_digest": "sha256:0", "epoch": 2})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "stale_decision")
    redeem = {"action_digest": found.digest, "epoch": 2, "run_id": run}
    start = runner.post(f"{path}/redeem", json=redeem)
    assert start.status_code == 201, start.text
    second = runner.post(f"{path}/redeem", json=redeem)
    assert (second.status_code, second.json()["code"]) == (409, "grant_used")
    effect = {
        "start_id": start.json()["start_id"],
        "outcome": "verified",
        "executed_digest": found.digest,
    }
    assert runner.post(f"{path}/effect", json=effect).json()["outcome"] == "verified"
    ended = runner.post(f"/v1/runs/{run}/ended", json={"epoch": 2, "outcome": "merged"})
    assert ended.json()["outcome"] == "merged"


def test_a_start_without_a_result_becomes_a_doubt_and_is_not_repeated(
    served: Served, runner: httpx.Client, operator: httpx.Client
) -> None:
    handoff = served.stop()
    run = handoff["run_id"]
    decide(operator, handoff)
    propose(runner, run, "git push origin main", key="t2")
    doubts = runner.post(f"/v1/runs/{run}/settle", json={}).json()["doubts"]
    assert len(doubts) == 1
    again = propose(runner, run, "git push origin main", key="t3")
    assert (again["verdict"], again["handoff_id"]) == ("wait", doubts[0])
    doubt = operator.get(f"/v1/handoffs/{doubts[0]}").json()
    assert (doubt["kind"], doubt["about"]) == ("doubt", handoff["handoff_id"])
    proof = {
        "kind": "answer",
        "presented_digest": doubt["presented_digest"],
        "person": LOGIN,
        "pin": PIN,
    }
    path = f"/v1/handoffs/{doubts[0]}/decisions"
    assert operator.post(path, json={**proof, "answer": "it_ran"}).status_code == 201
    assert propose(runner, run, "git push origin main", key="t4")["verdict"] == "deny"


def test_an_agent_that_never_started_is_its_own_outcome(
    runner: httpx.Client, operator: httpx.Client
) -> None:
    task = new_task(operator)
    body = {"task_id": task, "command": ["nowhere"], "harness": "claude-code"}
    run = operator.post("/v1/runs", json=body).json()["run_id"]
    lease(runner)
    answer = runner.post(
        f"/v1/runs/{run}/never-started",
        json={"epoch": 1, "reason": "no such program", "output": "127"},
    )
    assert answer.json()["outcome"] == "never_started"
    assert operator.get(f"/v1/runs/{run}").json()["exit_reason"] == "no such program"


def test_reads_are_recorded_in_a_batch_and_bodies_are_erased_by_a_person(
    served: Served, runner: httpx.Client, operator: httpx.Client
) -> None:
    run = served.session_run()
    facts = {"effect": "read", "summary": "reads README.md"}
    call = {"tool": "Read", "arguments": {"file_path": "README.md"}}
    steps = [
        {"key": f"r{n}", "call": call, "facts": facts, "at": "2026-03-04T14:05:00+01:00"}
        for n in range(3)
    ]
    assert runner.post(f"/v1/runs/{run}/steps", json={"steps": steps}).json() == {"recorded": 3}
    found = operator.get(f"/v1/runs/{run}/steps").json()["items"]
    assert found[0]["at"] == "2026-03-04T13:05:00.000000Z"
    secret = b"token ghp_" + b"a" * 36
    made = runner.post("/v1/bodies", content=secret, headers={"Content-Type": "text/plain"})
    propose(runner, run, "git push origin main")
    said = {"key": "t1", "exit_code": 0, "output_body_id": made.json()["body_id"]}
    assert runner.post(f"/v1/runs/{run}/results", json=said).status_code == 200
    rows = served.engine.kernel.store.events(stream=f"run/{run}", types=("step.finished",))
    path = f"/v1/bodies/{json.loads(rows[-1].data)['data']['output']['body_id']}?of={run}"
    assert operator.get(path).content == secret
    person = served.browser()
    shown = person.get(path)
    assert b"ghp_" not in shown.content
    assert shown.headers["content-type"] == "text/plain; charset=utf-8"
    assert operator.delete(path).status_code == 403
    assert person.delete(path).json()["erased"] is True
    gone = operator.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "erased")


def test_proofs_of_the_log_come_over_http(served: Served, operator: httpx.Client) -> None:
    served.stop()
    head = operator.get("/v1/audit/head").json()
    assert head["note"].splitlines()[1] == str(head["size"])
    proof = operator.get("/v1/audit/entries/3/proof").json()
    assert proof["position"] == 3
    assert (
        operator.get(f"/v1/audit/consistency?from=1&to={head['size']}").json()["to"] == head["size"]
    )
    assert operator.get("/v1/audit/entries/99999/proof").status_code == 404
    assert operator.get("/v1/audit/consistency?from=9&to=3").status_code == 422
    page = operator.get("/v1/events?types=handoff.requested,handoff.routed").json()
    assert [e["type"] for e in page["items"]] == ["handoff.requested", "handoff.routed"]
    assert page["next"] >= page["items"][-1]["position"]
    of_run = operator.get(f"/v1/events?run_id={page['items'][0]['data']['run_id']}").json()["items"]
    assert {e["type"] for e in of_run} == {"run.created", "step.judged", "handoff.requested"}
    assert operator.get("/v1/events?types=no.such").status_code == 422


def test_claims_and_comments_are_shown_and_decide_nothing(
    served: Served, operator: httpx.Client
) -> None:
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}"
    proof = {"person": LOGIN, "pin": PIN}
    assert operator.post(f"{path}/acknowledge").status_code == 403
    assert operator.post(f"{path}/acknowledge", json=proof).json()["holder"] == served.person_id
    assert operator.post(f"{path}/release", json=proof).json()["holder"] == ""
    assert operator.post(f"{path}/comments", json={"text": "asked the team"}).status_code == 201
    assert served.browser().post(f"{path}/viewed", json={"ms": 900}).status_code == 201
    shown = operator.get(path).json()
    assert [e["type"] for e in shown["timeline"][2:]] == [
        "handoff.acknowledged", "handoff.released", "handoff.commented", "handoff.viewed",
    ]  # fmt: skip
    assert shown["timeline"][4]["text"] == "asked the team"
    assert shown["waiting"] is True
