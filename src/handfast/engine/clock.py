"""The one place that reads the clock."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, in UTC, never earlier than the answer before."""
        ...


class SystemClock:
    """The machine's clock. When it is set back, time stands still until it has caught up."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        now = datetime.now(UTC)
        if now < self._last:
            return self._last
        self._last = now
        return now
