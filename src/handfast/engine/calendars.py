"""The last good copy of every calendar that a rotation is read from, in the data folder.

A copy that cannot be renewed stays in force, and how old it is is shown. Without a copy nobody is on call.
"""

import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from handfast.core.domain.errors import UsageError
from handfast.core.policy.availability import Shift, on_shift
from handfast.core.policy.directory import Calendar

MAX_BYTES = 2_000_000
_BEFORE, _AFTER = timedelta(days=8), timedelta(days=370)
_EXPANDED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Copy:
    """`fetched_at` is None while there is no copy; `problem` is why it could not be renewed."""

    fetched_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Expanded:
    stamp: tuple[int, int]
    at: datetime
    shifts: tuple[Shift, ...]


class Calendars:
    """Shared between threads. Any number of processes may keep copies in one folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "calendars"
        self._expanded: dict[str, _Expanded] = {}
        self._problems: dict[str, str] = {}
        self._lock = threading.Lock()

    def on_call(self, calendar: Calendar, at: datetime) -> tuple[str, ...]:
        """Logins on shift at `at` by the last good copy; nobody without one. Never raises."""
        path = self._path(calendar.source)
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            known = self._expanded.get(calendar.source)
            if known is None or known.stamp != stamp or abs(at - known.at) > _EXPANDED_FOR:
                known = _Expanded(stamp, at, _read(path.read_bytes(), at))
                with self._lock:
                    self._expanded[calendar.source] = known
        except (OSError, UsageError):
            return ()
        return on_shift(known.shifts, at)

    def keep(self, source: str, data: bytes, now: datetime) -> None:
        """The new copy, when it can be read. Raises UsageError; the old one then stays."""
        if len(data) > MAX_BYTES:
            raise UsageError(f"the calendar is larger than {MAX_BYTES:,} bytes")
        _read(data, now)
        self._folder.mkdir(exist_ok=True, mode=0o700)
        path = self._path(source)
        part = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
        part.touch(mode=0o600)
        part.write_bytes(data)
        os.utime(part, (now.timestamp(), now.timestamp()))
        part.replace(path)
        with self._lock:
            self._problems.pop(source, None)

    def failed(self, source: str, problem: str) -> None:
        with self._lock:
            self._problems[source] = problem[:300]

    def copy(self, source: str) -> Copy:
        fetched = None
        with contextlib.suppress(OSError):
            fetched = datetime.fromtimestamp(self._path(source).stat().st_mtime, UTC)
        return Copy(fetched, self._problems.get(source, ""))

    def due(self, calendar: Calendar, now: datetime) -> bool:
        """Whether the copy is older than the policy wants it."""
        fetched = self.copy(calendar.source).fetched_at
        return fetched is None or now - fetched >= timedelta(seconds=calendar.refresh_s)

    def _path(self, source: str) -> Path:
        name = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / f"{name}.ics"


def _read(data: bytes, at: datetime) -> tuple[Shift, ...]:
    from handfast.engine.shifts import shifts  # noqa: PLC0415 - brings the iCalendar library

    return shifts(data, at - _BEFORE, at + _AFTER)
