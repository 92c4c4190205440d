"""Who has a case open at this moment, on this server. Kept in memory: it decides nothing and proves nothing.

What is proved, that somebody had a case before them, is `handoff.viewed` in the log.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GLANCE_S = 15.0  # a page without a script, or one whose stream is not open yet
MAX_CASES = 10_000


class Presence:
    """Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._glances: dict[str, dict[str, float]] = {}
        self._streams: dict[str, dict[str, int]] = {}

    def looked(self, handoff_id: str, person_id: str) -> None:
        """A page of the case was made for this person."""
        now = self._clock()
        with self._lock:
            if len(self._glances) >= MAX_CASES:
                self._forget(now)
            self._glances.setdefault(handoff_id, {})[person_id] = now

    @contextmanager
    def open(self, handoff_id: str, person_id: str) -> Iterator[None]:
        """While a page of the case is connected."""
        with self._lock:
            people = self._streams.setdefault(handoff_id, {})
            people[person_id] = people.get(person_id, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                people[person_id] -= 1
                if not people[person_id]:
                    del people[person_id]
                    self._glances.get(handoff_id, {}).pop(person_id, None)
                if not people:
                    self._streams.pop(handoff_id, None)

    def others(self, handoff_id: str, person_id: str) -> list[str]:
        """Everybody else who has it open, in a fixed order."""
        now = self._clock()
        with self._lock:
            glances = self._glances.get(handoff_id, {})
            here = {p for p, at in glances.items() if now - at < GLANCE_S}
            here |= self._streams.get(handoff_id, {}).keys()
        return sorted(here - {person_id})

    def _forget(self, now: float) -> None:
        for handoff_id, people in list(self._glances.items()):
            if all(now - at >= GLANCE_S for at in people.values()):
                del self._glances[handoff_id]
