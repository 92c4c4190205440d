"""A topic of deliveries: how many were given up, and the page that is open about it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain.events import TopicEvent
from handfast.core.domain.events_relay import DeliveryDeadLettered, DeliveryRetried
from handfast.core.domain.ids import HandoffId


@dataclass(frozen=True, slots=True)
class Topic:
    """`page` is the newest handoff that was opened about it."""

    topic: str
    dead_lettered: int = 0
    retried: int = 0
    page: HandoffId = HandoffId("")


def evolve(state: Topic | None, event: TopicEvent, _: datetime) -> Topic:
    """Fold one recorded event."""
    known = state or Topic(event.topic)
    match event:
        case DeliveryDeadLettered():
            return replace(known, dead_lettered=known.dead_lettered + 1, page=event.handoff_id)
        case DeliveryRetried():
            return replace(known, retried=known.retried + 1)
        case _:
            assert_never(event)
