"""What a step costs in bytes on the disk, and its tree and encoding in processor time."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.engine import RUNNER, Bench, open_bench
from bench.floor import PAYLOAD
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events import SYSTEM, Recorded, to_bytes
from handfast.core.domain.events_work import CoverageGap
from handfast.core.domain.ids import RunId
from handfast.core.domain.run import Run
from handfast.engine.actions import StepResult
from handfast.engine.encoding import canonical
from handfast.engine.gating import Proposal
from handfast.engine.ids import new_id
from handfast.engine.kernel import Result, Unit

STEPS = 1000


def file_bytes(path: Path) -> int:
    """Size of a SQLite file with its log folded in."""
    c = sqlite3.connect(path, timeout=30)
    c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    c.close()
    return path.stat().st_size


def bytes_per_step(bench: Bench, path: Path, step: Callable[[int], object]) -> tuple[float, float]:
    """Bytes a step, of the first and of the second thousand: equal when growth is linear."""
    sizes = [file_bytes(path)]
    for half in range(2):
        for i in range(STEPS):
            step(half * STEPS + i)
        done = bench.engine.kernel.store.outbox(100_000)
        bench.engine.kernel.store.outbox_done([row.id for row in done])
        sizes.append(file_bytes(path))
    return (sizes[1] - sizes[0]) / STEPS, (sizes[2] - sizes[1]) / STEPS


def bytes_figures(folder: Path) -> Iterator[tuple[str, float, str, str]]:
    bench = open_bench(folder)
    path = folder / "handfast.db"
    run = bench.session("bytes")

    def event(_: int) -> None:
        def handler(unit: Unit) -> Result:
            unit.record(Run, run, [CoverageGap(RunId(run), "bench", PAYLOAD[:700])])
            return {}

        bench.engine.kernel.run(SYSTEM, handler)

    def gated(i: int) -> None:
        call = Call("Bash", {"command": f"echo {i} {PAYLOAD}"})
        facts = Facts(Effect.EXEC, "prints text")
        bench.engine.actions.propose(RUNNER, Proposal(run, f"b{i}", call, facts))
        bench.engine.actions.record_result(RUNNER, StepResult(run, f"b{i}", 0))

    for name, step in (("1 KB event", event), ("gated call of 900 bytes and its result", gated)):
        first, second = bytes_per_step(bench, path, step)
        beside = f"the second thousand {second / 1000:.2f} KB"
        yield f"stored a step: {name}", first / 1000, "KB", beside
    bench.engine.close()
    yield from _cpu()


def _cpu() -> Iterator[tuple[str, float, str, str]]:
    """Median processor time of encoding a 1 KB event, hashing it and growing the tree by it."""
    clock = time.thread_time
    from datetime import UTC, datetime

    frontier = Frontier().extend([leaf_hash(bytes([i])) for i in range(255)])[0]
    gap = CoverageGap(RunId("run_1"), "bench", PAYLOAD[:700])
    took = []
    for version in range(1, 3001):
        at = datetime.now(UTC)
        start = clock()
        record = Recorded(new_id("ev"), "run/run_1", version, at, SYSTEM, gap)
        data = to_bytes(record, canonical)
        grown, _ = frontier.extend([leaf_hash(data)])
        grown.to_bytes()
        took.append(clock() - start)
    took.sort()
    yield "CPU of encoding, leaf and tree a command", took[len(took) // 2] * 1000, "ms", "median"
