"""What a server does by itself: due handoffs, signed heads, retention, calendars, and deliveries where it is
asked to. Threads that stop when told.
"""

import logging
import threading
from collections.abc import Callable

from handfast.core.domain.errors import HandfastError
from handfast.engine.facade import Engine
from handfast.engine.relay.relay import Relay
from handfast.server.calendars import CalendarKeeper

EVERY_S = 1.0
CALENDARS_EVERY_S = 5.0
RETENTION_EVERY_S = 60.0
REFUSALS_EVERY_S = 5.0
log = logging.getLogger("handfast.server")


class Background:
    """Started and stopped with the application. `stop` returns when all threads have ended, with the log's head signed."""

    def __init__(self, engine: Engine, relay: Relay | None) -> None:
        self._stop = threading.Event()
        self._relay = relay
        self._heads = _OnGrowth(engine)
        self._threads = [
            self._loop("sweep", engine.sweep),
            self._loop("heads", self._heads.sign),
            self._loop("retention", engine.retention.run, RETENTION_EVERY_S),
            self._loop("calendars", CalendarKeeper(engine).renew, CALENDARS_EVERY_S),
            self._loop("overlaps", engine.overlaps.catch_up),
            self._loop("refusals", engine.access.refusals.flush, REFUSALS_EVERY_S),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        if self._relay is not None:
            self._relay.start()

    def stop(self) -> None:
        self._stop.set()
        if self._relay is not None:
            self._relay.stop()
        for thread in self._threads:
            thread.join()
        try:
            self._heads.sign()
        except HandfastError as e:
            log.warning("the last head was not signed: %s", e.message)

    def _loop(
        self, name: str, work: Callable[[], object], every_s: float = EVERY_S
    ) -> threading.Thread:
        def run() -> None:
            while not self._stop.wait(every_s):
                try:
                    work()
                except Exception:
                    # The edge: one failed round (a full disk, a locked database) must not end the loop.
                    log.exception("%s failed; it is tried again in %s s", name, every_s)

        return threading.Thread(target=run, name=f"handfast-{name}", daemon=True)


class _OnGrowth:
    """Signs a head when the log grew since the last one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._signed = 0

    def sign(self) -> None:
        if self._engine.kernel.store.size() > self._signed:
            self._signed = self._engine.heads.sign().size
