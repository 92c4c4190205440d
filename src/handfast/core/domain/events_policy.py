"""Facts about the rules themselves: proposed, published, declined. The text is a body, named by its digest."""

from dataclasses import dataclass

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import PersonId


@dataclass(frozen=True, slots=True)
class PolicyProposed:
    """`scope` is `organisation`, or the repository the policy is for. `digest` is over the exact text."""

    scope: str
    digest: str
    text: BodyRef
    author: PersonId
    reason: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class PolicyPublished:
    """In force from here on. Author and approver are the same only where one person alone may approve."""

    scope: str
    digest: str
    approver: PersonId


@dataclass(frozen=True, slots=True)
class PolicyDeclined:
    """A proposal that was refused or taken back; what was in force stays in force."""

    scope: str
    digest: str
    by: PersonId
    reason: BodyRef | None = None
