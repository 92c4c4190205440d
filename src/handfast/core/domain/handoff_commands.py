"""What may be done to a handoff, and when it is refused.

Every function is pure: state and command in, events out, or an error of the RejectedError branch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.domain import events_handoff as e
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import (
    AlreadyDecided,
    GateClosed,
    InvalidTransition,
    StaleDecision,
    UsageError,
)
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor, HandoffKind
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Wanted, given
from handfast.core.domain.handoff import Grant, GrantStatus, Handoff, due_after
from handfast.core.domain.ids import GrantId, HandoffId, PersonId, RunId, StartId, StepId

MUST_GIVE_REASON = frozenset({DecisionKind.REJECT, DecisionKind.REQUEST_CHANGES})
REASON_FOR_RISK = frozenset({"critical"})
DOUBT_ANSWERS = ("it_ran", "it_did_not_run")


@dataclass(frozen=True, slots=True)
class Decide:
    """A person's decision. `presented_digest` names exactly what they saw."""

    kind: DecisionKind
    person_id: PersonId
    auth: str
    presented_digest: str
    grant_id: GrantId
    grant_ttl_s: int
    has_reason: bool = False
    reason: BodyRef | None = None
    edited_action: BodyRef | None = None
    edited_digest: str = ""
    edited_rules: tuple[str, ...] = ()
    answer: str = ""
    scope: Wanted = AS_THE_RULE_SAYS
    edited_text: BodyRef | None = None


def route(request: e.HandoffRequested, to: str, now: datetime) -> list[HandoffEvent]:
    """The first level. A handoff without levels is a mistake of the caller."""
    if not request.levels_s:
        raise UsageError("`levels_s` is empty: a handoff needs at least one level of people")
    due = due_after(request.levels_s, 0, now)
    return [e.HandoffRouted(request.handoff_id, 0, to, due)]


def decide(state: Handoff, cmd: Decide, now: datetime) -> list[HandoffEvent]:
    """Events of a decision. Raises AlreadyDecided, InvalidTransition, StaleDecision, UsageError."""
    _open_for_decision(state)
    if cmd.kind not in state.offered:
        offered = ", ".join(k.value for k in state.offered)
        raise InvalidTransition(
            f"`{cmd.kind.value}` is not offered for handoff `{state.handoff_id}`",
            hint=f"Offered: {offered}.",
        )
    if cmd.presented_digest != state.presented_digest:
        raise StaleDecision(
            f"handoff `{state.handoff_id}` is not what was shown when this decision was made",
            hint="Open the case again, look at what changed, and decide on that.",
            details={"presented_digest": state.presented_digest},
        )
    _check_words(state, cmd)
    decided = e.HandoffDecided(
        handoff_id=state.handoff_id,
        decision=cmd.kind,
        person_id=cmd.person_id,
        presented_digest=cmd.presented_digest,
        auth=cmd.auth,
        reason=cmd.reason,
        edited_action=cmd.edited_action,
        edited_digest=cmd.edited_digest,
        edited_rules=cmd.edited_rules,
        answer=cmd.answer,
        edited_text=cmd.edited_text,
    )
    return [decided, *_consequence(state, cmd, now)]


def _open_for_decision(state: Handoff) -> None:
    if state.decision is not None:
        raise AlreadyDecided(
            f"handoff `{state.handoff_id}` was decided already: {state.decision.kind.value}",
            hint="Look at the case to see who decided and what happened.",
            details={
                "decided_by": state.decision.person_id,
                "decided_at": format_time(state.decision.at),
                "decision": state.decision.kind.value,
            },
        )
    if not state.waiting:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is {state.status.value}; it waits for nobody"
        )


def _check_words(state: Handoff, cmd: Decide) -> None:
    if cmd.kind is DecisionKind.APPROVE_WITH_EDITS and not cmd.edited_digest:
        raise UsageError("`edited_call` is missing", hint="Send the call as it should run.")
    if cmd.kind is DecisionKind.ANSWER:
        if not cmd.answer.strip():
            raise UsageError("`answer` is empty", hint="Write the answer the agent should get.")
        if state.kind is HandoffKind.DOUBT and cmd.answer not in DOUBT_ANSWERS:
            raise UsageError(f"`answer` must be one of: {', '.join(DOUBT_ANSWERS)}")
    needs = cmd.kind in MUST_GIVE_REASON or (
        state.risk in REASON_FOR_RISK and state.kind is not HandoffKind.DOUBT
    )
    if needs and not cmd.has_reason:
        raise UsageError(
            f"`reason` is missing: `{cmd.kind.value}` at {state.risk} risk needs one",
            hint="Write one sentence; the agent and the audit trail get it.",
        )


