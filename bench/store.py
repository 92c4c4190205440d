"""The write path against its floors: `python -m bench.store [--seconds S] [--json FILE]`.

SQLite with `synchronous=FULL`, alone and on a disk made slower; PostgreSQL with `fsync` and
`synchronous_commit` on, by one server and by two. Every rate stands between two measurements of its
floor, because the machine changes under it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from bench.engine import Bench, commands, open_bench
from bench.floor import PAYLOAD, Floor, fsync_ms, parallel
from bench.slow_disk import environment
from bench.stored import bytes_figures
from tests import postgres

SLOWER_US = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: a value, its unit, and what it stands beside."""

    name: str
    value: float
    unit: str
    beside: str = ""


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


@contextmanager
def durable_postgres() -> Iterator[postgres.Postgres | None]:
    """A server of our own whose commits are on the disk; None where PostgreSQL is not installed."""
    binaries = postgres.binaries()
    if binaries is None:
        yield None
        return
    with postgres.running(binaries, postgres.DURABLE) as server:
        yield server


def beside_floor(
    bench: Bench, floor: Floor | PostgresFloor, threads: int, seconds: float
) -> tuple[float, float]:
    """Commands a second, and the mean of the floor before and after."""
    before = floor.rate(threads, seconds / 2)
    rate = commands(bench, threads, seconds)
    return rate, (before + floor.rate(threads, seconds / 2)) / 2


def sqlite_figures(folder: Path, seconds: float) -> Iterator[Figure]:
    yield Figure("median fsync of 4 KB", fsync_ms(folder), "ms")
    bench = open_bench(folder / "home")
    floor = Floor(folder)
    for threads in (1, 16):
        rate, base = beside_floor(bench, floor, threads, seconds)
        yield Figure(f"SQLite FULL, floor, {threads} in flight", base, "/s")
        yield Figure(
            f"SQLite FULL, commands, {threads} in flight", rate, "/s", f"{rate / base:.2f}x"
        )
    bench.engine.close()


def slow_sqlite_figures(folder: Path, seconds: float) -> Iterator[Figure]:
    """The same in a process whose fsyncs take 1 ms longer; nothing without a C compiler."""
    env = environment(folder, SLOWER_US)
    if env is None:
        print("no C compiler: the slower disk is left out", file=sys.stderr)
        return
    command = [sys.executable, "-m", "bench.store", "--sqlite-only", str(seconds)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        figure = Figure(**json.loads(line))
        yield Figure(f"fsync slower by 1 ms: {figure.name}", *list(asdict(figure).values())[1:])


def postgres_figures(folder: Path, seconds: float) -> Iterator[Figure]:
    with durable_postgres() as server:
        if server is None:
            print("no PostgreSQL here: it is left out", file=sys.stderr)
            return
        url = server.create()
        floor = PostgresFloor(server.create())
        bench = open_bench(folder / "pg", url)
        rate, at_one = beside_floor(bench, floor, 1, seconds)
        yield Figure("PostgreSQL, floor, 1 in flight", at_one, "/s")
        yield Figure("PostgreSQL, commands, 1 in flight", rate, "/s", f"{rate / at_one:.2f}x")
        one, base = beside_floor(bench, floor, 16, seconds)
        yield Figure("PostgreSQL, floor, 16 in flight", base, "/s")
        beside = f"{one / base:.2f}x its floor, {one / at_one:.2f}x the floor at 1"
        yield Figure("PostgreSQL, commands, 16 in flight", one, "/s", beside)
        bench.engine.close()
        single = servers(url, folder / "pg", bench.agent_id, 1, seconds)
        yield Figure("PostgreSQL, one server process, 16 in flight", single, "/s")
        double = servers(url, folder / "pg", bench.agent_id, 2, seconds)
        yield Figure(
            "PostgreSQL, two server processes, 16 in flight each",
            double,
            "/s",
            f"{double / single:.2f}x one",
        )


def servers(url: str, home: Path, agent_id: str, number: int, seconds: float) -> float:
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
    from handfast.app import open_engine
    from handfast.core.domain.events import SYSTEM

    engine = open_engine(url=url, home=home)
    bench = Bench(engine, agent_id, SYSTEM)
    print("ready", flush=True)
    sys.stdin.readline()
    print(commands(bench, 16, seconds), flush=True)
    engine.close()


def figures(folder: Path, seconds: float) -> Iterator[Figure]:
    """Everything this module measures, in `folder`."""
    (folder / "slow").mkdir()
    yield from sqlite_figures(folder, seconds)
    yield from slow_sqlite_figures(folder / "slow", seconds)
    yield from postgres_figures(folder, seconds)
    yield from (Figure(*f) for f in bytes_figures(folder / "bytes"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each rate is measured")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--sqlite-only", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--one-of-many", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_of_many:
        url, home, agent_id, seconds = args.one_of_many
        _one_of_many(url, Path(home), agent_id, float(seconds))
        return
    with tempfile.TemporaryDirectory(prefix="handfast-bench-") as name:
        if args.sqlite_only:
            for figure in sqlite_figures(Path(name), args.sqlite_only):
                print(json.dumps(asdict(figure)))
            return
        taken = []
        for figure in figures(Path(name), args.seconds):
            print(f"{figure.name:<60} {figure.value:>10,.2f} {figure.unit:<6} {figure.beside}")
            sys.stdout.flush()
            taken.append(asdict(figure))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(taken, indent=1) + "\n")


if __name__ == "__main__":
    main()
