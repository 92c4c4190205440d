"""Decisions and the other things people do to a handoff."""

from dataclasses import dataclass

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain import run as runs
from handfast.core.domain.action import Call
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind, HandoffCommented, HandoffViewed
from handfast.core.domain.faults import fault_point
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Person
from handfast.core.domain.run import Run
from handfast.engine.edits import Edits, check_not_editor
from handfast.engine.effects import settle_doubt
from handfast.engine.grants import deciding_person, grant_of
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.policies import Policies
from handfast.engine.reading import ReadCall

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
    scope: Wanted = AS_THE_RULE_SAYS


class Handoffs:
    """All calls are atomic. The first decision wins; a later one raises AlreadyDecided."""

    def __init__(self, kernel: Kernel, policies: Policies, read_call: ReadCall) -> None:
        self._kernel = kernel
        self._edits = Edits(kernel, policies, read_call)

    def decide(self, actor: Actor, d: Decision) -> Result:
        """Record a person's decision, mint its grant, and wake the run. Idempotent by `request_key`.

        Raises NotPermitted, NotFound, AlreadyDecided, InvalidTransition, StaleDecision, UsageError.
        """
        if len(d.reason) > MAX_REASON or len(d.answer) > MAX_REASON:
            raise UsageError(f"`reason` is longer than {MAX_REASON} characters")
        result = self._kernel.run(
            actor,
            lambda unit: self._decide(unit, actor, d),
            key=d.request_key,
            command=[d.handoff_id, d.kind.value, d.presented_digest, d.reason, d.edited, d.answer]
            + ([d.scope.times, d.scope.span, d.scope.within_s] if d.scope.said else []),
            before_commit=lambda: fault_point("decision.before_commit"),
        )
        fault_point("decision.after_commit")
        return result

    def _decide(self, unit: Unit, actor: Actor, d: Decision) -> Result:
        person = self._decider(unit, actor)
        handoff = unit.get(Handoff, d.handoff_id)
        check_not_editor(handoff, person.person_id, d.kind)
        with_edits = d.kind is DecisionKind.APPROVE_WITH_EDITS
        edited = self._edits.read(unit, handoff, d.edited) if with_edits else None
        command = commands.Decide(
            kind=d.kind,
            person_id=person.person_id,
            auth=actor.auth,
            presented_digest=d.presented_digest,
            grant_id=grant_of(d.handoff_id),
            grant_ttl_s=self._kernel.settings.grant_ttl_s,
            has_reason=bool(d.reason.strip()),
            reason=unit.put(d.reason.strip()) if d.reason.strip() else None,
            edited_action=unit.put_json(edited.call.canonical()) if edited else None,
            edited_digest=edited.call.digest if edited else "",
            edited_rules=tuple(r.id for r in edited.judgement.rules) if edited else (),
            edited_text=unit.put(edited.text) if edited and edited.text else None,
            answer=d.answer.strip(),
            scope=d.scope,
        )
        events = commands.decide(handoff, command, unit.now)
        if edited and self._edits.asks_more(handoff, edited):
            new = self._edits.hand_on(unit, handoff, edited, person.person_id, d.reason)
            self._wake(unit, handoff)
            return {"handoff_id": new.handoff_id, "decision": "", "grant_id": ""}
        handoff = unit.record(Handoff, d.handoff_id, events)
        settle_doubt(unit, handoff)
        self._wake(unit, handoff)
        unit.post("handoff.decided", {"handoff_id": d.handoff_id})
        grant_id = handoff.grant.grant_id if handoff.grant else ""
        return {"handoff_id": d.handoff_id, "decision": d.kind.value, "grant_id": grant_id}

    def _decider(self, unit: Unit, actor: Actor) -> Person:
        return deciding_person(unit, actor)

    def call_in(self, body_id: str) -> Call:
        return self._edits.call_in(body_id)

    def _wake(self, unit: Unit, handoff: Handoff) -> None:
        if handoff.run_id and (run := unit.find(Run, handoff.run_id)):
            unit.rely_on(Run, run.run_id)  # a pause at this moment must not miss the decision
            unit.record(Run, run.run_id, runs.ready(run, handoff.handoff_id))

    def acknowledge(self, actor: Actor, handoff_id: str) -> Result:
        """'I have it.' Idempotent for the holder."""

        def work(unit: Unit) -> Result:
            person = self._decider(unit, actor)
            state = unit.get(Handoff, handoff_id)
            unit.record(Handoff, handoff_id, commands.acknowledge(state, person.person_id))
            return {"handoff_id": handoff_id, "holder": person.person_id}

        return self._kernel.run(actor, work)

    def release(self, actor: Actor, handoff_id: str) -> Result:
        def work(unit: Unit) -> Result:
            person = self._decider(unit, actor)
            state = unit.get(Handoff, handoff_id)
            unit.record(Handoff, handoff_id, commands.release(state, person.person_id))
            return {"handoff_id": handoff_id, "holder": ""}

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
