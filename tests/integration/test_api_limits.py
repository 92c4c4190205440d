"""Usage and limits over HTTP: a program reports what it used, and is held to its limits."""

import httpx
import pytest

from tests.served import LOGIN, OPERATOR, PIN, Json, Served, decision


@pytest.fixture
def runner(served: Served) -> httpx.Client:
    return served.client("runner")


def propose(client: httpx.Client, run: str, key: str) -> Json:
    call = {"tool": "Bash", "arguments": {"command": f"make {key}"}}
    body = {"key": key, "call": call, "facts": {"effect": "exec", "summary": "runs make"}}
    answer = client.post(f"/v1/runs/{run}/actions", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def report(client: httpx.Client, run: str, **usage: object) -> httpx.Response:
    return client.post(f"/v1/runs/{run}/usage", json=usage)


def test_reported_use_is_shown_and_hands_the_run_over(served: Served, runner: httpx.Client) -> None:
    run = served.session_run()
    assert report(runner, run, cost_usd="5.5", confidence="0.9").status_code == 200
    found = runner.get(f"/v1/runs/{run}").json()["limits"]
    cost = next(row for row in found["usage"] if row["metric"] == "cost_usd")
    assert cost["used"] == "$5.50"
    assert "hands over at $5.00 (fixed until 5 earlier runs give a median" in cost["limit"]
    assert found["not_watched"] == ["compactions", "context_fill", "reasoning_s"]
    asked = propose(runner, run, "1")
    assert asked["verdict"] == "wait"
    handoff = runner.get(f"/v1/handoffs/{asked['handoff_id']}").json()
    assert handoff["kind"] == "escalation"
    assert handoff["offered"] == ["approve", "answer", "request_changes", "reject", "take_over"]
    operator = served.client("operator")
    body = decision(handoff, "request_changes", reason="cheaper, please", person=LOGIN, pin=PIN)
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    assert operator.post(path, json=body).status_code == 201
    told = propose(runner, run, "1")
    assert (told["verdict"], told["words"]) == ("deny", "cheaper, please")
    assert propose(runner, run, "1")["verdict"] == "allow"


def test_an_agent_reports_for_its_own_run_only(served: Served, runner: httpx.Client) -> None:
    agent = served.client("agent")
    made = agent.post("/v1/runs", json={"session_id": "mine", "cwd": "/w", "harness": "mine"})
    assert report(agent, made.json()["run_id"], cost_usd="1").status_code == 200
    theirs = served.engine.agents.add(OPERATOR, "other", "none")["agent_id"]
    other = runner.post(
        "/v1/runs", json={"session_id": "x", "cwd": "/w", "harness": "none", "agent_id": theirs}
    ).json()["run_id"]
    assert report(agent, other, cost_usd="0").status_code in (403, 404)


@pytest.mark.parametrize(
    "usage",
    [
        {"cost_usd": "1e9"},
        {"cost_usd": "-1"},
        {"cost_usd": 1.5},
        {"confidence": "1.1"},
        {"context_fill": "eleven"},
        {"compactions": -1},
        {"tokens": 3},
    ],
)
def test_what_is_no_amount_is_refused(
    served: Served, runner: httpx.Client, usage: dict[str, object]
) -> None:
    run = served.session_run()
    assert report(runner, run, **usage).status_code in (400, 422)
    result = {"key": "k", "usage": usage}
    assert runner.post(f"/v1/runs/{run}/results", json=result).status_code in (400, 422)


def test_a_run_that_has_ended_takes_no_more_reports(served: Served, runner: httpx.Client) -> None:
    run = served.session_run()
    runner.post(f"/v1/runs/{run}/ended", json={"outcome": "session_over"})
    assert report(runner, run, cost_usd="1").status_code == 409
