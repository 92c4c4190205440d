"""Several small approvals in one pass. Each is a decision of its own; what is not small is refused, with why."""

from collections.abc import Sequence
from dataclasses import dataclass

from handfast.core.domain.errors import HandfastError, LimitExceeded, StorageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.need import Need, need_of
from handfast.core.domain.package import Package
from handfast.core.policy.bulk import CaseFacts, more_than_a_look
from handfast.engine.effects import open_package
from handfast.engine.handoffs import Decision, Handoffs
from handfast.engine.kernel import Kernel

MOST = 50


@dataclass(frozen=True, slots=True)
class Pick:
    """One case, in the form the reviewer had before them."""

    handoff_id: str
    presented_digest: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one pick. `why` is empty when it was approved."""

    handoff_id: str
    ask: str
    approved: bool
    why: str = ""


def approve_together(
    kernel: Kernel, handoffs: Handoffs, actor: Actor, picks: Sequence[Pick], reason: str = ""
) -> list[Taken]:
    """Approve each pick that may be approved in bulk, in order. One that is refused stops no other.

    Raises LimitExceeded for more than 50, StorageError when the store is the trouble (what was approved
    before it stays approved).
    """
    if len(picks) > MOST:
        raise LimitExceeded(
            f"{len(picks)} cases are too many for one pass", hint=f"At most {MOST} at a time."
        )
    return [_one(kernel, handoffs, actor, pick, reason) for pick in picks]


def _one(kernel: Kernel, handoffs: Handoffs, actor: Actor, pick: Pick, reason: str) -> Taken:
    ask = ""
    try:
        handoff = kernel.state(Handoff, pick.handoff_id)
        package = open_package(kernel, handoff)
        ask = package.ask
        if handoff.waiting and (why := more_than_a_look(facts_of(handoff, package))):
            return Taken(pick.handoff_id, ask, approved=False, why=f"not in bulk: {why}")
        given = Decision(
            pick.handoff_id, DecisionKind.APPROVE, pick.presented_digest, reason=reason
        )
        handoffs.decide(actor, given)
    except StorageError:
        raise
    except HandfastError as e:
        return Taken(pick.handoff_id, ask, approved=False, why=f"{e.message}. {e.hint}".strip())
    return Taken(pick.handoff_id, ask, approved=True)


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