def _consequence(state: Handoff, cmd: Decide, now: datetime) -> Sequence[HandoffEvent]:
    """What a decision leads to at once: a grant, or the end of a case in which nothing runs."""
    approved = cmd.kind in (DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS)
    approved_runs = approved and state.executor is not Executor.NONE
    if cmd.scope.said and not (cmd.kind is DecisionKind.APPROVE and approved_runs):
        raise UsageError("`scope` goes with a plain approval of an action only")
    if approved_runs:
        scope = given(cmd.scope, state.requirement.scope, has_task=bool(state.task_id))
        minted = e.GrantMinted(
            handoff_id=state.handoff_id,
            grant_id=cmd.grant_id,
            action_digest=cmd.edited_digest or state.action_digest,
            agent_id=state.agent_id,
            run_id=state.run_id,
            executor=state.executor,
            expires_at=now + timedelta(seconds=scope.within_s or cmd.grant_ttl_s),
            uses=scope.times,
            span=scope.span,
        )
        return [minted]
    return [e.HandoffClosed(state.handoff_id, cmd.kind.value)]


def acknowledge(state: Handoff, person_id: PersonId) -> list[HandoffEvent]:
    """Idempotent for the holder; refused while somebody else holds it."""
    _open_for_decision(state)
    if state.holder == person_id:
        return []
    if state.holder:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is held by `{state.holder}`",
            hint="Ask them to release it, or decide it directly: the first decision wins.",
        )
    return [e.HandoffAcknowledged(state.handoff_id, person_id)]


def release(state: Handoff, person_id: PersonId) -> list[HandoffEvent]:
    _open_for_decision(state)
    if state.holder != person_id:
        raise InvalidTransition(f"handoff `{state.handoff_id}` is not held by you")
    return [e.HandoffReleased(state.handoff_id, person_id)]


@dataclass(frozen=True, slots=True)
class Redeem:
    grant_id: GrantId
    start_id: StartId
    action_digest: str
    executor: Executor
    epoch: int
    settle_within_s: int
    run_id: RunId = RunId("")
    step_id: StepId = StepId("")


def redeem(state: Handoff, cmd: Redeem, now: datetime) -> list[HandoffEvent]:
    """The next start of a grant. Raises GateClosed (used, expired, in doubt) or StaleDecision (changed)."""
    grant = state.grant
    if grant is None or grant.grant_id != cmd.grant_id:
        raise GateClosed(f"handoff `{state.handoff_id}` has no grant `{cmd.grant_id}`")
    if grant.status is not GrantStatus.MINTED:
        raise _not_usable(grant)
    if now >= grant.expires_at:
        raise GateClosed(
            f"grant `{grant.grant_id}` expired at {format_time(grant.expires_at)}",
            code="grant_expired",
            hint="Propose the action again to get a new decision.",
        )
    if grant.executor is Executor.MEDIATED and cmd.executor is not Executor.MEDIATED:
        raise GateClosed(
            f"grant `{grant.grant_id}` is not for an agent's own tool",
            code="wrong_executor",
            hint=f"Run it as `handfast exec {grant.grant_id}`.",
        )
    if cmd.action_digest != grant.action_digest:
        raise StaleDecision(
            f"what is about to run is not what grant `{grant.grant_id}` was given for",
            hint="Propose the changed action: it needs a decision of its own.",
            details={"approved": grant.action_digest, "attempted": cmd.action_digest},
        )
    settle_by = now + timedelta(seconds=cmd.settle_within_s)
    return [
        e.GrantRedeemed(
            state.handoff_id,
            grant.grant_id,
            cmd.start_id,
            cmd.executor,
            cmd.action_digest,
            cmd.epoch,
            settle_by,
            use=grant.used + 1,
            of=grant.uses,
            run_id=cmd.run_id,
            step_id=cmd.step_id,
        )
    ]


