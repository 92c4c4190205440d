"""Who may call what: the table covers every operation, and holds."""

import re

import pytest

from handfast.engine.access import PrincipalKind
from handfast.server.application import create_app
from handfast.server.permits import PERMITS
from tests.served import PUSH, Json, Served, decision

TOKENS = (PrincipalKind.AGENT, PrincipalKind.RUNNER, PrincipalKind.OPERATOR)


def operations(served: Served) -> dict[str, tuple[str, str]]:
    paths = create_app(served.engine).openapi()["paths"]
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    }


def refusals(served: Served) -> list[Json]:
    rows = served.engine.kernel.store.events(limit=5_000, types=("access.refused",))
    import json

    return [json.loads(row.data) for row in rows]


def test_the_table_names_every_operation_and_nothing_else(served: Served) -> None:
    assert set(operations(served)) == set(PERMITS)


def test_what_the_table_does_not_grant_is_refused_and_recorded(served: Served) -> None:
    expected = []
    for name, (method, path) in operations(served).items():
        for kind in TOKENS:
            if kind in PERMITS[name].kinds:
                continue
            served.engine.access.refusals.flush(
                all_of_them=True
            )  # one caller has some kinds a minute
            answer = served.client(kind.value).request(method, re.sub(r"\{\w+\}", "1", path))
            assert answer.status_code == 403, (name, kind)
            assert answer.json()["code"] == "not_permitted"
            expected.append((kind.value, name))
    found = [(r["actor"]["type"], r["data"]["what"]) for r in refusals(served)]
    assert found == expected
    assert ("agent", "decide_handoff") in found
    assert ("runner", "pause_hooks") in found
    assert ("agent", "create_agent") in found


@pytest.mark.parametrize("kind", ["agent", "runner", "operator"])
def test_no_token_decides_and_the_try_is_in_the_audit_trail(served: Served, kind: str) -> None:
    handoff = served.stop()
    body = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "me"}
    answer = served.client(kind).post(f"/v1/handoffs/{handoff['handoff_id']}/decisions", json=body)
    assert answer.status_code == 403
    assert refusals(served)[-1]["data"]["what"] == "decide_handoff"
    after = served.client("operator").get(f"/v1/handoffs/{handoff['handoff_id']}").json()
    assert after["decision"] is None


def test_the_operators_token_decides_only_with_a_persons_pin(served: Served) -> None:
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    operator = served.client("operator")
    wrong = operator.post(path, json=decision(handoff, pin="000000"))
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_secret")
    right = operator.post(path, json=decision(handoff))
    assert right.status_code == 201
    assert right.json()["decision"]["by_name"] == "Noor Haddad"
    assert right.json()["decision"]["auth"] == "pin"


def test_loosening_the_hook_takes_a_person(served: Served) -> None:
    operator = served.client("operator")
    assert operator.post("/v1/hooks/mode", json={"mode": "enforce"}).status_code == 200
    assert operator.post("/v1/hooks/mode", json={"mode": "observe"}).status_code == 403
    assert operator.post("/v1/hooks/pause", json={"minutes": 5}).status_code == 403
    proof = {"person": "noor", "pin": "402613"}
    paused = operator.post("/v1/hooks/pause", json={"minutes": 5, "reason": "a demo", **proof})
    assert paused.status_code == 200
    assert operator.get("/v1/hooks/status").json()["paused_until"] == paused.json()["paused_until"]
    assert "a demo" in served.browser().get("/").text
    assert operator.post("/v1/hooks/resume").json()["paused_until"] == ""


def test_an_agent_sees_only_what_is_its_own(served: Served) -> None:
    handoff = served.stop()
    run, grant = handoff["run_id"], handoff["handoff_id"].replace("ho_", "gr_")
    operator = served.client("operator")
    other = operator.post("/v1/agents", json={"name": "other", "harness": "x"}).json()["agent_id"]
    token = operator.post(f"/v1/agents/{other}/tokens", json={}).json()["token"]
    own, foreign = served.client("agent"), served.client()
    foreign.headers["Authorization"] = f"Bearer {token}"
    action = {"key": "k", "call": PUSH["call"]}
    tries = [
        ("GET", f"/v1/runs/{run}", None),
        ("GET", f"/v1/runs/{run}/steps", None),
        ("GET", f"/v1/handoffs/{handoff['handoff_id']}", None),
        ("GET", f"/v1/handoffs/{handoff['handoff_id']}/wait?timeout_s=0", None),
        ("GET", f"/v1/handoffs?run_id={run}", None),
        ("GET", f"/v1/grants/{grant}", None),
        ("POST", f"/v1/runs/{run}/actions", action),
        ("POST", f"/v1/runs/{run}/results", {"key": "t1"}),
        ("POST", f"/v1/runs/{run}/questions", {"question": "May I?"}),
        ("POST", f"/v1/grants/{grant}/redeem", {"action_digest": handoff["action_digest"]}),
        ("POST", f"/v1/grants/{grant}/effect", {"start_id": "s", "outcome": "verified"}),
    ]
    for method, path, body in tries:
        assert foreign.request(method, path, json=body).status_code == 404, path
        assert own.request(method, path, json=body).status_code != 404, path
    assert own.get("/v1/handoffs").status_code == 422


def test_what_an_agent_says_of_its_call_is_no_fact(served: Served) -> None:
    run = served.session_run()
    facts = {"effect": "read", "summary": "reads a file, honestly"}
    body = {
        "key": "k",
        "call": PUSH["call"],
        "facts": facts,
        "shown": {"kind": "text", "text": "ls"},
    }
    answer = served.client("agent").post(f"/v1/runs/{run}/actions", json=body).json()
    assert answer["verdict"] == "wait"
    shown = served.client("operator").get(f"/v1/handoffs/{answer['handoff_id']}").json()
    assert shown["ask"] == "Bash (as the agent describes it)"
    assert shown["package"]["what_will_happen"]["opaque"] == ["reported-by-agent"]
    assert shown["package"]["what_will_happen"]["text"] == "git push origin main"


def test_an_agents_own_session_is_enforced_whatever_it_asks_for(served: Served) -> None:
    body = {"session_id": "mine", "mode": "observe", "harness": "sdk"}
    made = served.client("agent").post("/v1/runs", json=body)
    assert (made.status_code, made.json()["mode"]) == (201, "enforce")


def test_a_token_serves_only_its_scopes_and_ends_when_revoked(served: Served) -> None:
    operator = served.client("operator")
    issued = operator.post(f"/v1/agents/{served.agent_id}/tokens", json={"scopes": ["read"]}).json()
    client = served.client()
    client.headers["Authorization"] = f"Bearer {issued['token']}"
    run = served.session_run()
    assert client.get(f"/v1/runs/{run}").status_code == 200
    assert client.post(f"/v1/runs/{run}/results", json={"key": "k"}).status_code == 403
    assert operator.delete(f"/v1/tokens/{issued['token_id']}").status_code == 200
    assert client.get(f"/v1/runs/{run}").status_code == 401
    assert (
        operator.post(
            f"/v1/agents/{served.agent_id}/tokens", json={"scopes": ["decide"]}
        ).status_code
        == 409
    )
