"""Executing what was decided, and ends without a decision: redeem, settle, withdraw, overtake.

Every function is pure: state and command in, events out, or an error of the RejectedError branch.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.domain import events_handoff as e
from handfast.core.domain.checkpoint_words import to_agent
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import (
    GateClosed,
    InvalidTransition,
    StaleDecision,
)
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import EffectOutcome, Executor
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.handoff import Grant, GrantStatus, Handoff
from handfast.core.domain.handoff_routing import check_not_frozen
from handfast.core.domain.ids import GrantId, HandoffId, RunId, StartId, StepId


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
    """The next start of a grant. Raises GateClosed (used, expired, in doubt), StaleDecision (changed),
    InvalidTransition (frozen)."""
    grant = state.grant
    if grant is None or grant.grant_id != cmd.grant_id:
        raise GateClosed(
            f"handoff `{state.handoff_id}` has no grant `{cmd.grant_id}`", hint=to_agent(state)
        )
    check_not_frozen(state)
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
        e.HandoffClosed(state.handoff_id, "stale", by),
    ]


def starts_unsettled(state: Handoff) -> bool:
    """A start happened and nobody knows what came of it."""
    return state.grant is not None and state.grant.status is GrantStatus.REDEEMED


def started_in(state: Handoff, run_id: RunId) -> bool:
    """Whether the last start was taken in this run: a grant for a task may be used in another one than its own."""
    grant = state.grant
    return grant is not None and (grant.started_by or state.run_id) == run_id
