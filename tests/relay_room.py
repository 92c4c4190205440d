"""A relay in this process, with receivers that a test watches. The clock stands still, so that a back-off
ends when the test says so."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from handfast.engine.relay.relay import Relay
from handfast.engine.relay.routing import Delivery, Routes, Sink
from tests.engine_room import Room, in_a_moment, opened
from tests.faults.relay_process import post

T = TypeVar("T")
DEADLINE_S = 120.0  # only to end a hang


def until(holds: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + DEADLINE_S
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not so: {what}"
        time.sleep(0.01)
    return found


@dataclass
class Receiver:
    """Notes what it gets. Fails while `broken`; `hold_s` is how long it takes."""

    broken: bool = False
    hold_s: float = 0.0
    got: list[Delivery] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    most: int = 0
    _inside: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, delivery: Delivery) -> None:
        with self._lock:
            self.at.append(time.monotonic())
            self._inside += 1
            self.most = max(self.most, self._inside)
        time.sleep(self.hold_s)
        with self._lock:
            self._inside -= 1
        if self.broken:
            raise ConnectionError("no\u202e route")
        self.got.append(delivery)

    @property
    def numbers(self) -> list[object]:
        return [d.payload["number"] for d in self.got]

    def sink(self, topic: str = "t.x", name: str = "receiver") -> Sink:
        return Sink(name, topic, self)


@dataclass
class RelayRoom(Room):
    """The engine's room, and its relay while `running`."""

    url: str = ""

    def post(self, topic: str = "t.x", **payload: object) -> None:
        post(self.engine, topic, **payload)

    @contextmanager
    def running(self, routes: Routes) -> Iterator[Relay]:
        relay = Relay(self.engine.kernel, self.engine.deliveries, self.engine.database, routes)
        relay.start()
        relay.begin()
        try:
            assert relay.ready.wait(DEADLINE_S), "the relay did not start"
            yield relay
        finally:
            relay.stop()

    def rows(self, state: str) -> int:
        counts = self.engine.kernel.store.outbox_counts()
        return sum(c.number for c in counts if c.state == state)

    def delivered(self) -> bool:
        return not self.engine.kernel.store.outbox(1)

    def clear(self) -> None:
        """Forget what the room itself has posted."""
        store = self.engine.kernel.store
        store.outbox_done([row.id for row in store.outbox(1000)])


@contextmanager
def relay_room(home: Path, url: str) -> Iterator[RelayRoom]:
    own = url == f"sqlite:///{home / 'handfast.db'}"
    with in_a_moment(home) if own else opened(home, url) as room:
        made = RelayRoom(
            room.engine, room.clock, room.home, room.me, room.agent_id, room.run_id, url
        )
        made.clear()
        yield made