def _not_usable(grant: Grant) -> GateClosed:
    if grant.status is GrantStatus.BLOCKED:
        return GateClosed(
            f"a start of grant `{grant.grant_id}` is in doubt, and until that is settled none is taken",
            code="grant_blocked",
            hint="Answer the doubt: see `handfast inbox`.",
        )
    codes = {GrantStatus.EXPIRED: "grant_expired", GrantStatus.REVOKED: "grant_revoked"}
    return GateClosed(
        f"grant `{grant.grant_id}` is {grant.status.value}: "
        + ("a grant starts one execution" if grant.uses == 1 else "no start of it is left"),
        code=codes.get(grant.status, "grant_used"),
        hint="Propose the action again to get a new decision.",
    )


@dataclass(frozen=True, slots=True)
class Settle:
    start_id: StartId
    outcome: EffectOutcome
    executed_digest: str = ""
    exit_code: int | None = None
    output: BodyRef | None = None
    note: str = ""


def settle(state: Handoff, cmd: Settle) -> list[HandoffEvent]:
    """Record what a start led to. Idempotent: a second report of a settled start adds nothing."""
    grant = state.grant
    if grant is None or not grant.start_id or grant.start_id != cmd.start_id:
        raise InvalidTransition(f"handoff `{state.handoff_id}` has no start `{cmd.start_id}`")
    if grant.status is not GrantStatus.REDEEMED:
        return []
    if cmd.executed_digest and cmd.executed_digest != grant.action_digest:
        raise StaleDecision(
            f"start `{cmd.start_id}` reports an execution that was not approved",
            details={"approved": grant.action_digest, "attempted": cmd.executed_digest},
        )
    effect = e.EffectRecorded(
        handoff_id=state.handoff_id,
        grant_id=grant.grant_id,
        start_id=cmd.start_id,
        outcome=cmd.outcome,
        executed_digest=cmd.executed_digest,
        exit_code=cmd.exit_code,
        output=cmd.output,
        note=cmd.note,
    )
    if grant.used < grant.uses:
        return [effect]
    return [effect, e.HandoffClosed(state.handoff_id, f"effect_{cmd.outcome.value}")]


def sweep(state: Handoff, now: datetime, to: str) -> list[HandoffEvent]:
    """What is due by itself: the next level, the end of the last one, or an unused grant's expiry.

    Silence never approves. A start without an effect is not handled here, because it opens a
    second handoff: see `engine.effects`.
    """
    due = state.next_due
    if due is None or now < due:
        return []
    if state.waiting:
        timed_out = e.LevelTimedOut(state.handoff_id, state.level)
        following = state.level + 1
        if following < len(state.levels_s):
            at = due_after(state.levels_s, following, now)
            return [timed_out, e.HandoffRouted(state.handoff_id, following, to, at)]
        return [timed_out, e.HandoffExpired(state.handoff_id, state.level)]
    grant = state.grant
    if grant is not None and grant.status in (GrantStatus.MINTED, GrantStatus.BLOCKED):
        return [
            e.GrantExpired(state.handoff_id, grant.grant_id),
            e.HandoffClosed(state.handoff_id, "scope_ended" if grant.used else "grant_expired"),
        ]
    return []


def withdraw(state: Handoff, reason: str) -> list[HandoffEvent]:
    return [e.HandoffWithdrawn(state.handoff_id, reason)] if state.waiting else []


def overtake(state: Handoff, by: HandoffId, attempted: str) -> list[HandoffEvent]:
    """The action changed: a waiting handoff is superseded, an unused grant is closed as stale."""
    if state.waiting:
        return [e.HandoffSuperseded(state.handoff_id, by)]
    grant = state.grant
    if grant is None or grant.status is not GrantStatus.MINTED:
        return []
    return [
        e.GrantRefused(state.handoff_id, grant.grant_id, "stale_decision", attempted),
        e.GrantExpired(state.handoff_id, grant.grant_id),
        e.HandoffClosed(state.handoff_id, "stale"),
    ]


def starts_unsettled(state: Handoff) -> bool:
    """A start happened and nobody knows what came of it."""
    return state.grant is not None and state.grant.status is GrantStatus.REDEEMED


def started_in(state: Handoff, run_id: RunId) -> bool:
    """Whether the last start was taken in this run: a grant for a task may be used in another one than its own."""
    grant = state.grant
    return grant is not None and (grant.started_by or state.run_id) == run_id
