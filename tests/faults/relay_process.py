"""A relay in a process of its own, with receivers that leave a trace: to be killed, frozen and told to end.

Processes are forked from one that has loaded everything, because loading DBOS takes over a second.
"""

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from handfast.app import open_engine
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.installation import Installation
from handfast.engine.channels.sending import notifiers
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result, Unit
from handfast.engine.relay.relay import Relay
from handfast.engine.relay.routing import Delivery, Routes, Segment, Sink, Steps
from tests.faults.journal import whole_lines

T = TypeVar("T")
Json = dict[str, Any]
DEADLINE_S = 120.0  # only to end a hang
_forks = multiprocessing.get_context("forkserver")


def post(engine: Engine, topic: str, **payload: object) -> None:
    """As a command does: beside an event, which wakes the relay of this process."""

    def work(unit: Unit) -> Result:
        unit.post(topic, payload)
        unit.record(Installation, "1", [AccessRefused("test", "test")])
        return {}

    engine.kernel.run(SYSTEM, work)


@dataclass(frozen=True)
class Order:
    """What a process is told."""

    name: str
    url: str
    root: Path
    settings: dict[str, str]


class Receivers:
    """`t.effect` keeps a journal, `t.once` has an idempotent effect: one file a delivery. A delivery takes
    as long as it says; the relay that it `holds` has it until there is a file `go`."""

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def effect(self, d: Delivery) -> None:
        self._note("begin", d)
        if d.payload.get("holds") == self._name:
            while not (self._root / "go").exists():
                time.sleep(0.01)
        time.sleep(float(str(d.payload.get("takes_s", 0))))
        if d.payload.get("fails_on") == self._name:
            self._note("raised", d)
            raise ConnectionError("nobody there")
        self._note("end", d)

    def once(self, d: Delivery) -> None:
        self._note("begin", d)
        (self._root / f"effect-{d.id}").open("a").close()

    def segment(self, d: Delivery, step: Steps) -> None:
        for name in ("first", "second"):
            step(name, lambda name=name: self._note(name, d))  # type: ignore[misc]  # bound now

    def _note(self, what: str, d: Delivery) -> None:
        line = {"what": what, "id": d.id, "attempt": d.attempt, "by": self._name}
        file = os.open(self._root / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)


def run(order: Order) -> None:
    """The process: until SIGTERM."""
    log = os.open(order.root / f"{order.name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in (1, 2):
        os.dup2(log, number)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    os.environ.update(order.settings)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    engine = open_engine(order.url, order.root / "home")
    receivers = Receivers(order.name, order.root)
    told_people = notifiers(engine, "https://handfast.example")
    routes = Routes(
        [
            *told_people,
            Sink("effect", "t.effect", receivers.effect),
            Sink("once", "t.once", receivers.once),
        ],
        [Segment("two", receivers.segment)],
    )
    relay = Relay(engine.kernel, engine.deliveries, engine.database, routes)
    relay.start()
    relay.begin()
    relay.ready.wait(DEADLINE_S)
    (order.root / f"{order.name}.ready").touch()
    while not told.wait(0.1):
        pass
    ending = threading.Thread(target=relay.stop)
    ending.start()
    relay._stopping.wait()
    (order.root / f"{order.name}.stopping").touch()
    ending.join()
    engine.close()


@dataclass
class Relays:
    """Relays on one database, and the engine of whoever posts."""

    url: str
    root: Path
    engine: Engine
    processes: dict[str, Any] = field(default_factory=dict)

    def start(self, name: str, fault: str = "", **settings: object) -> None:
        _forks.set_forkserver_preload(["handfast.engine.relay.durable", __name__])
        told = {f"HANDFAST_{k.upper()}": str(v) for k, v in settings.items()}
        order = Order(name, self.url, self.root, told | {"HANDFAST_FAULT": fault})
        process = _forks.Process(target=run, args=(order,), daemon=True)
        process.start()
        self.processes[name] = process

    def ready(self, *names: str) -> None:
        for name in names:
            self.until((self.root / f"{name}.ready").exists, f"{name} is ready")

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.processes[name].pid, number)

    def ended(self, name: str, within_s: float = DEADLINE_S) -> int:
        """Its exit code, or minus the signal that killed it."""
        process = self.processes[name]
        process.join(within_s)
        assert process.exitcode is not None, f"{name} did not end:\n{self.log(name)}"
        return int(process.exitcode)

    def post(self, topic: str, **payload: object) -> None:
        post(self.engine, topic, **payload)

    @property
    def journal(self) -> list[Json]:
        return [json.loads(line) for line in whole_lines(self.root / "journal")]

    def noted(self, what: str, by: str = "") -> list[Json]:
        return [n for n in self.journal if n["what"] == what and by in ("", n["by"])]

    def log(self, name: str) -> str:
        path = self.root / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def empty(self) -> bool:
        return not self.engine.kernel.store.outbox(1)

    def until(self, holds: Callable[[], T], what: str, within_s: float = DEADLINE_S) -> T:
        deadline = time.monotonic() + within_s
        while not (found := holds()):
            logs = "\n".join(f"{n}:\n{self.log(n)[-3000:]}" for n in self.processes)
            assert time.monotonic() < deadline, f"not so: {what}\n{self.journal}\n{logs}"
            time.sleep(0.03)
        return found

    def close(self) -> None:
        for process in self.processes.values():
            if process.exitcode is None:
                process.kill()
            process.join()
        self.engine.close()


def opened(url: str, root: Path) -> Relays:
    """A fresh installation, nothing started."""
    return Relays(url, root, open_engine(url, root / "home"))
