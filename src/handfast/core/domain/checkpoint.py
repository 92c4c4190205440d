"""A checkpoint: handoffs that people were asked about in one sitting, and told of once.

It decides nothing. Each handoff keeps its own digest, its own requirement and its own deadline.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain.events import CheckpointEvent
from handfast.core.domain.events_checkpoint import CheckpointJoined, CheckpointOpened, Why
from handfast.core.domain.ids import CheckpointId, HandoffId, PersonId

MAX_HANDOFFS = 200
"""As many are asked in one sitting; what is left opens the next one."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`until` is when the sitting is over: later asks do not join it."""

    checkpoint_id: CheckpointId
    why: Why
    lead: HandoffId
    handoffs: tuple[HandoffId, ...]
    people: tuple[PersonId, ...]
    opened_at: datetime
    until: datetime
    waited_mils: int = 0
    because: str = ""


def evolve(state: Checkpoint | None, event: CheckpointEvent, at: datetime) -> Checkpoint:
    """Fold one recorded event. `at` is the envelope's time."""
    match event:
        case CheckpointOpened():
            return Checkpoint(
                checkpoint_id=event.checkpoint_id,
                why=event.why,
                lead=event.lead,
                handoffs=event.handoffs,
                people=event.people,
                opened_at=at,
                until=event.until,
                waited_mils=event.waited_mils,
                because=event.because,
            )
        case CheckpointJoined():
            if state is None:
                raise ValueError("a checkpoint's first event must be checkpoint.opened")
            return replace(state, handoffs=(*state.handoffs, *event.handoffs))
        case _:
            assert_never(event)
