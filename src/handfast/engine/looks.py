"""What happened to a handoff since a person last looked at it, and what others made of its package."""

from datetime import datetime, timedelta
from typing import Final

from handfast.core.domain.codec import format_time, parse_time
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_handoff import HandoffViewed
from handfast.core.domain.handoff import Handoff
from handfast.engine.kernel import Kernel, Result
from handfast.engine.views import Views

# Looks that follow each other so closely are one visit.
VISIT: Final = timedelta(minutes=10)
_MAX_EVENTS: Final = 1_000
_SILENT: Final = frozenset({"handoff.viewed", "handoff.attended", "handoff.rated"})


def since_last_look(views: Views, kernel: Kernel, handoff_id: str, person_id: str) -> Result | None:
    """`{at, entries, changed}` since this person's last visit; None when this is the first one.

    `entries` are those of the timeline that the person did not make. `changed`: what is presented is not what
    they saw then. Call it before the look that asks is recorded.
    """
    row = kernel.store.load(f"handoff/{handoff_id}")
    after = max((row.version if row else 0) - _MAX_EVENTS, 0)
    rows = kernel.store.events(stream=f"handoff/{handoff_id}", after=after, limit=_MAX_EVENTS)
    looks = [
        (r.at, r.event.presented_digest)
        for r in map(from_bytes, (each.data for each in rows))
        if isinstance(r.event, HandoffViewed) and r.event.person_id == person_id
    ]
    last = _before_this_visit(looks, kernel.clock.now())
    if last is None:
        return None
    at, seen = last
    entries = [
        entry
        for entry in views.timeline(f"handoff/{handoff_id}", after, _MAX_EVENTS)
        if parse_time(str(entry["at"])) > at
        and entry["type"] not in _SILENT
        and entry["who_id"] != person_id
    ]
    now_shown = kernel.state(Handoff, handoff_id).presented_digest
    return {"at": format_time(at), "entries": entries, "changed": seen != now_shown}


def _before_this_visit(
    looks: list[tuple[datetime, str]], now: datetime
) -> tuple[datetime, str] | None:
    """The newest look with a pause behind it."""
    later = now
    for at, seen in reversed(looks):
        if later - at > VISIT:
            return at, seen
        later = at
    return None
