"""Facts about asks that wait to be asked together, and about the checkpoints that ask for them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from handfast.core.domain.ids import CheckpointId, HandoffId, PersonId


class Stage(StrEnum):
    """Where in a piece of work an ask stands: before it, before its merge, before what has no undo."""

    PLAN = "plan"
    CHANGE = "change"
    RELEASE = "release"


class Why(StrEnum):
    """Why a checkpoint opened. Ordered: the first that holds is the reason that is given."""

    URGENT = "urgent"
    LATEST = "latest"
    PERSON = "person"
    PLANNED = "planned"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class HandoffDeferred:
    """Nobody is asked yet: it waits to be asked together with others, until `open_by` at the latest.

    `rate_mils` and `cost_mils` are thousandths of a reviewer-minute: what a minute of its waiting costs, and
    what one interruption does. `people` would be asked. `planned`: its stage ends with it, so it opens the
    checkpoint of that stage.
    """

    handoff_id: HandoffId
    people: tuple[PersonId, ...]
    open_by: datetime
    rate_mils: int
    cost_mils: int
    per_day: int
    sitting_s: int
    stage: Stage
    planned: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointOpened:
    """These handoffs were asked together. Only `people` were told, once, of `lead`.

    `waited_mils` is what their waiting had cost by then.
    """

    checkpoint_id: CheckpointId
    why: Why
    lead: HandoffId
    handoffs: tuple[HandoffId, ...]
    people: tuple[PersonId, ...]
    until: datetime
    waited_mils: int = 0
    because: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointJoined:
    """These were asked too, while it was still looked at. Nobody was told again."""

    checkpoint_id: CheckpointId
    handoffs: tuple[HandoffId, ...]
