"""Refusals in the audit trail, bounded: whoever is refused over and over cannot fill the log with it.

The first of its kind is recorded at once. Equal ones within a minute are counted, and recorded as one entry with
their number. One caller has so many kinds a minute; what is beyond them is counted together.
"""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from handfast.core.domain.events import Actor
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.kernel import Kernel, Result, Unit

EVERY: Final = timedelta(minutes=1)
MOST_KINDS: Final = 30
BEYOND: Final = ("several", f"more than {MOST_KINDS} different refusals in a minute")


class _Kind(NamedTuple):
    actor_type: str
    actor_id: str
    what: str
    why: str


@dataclass(slots=True)
class _Counted:
    actor: Actor
    since: datetime
    more: int = 0


class Refusals:
    """Thread-safe. In this process: several servers count by themselves."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._kinds: dict[_Kind, _Counted] = {}
        self._callers: Counter[tuple[str, ...]] = Counter()

    def note(self, actor: Actor, what: str, why: str) -> None:
        """Record it now, or count it. Raises what a commit raises; a count is kept then."""
        now = self._kernel.clock.now()
        kind = _Kind(actor.type, actor.id, what[:200], why[:200])
        with self._lock:
            if kind not in self._kinds and self._callers[kind[:2]] >= MOST_KINDS:
                kind = kind._replace(what=BEYOND[0], why=BEYOND[1])
            if first := kind not in self._kinds:
                self._kinds[kind] = _Counted(actor, now)
                self._callers[kind[:2]] += 1
            counted = self._kinds[kind]
            counted.more += 1
        if first:
            self._tell(kind, counted)

    def flush(self, *, all_of_them: bool = False) -> None:
        """Record what was counted for a minute, or with `all_of_them` whatever was counted. Raises what a commit
        raises."""
        now = self._kernel.clock.now()
        with self._lock:
            due = [e for e in self._kinds.items() if all_of_them or now - e[1].since >= EVERY]
            for kind, counted in due:
                counted.since = now
                if not counted.more:
                    del self._kinds[kind]
                    self._callers[kind[:2]] -= 1
            self._callers += Counter()  # lets go of who is at none
        for kind, counted in due:
            self._tell(kind, counted)

    def _tell(self, kind: _Kind, counted: _Counted) -> None:
        with self._lock:
            times, counted.more = counted.more, 0
        if not times:
            return

        def work(unit: Unit) -> Result:
            event = AccessRefused(kind.what, kind.why, kind.actor_id, times)
            unit.record(Installation, INSTALLATION_ID, [event])
            return {}

        try:
            self._kernel.run(counted.actor, work)
        except BaseException:
            with self._lock:
                counted.more += times
            raise
