"""Decisions and the other things people do to a handoff."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from handfast.core.domain import handoff_routing as routing
from handfast.core.domain import handoff_votes as votes
from handfast.core.domain.action import Call
from handfast.core.domain.assertion import Assertion, Signed, presented_after
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import NotPermitted, StaleDecision, UsageError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_handoff import (
    DecisionKind,
    HandoffCommented,
    HandoffKind,
    HandoffUnvoted,
    HandoffViewed,
)
from handfast.core.domain.faults import fault_point
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Person
from handfast.core.domain.requirement import is_audience
from handfast.core.domain.run import Run
from handfast.engine.audiences import Audiences
from handfast.engine.chat import Chat
from handfast.engine.deferring import taken_up
from handfast.engine.edits import Edited, Edits
from handfast.engine.effects import check_readable, settle_doubt
from handfast.engine.glances import looked_lately
from handfast.engine.grants import deciding_person, grant_of
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.limits import RunLimits
from handfast.engine.passkeys import Relying, check, options_of
from handfast.engine.repeats import said_by
from handfast.engine.review_edits import ReviewEdits
from handfast.engine.takeovers import Takeovers
from handfast.engine.waking import wake

MAX_REASON = 20_000
LOST = "a role, a team or the project was lost since"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says. `edited` is the command or content as it should run, for approve_with_edits; of finished
    work `edited_files` are the texts by path. `scope` is what an approval that decides gives, `assertion` what their passkey signed for `relying`.
    `covers_unshown`: an approval is meant for what was too large to be shown, too."""

    handoff_id: str
    kind: DecisionKind
    presented_digest: str
    reason: str = ""
    edited: str = ""
    answer: str = ""
    request_key: str = ""
    scope: Wanted = AS_THE_RULE_SAYS
    assertion: str = ""
    relying: Relying | None = None
    edited_files: Mapping[str, str] = field(default_factory=dict)
    covers_unshown: bool = False


