"""Facts about who stopped what, who covers whom, and who is away."""

from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import AgentId, PersonId


@dataclass(frozen=True, slots=True)
class ControlKilled:
    """From here on nothing of `scope` runs. It is `all` or `team:NAME`."""

    scope: str
    by: PersonId
    reason: BodyRef


@dataclass(frozen=True, slots=True)
class ControlReleased:
    """`stage` is `review`, `agents` (only those named act) or `all`."""

    scope: str
    stage: str
    by: PersonId
    reason: BodyRef
    agents: tuple[AgentId, ...] = ()


@dataclass(frozen=True, slots=True)
class RotationCovered:
    """`person_id` is on call for `rotation` in this time, whoever's turn it is. '' takes it back."""

    rotation: str
    person_id: PersonId
    starts: datetime
    ends: datetime
    by: PersonId
    reason: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class AwaySet:
    """Nobody asks this person in this time; the delegate is asked instead. '' is no delegate."""

    person_id: PersonId
    starts: datetime
    ends: datetime
    by: PersonId
    delegate: PersonId = PersonId("")


@dataclass(frozen=True, slots=True)
class AwayEnded:
    person_id: PersonId
    by: PersonId


@dataclass(frozen=True, slots=True)
class RolesSet:
    person_id: PersonId
    roles: tuple[str, ...]
    by: PersonId


@dataclass(frozen=True, slots=True)
class ViewsSet:
    """The saved views of a person's inbox, all of them, as JSON beside the log. None is no view."""

    person_id: PersonId
    views: BodyRef | None = None
