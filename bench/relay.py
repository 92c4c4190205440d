"""`python -m bench.relay [--json FILE]`: what the relay costs and how fast it delivers.

Delivery: from the commit that posted to the call of the receiver, one at a time, both in one process.
Idle: CPU of the process in 20 s with 10,000 handoffs that wait and nothing to deliver, with a relay and
without; the difference is the relay's. Run it on a machine that does nothing else.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from handfast.app import open_engine
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.ids import AgentId
from handfast.core.domain.installation import Installation
from handfast.core.domain.package import Package, ShowKind, WhatWillHappen
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result, Unit
from handfast.engine.opening import Opening, open_handoff
from handfast.engine.relay.relay import Relay
from handfast.engine.relay.routing import Delivery, Routes, Sink
from tests import postgres

HANDOFFS, DELIVERIES, BURST, IDLE_S = 10_000, 200, 500, 20.0
Figure = tuple[str, float, str]
_IMPORT = """
import resource, time, sqlalchemy
used = lambda: int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6
before, began = used(), time.process_time()
import dbos
print(time.process_time() - began, used() - before)
"""


def importing() -> Iterator[Figure]:
    """In a process of its own that has SQLAlchemy already, as the server has."""
    ran = subprocess.run(
        [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True
    )
    cpu_s, mb = map(float, ran.stdout.split())
    yield "importing DBOS beyond SQLAlchemy: CPU", cpu_s, "s"
    yield "importing DBOS beyond SQLAlchemy: memory", mb, "MB"


class Box:
    """A receiver that says when it was called."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self._changed = threading.Condition()

    def __call__(self, _: Delivery) -> None:
        with self._changed:
            self.at.append(time.perf_counter())
            self._changed.notify_all()

    def wait(self, number: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.at) >= number, 120):
                raise TimeoutError(f"{len(self.at)} of {number} arrived")


def _post(engine: Engine, number: int = 1) -> None:
    def work(unit: Unit) -> Result:
        for _ in range(number):
            unit.post("bench.one", {"n": 1})
        unit.record(Installation, "1", [AccessRefused("bench", "bench")])
        return {}

    engine.kernel.run(SYSTEM, work)


def _wait_for_people(engine: Engine) -> None:
    package = Package(
        ask="Push the branch",
        what_will_happen=WhatWillHappen(ShowKind.TEXT, "pushes main to origin"),
        why_now="a rule asks",
        open_question="May it?",
        state="it waits",
    )

    def work(unit: Unit) -> Result:
        for _ in range(100):
            opening = Opening(HandoffKind.ESCALATION, "high", package, "d", AgentId(""), 86_400)
            open_handoff(engine.audiences, unit, opening)
        return {}

    for _ in range(HANDOFFS // 100):
        engine.kernel.run(SYSTEM, work)


def _idle() -> float:
    """Percent of a core."""
    before = time.process_time()
    time.sleep(IDLE_S)
    return (time.process_time() - before) / IDLE_S * 100


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def delivering(name: str, url: str, home: Path) -> Iterator[Figure]:
    engine, box = open_engine(url, home), Box()
    _wait_for_people(engine)
    engine.kernel.store.outbox_done([row.id for row in engine.kernel.store.outbox(2 * HANDOFFS)])
    yield f"{name}: idle process without a relay, {HANDOFFS:,} waiting", _idle(), "%"
    memory = _memory_mb()
    routes = Routes([Sink("box", "bench.one", box)])
    relay = Relay(engine.kernel, engine.deliveries, engine.database, routes)
    relay.start()
    relay.begin()
    relay.ready.wait(120)
    took: list[float] = []
    for number in range(1, DELIVERIES + 1):
        began = time.perf_counter()
        _post(engine)
        box.wait(number)
        took.append((box.at[-1] - began) * 1000)
    took.sort()
    yield f"{name}: delivery p50", took[DELIVERIES // 2], "ms"
    yield f"{name}: delivery p95", took[int(DELIVERIES * 0.95)], "ms"
    began = time.perf_counter()
    _post(engine, BURST)
    box.wait(DELIVERIES + BURST)
    yield f"{name}: {BURST} at once", BURST / (time.perf_counter() - began), "/s"
    yield f"{name}: memory that the relay added, import included", _memory_mb() - memory, "MB"
    time.sleep(60)  # DBOS looks for schedules every second in its first minute
    yield f"{name}: idle process with a relay, {HANDOFFS:,} waiting", _idle(), "%"
    began = time.perf_counter()
    relay.stop()
    yield f"{name}: stopping the relay", time.perf_counter() - began, "s"
    engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    args = parser.parse_args()
    figures: list[dict[str, object]] = []
    print(f"{platform.machine()}, Python {platform.python_version()}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="handfast-bench-")))
        places = {"SQLite": f"sqlite:///{folder / 'SQLite' / 'handfast.db'}"}
        if (binaries := postgres.binaries()) is not None:
            places["PostgreSQL"] = stack.enter_context(postgres.running(binaries)).create()
        for part in (importing(), *(delivering(n, u, folder / n) for n, u in places.items())):
            for name, value, unit in part:
                print(f"{name:<66} {value:>9,.2f} {unit}", flush=True)
                figures.append({"name": name, "value": round(value, 3), "unit": unit})
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
