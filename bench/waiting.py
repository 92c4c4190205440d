"""Many handoffs that wait, and hundreds of callers that hang on them: what the server pays for it."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.figures import Figure, at_most
from bench.served import Process

POLLS, POLL_S = 500, 300
IDLE_S, QUICK_S = 60.0, 3.0
SETTLE_S = 5.0
LIMIT = 2.0


@dataclass
class Polls:
    """Callers that wait for a decision each, asking again whenever they are answered."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self, server: Process, ids: list[str], number: int) -> None:
        for n in range(number):
            self._tasks.append(asyncio.create_task(self._one(server, ids[n % len(ids)])))
            if n % 50 == 49:
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _one(self, server: Process, handoff_id: str) -> None:
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = (
            f"GET /v1/handoffs/{handoff_id}/wait?timeout_s={POLL_S} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: {server.token('operator')['Authorization']}\r\n\r\n"
        )
        try:
            while True:
                writer.write(head.encode())
                answer = await reader.readuntil(b"\r\n\r\n")
                if not answer.startswith(b"HTTP/1.1 200"):
                    self.failed.append(answer.partition(b"\r\n")[0].decode())
                    return
                lines = (line.partition(b":") for line in answer.lower().split(b"\r\n"))
                length = next(int(value) for name, _, value in lines if name == b"content-length")
                found = json.loads(await reader.readexactly(length))
                self.answered += 1
                if found["decided"]:
                    return
        finally:
            writer.close()


@dataclass(frozen=True, slots=True)
class Idle:
    """What the server used in a time in which nothing happened."""

    seconds: float
    cpu_s: float
    memory_before_mb: float
    memory_after_mb: float
    threads: int
    polls: Polls

    @property
    def share(self) -> float:
        """Percent of one core."""
        return self.cpu_s / self.seconds * 100


async def idle(server: Process, ids: list[str], number: int, seconds: float) -> Idle:
    """So many long polls hang; after they settled the server is watched."""
    polls = Polls()
    await polls.start(server, ids, number)
    await asyncio.sleep(SETTLE_S if seconds > SETTLE_S else 1.0)
    memory, cpu, start = server.memory_mb(), server.cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - start
    found = Idle(took, server.cpu_s() - cpu, memory, server.memory_mb(), server.threads(), polls)
    await polls.stop()
    return found


def figures(server: Process, ids: list[str], where: str, *, quick: bool) -> Iterator[Figure]:
    seconds, number = (QUICK_S, 50) if quick else (IDLE_S, POLLS)
    without = asyncio.run(idle(server, ids, 0, seconds))
    found = asyncio.run(idle(server, ids, number, seconds))
    assert not found.polls.failed, found.polls.failed[:3]
    said = f"{len(ids):,} handoffs wait, {number} of them long-polled with {POLL_S} s: {where}"
    window = f"over {seconds:g} s in which nothing else happens, by the system's own count"
    share = Figure(
        f"idle processor, {said}",
        found.share,
        "%",
        f"percent of one core that the server used {window}",
        f"without polls {without.share:.2f} %",
    )
    yield at_most(share, LIMIT)
    grown = found.memory_after_mb - found.memory_before_mb
    memory = Figure(f"memory grown, {said}", grown, "MB", f"resident memory of the server {window}")
    yield at_most(memory, 2.0)
    yield Figure(
        f"resident memory, {said}",
        found.memory_after_mb,
        "MB",
        "the whole server process, at the end",
    )
    threads = Figure(f"threads, {said}", found.threads, "", "threads of the server at the end")
    yield at_most(threads, 80)
