"""Finds attempts whose server is gone. No clock is compared: a relay is dead when its heartbeats have not
gone up for a while as the observer measures it, so clocks that differ or jump do not matter."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pending:
    """An attempt that a server has begun."""

    workflow_id: str
    worker: str
    queue: str


class Watch:
    """What one relay has seen of the others. `now` is for tests."""

    def __init__(self, me: str, lease_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._me = me
        self._lease_s = lease_s
        self._now = now
        self._seen: dict[str, tuple[int | None, float]] = {}

    def orphans(self, pending: Iterable[Pending], beats: Mapping[str, int]) -> list[Pending]:
        """Those of relays that are silent for the whole lease. One that is seen first gets all of it."""
        found = [each for each in pending if each.worker != self._me]
        workers = {each.worker for each in found} | beats.keys() - {self._me}
        self._seen = {w: self._look(w, beats.get(w)) for w in workers}
        return [each for each in found if self._silent(each.worker)]

    def silent(self) -> list[str]:
        """Those of the last look that said nothing for the whole lease: dead, or without work."""
        return sorted(worker for worker in self._seen if self._silent(worker))

    def _look(self, worker: str, count: int | None) -> tuple[int | None, float]:
        known = self._seen.get(worker)
        return known if known is not None and known[0] == count else (count, self._now())

    def _silent(self, worker: str) -> bool:
        return self._now() - self._seen[worker][1] >= self._lease_s
