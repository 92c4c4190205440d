"""One attempt of one delivery: call the receivers that do not have it yet, and mark what came of it."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from handfast.core.domain.errors import StorageError
from handfast.core.domain.faults import fault_point
from handfast.engine.kernel import Kernel
from handfast.engine.relay.deliveries import DEAD, Deliveries, shorten
from handfast.engine.relay.routing import Delivery, Routes, Segment, Sink, Steps, backoff_s
from handfast.engine.telemetry import Attributes
from handfast.storage.outbox import OutboxRow

T = TypeVar("T")
MARK_WITHIN_S: Final = 60.0
MARK_EVERY_S: Final = 0.5
log = logging.getLogger("handfast.relay")


class Abandoned(BaseException):
    """The server ends before the attempt does. Not an Exception: nobody on the way may take it for a
    failure, because the attempt stays open for another server."""


class Attempts:
    """`deliver` runs in the threads of the engine. Everything here may be called from any thread."""

    def __init__(self, kernel: Kernel, deliveries: Deliveries, routes: Routes) -> None:
        self._kernel = kernel
        self._store = kernel.store
        self._deliveries = deliveries
        self._routes = routes
        self._running = 0
        self._changed = threading.Condition()
        self._abandoned = threading.Event()
        self.on_begin: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None

    @property
    def running(self) -> int:
        """How many attempts run in this process."""
        return self._running

    def wait_idle(self, within_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, within_s)

    def open(self) -> None:
        self._abandoned.clear()

    def abandon(self) -> None:
        """What still runs is left as it is. Receivers that are being called are not interrupted."""
        self._abandoned.set()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Around everything that another server must take over when this one dies."""
        with self._changed:
            self._running += 1
        try:
            self.on_begin()
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
            self.on_end()

    def deliver(self, row_id: int, attempt: int, steps: Steps) -> str:
        """Gives what came of it, for the engine's record. Does nothing when the attempt is over."""
        with self.entered():
            row = self._store.outbox_row(row_id)
            if row is None or row.attempts != attempt or row.state == DEAD:
                return "over"
            done, error = self._observed(row, steps)
            self._mark(row, done, error)
            return error or "delivered"

    def _observed(self, row: OutboxRow, steps: Steps) -> tuple[tuple[str, ...], str]:
        telemetry = self._kernel.telemetry
        work = self._segment if row.topic.startswith("segment.") else self._sinks
        about: Attributes = {"topic": row.topic, "attempt": row.attempts + 1}
        with telemetry.span("handfast.relay.delivery", about) as span:
            done, error = work(row, steps)
            span.add({"delivered": not error})
        of: Attributes = {"topic": row.topic, "delivered": not error}
        telemetry.count("handfast.relay.deliveries", of)
        return done, error

    def fail(self, row: OutboxRow, error: str, done: tuple[str, ...] = ()) -> None:
        """Count a failed attempt: it is tried again later, or given up."""
        settings = self._kernel.settings
        failures, said = row.attempts + 1 - row.spared, shorten(error)
        if failures >= settings.relay_attempts:
            log.error("delivery %s of `%s` is given up: %s", row.id, row.topic, said)
            self._deliveries.bury(row, said, done)
            return
        wait_s = backoff_s(failures, settings.relay_backoff_s, settings.relay_backoff_max_s)
        log.warning(
            "delivery %s of `%s` failed, again in %.1f s: %s", row.id, row.topic, wait_s, said
        )
        again_at = self._kernel.clock.now() + timedelta(seconds=wait_s)
        self._store.outbox_failed(row, again_at, said, done)

    def guarded(self, work: Callable[[], T]) -> T:
        """Run it in a thread that nobody has to wait for. Raises what it raises, TimeoutError, Abandoned."""
        result: list[T] = []
        raised: list[BaseException] = []
        ended = threading.Event()

        def run() -> None:
            try:
                result.append(work())
            except BaseException as e:  # noqa: BLE001 - carried over to the thread that waits
                raised.append(e)
            ended.set()

        threading.Thread(target=run, name="handfast-delivery", daemon=True).start()
        self._wait(ended)
        if raised:
            raise raised[0]
        return result[0]

    def _wait(self, ended: threading.Event) -> None:
        within_s = self._kernel.settings.relay_timeout_s
        until = time.monotonic() + within_s
        while not ended.wait(0.2):
            if self._abandoned.is_set():
                raise Abandoned
            if time.monotonic() > until:
                raise TimeoutError(f"no answer within {within_s} s")

    def _sinks(self, row: OutboxRow, steps: Steps) -> tuple[tuple[str, ...], str]:
        done, error = list(row.done), ""
        for sink in self._routes.sinks_of(row.topic):
            if sink.name in done:
                continue
            said = steps(sink.name, partial(self._call, sink, _delivery(row)))
            if said:
                error = f"{sink.name}: {said}"
            else:
                done.append(sink.name)
        return tuple(done), error

    def _call(self, sink: Sink, delivery: Delivery) -> str:
        """'' or why it failed."""
        try:
            fault_point("relay.before_deliver")
            self.guarded(partial(sink.work, delivery))
            fault_point("relay.after_deliver")
        except Exception as e:
            # The edge to code of others: whatever it raised, the delivery is kept and tried again.
            log.info("`%s` failed", sink.name, exc_info=True)
            return f"{type(e).__name__}: {e}"
        return ""

    def _segment(self, row: OutboxRow, steps: Steps) -> tuple[tuple[str, ...], str]:
        segment = self._routes.segment_of(row.topic)
        if segment is None:
            return (), f"this server has no segment of the name `{row.topic}`"
        return (), self._run_segment(segment, row, steps)

    def _run_segment(self, segment: Segment, row: OutboxRow, steps: Steps) -> str:
        def step(name: str, work: Callable[[], T]) -> T:
            def bounded() -> T:
                fault_point("relay.before_deliver")
                found = self.guarded(work)
                fault_point("relay.after_deliver")
                return found

            return steps(name, bounded)

        try:
            segment.work(_delivery(row), step)
        except Exception as e:
            log.info("segment `%s` failed", segment.name, exc_info=True)
            return f"{type(e).__name__}: {e}"
        return ""

    def _mark(self, row: OutboxRow, done: tuple[str, ...], error: str) -> None:
        """A database that is away for a moment is waited for: the receivers have it already."""
        until = time.monotonic() + MARK_WITHIN_S
        while True:
            fault_point("relay.before_mark")
            try:
                if error:
                    self.fail(row, error, done)
                else:
                    self._store.outbox_done([row.id])
            except StorageError as e:
                if not e.retryable or time.monotonic() > until:
                    raise
                log.warning("delivery %s cannot be marked yet: %s", row.id, e.message)
            else:
                return
            if self._abandoned.wait(MARK_EVERY_S):
                raise Abandoned


def _delivery(row: OutboxRow) -> Delivery:
    return Delivery(row.id, row.topic, json.loads(row.payload), row.attempts + 1 - row.spared)
