"""The mediated executor's side of a grant: redeem, then record what happened."""

from dataclasses import dataclass
from typing import cast

from handfast.core.domain import grant_commands
from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.action import Verdict
from handfast.core.domain.agent import Agent
from handfast.core.domain.errors import (
    GateClosed,
    NotPermitted,
    RejectedError,
    StaleDecision,
)
from handfast.core.domain.events import Actor, from_bytes
from handfast.core.domain.events_handoff import (
    EffectOutcome,
    Executor,
    GrantRedeemed,
    GrantRefused,
    HandoffKind,
)
from handfast.core.domain.faults import fault_point
from handfast.core.domain.grant_scope import MAX_TIMES, Span
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import GrantId, RunId, StartId
from handfast.core.domain.person import Person
from handfast.core.domain.run import Run, check_epoch
from handfast.engine.audiences import Audiences
from handfast.engine.edits import Edits
from handfast.engine.effects import settle_unknown
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.killing import KillSwitch
from handfast.engine.proofs import present
from handfast.engine.repeats import said_by

MAX_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Redemption:
    """`run_id` names the run that starts it, where the executor knows one, and `epoch` its lease."""

    handoff_id: str
    grant_id: str
    action_digest: str
    executor: Executor
    epoch: int | None = None
    request_key: str = ""
    run_id: str = ""


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
    """All calls are atomic. A grant starts at most as many executions as were given, one at a time."""

    def __init__(self, audiences: Audiences, edits: Edits) -> None:
        self._audiences = audiences
        self._edits = edits
        self._kernel: Kernel = audiences.kernel
        self._switch = KillSwitch(audiences.kernel)

    def redeem(self, actor: Actor, r: Redemption) -> Result:
        """Take the next start. Result: start_id, handoff_id. A refusal is recorded in the audit trail.

        Raises GateClosed (used, expired, in doubt, given for another run or for one that has ended, or
        stopped by the kill switch, a limit or a policy that denies it by now), StaleDecision (not what was
        approved), NotPermitted (another agent's grant),
        StaleEpoch, InvalidTransition (frozen).
        Idempotent only for an equal `request_key`.
        """
        fault_point("grant.before_redeem")
        try:
            result = self._kernel.run(
                actor,
                lambda unit: self._redeem(unit, actor, r),
                key=r.request_key,
                command=said_by(r),
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
        run = _run_of(unit, handoff, r)
        if run is not None:
            _check_going_on(unit, run, handoff, r)
            _check_not_denied(unit, run, handoff, self._edits)
        command = commands.Redeem(
            grant_id=GrantId(r.grant_id),
            start_id=StartId(new_id("start")),
            action_digest=r.action_digest,
            executor=r.executor,
            epoch=run.epoch if run else 0,
            run_id=run.run_id if run else RunId(""),
            settle_within_s=self._kernel.settings.settle_within_s,
        )
        unit.record(Handoff, r.handoff_id, commands.redeem(handoff, command, unit.now))
        return {"start_id": command.start_id, "handoff_id": r.handoff_id}

    def revoke(self, actor: Actor, handoff_id: str, reason: str = "") -> Result:
        """Take back the starts that are left. Only a person may. Raises NotPermitted, InvalidTransition."""

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            handoff = unit.get(Handoff, handoff_id)
            body = unit.put(reason.strip()[:MAX_REASON]) if reason.strip() else None
            after = unit.record(
                Handoff, handoff_id, grant_commands.revoke(handoff, person.person_id, body)
            )
            status = after.grant.status.value if after.grant else ""
            return {"handoff_id": handoff_id, "grant_id": grant_of(handoff_id), "status": status}

        return self._kernel.run(actor, work)

    def _refused(self, actor: Actor, r: Redemption, e: RejectedError) -> None:
        def work(unit: Unit) -> Result:
            handoff = unit.get(Handoff, r.handoff_id)
            event = GrantRefused(handoff.handoff_id, GrantId(r.grant_id), e.code, r.action_digest)
            unit.record(Handoff, r.handoff_id, [event])
            return {}

        self._kernel.run(actor, work)

    def effect(self, actor: Actor, r: EffectReport) -> Result:
        """Record what a start led to. A second report of the same start changes nothing; `outcome` of the
        answer is the recorded one. `doubt` opens a doubt handoff about a start of unknown outcome.

        Raises NotPermitted for another agent's start, and for an agent that calls `verified` what its own
        tool ran; InvalidTransition for a start there is not; StaleDecision for what was not approved.
        """

        def work(unit: Unit) -> Result:
            handoff = unit.get(Handoff, r.handoff_id)
            if actor.type == "agent" and actor.id != handoff.agent_id:
                raise NotPermitted("this start belongs to another agent")
            _check_seen(self._kernel, actor, r)
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


def _run_of(unit: Unit, handoff: Handoff, r: Redemption) -> Run | None:
    """The run that a start belongs to. Another than its own only for a grant of their task and agent."""
    own = unit.find(Run, handoff.run_id) if handoff.run_id else None
    if r.run_id in ("", handoff.run_id):
        return own
    named = unit.find(Run, r.run_id)
    shared = handoff.grant is not None and handoff.grant.span is Span.TASK
    whose = (handoff.task_id, handoff.agent_id)
    if named is not None and shared and (named.task_id, named.agent_id) == whose:
        return named
    raise GateClosed(
        f"grant `{r.grant_id}` was not given for run `{r.run_id}`",
        code="wrong_run",
        hint="Propose the action in the run that needs it.",
    )


def _check_going_on(unit: Unit, run: Run, handoff: Handoff, r: Redemption) -> None:
    """A grant of an agent ends with its run, and several starts stop where a limit stopped the run. What a
    person runs, such as an undo, and the merge of finished work have no such end."""
    if run.held:
        raise GateClosed(
            f"a person has taken run `{run.run_id}` over: nothing of its agent is started",
            hint="Propose the action again when the run was handed back.",
        )
    if run.over and handoff.agent_id and handoff.kind is not HandoffKind.REVIEW:
        raise GateClosed(
            f"grant `{r.grant_id}` was given for run `{run.run_id}`, which has ended",
            code="grant_expired",
            hint="Propose the action again in a run that goes on.",
        )
    if r.epoch is not None:
        check_epoch(run, r.epoch)
    unit.rely_on(Run, run.run_id)  # its end or a take-over at this moment must not be missed
    waits = run.limits.handoff_id
    limited = run.limits.upheld or (waits and unit.get(Handoff, waits).waiting)
    if handoff.grant is not None and handoff.grant.uses > 1 and limited:
        raise GateClosed(
            f"run `{run.run_id}` met a limit: no further start of grant `{r.grant_id}` is taken",
            code="limit_reached",
            hint="A person decides how the run goes on: see `handfast inbox`.",
        )


def _check_seen(kernel: Kernel, actor: Actor, r: EffectReport) -> None:
    """`verified` is said of what an executor of ours ran: an agent's tool ran where nobody looked."""
    if actor.type != "agent" or r.outcome is not EffectOutcome.VERIFIED:
        return
    stream = f"handoff/{r.handoff_id}"
    rows = kernel.store.events(stream=stream, types=("grant.redeemed",), limit=MAX_TIMES)
    starts = [cast("GrantRedeemed", from_bytes(row.data).event) for row in rows]
    if any(s.start_id == r.start_id and s.executor is Executor.HOOKED for s in starts):
        raise NotPermitted(
            "`outcome` cannot be `verified`: the agent's own tool ran this",
            hint="Report it as `reported`, or as `unknown`.",
        )


def _check_not_denied(unit: Unit, run: Run, handoff: Handoff, edits: Edits) -> None:
    """A policy may have been published since it was approved: what that denies does not run any more.

    Finished work is left out: its merge is judged from facts that the runner found.
    """
    if handoff.kind is not HandoffKind.APPROVAL:
        return
    judged = edits.judged_now(unit, run, handoff)
    if judged is not None and judged.verdict is Verdict.DENY:
        why = " ".join(rule.why for rule in judged.rules if rule.verdict is Verdict.DENY)
        raise GateClosed(
            f"the policy in force denies by now what was approved as handoff `{handoff.handoff_id}`: {why}",
            code="policy_denied",
            hint="`handfast policy explain` says more. Nothing was started.",
        )


def deciding_person(unit: Unit, actor: Actor) -> Person:
    """Only a person with a role that decides, who proved who they are as a person does."""
    refused = NotPermitted(
        "only a signed-in person can decide; a token cannot",
        hint="Decide in the browser, or in a terminal with your PIN.",
    )
    person = present(unit, actor, refused)
    if not person.may_decide:
        raise NotPermitted(
            "your roles do not include deciding", hint="Ask an admin for the reviewer role."
        )
    return person


def handoff_of(grant_id: str) -> str:
    """A handoff mints at most one grant, and the grant's id is the handoff's with its own prefix."""
    return "ho_" + grant_id.removeprefix("gr_")


def grant_of(handoff_id: str) -> GrantId:
    return GrantId("gr_" + handoff_id.removeprefix("ho_"))
