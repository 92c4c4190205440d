"""A run's state made again from its log: by its newest snapshot and the events after it, and by all events.

    python -m bench.rebuild [STEPS ...]          default: 1000 100000

`stored` is the state row as a command reads it. `snapshot` is the state rebuilt from the newest snapshot
and what came after it, at the worst place: one event before the next snapshot would be kept. `whole` is the
floor that snapshots are for: the fold of every event. A step is two events of about 0.5 KB.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from handfast.app import open_engine
from handfast.core.audit.tree import leaf_hash
from handfast.core.domain.events import NAMES, SYSTEM, Recorded, RunEvent, to_bytes
from handfast.core.domain.events_work import BodyRef, Mode, RunCreated, StepFinished, StepJudged
from handfast.core.domain.ids import AgentId, RunId, StepId
from handfast.core.domain.run import Run
from handfast.core.domain.run_fold import evolve
from handfast.engine.facade import Engine
from handfast.engine.projections import BY_NAME, fold, load, row_of
from handfast.engine.snapshots import EVERY
from handfast.storage.api import Append, EventRow, NewEvent, WriteSet

BODY = BodyRef("bo_01m8b7tqq5qd2sy79e9zf24adc", "hmac-sha256:" + "0" * 64, 1_000)
RUN = RunId("run_1")


def _events(steps: int) -> list[RunEvent]:
    created = RunCreated(RUN, AgentId("ag_1"), "claude-code", Mode.ENFORCE)
    found: list[RunEvent] = [created]
    for n in range(steps):
        step, digest = StepId(f"st_{n:026}"), f"sha256:{n:064}"
        found.append(
            StepJudged(RUN, step, f"k{n}", "Bash", "exec", digest, "allow", call=BODY, summary=BODY)
        )
        found.append(StepFinished(RUN, step, 0, output=BODY))
    # One event before the next snapshot.
    return found[: (len(found) + 1) // EVERY * EVERY - 1]


def _fill(engine: Engine, steps: int) -> str:
    stream, kernel = f"run/{RUN}", engine.kernel
    now, version = kernel.clock.now(), 0
    state: Run | None = None
    everything = _events(steps)
    for first in range(0, len(everything), EVERY // 2):
        base = version
        new: list[NewEvent] = []
        for event in everything[first : first + EVERY // 2]:
            version += 1
            data = to_bytes(Recorded(f"ev_{version:026}", stream, version, now, SYSTEM, event))
            new.append(NewEvent(NAMES[type(event)], data, leaf_hash(data)))
            state = evolve(state, event, now)
        row = row_of(BY_NAME["run"], stream, version, state)
        write = WriteSet(appends=(Append(base, tuple(new), row),))
        kernel.store.commit(write)
        kernel.snapshots.after(write)
    return stream


def _best_ms(work: Callable[[], object], times: int) -> str:
    """The shortest time on the clock, and the least CPU: on a busy machine they are far apart."""
    clock = cpu = float("inf")
    for _ in range(times):
        started, used = time.perf_counter(), time.process_time()
        work()
        clock = min(clock, time.perf_counter() - started)
        cpu = min(cpu, time.process_time() - used)
    return f"{clock * 1_000:.1f} ms ({cpu * 1_000:.1f} ms CPU)"


def measure(steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(home=Path(folder) / "home")
        try:
            stream = _fill(engine, steps)
            store, snapshots = engine.kernel.store, engine.kernel.snapshots
            row = store.load(stream)
            assert row is not None
            assert snapshots.state_at(stream).doc == row.doc

            def stored() -> object:
                found = store.load(stream)
                return load(BY_NAME["run"], found.doc) if found else None

            def whole() -> object:
                return fold(_pages(engine, stream))

            times = {
                "stored": _best_ms(stored, 20),
                "snapshot": _best_ms(lambda: snapshots.state_at(stream), 5),
                "whole": _best_ms(whole, 1),
            }
            assert isinstance(stored(), Run)
            figures = ", ".join(f"{name} {took}" for name, took in times.items())
            print(f"{steps:,} steps, {row.version:,} events, state {len(row.doc):,} B: {figures}")
        finally:
            engine.close()


def _pages(engine: Engine, stream: str) -> Iterator[EventRow]:
    after = 0
    while page := engine.kernel.store.events(stream=stream, after=after, limit=500):
        yield from page
        after = page[-1].version


if __name__ == "__main__":
    for wanted in map(int, sys.argv[1:] or ("1000", "100000")):
        measure(wanted)
