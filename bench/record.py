"""What is stored of a step, and how fast the record is verified offline."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from bench.cycles import PEER, text
from bench.engine import OPERATOR, RUNNER, Bench, open_bench
from bench.figures import POSTGRES, SQLITE, Figure, Room, at_least, at_most
from bench.filler import Mix, fill
from bench.peers import environment
from bench.postgres import durable
from handfast.core.audit.bundle import verify_bundle
from handfast.core.audit.note import VerifierKey, parse_verifier_key
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_work import CoverageGap
from handfast.core.domain.ids import RunId
from handfast.core.domain.run import Run
from handfast.engine.actions import StepResult
from handfast.engine.bundle_file import ZipBundle
from handfast.engine.gating import Proposal
from handfast.engine.kernel import Result, Unit
from handfast.engine.keys import ed25519_verify

STEPS, QUICK_STEPS = 1_000, 60
LIMIT_KB, TARGET_ENTRIES = 2.5, 50_000
KB = 1024


def sizes(room: Room) -> Iterator[Figure]:
    """Kilobytes a step, the first half beside the second, and LangGraph's for the same number of steps."""
    number = QUICK_STEPS if room.quick else STEPS
    home = room.new("home")
    yield from _ours(SQLITE, f"sqlite:///{home / 'handfast.db'}", home, number)
    yield from _theirs(
        SQLITE, [f"sqlite:///{room.new('peer') / 'peer.db'}" for _ in range(2)], number
    )
    with durable() as server:
        if server is not None:
            yield from _ours(POSTGRES, server.create(), room.new("home"), number)
            yield from _theirs(POSTGRES, [server.create() for _ in range(2)], number)


def _ours(name: str, url: str, home: Path, number: int) -> Iterator[Figure]:
    bench = open_bench(home, url)
    for what, step, means in (
        (
            "event",
            _event,
            "a run's event of 1 KB with its leaf, its place in the tree and the run's new state",
        ),
        (
            "gate-checked step",
            _step,
            "an allowed call of 1 KB of arguments and its result of 1 KB: two events, three sealed bodies",
        ),
    ):
        run = bench.session(what)
        start = _stored(url)
        for n in range(number // 2):
            step(bench, run, n)
        middle = _stored(url)
        for n in range(number // 2, number):
            step(bench, run, n)
        end = _stored(url)
        each = (end - start) / number / KB
        halves = f"first half {(middle - start) / (number // 2) / KB:.2f} KB, second {(end - middle) / (number - number // 2) / KB:.2f} KB"
        figure = Figure(
            f"stored per {what}, {name}",
            each,
            "KB",
            f"{means}; tables with their indexes over {number:,}",
            halves,
        )
        yield at_most(figure, LIMIT_KB) if what == "event" else figure
    bench.engine.close()


def _event(bench: Bench, run: str, _: int) -> None:
    def work(unit: Unit) -> Result:
        gap = CoverageGap(RunId(run), "bench", (text() + text())[: 1024 - 330])
        unit.record(Run, run, [gap])
        return {}

    bench.engine.kernel.run(SYSTEM, work)


def _step(bench: Bench, run: str, n: int) -> None:
    call = Call("Bash", {"command": f"pytest -q tests/test_{n}.py # {text()}"})
    facts = Facts(Effect.EXEC, "runs the tests")
    bench.engine.actions.propose(RUNNER, Proposal(run, f"k{n}", call, facts))
    bench.engine.actions.record_result(RUNNER, StepResult(run, f"k{n}", 0, output=text()))


def _stored(url: str) -> int:
    """Tables with their indexes; for SQLite the file after a checkpoint of its log."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        c = sqlite3.connect(path, timeout=30)
        c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        c.close()
        return path.stat().st_size
    asked = (
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    with psycopg.connect(url, autocommit=True) as pg:
        # Old versions of the run's row are garbage that autovacuum takes away; it is done here, now.
        pg.execute("VACUUM")
        row = pg.execute(asked).fetchone()
    return int(row[0]) if row else 0


def _theirs(name: str, urls: list[str], number: int) -> Iterator[Figure]:
    for channel, url in zip(("list", "delta"), urls, strict=True):
        found = environment.run(
            PEER, "steps", "--url", url, "--channel", channel, "--steps", number
        )
        each = float(found["bytes_per_step"]) / KB
        means = f"a step that adds 1 KB to the {channel} channel; one thread of {number:,} steps, durability `sync`"
        yield Figure(f"stored per LangGraph step, {channel} channel, {name}", each, "KB", means)


def verifying(room: Room) -> Iterator[Figure]:
    """The whole of `handfast audit verify` on an exported bundle, in this process."""
    home = room.new("home")
    bench = open_bench(home)
    mix = Mix(20, 100, 20, 200) if room.quick else Mix(200, 6_000, 1_000, 4_000)
    fill(bench, mix)
    bundle = room.folder / "bundle.zip"
    done = bench.engine.audit.export(OPERATOR, bundle, bodies=False)
    key = parse_verifier_key((home / "keys" / "signing.pub").read_text())
    bench.engine.close()
    took = [_verified(bundle, key, int(str(done["entries"]))) for _ in range(3)]
    size = int(str(done["entries"]))
    means = (
        f"entries a second of a bundle of {size:,} without bodies, best of three: unpacked, canonical form, envelope, "
        "versions and body references checked, the tree built and compared with the signed head"
    )
    best = size / min(wall for wall, _ in took)
    yield at_least(Figure("offline verification", best, "/s", means), TARGET_ENTRIES)
    each = min(busy for _, busy in took) / size * 1e6
    yield Figure("offline verification, processor", each, "us", "processor time an entry")


def _verified(bundle: Path, key: VerifierKey, entries: int) -> tuple[float, float]:
    """Seconds and processor seconds of one verification."""
    start, busy = time.perf_counter(), time.process_time()
    with ZipBundle(bundle) as opened:
        report = verify_bundle(opened, [key], [], ed25519_verify)
    assert report.ok, report.lines()
    assert report.entries == entries
    return time.perf_counter() - start, time.process_time() - busy