class Handoffs:
    """All calls are atomic. The first decision wins; a later one raises AlreadyDecided."""

    def __init__(
        self,
        audiences: Audiences,
        limits: RunLimits,
        edits: Edits,
        review_edits: ReviewEdits,
        takeovers: Takeovers,
        chat: Chat,
    ) -> None:
        self._chat = chat
        self._limits = limits
        self._takeovers = takeovers
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._edits = edits
        self._review_edits = review_edits

    def decide(self, actor: Actor, d: Decision) -> Result:
        """Record a person's decision, or their vote while it takes more. A decision mints its grant and
        wakes the run. Result: handoff_id, decision, grant_id, decided. Idempotent by `request_key`.

        An edit that policy asks more of decides nothing: `handoff_id` is then of the handoff it opened.

        Raises NotPermitted, NotFound, AlreadyDecided, InvalidTransition, StaleDecision, UsageError.
        """
        if len(d.reason) > MAX_REASON or len(d.answer) > MAX_REASON:
            raise UsageError(f"`reason` is longer than {MAX_REASON} characters")
        result = self._kernel.run(
            actor,
            lambda unit: self._decide(unit, actor, d),
            key=d.request_key,
            command=said_by(replace(d, scope=d.scope.as_sent)),
            before_commit=lambda: fault_point("decision.before_commit"),
        )
        fault_point("decision.after_commit")
        return result

    def _decide(self, unit: Unit, actor: Actor, d: Decision) -> Result:
        handoff = self._without_the_gone(unit, unit.get(Handoff, d.handoff_id))
        person = deciding_person(unit, self._chat.admitted(unit, actor, handoff, d.kind))
        edited = self._edited(unit, handoff, d, person)
        command = self._command(unit, actor, d, handoff, person, edited)
        try:
            events = votes.decide(handoff, command, unit.now)
        except NotPermitted as e:
            e.details["could"] = self._could(unit, handoff)
            raise
        if d.kind in votes.APPROVING:
            check_readable(self._kernel, handoff)
        edits = self._review_edits if handoff.kind is HandoffKind.REVIEW else self._edits
        if edited is not None and edits.asks_more(unit, handoff, edited):
            new = edits.hand_on(unit, handoff, edited, person.person_id, d.reason)
            wake(unit, handoff)
            return _said(new, "")
        handoff = unit.record(Handoff, d.handoff_id, events)
        if edited is not None and handoff.waiting:
            unit.post("handoff.routed", {"handoff_id": d.handoff_id})
        if handoff.decision is not None:
            if handoff.kind is HandoffKind.ESCALATION:
                self._limits.decided(unit, handoff)
            settle_doubt(unit, handoff)
            self._taken_over(unit, handoff, d.reason)
            wake(unit, handoff)
            unit.post("handoff.decided", {"handoff_id": d.handoff_id})
        return _said(handoff, d.kind.value)

    def _edited(self, unit: Unit, handoff: Handoff, d: Decision, person: Person) -> Edited | None:
        """The form a reviewer made of it. Raises as the readers of an edit do."""
        if d.kind is not DecisionKind.APPROVE_WITH_EDITS:
            return None
        if handoff.kind is HandoffKind.REVIEW:
            return self._review_edits.read(unit, handoff, d.edited_files, person)
        return self._edits.read(unit, handoff, d.edited)

    def _without_the_gone(self, unit: Unit, handoff: Handoff) -> Handoff:
        """Approvals that their people could not give any more end before others are added to them: who lost a
        role, a team or the project. A turn that is over takes nothing back."""
        for vote in handoff.votes:
            counts = self._audiences.counts_for(unit, handoff, vote.person_id, vote.at)
            if not set(vote.clauses) <= set(counts):
                gone = HandoffUnvoted(handoff.handoff_id, vote.person_id, LOST)
                handoff = unit.record(Handoff, handoff.handoff_id, [gone])
        return handoff

    def _taken_over(self, unit: Unit, handoff: Handoff, reason: str) -> None:
        """The decision hands the run itself to whoever made it."""
        d = handoff.decision
        run = unit.find(Run, handoff.run_id) if handoff.run_id else None
        if d is None or d.kind is not DecisionKind.TAKE_OVER or run is None or run.command is None:
            return
        self._takeovers.take_in(unit, run, d.person_id, reason, handoff.handoff_id)

    def _could(self, unit: Unit, handoff: Handoff) -> list[str]:
        """The ids of at most 20 people whose approval would count."""
        counted = self._audiences.counted(unit, handoff)
        found = [p for p, member in counted.items() if votes.counting(handoff, p, member)]
        return [str(p) for p in found[:20]]

    def _command(
        self,
        unit: Unit,
        actor: Actor,
        d: Decision,
        handoff: Handoff,
        person: Person,
        edited: Edited | None,
    ) -> votes.Decide:
        person_id = person.person_id
        assertion = _assertion(person, handoff, d, edited)
        return votes.Decide(
            kind=d.kind,
            person_id=person_id,
            auth="passkey" if assertion else actor.auth,
            presented_digest=d.presented_digest,
            grant_id=grant_of(d.handoff_id),
            grant_ttl_s=self._kernel.settings.grant_ttl_s,
            counts_for=self._audiences.counts_for(unit, handoff, person_id),
            has_reason=bool(d.reason.strip()),
            reason=unit.put(d.reason.strip()) if d.reason.strip() else None,
            edited_action=unit.put_json(edited.call.canonical()) if edited else None,
            edited_digest=edited.call.digest if edited else "",
            edited_rules=tuple(r.id for r in edited.judgement.rules) if edited else (),
            edited_text=unit.put(edited.text) if edited and edited.text else None,
            next_presented=presented_after(handoff.presented_digest, edited.call.digest)
            if edited
            else "",
            answer=d.answer.strip(),
            scope=d.scope,
            assertion=assertion,
            covers_unshown=d.covers_unshown,
        )

    def to_sign(self, actor: Actor, d: Decision) -> Result:
        """What the browser needs to have a passkey sign this decision. Nothing is recorded.

        Raises as `decide` does for what cannot be decided at all, and without a passkey.
        """
        unit = Unit(self._kernel, actor, "")
        person = deciding_person(unit, actor)
        handoff = unit.get(Handoff, d.handoff_id)
        if d.presented_digest != handoff.presented_digest or d.relying is None:
            raise StaleDecision(
                f"handoff `{d.handoff_id}` is not what was shown", hint="Reload the page."
            )
        edited = self._edited(unit, handoff, d, person)
        return options_of(person, d.relying, _signed(person, d, edited))

    def closed_to(self, person_id: str, handoff_id: str) -> str:
        """Why no decision of this person would be taken on what waits: `role`, `audience`, '' where one would.

        To show before they write anything. `decide` says it again, and of an approval more.
        """
        unit = Unit(self._kernel, SYSTEM, "")
        person, handoff = unit.get(Person, person_id), unit.get(Handoff, handoff_id)
        if not person.may_decide:
            return "role"
        return "" if self._audiences.counts_for(unit, handoff, person.person_id) else "audience"

    def current_call(self, handoff: Handoff) -> Call:
        """The call as it is put to a vote now: edited, where somebody edited it."""
        return self._edits.current_call(handoff)

    def action_of(self, handoff: Handoff) -> Call:
        """The exact call that the handoff is about. Raises StaleDecision when it was erased."""
        return self._edits.action_of(handoff)

    def call_in(self, body_id: str) -> Call:
        """The exact call that was recorded there. Raises StaleDecision when it was erased."""
        return self._edits.call_in(body_id)

    def acknowledge(self, actor: Actor, handoff_id: str) -> Result:
        """'I have it.' Idempotent for the holder."""

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            state = taken_up(self._audiences, unit, unit.get(Handoff, handoff_id))
            unit.record(Handoff, handoff_id, routing.acknowledge(state, person.person_id))
            return {"handoff_id": handoff_id, "holder": person.person_id}

        return self._kernel.run(actor, work)

    def release(self, actor: Actor, handoff_id: str) -> Result:
        """Give it back: the level it was at has its time again."""

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            state = unit.get(Handoff, handoff_id)
            unit.record(Handoff, handoff_id, routing.release(state, person.person_id))
            return {"handoff_id": handoff_id, "holder": ""}

        return self._kernel.run(actor, work)

    def unvote(self, actor: Actor, handoff_id: str) -> Result:
        """Take back one's approval while it has decided nothing. Raises InvalidTransition."""

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            state = unit.get(Handoff, handoff_id)
            unit.record(Handoff, handoff_id, votes.unvote(state, person.person_id))
            return {"handoff_id": handoff_id}

        return self._kernel.run(actor, work)

    def re_route(self, actor: Actor, handoff_id: str, to: tuple[str, ...], reason: str) -> Result:
        """Ask an audience instead of whoever is asked now. Who counts stays as it was.

        Raises UsageError for an audience in which nobody counts, and without a reason.
        """
        if not to or any(not is_audience(name) for name in to):
            raise UsageError(
                "`to` is nobody who can be asked",
                hint="Name reviewers, team:NAME, role:NAME, person:LOGIN or oncall:NAME.",
            )
        if not reason.strip() or len(reason) > MAX_REASON:
            raise UsageError(f"`reason` must have 1 to {MAX_REASON} characters")

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            state = taken_up(self._audiences, unit, unit.get(Handoff, handoff_id))
            repository = self._audiences.repository_of(unit, state)
            counted = self._audiences.counted(unit, state)
            people = tuple(
                p
                for p in self._audiences.asked(unit, to, repository)
                if votes.counting(state, p, counted.get(p, ()))
            )
            body = unit.put(reason.strip())
            command = routing.ReRoute(person.person_id, to, people, body)
            unit.record(Handoff, handoff_id, routing.re_route(state, command, unit.now))
            unit.post("handoff.routed", {"handoff_id": handoff_id})
            return {"handoff_id": handoff_id, "asked": ", ".join(to)}

        return self._kernel.run(actor, work)

    def snooze(self, actor: Actor, handoff_id: str, until: datetime) -> Result:
        """Hide it from its holder's inbox until then. Deadlines go on. Raises UsageError for a time that
        is past or not before the deadline, InvalidTransition for all but the holder."""

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            state = unit.get(Handoff, handoff_id)
            events = routing.snooze(state, person.person_id, until, unit.now)
            unit.record(Handoff, handoff_id, events)
            return {"handoff_id": handoff_id, "until": format_time(until)}

        return self._kernel.run(actor, work)

    def comment(self, actor: Actor, handoff_id: str, text: str) -> Result:
        """Does not decide anything. Raises UsageError for an empty or oversized text."""
        if not text.strip() or len(text) > MAX_REASON:
            raise UsageError(f"`text` must have 1 to {MAX_REASON} characters")

        def work(unit: Unit) -> Result:
            state = unit.get(Handoff, handoff_id)
            event = HandoffCommented(state.handoff_id, unit.put(text.strip()))
            unit.record(Handoff, handoff_id, [event])
            return {"handoff_id": handoff_id}

        return self._kernel.run(actor, work)

    def viewed(self, actor: Actor, handoff_id: str, dwell_ms: int = 0) -> Result:
        """Record that a person had the case before them, in the form they saw it: once a minute."""

        def work(unit: Unit) -> Result:
            state = unit.get(Handoff, handoff_id)
            event = HandoffViewed(
                state.handoff_id, PersonId(actor.id), state.presented_digest, dwell_ms
            )
            if not looked_lately(self._kernel.store, unit, event):
                unit.record(Handoff, handoff_id, [event])
            return {"handoff_id": handoff_id}

        return self._kernel.run(actor, work)


