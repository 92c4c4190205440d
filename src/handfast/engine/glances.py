"""Looks at a case that are one: a page that is loaded again and again leaves one entry a minute."""

from datetime import timedelta
from typing import Final

from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_handoff import HandoffViewed
from handfast.engine.kernel import Unit
from handfast.storage.api import Store

EVERY: Final = timedelta(minutes=1)
_LOOKED_AT: Final = 200


def looked_lately(store: Store, unit: Unit, look: HandoffViewed) -> bool:
    """Whether the same person had the same form before them within the last minute. A time spent on it counts apart
    from opening it. Of a case with much traffic the last 200 entries are looked at."""
    stream = f"handoff/{look.handoff_id}"
    row = store.load(stream)
    after = max((row.version if row else 0) - _LOOKED_AT, 0)
    rows = store.events(stream=stream, after=after, limit=_LOOKED_AT, types=("handoff.viewed",))
    for recorded in map(from_bytes, (each.data for each in rows)):
        event = recorded.event
        if isinstance(event, HandoffViewed) and unit.now - recorded.at < EVERY:
            who = (event.person_id, event.presented_digest, event.dwell_ms > 0)
            if who == (look.person_id, look.presented_digest, look.dwell_ms > 0):
                return True
    return False
