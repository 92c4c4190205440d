"""The one place that reads the clock."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, in UTC, never earlier than the answer before."""
        ...


class SystemClock:
    """The machine's clock. Set back, it goes on at half its pace until the machine has caught up.

    It never stands still: deadlines and leases would, for as long as the clock had been wrong before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)
        self._read_s = time.monotonic()

    def now(self) -> datetime:
        with self._lock:
            now, read_s = datetime.now(UTC), time.monotonic()
            if now < self._last:
                now = self._last + timedelta(seconds=(read_s - self._read_s) / 2)
            self._last, self._read_s = now, read_s
            return now
