"""Commands beside bare event tables: on SQLite, on a disk made slower, and on PostgreSQL with one server and two.

Every rate stands between two measurements of its floor, because the machine changes under it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench.engine import Bench, commands, open_bench
from bench.figures import Figure, Room, at_most, times
from bench.floor import PAYLOAD, Floor, fsync_ms, parallel
from bench.postgres import durable
from bench.slow_disk import environment
from handfast.app import open_engine
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.core.domain.events import SYSTEM, Recorded, to_bytes
from handfast.core.domain.events_work import CoverageGap
from handfast.core.domain.ids import RunId
from handfast.engine.encoding import canonical
from handfast.engine.ids import new_id

SLOWER_US = 1000
BARE = "a bare event table: one INSERT and commit per event; the mean of before and after"
COMMAND = (
    "a 1 KB event, its state, its leaf and an outbox row, decided and committed through the kernel"
)


class PostgresFloor:
    """A bare event table in PostgreSQL: one prepared INSERT and commit an event."""

    def __init__(self, url: str) -> None:
        self._url = url
        with psycopg.connect(url, autocommit=True) as c:
            c.execute(
                "CREATE TABLE bare(id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                "stream TEXT, version INT, type TEXT, data TEXT, UNIQUE(stream, version))"
            )

    def rate(self, threads: int, seconds: float) -> float:
        """Events a second with this many writers, each on its own connection."""
        counts = [0] * threads
        connections = [psycopg.connect(self._url, autocommit=True) for _ in range(threads)]
        tag, deadline = time.perf_counter_ns(), time.perf_counter() + seconds

        def work(n: int) -> None:
            i = 0
            while time.perf_counter() < deadline:
                connections[n].execute(
                    "INSERT INTO bare(stream, version, type, data) VALUES (%s, %s, %s, %s)",
                    (f"{tag}-{n}", i, "step", PAYLOAD),
                )
                i += 1
            counts[n] = i

        rate = parallel(work, threads, counts)
        for c in connections:
            c.close()
        return rate


def figures(room: Room) -> Iterator[Figure]:
    """Commands beside a bare event table, on both databases."""
    yield from _sqlite(room.new("sqlite"), room.seconds)
    yield from _slow_sqlite(room.new("slow"), room.seconds)
    yield from _postgres(room, room.seconds)
    means = "processor time of encoding a 1 KB event, hashing it and growing the tree by it; median of 3,000"
    yield at_most(Figure("tree and encoding, a command", cpu_of_a_command(), "ms", means), 0.1)


def _beside(
    bench: Bench, floor: Floor | PostgresFloor, name: str, threads: int, seconds: float
) -> tuple[Figure, Figure]:
    """The floor and the commands."""
    before = floor.rate(threads, seconds / 2)
    rate = commands(bench, threads, seconds)
    base = (before + floor.rate(threads, seconds / 2)) / 2
    where = f"{name}, {threads} in flight"
    return Figure(f"floor, {where}", base, "/s", BARE), Figure(
        f"commands, {where}", rate, "/s", COMMAND
    )


def _sqlite(
    folder: Path, seconds: float, name: str = "sqlite", least: tuple[float, float] = (0.4, 1.2)
) -> Iterator[Figure]:
    means = "median of 200 writes of 4 KB, each followed by fsync, in this process"
    yield Figure(f"fsync, {name}", fsync_ms(folder), "ms", means)
    bench, floor = open_bench(folder / "home"), Floor(folder)
    for threads, target in zip((1, 16), least, strict=True):
        base, rate = _beside(bench, floor, name, threads, seconds)
        yield base
        yield times(rate, base, target)
    bench.engine.close()


def _slow_sqlite(folder: Path, seconds: float) -> Iterator[Figure]:
    """The same in a process whose fsyncs take 1 ms longer; nothing without a C compiler."""
    env = environment(folder, SLOWER_US)
    if env is None:
        print("no C compiler: the slower disk is left out", file=sys.stderr)
        return
    command = [sys.executable, "-m", "bench.store", "--slow", str(seconds)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    yield from (Figure(**json.loads(line)) for line in done.stdout.splitlines())


def _postgres(room: Room, seconds: float) -> Iterator[Figure]:
    with durable() as server:
        if server is None:
            print("no PostgreSQL here: it is left out", file=sys.stderr)
            return
        url, home = server.create(), room.new("postgres")
        floor, bench = PostgresFloor(server.create()), open_bench(home, url)
        at_one, rate = _beside(bench, floor, "postgresql", 1, seconds)
        yield at_one
        yield times(rate, at_one, 0.35)
        base, rate = _beside(bench, floor, "postgresql", 16, seconds)
        yield base
        yield times(rate, at_one, 1.5)
        bench.engine.close()
        single = Figure(
            "commands, postgresql, one server process",
            _servers(url, home, bench.agent_id, 1, seconds),
            "/s",
            f"16 in flight; {COMMAND}",
        )
        yield single
        double = replace(
            single,
            name="commands, postgresql, two server processes",
            value=_servers(url, home, bench.agent_id, 2, seconds),
            means=f"16 in flight each; {COMMAND}",
        )
        yield times(double, single, 1.2)


def _servers(url: str, home: Path, agent_id: str, number: int, seconds: float) -> float:
    """Commands a second of this many processes on one database, 16 in flight each."""
    given = [url, str(home), agent_id, str(seconds)]
    command = [sys.executable, "-m", "bench.store", "--one-of-many", *given]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()  # it is ready
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in started)


def _one_of_many(url: str, home: Path, agent_id: str, seconds: float) -> None:
    engine = open_engine(url=url, home=home)
    bench = Bench(engine, agent_id, SYSTEM)
    print("ready", flush=True)
    sys.stdin.readline()
    print(commands(bench, 16, seconds), flush=True)
    engine.close()


def cpu_of_a_command(number: int = 3000) -> float:
    """Median processor milliseconds of encoding a 1 KB event, hashing it and growing the tree by it."""
    frontier = Frontier().extend([leaf_hash(bytes([i])) for i in range(255)])[0]
    gap, at = CoverageGap(RunId("run_1"), "bench", PAYLOAD[:700]), datetime.now(UTC)
    took = []
    for version in range(1, number + 1):
        start = time.thread_time()
        record = Recorded(new_id("ev"), "run/run_1", version, at, SYSTEM, gap)
        grown, _ = frontier.extend([leaf_hash(to_bytes(record, canonical))])
        grown.to_bytes()
        took.append(time.thread_time() - start)
    return statistics.median(took) * 1000


def main() -> None:
    """What `figures` starts in processes of their own."""
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--slow", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--one-of-many", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_of_many:
        url, home, agent_id, seconds = args.one_of_many
        _one_of_many(url, Path(home), agent_id, float(seconds))
    elif args.slow:
        name = "sqlite with fsync 1 ms slower"
        with tempfile.TemporaryDirectory(prefix="handfast-bench-") as folder:
            for figure in _sqlite(Path(folder), args.slow, name, (0.4, 3.0)):
                print(json.dumps(asdict(figure)))


if __name__ == "__main__":
    main()
