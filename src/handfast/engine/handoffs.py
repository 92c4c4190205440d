"""Decisions and the other things people do to a handoff."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from handfast.core.domain import handoff_routing as routing
from handfast.core.domain import handoff_votes as votes
from handfast.core.domain.action import Call, Judgement, Verdict
from handfast.core.domain.canonical import digest
from handfast.core.domain.codec import decode, format_time
from handfast.core.domain.errors import NotPermitted, StaleDecision, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import (
    DecisionKind,
    HandoffCommented,
    HandoffKind,
    HandoffViewed,
)
from handfast.core.domain.faults import fault_point
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Person
from handfast.core.domain.requirement import covers, in_words, is_audience
from handfast.core.domain.run import Run
from handfast.engine.audiences import About, Audiences
from handfast.engine.gating import owners_of
from handfast.engine.grants import grant_of
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.limits import RunLimits
from handfast.engine.policies import Policies
from handfast.engine.reading import ReadCall
from handfast.engine.waking import wake

MAX_REASON = 20_000


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says. `edited` is the command as it should run, for approve_with_edits."""

    handoff_id: str
    kind: DecisionKind
    presented_digest: str
    reason: str = ""
    edited: str = ""
    answer: str = ""
    request_key: str = ""


class Handoffs:
    """All calls are atomic. The first decision wins; a later one raises AlreadyDecided."""

    def __init__(
        self, audiences: Audiences, policies: Policies, limits: RunLimits, read_call: ReadCall
    ) -> None:
        self._limits = limits
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._policies = policies
        self._read_call = read_call

    def decide(self, actor: Actor, d: Decision) -> Result:
        """Record a person's decision, or their vote while it takes more. A decision mints its grant and
        wakes the run. Result: handoff_id, decision, grant_id, decided. Idempotent by `request_key`.

        Raises NotPermitted, NotFound, AlreadyDecided, InvalidTransition, StaleDecision, UsageError.
        """
        if len(d.reason) > MAX_REASON or len(d.answer) > MAX_REASON:
            raise UsageError(f"`reason` is longer than {MAX_REASON} characters")
        result = self._kernel.run(
            actor,
            lambda unit: self._decide(unit, actor, d),
            key=d.request_key,
            command=[d.handoff_id, d.kind.value, d.presented_digest, d.reason, d.edited, d.answer],
            before_commit=lambda: fault_point("decision.before_commit"),
        )
        fault_point("decision.after_commit")
        return result

    def _decide(self, unit: Unit, actor: Actor, d: Decision) -> Result:
        person = self._decider(unit, actor)
        handoff = unit.get(Handoff, d.handoff_id)
        edited = (
            self._edited(unit, handoff, d) if d.kind is DecisionKind.APPROVE_WITH_EDITS else None
        )
        command = votes.Decide(
            kind=d.kind,
            person_id=person.person_id,
            auth=actor.auth,
            presented_digest=d.presented_digest,
            grant_id=grant_of(d.handoff_id),
            grant_ttl_s=self._kernel.settings.grant_ttl_s,
            counts_for=self._audiences.counts_for(unit, handoff, person.person_id),
            has_reason=bool(d.reason.strip()),
            reason=unit.put(d.reason.strip()) if d.reason.strip() else None,
            edited_action=unit.put_json(edited.canonical()) if edited else None,
            edited_digest=edited.digest if edited else "",
            next_presented=_presented(handoff, edited) if edited else "",
            answer=d.answer.strip(),
        )
        try:
            events = votes.decide(handoff, command, unit.now)
        except NotPermitted as e:
            e.details["could"] = self._could(unit, handoff)
            raise
        handoff = unit.record(Handoff, d.handoff_id, events)
        if handoff.decision is not None:
            if handoff.kind is HandoffKind.ESCALATION:
                self._limits.decided(unit, handoff)
            wake(unit, handoff)
            unit.post("handoff.decided", {"handoff_id": d.handoff_id})
        return {
            "handoff_id": d.handoff_id,
            "decision": d.kind.value,
            "grant_id": handoff.grant.grant_id if handoff.grant else "",
            "decided": handoff.decision is not None,
        }

    def _could(self, unit: Unit, handoff: Handoff) -> list[str]:
        """The ids of at most 20 people whose approval would count."""
        counted = self._audiences.counted(unit, handoff)
        found = [p for p, member in counted.items() if votes.counting(handoff, p, member)]
        return [str(p) for p in found[:20]]

    def _decider(self, unit: Unit, actor: Actor) -> Person:
        """Only a person with a role that decides, who proved who they are as a person does."""
        if actor.type != "person" or actor.auth not in ("browser", "pin"):
            raise NotPermitted(
                "only a signed-in person can decide; a token cannot",
                hint="Decide in the browser, or in a terminal with your PIN.",
            )
        person = unit.get(Person, actor.id)
        if not person.may_decide:
            raise NotPermitted(
                "your roles do not include deciding", hint="Ask an admin for the reviewer role."
            )
        return person

    def _edited(self, unit: Unit, handoff: Handoff, d: Decision) -> Call:
        """The edited action, judged by policy again. What policy denies cannot be edited in."""
        if handoff.action is None:
            raise UsageError("this handoff has no action that could be edited")
        original = self.current_call(handoff)
        if not d.edited.strip():
            raise UsageError("`edited_call` is empty", hint="Send the call as it should run.")
        if "command" not in original.arguments:
            raise UsageError(
                f"a `{original.tool}` call cannot be edited here",
                hint="Request changes, and say what should be different.",
            )
        run = unit.get(Run, handoff.run_id)
        arguments = {"command": d.edited.strip()}
        call, facts = self._read_call(original.tool, arguments, run, original.cwd)
        judged = self._policies.judge(unit, run, call, facts)
        self._check_edit(original, call, judged)
        about = About(
            HandoffKind.APPROVAL, judged.risk.value, handoff.run_id, owners=owners_of(facts)
        )
        wanted = self._audiences.resolve(unit, about, judged.requirement).requirement
        if not covers(handoff.requirement, wanted):
            raise UsageError(
                f"the edited call takes more than this handoff asks for: {in_words(wanted)}",
                code="edit_needs_more",
                hint="Request changes, so that the agent proposes it and the right people are asked.",
            )
        return call

    def _check_edit(self, original: Call, call: Call, judgement: Judgement) -> None:
        if call.digest == original.digest:
            raise UsageError(
                "the edited call is the same as the original", hint="Approve it instead."
            )
        if judgement.verdict is Verdict.DENY:
            why = " ".join(r.why for r in judgement.rules)
            raise UsageError(f"policy denies the edited call: {why}", code="edit_denied")

    def current_call(self, handoff: Handoff) -> Call:
        """The call as it is put to a vote now: edited, where somebody edited it."""
        edit = handoff.edit
        return self.call_in(edit.action.body_id) if edit else self.action_of(handoff)

    def action_of(self, handoff: Handoff) -> Call:
        """The exact call that the handoff is about. Raises StaleDecision when it was erased."""
        if handoff.action is None:
            raise UsageError(f"handoff `{handoff.handoff_id}` has no action")
        return self.call_in(handoff.action.body_id)

    def call_in(self, body_id: str) -> Call:
        content = self._kernel.vault.open(body_id)
        if content.erased:
            raise StaleDecision("the action was erased; nobody can approve what cannot be read")
        return decode(Call, cast("dict[str, object]", json.loads(content.data)))

    def acknowledge(self, actor: Actor, handoff_id: str) -> Result:
        """'I have it.' Idempotent for the holder."""

        def work(unit: Unit) -> Result:
            person = self._decider(unit, actor)
            state = unit.get(Handoff, handoff_id)
            unit.record(Handoff, handoff_id, routing.acknowledge(state, person.person_id))
            return {"handoff_id": handoff_id, "holder": person.person_id}

        return self._kernel.run(actor, work)

    def release(self, actor: Actor, handoff_id: str) -> Result:
        """Give it back: the level it was at has its time again."""

        def work(unit: Unit) -> Result:
            person = self._decider(unit, actor)
            state = unit.get(Handoff, handoff_id)
            unit.record(Handoff, handoff_id, routing.release(state, person.person_id))
            return {"handoff_id": handoff_id, "holder": ""}

        return self._kernel.run(actor, work)

    def unvote(self, actor: Actor, handoff_id: str) -> Result:
        """Take back one's approval while it has decided nothing. Raises InvalidTransition."""

        def work(unit: Unit) -> Result:
            person = self._decider(unit, actor)
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
            person = self._decider(unit, actor)
            state = unit.get(Handoff, handoff_id)
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
            return {"handoff_id": handoff_id, "asked": ", ".join(to)}

        return self._kernel.run(actor, work)

    def snooze(self, actor: Actor, handoff_id: str, until: datetime) -> Result:
        """Hide it from its holder's inbox until then. Deadlines go on. Raises UsageError for a time that
        is past or not before the deadline, InvalidTransition for all but the holder."""

        def work(unit: Unit) -> Result:
            person = self._decider(unit, actor)
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
        """Record that a person had the case before them, in the form they saw it."""

        def work(unit: Unit) -> Result:
            state = unit.get(Handoff, handoff_id)
            event = HandoffViewed(
                state.handoff_id, PersonId(actor.id), state.presented_digest, dwell_ms
            )
            unit.record(Handoff, handoff_id, [event])
            return {"handoff_id": handoff_id}

        return self._kernel.run(actor, work)


def _presented(handoff: Handoff, edited: Call) -> str:
    """Names what the others are shown after an edit: the case as it was, with another call."""
    return digest({"presented": handoff.presented_digest, "edited": edited.digest})
