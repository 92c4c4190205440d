"""The published policy of one scope: what is in force, and what is proposed to replace it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain import events_policy as e
from handfast.core.domain.errors import InvalidTransition, NotPermitted, StaleDecision
from handfast.core.domain.events import PolicyEvent
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import PersonId

ORGANISATION = "organisation"


@dataclass(frozen=True, slots=True)
class PolicyText:
    digest: str
    text: BodyRef
    author: PersonId
    at: datetime


@dataclass(frozen=True, slots=True)
class Publication:
    scope: str
    in_force: PolicyText | None = None
    proposed: PolicyText | None = None
    approver: PersonId = PersonId("")
    published_at: datetime | None = None
    version: int = 0


def evolve(state: Publication | None, event: PolicyEvent, at: datetime) -> Publication:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, e.PolicyProposed):
        proposed = PolicyText(event.digest, event.text, event.author, at)
        return replace(state or Publication(event.scope), proposed=proposed)
    if state is None:
        raise ValueError("a policy's first event must be policy.proposed")
    match event:
        case e.PolicyPublished():
            return replace(
                state,
                in_force=state.proposed,
                proposed=None,
                approver=event.approver,
                published_at=at,
                version=state.version + 1,
            )
        case e.PolicyDeclined():
            return replace(state, proposed=None)
        case _:
            assert_never(event)


def propose(state: Publication | None, proposed: e.PolicyProposed) -> list[PolicyEvent]:
    """A newer proposal replaces one that waits. Raises InvalidTransition for what is in force already."""
    if (
        state is not None
        and state.in_force is not None
        and state.in_force.digest == proposed.digest
    ):
        raise InvalidTransition(
            f"this policy is in force already for `{proposed.scope}`",
            hint="Nothing needs publishing.",
        )
    return [proposed]


def publish(
    state: Publication, digest: str, approver: PersonId, *, only_one: bool
) -> list[PolicyEvent]:
    """Put the proposal into force. `only_one`: nobody but the author could approve it.

    Raises StaleDecision when another text is proposed by now, NotPermitted for one's own text.
    """
    _check_proposed(state, digest)
    if state.proposed is not None and state.proposed.author == approver and not only_one:
        raise NotPermitted(
            "the author of a policy cannot approve it",
            hint="Ask another person with the operator or admin role.",
        )
    return [e.PolicyPublished(state.scope, digest, approver)]


def decline(
    state: Publication, digest: str, by: PersonId, reason: BodyRef | None
) -> list[PolicyEvent]:
    """Refuse a proposal, or take one's own back."""
    _check_proposed(state, digest)
    return [e.PolicyDeclined(state.scope, digest, by, reason)]


def _check_proposed(state: Publication, digest: str) -> None:
    if state.proposed is None:
        raise InvalidTransition(
            f"nothing is proposed for `{state.scope}`",
            hint="`handfast policy publish FILE` proposes.",
        )
    if state.proposed.digest != digest:
        raise StaleDecision(
            f"what is proposed for `{state.scope}` is not `{digest}` any more",
            hint="Look at the newer proposal.",
            details={"proposed": state.proposed.digest},
        )
