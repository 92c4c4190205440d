"""Several small approvals in one pass. Each is a decision of its own; what is not small is refused, with why."""

from collections.abc import Sequence
from dataclasses import dataclass

from handfast.core.domain.errors import (
    HandfastError,
    IntegrityError,
    InvalidTransition,
    LimitExceeded,
    NotFound,
    StorageError,
    UsageError,
)
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.need import Need, need_of
from handfast.core.domain.package import Package
from handfast.core.policy.bulk import CaseFacts, more_than_a_look
from handfast.engine.effects import open_package
from handfast.engine.handoffs import Decision, Handoffs
from handfast.engine.kernel import Kernel
from handfast.engine.knowing import Knowing

MOST = 50


@dataclass(frozen=True, slots=True)
class Pick:
    """One case, in the form the reviewer had before them."""

    handoff_id: str
    presented_digest: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one pick. `refused` is why not, None where it was approved; `decided` is false while it
    takes more approvals."""

    handoff_id: str
    ask: str
    refused: HandfastError | None = None
    decided: bool = False
    grant_id: str = ""

    @property
    def approved(self) -> bool:
        return self.refused is None

    @property
    def why(self) -> str:
        e = self.refused
        return f"{e.message}. {e.hint}".strip() if e is not None else ""


@dataclass(frozen=True, slots=True)
class Together:
    """Several picks and the one reason for them. `request_key` makes each of them idempotent by itself."""

    picks: Sequence[Pick]
    reason: str = ""
    request_key: str = ""


def approve_together(
    kernel: Kernel, handoffs: Handoffs, knowing: Knowing, actor: Actor, given: Together
) -> list[Taken]:
    """Approve each pick that may be approved in bulk, in order. One that is refused stops no other. What the
    person may not know of is refused as what is not there.

    Raises LimitExceeded for more than 50, UsageError for none and for one that is named twice, NotFound where
    they may know of none of them, StorageError when the store is the trouble (what was approved before it stays
    approved).
    """
    named = [pick.handoff_id for pick in given.picks]
    if len(named) > MOST:
        raise LimitExceeded(
            f"{len(named)} cases are too many for one pass", hint=f"At most {MOST} at a time."
        )
    if not named or len(set(named)) < len(named):
        raise UsageError("cases are decided together each once", hint="Name at least one.")
    known = knowing.known_to(actor, named)
    if not known:
        raise _not_there(named[0])
    return [_one(kernel, handoffs, actor, given, pick, known) for pick in given.picks]


def _one(
    kernel: Kernel,
    handoffs: Handoffs,
    actor: Actor,
    given: Together,
    pick: Pick,
    known: Sequence[str],
) -> Taken:
    ask, key = "", given.request_key
    try:
        if pick.handoff_id not in known:
            raise _not_there(pick.handoff_id)
        handoff = kernel.state(Handoff, pick.handoff_id)
        package = open_package(kernel, handoff)
        ask = package.ask
        if handoff.waiting and (why := more_than_a_look(facts_of(handoff, package))):
            raise InvalidTransition(
                f"not in bulk: {why}", code="not_in_bulk", hint="Decide it by itself."
            )
        decision = Decision(
            pick.handoff_id,
            DecisionKind.APPROVE,
            pick.presented_digest,
            reason=given.reason,
            request_key=f"{key}:{pick.handoff_id}" if key else "",
        )
        done = handoffs.decide(actor, decision)
    except (StorageError, IntegrityError):
        raise
    except HandfastError as e:
        return Taken(pick.handoff_id, ask, e)
    return Taken(
        pick.handoff_id, ask, decided=done["decided"] is True, grant_id=str(done["grant_id"])
    )


def _not_there(handoff_id: str) -> NotFound:
    return NotFound(f"there is no handoff `{handoff_id}`")


def need_why(handoff: Handoff, package: Package) -> str:
    """Why a case that waits is in its group of the queue, '' where the group says it all."""
    if handoff.frozen_at is not None:
        return "frozen by the kill switch"
    match need_of(handoff):
        case Need.BLOCKED:
            return "nothing is offered to decide"
        case Need.ROUTE:
            return f"{handoff.kind.value}: someone must take it"
        case Need.JUDGE:
            return more_than_a_look(facts_of(handoff, package))
        case Need.STAMP | Need.LATER:
            return ""


def facts_of(handoff: Handoff, package: Package) -> CaseFacts:
    will = package.what_will_happen
    return CaseFacts(
        kind=handoff.kind.value,
        risk=handoff.risk,
        reversible=will.reversible,
        opaque=bool(will.opaque),
        unverified=any(claim.status != "recorded" for claim in package.evidence),
        edited=handoff.edit is not None,
    )
