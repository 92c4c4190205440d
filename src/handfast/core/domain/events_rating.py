"""Facts about how a package was read, and how good it was in the eyes of who decided on it."""

from dataclasses import dataclass
from enum import StrEnum

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import HandoffId, PersonId


class Part(StrEnum):
    """Of a package: what may be lacking."""

    ASK = "ask"
    WHAT = "what_will_happen"
    WHY = "why_now"
    EVIDENCE = "evidence"
    ATTEMPTS = "attempts"
    BRIEF = "brief"
    QUESTION = "open_question"


@dataclass(frozen=True, slots=True)
class HandoffRated:
    """A decider's rating of the package: what was needed was there, or `lacks` says what was not. The last one of
    a person counts."""

    handoff_id: HandoffId
    person_id: PersonId
    good: bool
    lacks: tuple[Part, ...] = ()
    note: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class HandoffAttended:
    """A person's page of the case was in view for `dwell_ms`, in the form with that digest, and they unfolded
    `opened`. Their browser says so; without its script nothing is said."""

    handoff_id: HandoffId
    person_id: PersonId
    presented_digest: str
    dwell_ms: int
    opened: tuple[str, ...] = ()
