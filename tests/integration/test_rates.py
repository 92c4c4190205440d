"""How fast one caller may ask: counted for each person, agent and runner, told with what to do, and audited."""

import json
import time

import httpx
import pytest

from handfast.client.connection import Client
from handfast.client.request import Request, read_object
from handfast.core.domain.errors import LimitExceeded
from handfast.engine.access import Principal, PrincipalKind
from handfast.engine.federation import Identity, Mapped
from handfast.engine.settings import Settings
from handfast.server.rates import BURST_S, Rates
from handfast.server.sessions import COOKIE
from tests.served import LOGIN, PIN, Json, Served

NOOR = Principal(PrincipalKind.PERSON, "pe_noor")
TASK = {"brief": {"intent": "x"}, "repository": "/r", "target_branch": "main"}
TASK |= {"base_commit": "0" * 40}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request a second of each; before the server starts."""
    for kind in ("PERSON", "AGENT", "RUNNER"):
        monkeypatch.setenv(f"HANDFAST_RATE_{kind}", "1")


@pytest.fixture
def served(slow: None, served: Served) -> Served:
    return served


def refusals(served: Served) -> list[Json]:
    rows = served.engine.kernel.store.events(limit=5_000, types=("access.refused",))
    found = [json.loads(r.data)["data"] for r in rows]
    return [f for f in found if "requests a second" in f["why"]]


def used_up(client: httpx.Client) -> httpx.Response:
    """The first answer after there is no more room."""
    for _ in range(BURST_S + 5):
        answer = client.post("/v1/tasks", json=TASK)
        if answer.status_code == 429:
            return answer
    raise AssertionError("it was never refused")


def test_a_person_who_sends_too_much_is_told_when_to_go_on(served: Served) -> None:
    noor = served.browser()
    refused = used_up(noor)
    assert refused.headers["content-type"] == "application/problem+json"
    body = refused.json()
    assert (body["code"], body["retryable"]) == ("rate_limited", True)
    assert refused.headers["retry-after"] == str(body["retry_after_s"]) == "1"
    assert "Nothing was done" in body["hint"]
    for _ in range(3):
        noor.post("/v1/tasks", json=TASK)
    (told,) = refusals(served)
    assert (told["what"], told["subject"]) == ("create_task", served.person_id)
    assert told["why"] == "more than 1 requests a second"


def test_everything_of_one_person_counts_together_and_nobody_elses(served: Served) -> None:
    noor = served.browser()
    made = noor.post("/v1/account/tokens", json={"label": "x", "scopes": ["read", "write"]})
    script = served.client()
    script.headers["Authorization"] = f"Bearer {made.json()['token']}"
    used_up(script)
    assert served.browser().post("/v1/tasks", json=TASK).status_code == 429
    who = Identity("https://id.example", "ben", "Ben", "ben", ("g",))
    session = served.engine.federation.sign_in(who, Mapped({"g": ("reviewer",)}))
    ben = served.client(Origin=served.url)
    ben.cookies.set(COOKIE, session.secret)
    assert ben.post("/v1/tasks", json=TASK).status_code == 201
    assert served.client("operator").post("/v1/tasks", json=TASK).status_code == 201


def test_an_agents_token_is_counted_and_a_refusal_leaves_nothing(served: Served) -> None:
    agent = served.client("agent")
    runs = [
        agent.post("/v1/runs", json={"session_id": f"s{n}", "cwd": "/w", "harness": "mine"})
        for n in range(BURST_S + 5)
    ]
    kept = [r for r in runs if r.status_code == 201]
    assert runs[-1].status_code == 429
    created = [r for r in served.engine.kernel.store.scan() if r.type == "run.created"]
    assert len(created) == len(kept)
    assert len(refusals(served)) == 1


def test_the_gate_counts_on_the_short_way_and_on_the_common_one(served: Served) -> None:
    run, runner = served.session_run(), served.client("runner")
    body = {"call": {"tool": "Bash", "arguments": {"command": "ls"}}}
    body["facts"] = {"effect": "exec", "summary": "lists"}
    path, kind = f"/v1/runs/{run}/actions", {"Content-Type": "application/json"}
    for n in range(BURST_S + 5):
        runner.post(path, json={**body, "key": f"k{n}"})
    short = runner.post(path, json={**body, "key": "short"})
    content = json.dumps({**body, "key": "common"}).encode()
    common = runner.post(path, content=iter([content]), headers=kind)
    for answer in (short, common):
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert answer.headers["retry-after"] == "1"


def test_a_form_of_a_page_counts_and_looking_does_not(served: Served) -> None:
    noor = served.browser()
    page = noor.get("/account").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "act": "none"}
    answers = [noor.post("/account", data=form) for _ in range(BURST_S + 5)]
    refused = answers[-1]
    assert (answers[0].status_code, refused.status_code) == (422, 429)
    assert refused.headers["content-type"].startswith("text/html")
    assert refused.headers["retry-after"] == "1"
    assert "too many requests" in refused.text.lower()
    assert len(refusals(served)) == 1
    assert {noor.get("/account").status_code for _ in range(3 * BURST_S)} == {200}


def test_the_client_waits_as_long_as_it_is_told_and_goes_on(served: Served) -> None:
    """A command without a key is sent again, too: a refused one was not looked at."""
    with Client(served.url, served.tokens["operator"]) as client:
        ask = Request("POST", "/v1/tasks", read_object, body=dict(TASK))
        start = time.monotonic()
        made = [client.send(ask)["task_id"] for _ in range(BURST_S + 2)]
        assert time.monotonic() - start >= 1
    assert len(set(made)) == BURST_S + 2
    created = [r for r in served.engine.kernel.store.scan() if r.type == "task.created"]
    assert len(created) == BURST_S + 2


def test_a_client_that_is_told_too_often_says_so() -> None:
    body = {"code": "rate_limited", "retryable": True, "detail": "too many", "retry_after_s": 1}
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        late = body | ({"retry_after_s": 3600} if request.url.path == "/late" else {})
        return httpx.Response(429, json=late)

    with Client("http://x", transport=httpx.MockTransport(answer), tries=2) as client:
        with pytest.raises(LimitExceeded, match="too many"):
            client.send(Request("POST", "/now", read_object))
        assert len(asked) == 2
        with pytest.raises(LimitExceeded):
            client.send(Request("GET", "/late", read_object))
        assert len(asked) == 3, "nobody waits an hour"


def test_a_bucket_fills_up_again_and_a_read_takes_a_tenth() -> None:
    at = [0.0]
    rates = Rates(Settings(rate_person=2), lambda: at[0])
    assert [rates.take(NOOR, read=False) for _ in range(2 * BURST_S)] == [None] * 2 * BURST_S
    first = rates.take(NOOR, read=False)
    assert first is not None
    assert (first.rate, first.retry_after_s, first.tell) == (2, 1, True)
    at[0] = 0.1  # a fifth of a request
    assert [rates.take(NOOR, read=True) for _ in range(3)][:2] == [None, None]
    again = rates.take(NOOR, read=False)
    assert again is not None
    assert not again.tell
    at[0] = 30.0
    assert rates.take(NOOR, read=False) is None
    at[0] = 1000.0
    assert [rates.take(NOOR, read=False) for _ in range(2 * BURST_S)] == [None] * 2 * BURST_S
    late = rates.take(NOOR, read=False)
    assert late is not None
    assert late.tell, "a minute later it is told again"
    assert rates.take(Principal(PrincipalKind.AGENT, "pe_noor"), read=False) is None


def test_a_decision_beside_the_operators_token_is_not_in_the_way_of_runners(
    served: Served,
) -> None:
    """The operator's token and a runner's are counted apart."""
    handoff = served.stop()
    used_up(served.client("operator"))
    run = handoff["run_id"]
    body = {"key": "t9", "call": {"tool": "Bash", "arguments": {"command": "ls"}}}
    facts = {"facts": {"effect": "exec", "summary": "lists"}}
    asked = served.client("runner").post(f"/v1/runs/{run}/actions", json=body | facts)
    assert asked.status_code == 200
    assert served.engine.people.with_pin(LOGIN, PIN).id == served.person_id
