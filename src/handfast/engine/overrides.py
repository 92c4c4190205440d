"""Emergencies: one person approves in place of all that it takes, and another one must review that."""

from dataclasses import dataclass

from handfast.core.domain import handoff_votes as votes
from handfast.core.domain.action import Risk
from handfast.core.domain.errors import NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId, RunId
from handfast.core.domain.inert import inert
from handfast.core.domain.package import Package, ShowKind, WhatWillHappen
from handfast.core.domain.person import Person
from handfast.core.domain.requirement import (
    REVIEWERS,
    Clause,
    Requirement,
    Silence,
    in_words,
)
from handfast.core.domain.run import Run
from handfast.engine.audiences import Audiences
from handfast.engine.effects import check_readable, open_package
from handfast.engine.grants import grant_of
from handfast.engine.kernel import Result, Unit
from handfast.engine.limits import RunLimits
from handfast.engine.opening import Opening, open_handoff
from handfast.engine.packages import containment, cost_of
from handfast.engine.paging import every
from handfast.engine.projections import OVERRIDE_REVIEWS
from handfast.engine.proofs import present
from handfast.engine.repeats import said_by
from handfast.engine.waking import wake
from handfast.storage.api import Query

MAY_OVERRIDE = frozenset({"admin", "operator"})
MAX_REASON = 20_000
_SECOND = Requirement((Clause(1, (REVIEWERS,), separate=True),), 0, Silence.ESCALATE)


@dataclass(frozen=True, slots=True)
class Emergency:
    """`presented_digest` names exactly what the person saw; the reason is for whoever reviews it."""

    handoff_id: str
    presented_digest: str
    reason: str
    request_key: str = ""


class Overrides:
    """All calls are atomic."""

    def __init__(self, audiences: Audiences, limits: RunLimits) -> None:
        self._audiences = audiences
        self._limits = limits
        self._kernel = audiences.kernel

    def override(self, actor: Actor, e: Emergency) -> Result:
        """Approve now, and open the review of that. Result: handoff_id, grant_id, review_id, overrides.

        Raises NotPermitted for all but a signed-in admin or operator who did not ask for the work
        (unless nobody else is there), UsageError without a reason, and what a decision raises.
        """
        if not e.reason.strip() or len(e.reason) > MAX_REASON:
            raise UsageError(
                f"`reason` must have 1 to {MAX_REASON} characters",
                hint="Write why this cannot wait; another person reviews it.",
            )

        def work(unit: Unit) -> Result:
            person = _overrider(unit, actor)
            before = unit.get(Handoff, e.handoff_id)
            command = votes.Override(
                person_id=person.person_id,
                auth=actor.auth,
                presented_digest=e.presented_digest,
                reason=unit.put(e.reason.strip()),
                grant_id=grant_of(e.handoff_id),
                grant_ttl_s=self._kernel.settings.grant_ttl_s,
                only_one=self._only_one(unit, person.person_id),
            )
            events = votes.override(before, command, unit.now)
            check_readable(self._kernel, before)
            after = unit.record(Handoff, e.handoff_id, events)
            if after.kind is HandoffKind.ESCALATION:
                self._limits.decided(unit, after)
            wake(unit, after)
            unit.post("handoff.decided", {"handoff_id": e.handoff_id})
            count = len(
                self._kernel.store.find(Query("handoff", match=OVERRIDE_REVIEWS, limit=1000))
            )
            review = _open_review(self._audiences, unit, after, e.reason.strip(), count + 1)
            return {
                "handoff_id": e.handoff_id,
                "grant_id": after.grant.grant_id if after.grant else "",
                "review_id": review.handoff_id,
                "overrides": count + 1,
            }

        return self._kernel.run(actor, work, key=e.request_key, command=said_by(e))

    def _only_one(self, unit: Unit, person_id: PersonId) -> bool:
        """Whether nobody else could decide or override. The people are part of what this rests on."""
        others = 0
        for row in every(self._kernel.store, Query("person")):
            other = unit.get(Person, row.stream.partition("/")[2])
            able = other.may_decide or MAY_OVERRIDE & set(other.roles)
            if other.person_id != person_id and able:
                unit.rely_on(Person, other.person_id)
                others += 1
        return others == 0


def _overrider(unit: Unit, actor: Actor) -> Person:
    refused = NotPermitted(
        "only a signed-in person can override; a token cannot",
        hint="Use the browser, or a terminal with your PIN.",
    )
    person = present(unit, actor, refused)
    if not MAY_OVERRIDE & set(person.roles):
        raise NotPermitted(
            "your roles do not include overriding", hint="Ask an admin or an operator."
        )
    return person


def _open_review(
    audiences: Audiences, unit: Unit, h: Handoff, reason: str, count: int, *, again: bool = False
) -> Handoff:
    """It belongs to no run: it outlives the run that the override was for."""
    asked = open_package(audiences.kernel, h)
    run = unit.find(Run, h.run_id) if h.run_id else None
    by = h.decision.person_id if h.decision else PersonId("")
    before = " Nobody reviewed it when it was asked before." if again else ""
    package = Package(
        ask=inert(f"Review an override: {asked.ask}", 300, multiline=False),
        what_will_happen=WhatWillHappen(
            kind=asked.what_will_happen.kind if asked.what_will_happen.text else ShowKind.TEXT,
            text=asked.what_will_happen.text or "(empty)",
            details=(
                f"It took {in_words(h.requirement)}. One person approved it in an emergency.",
                f"The reason given: {inert(reason, 400, multiline=False)}",
            ),
            hazards=asked.what_will_happen.hazards,
            opaque=asked.what_will_happen.opaque,
            reversible=asked.what_will_happen.reversible,
        ),
        why_now=f"Every override is reviewed by a second person. Overrides so far: {count}.{before}",
        open_question="Was it right to override here?",
        state="It has been approved already. Your answer is recorded and runs nothing.",
        cost=cost_of(run) if run else asked.cost,
        pointers=(f"handoff {h.handoff_id}",),
        containment=containment(run) if run else "",
    )
    opening = Opening(
        kind=HandoffKind.REVIEW,
        risk=h.risk if h.risk == Risk.CRITICAL.value else Risk.HIGH.value,
        package=package,
        action_digest=h.action_digest,
        agent_id=h.agent_id,
        within_s=audiences.kernel.settings.approval_within_s,
        run_id=RunId(""),
        about=h.handoff_id,
        requirement=_SECOND,
        apart=(by,) if by else (),
    )
    return open_handoff(audiences, unit, opening)


def review_again(audiences: Audiences, unit: Unit, expired: Handoff) -> Handoff:
    """An override that nobody reviewed is asked about anew: it never drops out of the inbox."""
    h = unit.get(Handoff, expired.about)
    ref = h.decision.reason if h.decision else None
    reason = audiences.kernel.vault.text(ref)
    found = audiences.kernel.store.find(Query("handoff", match=OVERRIDE_REVIEWS, limit=1000))
    return _open_review(audiences, unit, h, reason, len(found), again=True)
