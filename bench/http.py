"""Gate checks over HTTP at a fixed rate: open loop, so a slow answer does not slow the asking."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

RATE, CONNECTIONS = 200, 16
ALLOWED = {
    "call": {"tool": "Bash", "arguments": {"command": "pytest -q"}, "cwd": "."},
    "facts": {"effect": "exec", "summary": "runs the tests"},
}


def gate_checks_over_http(home: Path, seconds: float) -> Iterator[tuple[str, float]]:
    """p50 and p99 in milliseconds of an allowed gate check, at 200 a second on 16 connections."""
    home.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "handfast", "serve", "--port", "0", "--no-runner", "--json"],
        env={**os.environ, "HANDFAST_HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        took = sorted(asyncio.run(_load(url, home, seconds)))
    finally:
        process.terminate()
        process.wait(15)
    name = f"gate check over HTTP at {RATE}/s, {CONNECTIONS} connections"
    yield f"{name}, p50", took[len(took) // 2] * 1000
    yield f"{name}, p99", took[int(len(took) * 0.99)] * 1000


async def _load(url: str, home: Path, seconds: float) -> list[float]:
    """Sixteen agents, each with a run and a connection of its own, share the rate. A request that is
    due while its connection is busy waits for it, and the wait counts."""
    runs = _prepare(url, home)
    token = (home / "runner.token").read_text().strip()
    start = time.perf_counter() + 0.2
    took: list[float] = []
    async with asyncio.TaskGroup() as group:
        for n, run in enumerate(runs):
            due = [start + i / RATE for i in range(n, int(RATE * seconds), CONNECTIONS)]
            group.create_task(_agent(url, token, run, due, took))
    return took


def _prepare(url: str, home: Path) -> list[str]:
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


async def _agent(url: str, token: str, run: str, due: list[float], took: list[float]) -> None:
    """A lean HTTP client: a client library's own cost would be measured otherwise."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for number, at in enumerate(due):
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        body = json.dumps({**ALLOWED, "key": f"g{number}", "executor": "hooked"}).encode()
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
