"""Wrong passwords and PINs. Each kind of secret is counted by itself, and by where the tries come from, so that a
stranger who guesses is locked out and not the person they guess at. Kept in this process."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from handfast.core.domain.errors import LimitExceeded

TRIES: Final = 5
LOCKED_FOR: Final = timedelta(minutes=15)
IN_ALL: Final = 100
IN_ALL_FOR: Final = timedelta(hours=1)
REMEMBERED = 10_000  # counters; invented logins must not fill the memory


class Tries:
    """Thread-safe. Counted before the secret is looked at, so that many tries at once are not free."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str, str | None], list[datetime]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def take(self, kind: str, who: str, place: str) -> None:
        """`who` is the digest of a login, `place` where it comes from.

        Raises LimitExceeded after five wrong ones from there within 15 minutes, or 100 from anywhere in an hour.
        """
        now = self._now()
        with self._lock:
            here = self._recent((kind, who, place), now, LOCKED_FOR)
            anywhere = self._recent((kind, who, None), now, IN_ALL_FOR)
            if len(here) >= TRIES:
                raise _too_many(f"this {kind} waits 15 minutes for whoever tries from here")
            if len(anywhere) >= IN_ALL:
                raise _too_many(f"this {kind} waits up to an hour")
            here.append(now)
            anywhere.append(now)
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)

    def right(self, kind: str, who: str, place: str) -> None:
        """It was the right secret: the wrong ones from there are forgotten, those from elsewhere are not."""
        with self._lock:
            self._seen.pop((kind, who, place), None)
            anywhere = self._seen.get((kind, who, None))
            if anywhere:
                anywhere.pop()

    def _recent(
        self, key: tuple[str, str, str | None], now: datetime, within: timedelta
    ) -> list[datetime]:
        """The times that still count, as they are kept; what was asked for last is dropped last."""
        found = [t for t in self._seen.pop(key, []) if now - t < within]
        self._seen[key] = found
        return found


def _too_many(what: str) -> LimitExceeded:
    return LimitExceeded(f"too many wrong tries; {what}", hint="Try again later.")
