"""Servers to measure: real processes on loopback, and what the system says of them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.engine import PASSWORD
from handfast.server.sessions import COOKIE

LOGIN = "bench"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """A running server."""

    url: str
    home: Path
    pid: int

    def token(self, kind: str) -> dict[str, str]:
        """The header of `operator` or `runner`."""
        return {"Authorization": f"Bearer {(self.home / f'{kind}.token').read_text().strip()}"}

    def cookie(self) -> dict[str, str]:
        """The header of a signed-in browser."""
        form = {"name": LOGIN, "password": PASSWORD}
        answer = httpx.post(
            f"{self.url}/login", data=form, headers={"Origin": self.url}, timeout=60
        )
        assert answer.status_code == 303, answer.text[:500]
        return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}

    def cpu_s(self) -> float:
        """Processor time it used so far, in steps of a hundredth of a second."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def busy_s(self) -> float:
        """Processor time of the threads that live now, to the nanosecond."""
        found = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in found) / 1e9

    def memory_mb(self) -> float:
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE / 2**20

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


@contextmanager
def serving(home: Path, url: str = "") -> Iterator[Process]:
    """`handfast serve` on a free port of loopback until the block ends. Its pages are at that address: the
    client that measures does not resolve names."""
    environment = {**os.environ, "HANDFAST_HOME": str(home)}
    if url:
        environment["HANDFAST_DATABASE_URL"] = url
    words = [sys.executable, "-m", "handfast", "serve", "--port", "0", "--no-runner", "--json"]
    words += ["--public-url", "http://127.0.0.1"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "the server did not start"
            yield Process(json.loads(line)["url"], home, process.pid)
        finally:
            process.terminate()
            process.wait(60)


def timed(client: httpx.Client, paths: list[str]) -> list[float]:
    """Milliseconds of each request, one after the other."""
    took = []
    for path in paths:
        start = time.perf_counter()
        answer = client.get(path)
        took.append((time.perf_counter() - start) * 1000)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
    return took
