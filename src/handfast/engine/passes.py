"""Deciding several handoffs of a checkpoint in one pass.

A pass is no decision of its own: each item names the digest of what was shown, is checked and recorded by
itself, and takes exactly what it takes alone. What is refused is named, and changes nothing about the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from handfast.core.domain.checkpoint import MAX_HANDOFFS, Checkpoint
from handfast.core.domain.errors import HandfastError, IntegrityError, NotFound, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.handoff_votes import APPROVING, REASON_FOR_RISK
from handfast.engine.effects import open_package
from handfast.engine.handoffs import Decision, Handoffs
from handfast.engine.kernel import Kernel, Result
from handfast.engine.knowing import Knowing


@dataclass(frozen=True, slots=True)
class Item:
    """What a person says about one handoff. `reason` is of this item; '' leaves it to that of the pass."""

    handoff_id: str
    kind: DecisionKind
    presented_digest: str
    reason: str = ""
    answer: str = ""
    edited: str = ""
    scope: Wanted = AS_THE_RULE_SAYS


@dataclass(frozen=True, slots=True)
class Pass:
    """`reason` goes to each item without one of its own, where that is enough."""

    checkpoint_id: str
    items: tuple[Item, ...]
    reason: str = ""
    request_key: str = ""


class Passes:
    """Items are decided one after the other; each is atomic, and idempotent by `request_key`."""

    def __init__(self, kernel: Kernel, handoffs: Handoffs, knowing: Knowing) -> None:
        self._kernel = kernel
        self._knowing = knowing
        self._handoffs = handoffs

    def decide(
        self, actor: Actor, p: Pass, refused: Callable[[HandfastError], object] = lambda _: None
    ) -> Result:
        """Result: checkpoint_id, and for each item in order: handoff_id, decision, decided, grant_id, and
        `refused` (code, message, hint, retryable), None where it was taken.

        `refused` is called with each error that is answered in place of a decision.

        What the person may not know of is not of the checkpoint, and is refused like that.

        Raises NotFound for the checkpoint, also when they may know of nothing in it, UsageError for a pass that names a handoff twice or none.
        """
        checkpoint = self._kernel.state(Checkpoint, p.checkpoint_id)
        seen = self._knowing.known_to(actor, checkpoint.handoffs)
        if not seen:
            raise NotFound(f"there is no checkpoint `{p.checkpoint_id}`")
        named = [item.handoff_id for item in p.items]
        if not 0 < len(named) <= MAX_HANDOFFS or len(set(named)) < len(named):
            raise UsageError(
                f"a pass decides 1 to {MAX_HANDOFFS} handoffs, each once", code="bad_pass"
            )
        results = [self._one(actor, seen, p, item, refused) for item in p.items]
        return {"checkpoint_id": p.checkpoint_id, "results": results}

    def _one(
        self,
        actor: Actor,
        seen: Sequence[str],
        p: Pass,
        item: Item,
        refused: Callable[[HandfastError], object],
    ) -> Result:
        try:
            if item.handoff_id not in seen:
                raise NotFound(
                    f"handoff `{item.handoff_id}` is not of checkpoint `{p.checkpoint_id}`",
                    code="not_in_checkpoint",
                    hint="Decide it on its own page.",
                )
            decision = Decision(
                handoff_id=item.handoff_id,
                kind=item.kind,
                presented_digest=item.presented_digest,
                reason=item.reason.strip() or self._shared(p, item),
                edited=item.edited,
                answer=item.answer,
                request_key=f"{p.request_key}:{item.handoff_id}" if p.request_key else "",
                scope=item.scope,
            )
            return {**self._handoffs.decide(actor, decision), "refused": None}
        except IntegrityError:  # nothing more is to be written
            raise
        except HandfastError as e:
            refused(e)
            return _refused(item, e)

    def _shared(self, p: Pass, item: Item) -> str:
        """The reason of the pass, for an item it may speak for. Raises UsageError for any other approval."""
        handoff = self._kernel.state(Handoff, item.handoff_id)
        if item.kind in APPROVING and handoff.requirement.passkey:
            return p.reason  # it is refused for want of the passkey, whatever the reason
        if item.kind in APPROVING and (why := looked_at_alone(self._kernel, handoff)):
            raise UsageError(
                f"handoff `{item.handoff_id}` is not approved along with others: {why}",
                code="needs_own_reason",
                hint="Give it a reason of its own, or decide it on its own page.",
            )
        return p.reason


def looked_at_alone(kernel: Kernel, h: Handoff) -> str:
    """Why an approval of it needs a reason of its own, '' where one for several will do."""
    if h.risk in REASON_FOR_RISK:
        return f"{h.risk} risk"
    if h.whole is not None:
        return "not all of it is shown here"
    what = open_package(kernel, h).what_will_happen
    if what.opaque:
        return "it could not be read in full"
    return "" if what.reversible is True else "it may have no undo"


def _refused(item: Item, e: HandfastError) -> Result:
    problem = {"code": e.code, "message": e.message, "hint": e.hint, "retryable": e.retryable}
    return {
        "handoff_id": item.handoff_id,
        "decision": "",
        "decided": False,
        "grant_id": "",
        "refused": problem,
    }
