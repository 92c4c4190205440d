"""Gate checks over HTTP at a fixed rate: open loop, so a slow answer does not slow the asking."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench.cycles import places
from bench.figures import Figure, Room, at_most, percentile
from bench.postgres import durable
from bench.served import serving

RATE, CONNECTIONS = 200, 16
ROUNDS = 3
P50_MS, P99_MS = 5.0, 25.0
ALLOWED = {
    "call": {"tool": "Bash", "arguments": {"command": "pytest -q"}, "cwd": "."},
    "facts": {"effect": "exec", "summary": "runs the tests"},
}
MEANS = (
    "an allowed gate check (`POST /v1/runs/…/actions`: judged, recorded, on disk) over loopback, 200 a second on 16 "
    "connections with a run each, open loop: a request that is due while its connection is busy waits, and the wait "
    "counts; {} of {:,}, best of {} rounds, after one that warms up"
)


def figures(room: Room) -> Iterator[Figure]:
    """On both databases. The best round counts: others may use this machine."""
    with ExitStack() as stack:
        for place in places(room, stack.enter_context(durable())):
            home = room.new("home")
            with serving(home, place.fresh()) as server:
                yield from _measured(room, place.name, server.url, home)


def _measured(room: Room, name: str, url: str, home: Path) -> Iterator[Figure]:
    runs = prepare(url, home)
    asyncio.run(load(url, home, runs, min(room.seconds, 1.0), 0))
    rounds = [
        sorted(asyncio.run(load(url, home, runs, room.seconds, n)))
        for n in range(1, 2 if room.quick else ROUNDS + 1)
    ]
    for share, limit in ((0.5, P50_MS), (0.99, P99_MS)):
        best = min(percentile(took, share) for took in rounds) * 1000
        means = MEANS.format(f"p{share * 100:g}", len(rounds[0]), len(rounds))
        what = f"gate check over HTTP, p{share * 100:g}, {name}"
        yield at_most(Figure(what, best, "ms", means), limit)


async def load(
    url: str, home: Path, runs: list[str], seconds: float, number: int, rate: int = RATE
) -> list[float]:
    """Sixteen agents, each with a run and a connection of its own, share the rate. A request that is
    due while its connection is busy waits for it, and the wait counts."""
    token = (home / "runner.token").read_text().strip()
    start = time.perf_counter() + 0.2
    took: list[float] = []
    async with asyncio.TaskGroup() as group:
        for n, run in enumerate(runs):
            due = [start + i / rate for i in range(n, int(rate * seconds), CONNECTIONS)]
            group.create_task(_agent(url, token, run, due, took, number))
    return took


def prepare(url: str, home: Path) -> list[str]:
    operator = {"Authorization": f"Bearer {(home / 'operator.token').read_text().strip()}"}
    runner = {"Authorization": f"Bearer {(home / 'runner.token').read_text().strip()}"}
    runs = []
    with httpx.Client(base_url=url, timeout=30) as client:
        agent = client.post(
            "/v1/agents", json={"name": "bench", "harness": "none"}, headers=operator
        )
        agent.raise_for_status()
        for n in range(CONNECTIONS):
            session = {
                "harness": "claude-code",
                "session_id": f"bench-{n}",
                "agent_id": agent.json()["agent_id"],
                "cwd": "/work",
                "mode": "enforce",
            }
            answer = client.post("/v1/runs", json=session, headers=runner)
            answer.raise_for_status()
            runs.append(answer.json()["run_id"])
    return runs


async def _agent(
    url: str, token: str, run: str, due: list[float], took: list[float], part: int
) -> None:
    """A lean HTTP client: a client library's own cost would be measured otherwise."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for number, at in enumerate(due):
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        body = json.dumps({**ALLOWED, "key": f"g{part}-{number}", "executor": "hooked"}).encode()
        head = (
            f"POST /v1/runs/{run}/actions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in answer.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        content = await reader.readexactly(length)
        assert answer.startswith(b"HTTP/1.1 200"), content
        took.append(time.perf_counter() - at)
    writer.close()
