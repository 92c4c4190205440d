"""Facts about deliveries that did not arrive: given up, and asked for again."""

from dataclasses import dataclass

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import HandoffId


@dataclass(frozen=True, slots=True)
class DeliveryDeadLettered:
    """All attempts failed. `delivery_id` is the outbox id, `handoff_id` the page that asks a person."""

    topic: str
    delivery_id: int
    attempts: int
    handoff_id: HandoffId
    reason: BodyRef


@dataclass(frozen=True, slots=True)
class DeliveryRetried:
    """Somebody asked for it again. `attempts` is how many had failed."""

    topic: str
    delivery_id: int
    attempts: int
