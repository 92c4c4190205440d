"""The relay of one server: hands over what is due, says that it is alive, takes over from the dead.

It holds no wait of a person: a waiting handoff is a row, and costs nothing here. While nothing is posted
and nothing runs, it reads the outbox once a second and writes nothing.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from handfast.core.domain.errors import StorageError
from handfast.core.domain.faults import fault_point
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel
from handfast.engine.relay.attempts import Attempts
from handfast.engine.relay.deliveries import Deliveries
from handfast.engine.relay.routing import Delivery, Routes, Sink
from handfast.engine.relay.takeover import Watch
from handfast.storage.outbox import OutboxRow

if TYPE_CHECKING:
    from handfast.engine.relay.durable import Durable

POLL_S: Final = 1.0
# Commits that come this close together are looked at in one go.
TOGETHER_S: Final = 0.02
BEAT_S: Final = 1.0
# Also without a sign that anybody has work, a look at what dead servers left.
LOOK_S: Final = 15.0
AGAIN_S: Final = 30.0
PAGE: Final = 1_000
# How many deliveries of a bounded topic may lie in its queue at a time; the others stay in the outbox.
QUEUED: Final = 100
log = logging.getLogger("handfast.relay")


class Relay:
    """`start` returns at once; the engine is loaded in the background once `begin` was called, which
    a server does when it listens. `stop` drains, and returns within seconds. One a process."""

    def __init__(
        self, kernel: Kernel, deliveries: Deliveries, database: str, routes: Routes
    ) -> None:
        own = Sink("relay.pages", "handoff.decided", _Again(deliveries))
        self._kernel = kernel
        self._store = kernel.store
        self._settings = kernel.settings
        self._database = database
        self._routes = replace(routes, sinks=(*routes.sinks, own))
        self._attempts = Attempts(kernel, deliveries, self._routes)
        self._attempts.on_begin = self._beat
        self._attempts.on_end = self._ended
        self._no_room = False
        self._begun = threading.Event()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._beat_lock = threading.Lock()
        self._beaten = float("-inf")
        self._looked = float("-inf")
        self.worker = new_id("relay")
        self.ready = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="handfast-relay", daemon=True),
            threading.Thread(target=self._keep_beating, name="handfast-beat", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def begin(self) -> None:
        self._begun.set()

    def stop(self) -> None:
        """Nothing new is taken. What runs may end within `relay_drain_s`; what does not is left for
        another server, or for the next start."""
        self._stopping.set()
        self._begun.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()

    # -- the engine's life

    def _run(self) -> None:
        self._begun.wait()
        while not self._stopping.is_set():
            try:
                self._serve()
            except Exception:
                # The edge: without an engine nothing is lost, it waits in the outbox.
                log.exception("the relay cannot work; it is tried again in %s s", AGAIN_S)
                self._stopping.wait(AGAIN_S)

    def _serve(self) -> None:
        from handfast.engine.relay.durable import Durable  # noqa: PLC0415 - it costs a second

        durable = Durable(self._database, self.worker, self._attempts, self._routes)
        self._attempts.open()
        durable.launch(self._settings.relay_concurrency)
        watch = Watch(self.worker, self._settings.relay_lease_s)
        undo = self._store.subscribe(lambda _: self._wake.set())
        self.ready.set()
        try:
            self._loop(durable, watch)
        finally:
            undo()
            if not self._attempts.wait_idle(self._settings.relay_drain_s):
                log.warning("%s deliveries are left under way", self._attempts.running)
            self._attempts.abandon()
            self._attempts.wait_idle(1.0)
            durable.stop()
            self._forget()

    def _loop(self, durable: "Durable", watch: Watch) -> None:
        while not self._stopping.wait(TOGETHER_S):
            self._wake.clear()
            try:
                more = self._hand_over(durable)
                self._take_over(durable, watch)
            except StorageError as e:
                log.warning("the outbox cannot be read or marked: %s", e.message)
                more = False
            except Exception:
                # The edge: one failed round must not end the relay.
                log.exception("a round of the relay failed; the next is in %s s", POLL_S)
                more = False
            if not more:
                self._wake.wait(POLL_S)

    # -- handing over

    def _hand_over(self, durable: "Durable") -> bool:
        """Whether there may be more at once."""
        due, full = self._due()
        nobody = [row.id for row in due if self._routes.nobody(row.topic)]
        self._store.outbox_done(nobody)
        free = self._settings.relay_concurrency - self._attempts.running
        handed = 0
        for row in sorted(due, key=lambda row: (self._routes.flow(row.topic).priority, row.id)):
            if self._stopping.is_set() or self._routes.nobody(row.topic):
                continue
            bounded = self._routes.flow(row.topic).bounded
            if bounded and full.get(row.topic, 0) <= 0:
                continue
            if bounded:
                full[row.topic] -= 1
            elif free <= 0:
                continue
            else:
                free -= 1
            self._one(durable, row)
            handed += 1
        left = len(due) - handed - len(nobody)
        self._no_room = left > 0
        return left > 0 and self._attempts.running < self._settings.relay_concurrency

    def _ended(self) -> None:
        """An attempt ended: there is room for the next."""
        if self._no_room:
            self._wake.set()

    def _due(self) -> tuple[list[OutboxRow], dict[str, int]]:
        """Rows whose time has come, and how much room each bounded topic has in its queue."""
        room = {topic: QUEUED for topic, flow in self._routes.flows.items() if flow.bounded}
        if room:
            for count in self._store.outbox_counts():
                if count.state == "handed" and count.topic in room:
                    room[count.topic] -= count.number
        now = self._kernel.clock.now()
        latest = now + timedelta(seconds=2 * self._settings.relay_backoff_max_s)
        without = [topic for topic, left in room.items() if left <= 0]
        return self._store.outbox_due(now, latest, PAGE, without), room

    def _one(self, durable: "Durable", row: OutboxRow) -> None:
        """First the hand-over, then the mark: what is handed over twice is the same attempt."""
        fault_point("relay.before_handover")
        durable.start(row)
        fault_point("relay.after_handover")
        self._store.outbox_handed([row])

    # -- taking over

    def _take_over(self, durable: "Durable", watch: Watch) -> None:
        since_s = time.monotonic() - self._looked
        if since_s < POLL_S:
            return
        handed = self._store.outbox_in("handed", QUEUED)
        if not handed and since_s < LOOK_S:
            return
        self._looked = time.monotonic()
        orphans = watch.orphans(durable.pending(), self._store.beats())
        if orphans:
            workers = sorted({each.worker for each in orphans})
            log.warning("taking over %s attempts of %s", len(orphans), ", ".join(workers))
            durable.resume(orphans)
        for worker in watch.silent():
            # One that lives and only has no work comes back with its next heartbeat.
            self._store.forget_worker(worker)
        self._settle_lost(durable, handed)

    def _settle_lost(self, durable: "Durable", handed: Sequence[OutboxRow]) -> None:
        """Handed over, but nobody has it: the engine's tables were lost, or its work ended in an error.

        A row is read again, because an attempt that just ended well has ended and has no row.
        """
        for row in durable.ended(handed) if handed else ():
            if self._store.outbox_row(row.id) == row:
                self._attempts.fail(row, "the attempt ended without a result", row.done)

    # -- heartbeats, while there is something that others would have to take over

    def _keep_beating(self) -> None:
        while not self._stopping.wait(BEAT_S) or self._attempts.running:
            if self._attempts.running:
                self._beat()
            if self._stopping.is_set():
                time.sleep(0.1)

    def _beat(self) -> None:
        with self._beat_lock:
            if time.monotonic() - self._beaten < BEAT_S / 2:
                return
            try:
                self._store.beat(self.worker)
            except StorageError as e:
                log.warning("no heartbeat could be written: %s", e.message)
            else:
                self._beaten = time.monotonic()

    def _forget(self) -> None:
        try:
            self._store.forget_worker(self.worker)
        except StorageError as e:
            log.warning("the relay could not say that it ends: %s", e.message)


class _Again:
    """Tries again what an approved page is about."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def __call__(self, delivery: Delivery) -> None:
        self._deliveries.answered(str(delivery.payload["handoff_id"]))
