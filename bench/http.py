"""Gate checks over HTTP at a fixed rate: open loop, so a slow answer does not slow the asking."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from handfast.client import calls
from handfast.client.request import Request

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
    operator = {"Authorization": f"Bearer {(home / 'operator.token').read_text().strip()}"}
    runner = {"Authorization": f"Bearer {(home / 'runner.token').read_text().strip()}"}
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:

        async def send(
            request: Request[dict[str, object]], headers: dict[str, str]
        ) -> httpx.Response:
            answer = await client.request(
                request.method,
                request.path,
                content=request.payload,
                headers={**request.headers, **headers},
            )
            answer.raise_for_status()
            return answer

        agent = (await send(calls.add_agent("bench", "claude-code"), operator)).json()
        session = {
            "harness": "claude-code",
            "session_id": "bench",
            "agent_id": agent["agent_id"],
            "cwd": "/work",
            "mode": "enforce",
        }
        answer = await client.post("/v1/runs", json=session, headers=runner)
        answer.raise_for_status()
        path = f"/v1/runs/{answer.json()['run_id']}/actions"
        took: list[float] = []

        async def one(number: int, due: float) -> None:
            body = {**ALLOWED, "key": f"g{number}", "executor": "hooked"}
            done = await client.post(path, json=body, headers=runner)
            done.raise_for_status()
            took.append(time.perf_counter() - due)

        start = time.perf_counter() + 0.1
        async with asyncio.TaskGroup() as group:
            for number in range(int(RATE * seconds)):
                due = start + number / RATE
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(one(number, due))
        return took
