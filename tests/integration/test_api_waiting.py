"""Waiting for a decision, and following the log: many at once, at once, nothing missed."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from handfast.core.domain.events import Actor
from handfast.engine.facade import Engine
from handfast.engine.people import NewPerson
from handfast.server.hub import Hub
from handfast.server.waiting import until_settled
from tests.prepared import quick_hashes
from tests.served import PASSWORD, PIN, Json, Served, decision

ELSEWHERE = """
import sys
from pathlib import Path
from handfast.app import open_engine
from handfast.core.domain.events_handoff import DecisionKind
from handfast.engine.handoffs import Decision
engine = open_engine(home=Path(sys.argv[1]))
person = engine.people.with_pin("noor", "402613")
print("ready", flush=True)
sys.stdin.readline()
engine.handoffs.decide(person, Decision(sys.argv[2], DecisionKind.APPROVE, sys.argv[3], "from elsewhere"))
engine.close()
"""


def decide(served: Served, handoff: Json) -> None:
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    answer = served.client("operator").post(path, json=decision(handoff))
    assert answer.status_code == 201, answer.text


def test_a_wait_ends_with_the_decision_and_not_before(served: Served) -> None:
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/wait"
    agent = served.client("agent")
    short = agent.get(path, params={"timeout_s": "0.1"}).json()
    assert (short["decided"], short["handoff"]["status"]) == (False, "routed")
    later = threading.Timer(0.3, decide, (served, handoff))
    later.start()
    began = time.monotonic()
    found = agent.get(path, params={"timeout_s": "60"}).json()
    later.join()
    assert 0.2 < time.monotonic() - began < 50
    assert (found["decided"], found["handoff"]["decision"]["kind"]) == (True, "approve")
    assert agent.get(path, params={"timeout_s": "20"}).json()["decided"] is True
    assert agent.get(path, params={"timeout_s": "9999"}).status_code == 422


@pytest.mark.parametrize("lost", ["token", "sight"])
def test_who_may_not_see_it_any_more_is_not_shown_the_end_of_a_wait(
    served: Served, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    engine, noor = served.engine, Actor("person", served.person_id, "browser")
    with quick_hashes():
        link = engine.people.invite_another(noor, ("reviewer",))
        made = engine.people.set_up(link, NewPerson("Mia Lang", "mia", PASSWORD, PIN))
    mia = Actor("person", str(made["person_id"]), "browser")
    handoff, waits = served.stop(), threading.Event()

    async def begun(hub: Hub, found: Engine, handoff_id: str, deadline: float) -> bool:
        waits.set()
        return await until_settled(hub, found, handoff_id, deadline)

    monkeypatch.setattr("handfast.server.api.handoffs.until_settled", begun)
    token = engine.own_tokens.issue(mia, "a script", ("read",))
    client = served.client(Authorization=f"Bearer {token.token}")
    path = f"/v1/handoffs/{handoff['handoff_id']}/wait?timeout_s=60"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.get, path)
        assert waits.wait(30)
        if lost == "token":
            engine.own_tokens.revoke(mia, token.token_id)
        else:
            engine.knowing.set_project(noor, "checkout", ["/srv/checkout"], [], [])
        end_the_run(served, handoff)
        answer = asked.result(60)
    assert answer.status_code == (401 if lost == "token" else 404)
    assert "git push" not in answer.text


def end_the_run(served: Served, handoff: Json) -> None:
    """The end of what is waited for, whoever may see it: its run ends."""
    runner = served.client("runner")
    ended = runner.post(f"/v1/runs/{handoff['run_id']}/ended", json={"outcome": "session_over"})
    assert ended.is_success, ended.text


def test_a_decision_of_another_process_ends_a_wait(served: Served) -> None:
    handoff = served.stop()
    home = str(served.engine.home)
    arguments = [
        sys.executable,
        "-c",
        ELSEWHERE,
        home,
        handoff["handoff_id"],
        handoff["presented_digest"],
    ]
    wait = f"/v1/handoffs/{handoff['handoff_id']}/wait"
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        later = threading.Timer(0.2, other.communicate, ("go\n",))
        later.start()
        found = served.client("runner").get(wait, params={"timeout_s": "60"}).json()
        later.join()
    assert found["decided"] is True
    assert found["handoff"]["decision"]["reason"] == "from elsewhere"


def test_hundreds_wait_without_a_thread_each(served: Served) -> None:
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/wait?timeout_s=60"
    waiters = 300

    async def all_wait() -> list[Json]:
        headers = {"Authorization": f"Bearer {served.tokens['runner']}"}
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=served.url, headers=headers, limits=limits, timeout=90
        ) as client:
            asked = [asyncio.create_task(client.get(path)) for _ in range(waiters)]
            hub = served.server.hub
            for _ in range(2400):
                if hub.waiting(f"handoff/{handoff['handoff_id']}") == waiters:
                    break
                await asyncio.sleep(0.05)
            assert hub.waiting(f"handoff/{handoff['handoff_id']}") == waiters
            assert threading.active_count() < 100
            health = await client.get("/healthz")
            assert health.json()["waiting"] == 1
            await asyncio.to_thread(decide, served, handoff)
            return [answer.json() for answer in await asyncio.gather(*asked)]

    answers = asyncio.run(all_wait())
    assert [a["decided"] for a in answers] == [True] * waiters


@contextmanager
def stream(served: Served, path: str, **headers: str) -> Iterator[Iterator[str]]:
    client = served.client("operator", Accept="text/event-stream", **headers)
    with client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.iter_lines()


def take(lines: Iterator[str], count: int) -> list[Json]:
    found: list[Json] = []
    for line in lines:
        if line.startswith("data: "):
            found.append(json.loads(line[6:]))
        if len(found) == count:
            return found
    return found


def test_the_log_is_followed_from_a_position_and_goes_on_after_a_cut(served: Served) -> None:
    before = served.client("operator").get("/v1/events?limit=1000").json()["items"]
    with stream(served, "/v1/events") as lines:
        first = take(lines, len(before))
        assert [e["position"] for e in first] == list(range(1, len(before) + 1))
        handoff = served.stop()
        seen = take(lines, 4)
    assert {e["type"] for e in seen} == {
        "run.created",
        "step.judged",
        "handoff.requested",
        "handoff.routed",
    }
    decide(served, handoff)
    with stream(served, "/v1/events", **{"Last-Event-ID": str(seen[-1]["position"])}) as lines:
        missed = take(lines, 2)
    assert [e["type"] for e in missed] == ["handoff.decided", "grant.minted"]


def test_a_stream_may_be_narrowed(served: Served) -> None:
    with stream(served, "/v1/events?types=handoff.decided") as lines:
        handoff = served.stop()
        decide(served, handoff)
        found = take(lines, 1)
    assert found[0]["stream"] == f"handoff/{handoff['handoff_id']}"


def test_stopping_ends_streams_and_waits_at_once(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    handoff = served.stop()
    results: list[object] = []

    def wait() -> None:
        path = f"/v1/handoffs/{handoff['handoff_id']}/wait?timeout_s=60"
        results.append(served.client("runner").get(path).json()["code"])

    def follow() -> None:
        with stream(served, "/v1/events?after=100000") as lines:
            results.append([line for line in lines if line.startswith("data")])

    waiters = 100
    threads = [threading.Thread(target=work) for work in (*[wait] * waiters, follow)]
    for thread in threads:
        thread.start()
    hub = served.server.hub
    for _ in range(2400):
        if hub.waiting(f"handoff/{handoff['handoff_id']}") == waiters and hub.following:
            break
        time.sleep(0.05)
    served.server.stop()
    for thread in threads:
        thread.join(120)
    assert sorted(results, key=str) == [[], *["stopping"] * waiters]
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []
