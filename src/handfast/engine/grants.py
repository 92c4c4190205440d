"""The mediated executor's side of a grant: redeem, then record what happened."""

from dataclasses import dataclass

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.agent import Agent
from handfast.core.domain.errors import (
    GateClosed,
    NotPermitted,
    RejectedError,
    StaleDecision,
)
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import EffectOutcome, Executor, GrantRefused, HandoffKind
from handfast.core.domain.faults import fault_point
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import GrantId, StartId
from handfast.core.domain.run import Run, check_epoch
from handfast.engine.audiences import Audiences
from handfast.engine.effects import settle_unknown
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.killing import KillSwitch


@dataclass(frozen=True, slots=True)
class Redemption:
    handoff_id: str
    grant_id: str
    action_digest: str
    executor: Executor
    epoch: int | None = None
    request_key: str = ""


@dataclass(frozen=True, slots=True)
class EffectReport:
    handoff_id: str
    start_id: str
    outcome: EffectOutcome
    executed_digest: str = ""
    exit_code: int | None = None
    output: str = ""
    note: str = ""
    doubt: bool = False


class Grants:
    """All calls are atomic. A grant starts at most one execution."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._switch = KillSwitch(audiences.kernel)

    def redeem(self, actor: Actor, r: Redemption) -> Result:
        """Take the one start. Result: start_id, handoff_id. A refusal is recorded in the audit trail.

        Raises GateClosed (used, expired, or stopped by the kill switch), StaleDecision (not what was approved), NotPermitted
        (another agent's grant), StaleEpoch. Idempotent only for an equal `request_key`.
        """
        fault_point("grant.before_redeem")
        try:
            result = self._kernel.run(
                actor,
                lambda unit: self._redeem(unit, actor, r),
                key=r.request_key,
                command=[r.handoff_id, r.grant_id, r.action_digest],
            )
        except (GateClosed, StaleDecision, NotPermitted) as e:
            self._refused(actor, r, e)
            raise
        fault_point("grant.redeemed")
        return result

    def _redeem(self, unit: Unit, actor: Actor, r: Redemption) -> Result:
        handoff = unit.get(Handoff, r.handoff_id)
        if actor.type == "agent":
            if handoff.kind is HandoffKind.REVIEW:
                raise NotPermitted("finished work is merged by Handfast, not by the agent")
            if actor.id != handoff.agent_id:
                raise NotPermitted(f"grant `{r.grant_id}` was given to another agent")
            agent = unit.find(Agent, handoff.agent_id)
            if agent is None or agent.suspended:
                raise NotPermitted(
                    f"agent `{handoff.agent_id}` is suspended", hint="Ask an operator."
                )
        self._switch.check(unit, handoff.agent_id)
        run = unit.find(Run, handoff.run_id) if handoff.run_id else None
        if run is not None and r.epoch is not None:
            check_epoch(run, r.epoch)
            unit.rely_on(Run, run.run_id)  # a take-over at this moment must not be missed
        command = commands.Redeem(
            grant_id=GrantId(r.grant_id),
            start_id=StartId(new_id("start")),
            action_digest=r.action_digest,
            executor=r.executor,
            epoch=run.epoch if run else 0,
            settle_within_s=self._kernel.settings.settle_within_s,
        )
        unit.record(Handoff, r.handoff_id, commands.redeem(handoff, command, unit.now))
        return {"start_id": command.start_id, "handoff_id": r.handoff_id}

    def _refused(self, actor: Actor, r: Redemption, e: RejectedError) -> None:
        def work(unit: Unit) -> Result:
            handoff = unit.get(Handoff, r.handoff_id)
            event = GrantRefused(handoff.handoff_id, GrantId(r.grant_id), e.code, r.action_digest)
            unit.record(Handoff, r.handoff_id, [event])
            return {}

        self._kernel.run(actor, work)

    def effect(self, actor: Actor, r: EffectReport) -> Result:
        """Record what a start led to. A second report of the same start changes nothing; `outcome` of the
        answer is the recorded one. `doubt` opens a doubt handoff about a start of unknown outcome."""

        def work(unit: Unit) -> Result:
            handoff = unit.get(Handoff, r.handoff_id)
            if actor.type == "agent" and actor.id != handoff.agent_id:
                raise NotPermitted("this start belongs to another agent")
            settle = commands.Settle(
                start_id=StartId(r.start_id),
                outcome=r.outcome,
                executed_digest=r.executed_digest,
                exit_code=r.exit_code,
                output=unit.put(r.output) if r.output else None,
                note=r.note[:500],
            )
            events = commands.settle(handoff, settle)
            if events and r.doubt and r.outcome is EffectOutcome.UNKNOWN:
                settle_unknown(self._audiences, unit, handoff, settle.note)
            else:
                unit.record(Handoff, r.handoff_id, events)
            recorded = unit.get(Handoff, r.handoff_id).effect or settle
            return {"handoff_id": r.handoff_id, "outcome": recorded.outcome.value}

        result = self._kernel.run(
            actor, work, before_commit=lambda: fault_point("effect.before_commit")
        )
        fault_point("effect.after_commit")
        return result


def handoff_of(grant_id: str) -> str:
    """A handoff mints at most one grant, and the grant's id is the handoff's with its own prefix."""
    return "ho_" + grant_id.removeprefix("gr_")


def grant_of(handoff_id: str) -> GrantId:
    return GrantId("gr_" + handoff_id.removeprefix("ho_"))