def _assertion(
    person: Person, handoff: Handoff, d: Decision, edited: Edited | None
) -> Assertion | None:
    """The signature on this decision, where the rule asks for one; elsewhere none is kept. Raises NotPermitted
    where one is needed, or one is wrong."""
    if not handoff.requirement.passkey:
        return None
    if d.assertion and d.relying is not None:
        return check(person, d.relying, _signed(person, d, edited), d.assertion)
    if d.kind in votes.APPROVING:
        raise NotPermitted(
            f"an approval of handoff `{handoff.handoff_id}` is signed with a passkey",
            code="passkey_needed",
            hint="Open the case in the browser and sign it there. A passkey is added on the account page.",
        )
    return None


def _signed(person: Person, d: Decision, edited: Edited | None) -> Signed:
    return Signed(
        handoff_id=d.handoff_id,
        person_id=person.person_id,
        presented_digest=d.presented_digest,
        said=d.kind.value,
        edited_digest=edited.call.digest if edited else "",
        answer=d.answer.strip(),
        scope=d.scope.signed,
    )


def _said(handoff: Handoff, decision: str) -> Result:
    return {
        "handoff_id": handoff.handoff_id,
        "decision": decision,
        "grant_id": handoff.grant.grant_id if handoff.grant else "",
        "decided": handoff.decision is not None,
    }
