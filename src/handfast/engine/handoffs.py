"""Decisions and the other things people do to a handoff."""

import json
from dataclasses import dataclass
from typing import cast

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain import run as runs
from handfast.core.domain.action import Call, Judgement, Verdict
from handfast.core.domain.codec import decode
from handfast.core.domain.errors import StaleDecision, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind, HandoffCommented, HandoffViewed
from handfast.core.domain.faults import fault_point
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Person
from handfast.core.domain.run import Run
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
        self._policies = policies
        self._read_call = read_call

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
        edited = (
            self._edited(unit, handoff, d) if d.kind is DecisionKind.APPROVE_WITH_EDITS else None
        )
        command = commands.Decide(
            kind=d.kind,
            person_id=person.person_id,
            auth=actor.auth,
            presented_digest=d.presented_digest,
            grant_id=grant_of(d.handoff_id),
            grant_ttl_s=self._kernel.settings.grant_ttl_s,
            has_reason=bool(d.reason.strip()),
            reason=unit.put(d.reason.strip()) if d.reason.strip() else None,
            edited_action=unit.put_json(edited.canonical()) if edited else None,
            edited_digest=edited.digest if edited else "",
            answer=d.answer.strip(),
            scope=d.scope,
        )
        events = commands.decide(handoff, command, unit.now)
        handoff = unit.record(Handoff, d.handoff_id, events)
        settle_doubt(unit, handoff)
        self._wake(unit, handoff)
        unit.post("handoff.decided", {"handoff_id": d.handoff_id})
        grant_id = handoff.grant.grant_id if handoff.grant else ""
        return {"handoff_id": d.handoff_id, "decision": d.kind.value, "grant_id": grant_id}

    def _decider(self, unit: Unit, actor: Actor) -> Person:
        return deciding_person(unit, actor)

    def _edited(self, unit: Unit, handoff: Handoff, d: Decision) -> Call:
        """The edited action, judged by policy again. What policy denies cannot be edited in."""
        if handoff.action is None:
            raise UsageError("this handoff has no action that could be edited")
        original = self.action_of(handoff)
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
        self._check_edit(original, call, self._policies.judge(unit, run, call, facts))
        return call

    def _check_edit(self, original: Call, call: Call, judgement: Judgement) -> None:
        if call.digest == original.digest:
            raise UsageError(
                "the edited call is the same as the original", hint="Approve it instead."
            )
        if judgement.verdict is Verdict.DENY:
            why = " ".join(r.why for r in judgement.rules)
            raise UsageError(f"policy denies the edited call: {why}", code="edit_denied")

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
