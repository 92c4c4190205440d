"""`python -m bench.database URL [--events N]`: what an operator's commands take, and how soon another
server hears of a commit. URL is an empty PostgreSQL database; SQLite files are made in a folder of its own.

Each rate is of one run over the same rows: entries of about 1 KB in streams of a hundred, and half as many
bodies of 1 KB. MB are the bytes of encoded rows, before packing.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar
from unittest.mock import patch

from bench.engine import open_bench
from bench.floor import PAYLOAD
from handfast.app import fill_database, snapshot_of
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_work import CoverageGap
from handfast.core.domain.ids import RunId
from handfast.core.domain.run import Run
from handfast.engine.database.backup_file import Backup, Manifest
from handfast.engine.database.check import check
from handfast.engine.database.copying import Making, back_up, move, restore
from handfast.engine.database.secrets import Secrets
from handfast.engine.kernel import Result, Unit
from handfast.server.hub import POLL_S
from handfast.storage.sql import prepared
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import write

Figure = dict[str, object]
PER_STREAM = 100


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.database", description=__doc__)
    parser.add_argument("url", nargs="+", help="two empty PostgreSQL databases")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handfast-bench-") as name:
        figures = [*waking(args.url[0]), *copying(Path(name), args.url[1], args.events)]
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def _figure(name: str, value: float, unit: str) -> Figure:
    print(f"{name:<66} {value:>10,.2f} {unit}", flush=True)
    return {"name": name, "value": round(value, 3), "unit": unit}


# -- how soon another server knows


def waking(url: str, rounds: int = 40) -> Iterator[Figure]:
    """From the return of a commit on one store to its listener on another; with LISTEN, and by a look twice
    a second as the hub does without it."""
    with closing(SqlStore(url)) as writer, closing(SqlStore(url)) as other:
        heard = threading.Event()
        other.subscribe(lambda _: heard.set())
        writer.commit(write("first"))
        assert heard.wait(20)
        time.sleep(1.0)  # by now it listens
        told = [_told(writer, heard.clear, lambda: heard.wait(5), f"n/{n}") for n in range(rounds)]
        seen = [_told(writer, lambda: None, _look(other), f"p/{n}") for n in range(rounds)]
    for how, took in (("told by LISTEN", sorted(told)), ("seen by polling", sorted(seen))):
        yield _figure(f"another server, {how}, p50", statistics.median(took) * 1000, "ms")
        yield _figure(f"another server, {how}, p95", took[int(len(took) * 0.95)] * 1000, "ms")
    yield from _cost(url)


def _told(
    writer: SqlStore, before: Callable[[], object], wait: Callable[[], object], stream: str
) -> float:
    time.sleep(0.013 * (hash(stream) % 37))  # at any moment of a poll's round
    before()
    writer.commit(write(stream))
    start = time.perf_counter()
    wait()
    return time.perf_counter() - start


def _look(store: SqlStore) -> Callable[[], None]:
    """Looks twice a second, at moments that do not depend on the commit."""
    known, began = [store.size()], time.perf_counter()

    def look() -> None:
        while True:
            time.sleep(POLL_S - (time.perf_counter() - began) % POLL_S)
            if (size := store.size()) > known[0]:
                known[0] = size
                return

    return look


def _cost(url: str, rounds: int = 400) -> Iterator[Figure]:
    """A commit with the word to others, and one without it right after, again and again."""
    took: dict[str, list[float]] = {"with": [], "without": []}
    silent = replace(
        prepared.SET_FRONTIER, sql=prepared.SET_FRONTIER.sql.partition(" RETURNING ")[0]
    )
    with closing(SqlStore(url)) as one, closing(SqlStore(url)) as other:
        one.commit(write("cost/connected"))
        with patch.object(
            prepared, "ALL", [silent if p is prepared.SET_FRONTIER else p for p in prepared.ALL]
        ):  # statements are prepared once, by the first commit of a connection
            other.commit(write("cost/silent"))
        for n in range(rounds):
            for name, store in (("with", one), ("without", other)):
                start = time.perf_counter()
                store.commit(write(f"cost/{name}/{n}"))
                took[name].append(time.perf_counter() - start)
    for name, found in took.items():
        yield _figure(
            f"a commit, {name} the word to others, p50", statistics.median(found) * 1e6, "us"
        )


# -- the commands


def copying(folder: Path, url: str, events: int) -> Iterator[Figure]:
    """Backup, restore, move and check."""
    home = folder / "home"
    source = f"sqlite:///{home}/handfast.db"
    _fill(source, home, events)
    keys = Secrets.of(home)
    path = folder / "b.hfbackup"
    making = Making("2026-01-01T00:00:00Z", "bench", keys, {})

    def backing_up(at: str) -> Callable[[], Manifest]:
        def work() -> Manifest:
            with snapshot_of(at) as view:
                return back_up(view, path, making)

        return work

    def restoring(to: str) -> None:
        with Backup(path) as backup, fill_database(to, backup.manifest.schema) as into:
            restore(backup, into, keys)

    def moving() -> None:
        with snapshot_of(source, still=True) as view, fill_database(url, view.schema) as into:
            move(view, into, keys)

    def checking(at: str) -> None:
        with snapshot_of(at) as view:
            assert check(view, keys).ok

    took, made = _timed(backing_up(source))
    megabytes = sum(t.bytes for t in made.tables) / 1e6
    yield _figure("entries", made.size, "")
    yield _figure("rows, encoded", megabytes, "MB")
    yield _figure("the backup's file", path.stat().st_size / 1e6, "MB")
    yield from _speed("backup of SQLite", took, made.size, megabytes)
    work: tuple[tuple[str, Callable[[], object]], ...] = (
        (
            "restore to SQLite (read back and checked)",
            lambda: restoring(f"sqlite:///{folder}/r.db"),
        ),
        ("move to PostgreSQL (read back and checked)", moving),
        ("backup of PostgreSQL", backing_up(url)),
        ("check of SQLite", lambda: checking(source)),
        ("check of PostgreSQL", lambda: checking(url)),
    )
    for name, one in work:
        yield from _speed(name, _timed(one)[0], made.size, megabytes)


T = TypeVar("T")
Took: TypeAlias = tuple[float, float]
"""Seconds by the clock, and of CPU in this process."""


def _timed(work: Callable[[], T]) -> tuple[Took, T]:
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    return (time.perf_counter() - start, time.process_time() - cpu), found


def _speed(name: str, took: Took, size: int, megabytes: float) -> Iterator[Figure]:
    yield _figure(name, size / took[0], "entries/s")
    yield _figure(name, megabytes / took[0], "MB/s")
    yield _figure(f"{name}, CPU of this process", took[1] / size * 1e6, "us an entry")


def _fill(url: str, home: Path, events: int) -> None:
    bench = open_bench(home, url)
    for n in range(events // PER_STREAM):
        run_id = bench.session(f"fill-{n}")

        def work(unit: Unit, run_id: str = run_id) -> Result:
            gap = CoverageGap(RunId(run_id), "bench", PAYLOAD[:700])
            unit.record(Run, run_id, [gap] * PER_STREAM)
            for _ in range(PER_STREAM // 2):
                unit.put(PAYLOAD)
            return {}

        bench.engine.kernel.run(SYSTEM, work)
    bench.engine.heads.sign()
    bench.engine.close()


if __name__ == "__main__":
    main()
