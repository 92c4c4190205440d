"""The floor: what the disk and a bare event table cost on this machine."""

import os
import sqlite3
import statistics
import threading
import time
from pathlib import Path

PAYLOAD = "x" * 900


def fsync_ms(folder: Path, rounds: int = 200) -> float:
    """Median time of one 4 KB write and fsync, in milliseconds."""
    path = folder / "fsync.probe"
    took = []
    with path.open("wb") as file:
        for _ in range(rounds):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - start)
    path.unlink()
    return statistics.median(took) * 1000


class Floor:
    """A bare event table in SQLite (WAL, synchronous=FULL): one INSERT and commit per event."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "floor.db"
        c = self._connect()
        c.execute(
            "CREATE TABLE event(id INTEGER PRIMARY KEY, stream TEXT, version INT, "
            "type TEXT, data TEXT, UNIQUE(stream, version))"
        )
        c.close()

    def _connect(self) -> sqlite3.Connection:
        c = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        c.execute("PRAGMA journal_mode=WAL")
        c.execute("PRAGMA synchronous=FULL")
        return c

    def rate(self, threads: int, seconds: float) -> float:
        """Events a second with this many writers, each on its own connection."""
        counts = [0] * threads
        deadline = time.perf_counter() + seconds
        tag = time.perf_counter_ns()

        def work(n: int) -> None:
            c = self._connect()
            i = 0
            while time.perf_counter() < deadline:
                c.execute(
                    "INSERT INTO event(stream, version, type, data) VALUES (?, ?, ?, ?)",
                    (f"{tag}-{n}", i, "step", PAYLOAD),
                )
                i += 1
            counts[n] = i
            c.close()

        return parallel(work, threads, counts)


def parallel(work: object, threads: int, counts: list[int]) -> float:
    """Run `work(n)` in this many threads and give the sum of `counts` a second."""
    start = time.perf_counter()
    running = [threading.Thread(target=work, args=(n,)) for n in range(threads)]  # type: ignore[arg-type]
    for t in running:
        t.start()
    for t in running:
        t.join()
    return sum(counts) / (time.perf_counter() - start)
