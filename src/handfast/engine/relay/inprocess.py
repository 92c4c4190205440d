"""The simplest relay: a thread that hands outbox rows to sinks of this process, at least once.

A row is marked done after its sink returned. A sink that raises keeps its row, which is tried again
later, each time later, up to a minute; rows behind it are not held up. A sink may see a row twice.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from handfast.core.domain.errors import StorageError
from handfast.engine.telemetry import OFF, Attributes, Telemetry
from handfast.storage.api import OutboxRow, Store

Sink: TypeAlias = Callable[[dict[str, object]], None]
POLL_S = 1.0
# Commits that come this close together are looked at in one go.
TOGETHER_S = 0.1
PAGE = 1_000
LONGEST_S = 60.0
log = logging.getLogger("handfast.relay")


class Relay:
    """Sinks are named by topic (`handoff.requested`) or by its first word and a star (`run.*`).

    Rows without a sink count as delivered. `run` blocks until `stop`.
    """

    def __init__(self, store: Store, sinks: Mapping[str, Sink], telemetry: Telemetry = OFF) -> None:
        self._telemetry = telemetry
        self._store = store
        self._sinks = sinks
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._not_before: dict[int, float] = {}

    def run(self) -> None:
        """Deliver what is due, then wait for a commit or for the next look."""
        undo = self._store.subscribe(lambda _: self._wake.set())
        try:
            while not self._stopping.wait(TOGETHER_S):
                self._wake.clear()
                self._round()
                self._wake.wait(POLL_S)
        finally:
            undo()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    def deliver(self) -> int:
        """Hand over every row that is due. Gives how many were delivered."""
        done: list[int] = []
        now = time.monotonic()
        for row in self._store.outbox(PAGE):
            if self._stopping.is_set() or now < self._not_before.get(row.id, 0):
                continue
            about: Attributes = {"topic": row.topic, "attempt": row.attempts + 1}
            with self._telemetry.span("handfast.relay.delivery", about) as span:
                delivered = self._hand_over(row)
                span.add({"delivered": delivered})
            of: Attributes = {"topic": row.topic, "delivered": delivered}
            self._telemetry.count("handfast.relay.deliveries", of)
            if delivered:
                done.append(row.id)
        self._store.outbox_done(done)
        for row_id in done:
            self._not_before.pop(row_id, None)
        return len(done)

    def _round(self) -> None:
        try:
            self.deliver()
        except StorageError as e:
            log.warning("the outbox cannot be read or marked: %s", e.message)

    def _hand_over(self, row: OutboxRow) -> bool:
        for sink in self._for(row.topic):
            try:
                sink(json.loads(row.payload))
            except Exception:
                # The edge to code of others: whatever it raised, the row is kept and tried again.
                wait_s = min(LONGEST_S, 2.0 ** min(row.attempts, 10))
                log.exception(
                    "delivery %s of `%s` failed; again in %s s", row.id, row.topic, wait_s
                )
                self._not_before[row.id] = time.monotonic() + wait_s
                self._store.outbox_failed(row.id)
                return False
        return True

    def _for(self, topic: str) -> list[Sink]:
        names = (topic, topic.partition(".")[0] + ".*")
        return [self._sinks[name] for name in names if name in self._sinks]
