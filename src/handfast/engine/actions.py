"""The gate check: an agent proposes a call, policy judges it, and it is allowed, denied or handed over.

Nothing here runs anything. `allow` of a gated call means that its grant was redeemed in the same
transaction: the caller holds the one start there will ever be.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.action import Call, Facts, Judgement, MatchedRule, Risk, Verdict
from handfast.core.domain.agent import Agent
from handfast.core.domain.codec import encode
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor, HandoffKind
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.events_work import BodyRef, Mode, StepFinished, StepJudged
from handfast.core.domain.faults import fault_point
from handfast.core.domain.handoff import GrantStatus, Handoff, Status
from handfast.core.domain.ids import HandoffId, StartId, StepId
from handfast.core.domain.installation import Installation
from handfast.core.domain.run import OpenStep, Run, check_epoch, check_not_over
from handfast.core.domain.task import Task
from handfast.core.policy.builtin import judge
from handfast.engine.effects import settle_unknown
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.opening import Opening, open_handoff
from handfast.engine.packages import Shown, approval, shown_call
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query

INSTALLATION_ID = "1"
MAX_KEY = 200
_GRANTED = (Status.DECIDED.value, Status.RESUMED.value)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call about to be made. `key` is the harness's own id of the call."""

    run_id: str
    key: str
    call: Call
    facts: Facts
    executor: Executor = Executor.HOOKED
    shown: Shown | None = None
    subagent: str = ""
    agent_says: str = ""
    epoch: int | None = None
    request_key: str = ""
    wait_possible: bool = True


@dataclass(frozen=True, slots=True)
class Read:
    """A read that the runner classified and let through itself."""

    key: str
    call: Call
    facts: Facts
    at: datetime


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of a call. `failed` is the harness's word; `exit_code` where it is known."""

    run_id: str
    key: str
    exit_code: int | None = None
    failed: bool = False
    duration_ms: int = 0
    output: str = ""


class Actions:
    """Gate checks and step results of runs. All calls are atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def propose(self, actor: Actor, p: Proposal) -> Result:
        """Judge a call. Result: verdict allow|wait|deny, step_id, handoff_id, grant_id, reason, would.

        Idempotent for an equal `request_key`. Raises NotFound, StaleEpoch, InvalidTransition, and
        UsageError for a key that is not 1 to 200 printable characters.
        """
        check_key(p.key)
        result = self._kernel.run(
            actor,
            lambda unit: self._propose(unit, p),
            key=p.request_key,
            command=[p.run_id, p.key, p.call.digest],
            before_commit=lambda: fault_point("action.before_commit"),
        )
        fault_point("action.after_commit")
        return result

    def _propose(self, unit: Unit, p: Proposal) -> Result:
        run = unit.get(Run, p.run_id)
        check_not_over(run)
        if p.epoch is not None:
            check_epoch(run, p.epoch)
        judgement = self._judge(unit, run, p.facts)
        if judgement.verdict is Verdict.ALLOW:
            return self._step(unit, p, judgement, "allow")
        if judgement.verdict is Verdict.DENY:
            return self._denied(unit, p, judgement)
        if self._mode(unit, run) is Mode.OBSERVE:
            return self._step(unit, p, judgement, "observed")
        return self._gated(unit, run, p, judgement)

    def _judge(self, unit: Unit, run: Run, facts: Facts) -> Judgement:
        judged = judge(facts)
        agent = unit.find(Agent, run.agent_id)
        if agent is None or agent.suspended:
            why = "This agent is suspended" if agent else "This agent is not registered"
            rule = MatchedRule("agent-not-active", Verdict.DENY, why, "Ask an operator.")
            return replace(judged, verdict=Verdict.DENY, rules=(rule, *judged.rules))
        return judged

    def _mode(self, unit: Unit, run: Run) -> Mode:
        """A pause by a person turns enforcing into observing until it ends."""
        installation = unit.find(Installation, INSTALLATION_ID)
        if installation is not None and installation.paused(unit.now):
            return Mode.OBSERVE
        return run.mode

    def _denied(self, unit: Unit, p: Proposal, judgement: Judgement) -> Result:
        if "control-plane" in p.facts.hazards:
            what = f"agent call of {p.call.tool[:200]}"
            refused = AccessRefused(what=what, why="control-plane", subject=p.run_id)
            unit.record(Installation, INSTALLATION_ID, [refused])
        return self._step(unit, p, judgement, "deny")

    def _gated(self, unit: Unit, run: Run, p: Proposal, judgement: Judgement) -> Result:
        """An equal call seen before in this run decides what happens; else a handoff is opened."""
        earlier = self._earlier(unit, run, p.call.digest)
        if earlier is None:
            return self._hand_over(unit, run, p, judgement)
        if earlier.waiting:
            return self._step(unit, p, judgement, "wait", handoff_id=earlier.handoff_id)
        if _only_edited(earlier, p.call.digest):
            reason = self._refused_before(earlier)
            return self._step(
                unit, p, judgement, "deny", handoff_id=earlier.handoff_id, reason=reason
            )
        if earlier.status is Status.DECIDED:
            return self._use_grant(unit, run, p, judgement, earlier)
        if commands.starts_unsettled(earlier):
            opened = settle_unknown(self._kernel, unit, earlier, "proposed again before a result")
            return self._step(unit, p, judgement, "wait", handoff_id=opened.handoff_id)
        refusal = self._refused_before(earlier)
        if refusal:
            return self._step(
                unit, p, judgement, "deny", handoff_id=earlier.handoff_id, reason=refusal
            )
        return self._hand_over(unit, run, p, judgement)

    def _earlier(self, unit: Unit, run: Run, action_digest: str) -> Handoff | None:
        """The newest handoff of this run about this very action, or one whose edit allows it."""
        store = self._kernel.store
        match = f"{run.run_id}|{action_digest}"
        rows = store.find(Query("handoff", match=match, newest_first=True, limit=1))
        same = [unit.get(Handoff, r.stream.partition("/")[2]) for r in rows]
        same = [
            h for h in same if h.kind is not HandoffKind.REVIEW
        ]  # merged by us, never by a call
        pending = same and (same[0].waiting or same[0].status is Status.DECIDED)
        if pending and not _edited_away(same[0]):
            return same[0]
        decided = store.find(Query("handoff", run_id=run.run_id, statuses=_GRANTED, limit=200))
        for row in decided:
            h = cast("Handoff", load(BY_NAME["handoff"], row.doc))
            granted = h.grant is not None and h.grant.action_digest == action_digest
            if granted and h.kind is not HandoffKind.REVIEW:
                return unit.get(Handoff, h.handoff_id)
        return same[0] if same else None

    def _refused_before(self, h: Handoff) -> str:
        """Why an equal call stays denied (a denied action never runs), or '' when it may be asked anew."""
        if h.decision is None:
            return ""
        if _edited_away(h):
            return f"approved only with edits: {self.edited_text(h)}"
        kind = h.decision.kind
        words = self.reason_text(h)
        if kind is DecisionKind.REJECT:
            return f"rejected by a reviewer: {words}"
        if kind is DecisionKind.REQUEST_CHANGES:
            return f"a reviewer asks for changes: {words}"
        if h.kind is HandoffKind.DOUBT and h.decision.answer == "it_ran":
            return "a reviewer checked: this already ran. Do not repeat it; go on from its result."
        return ""

    def reason_text(self, h: Handoff) -> str:
        if h.decision is None or h.decision.reason is None:
            return "no reason given"
        return self._kernel.vault.open(h.decision.reason.body_id).text

    def edited_text(self, h: Handoff) -> str:
        if h.decision is None or h.decision.edited_action is None:
            return ""
        return self._kernel.vault.open(h.decision.edited_action.body_id).text

    def _use_grant(
        self, unit: Unit, run: Run, p: Proposal, judgement: Judgement, h: Handoff
    ) -> Result:
        grant = h.grant
        if grant is None or grant.status is not GrantStatus.MINTED or unit.now >= grant.expires_at:
            return self._hand_over(unit, run, p, judgement)
        if grant.executor is Executor.MEDIATED and p.executor is not Executor.MEDIATED:
            reason = f"approved to run through Handfast: run `handfast exec {grant.grant_id}`"
            return self._step(unit, p, judgement, "deny", handoff_id=h.handoff_id, reason=reason)
        redeem = commands.Redeem(
            grant_id=grant.grant_id,
            start_id=StartId(new_id("start")),
            action_digest=p.call.digest,
            executor=p.executor,
            epoch=run.epoch,
            settle_within_s=self._kernel.settings.settle_within_s,
        )
        unit.record(Handoff, h.handoff_id, commands.redeem(h, redeem, unit.now))
        return self._step(
            unit, p, judgement, "allow", handoff_id=h.handoff_id, grant_id=grant.grant_id
        )

    def _hand_over(self, unit: Unit, run: Run, p: Proposal, judgement: Judgement) -> Result:
        handoff_id = new_id("ho")
        self._overtake(unit, run, p, HandoffId(handoff_id))
        result = self._step(unit, p, judgement, "wait", handoff_id=handoff_id)
        task = unit.find(Task, run.task_id) if run.task_id else None
        shown = shown_call(p.call, p.shown)
        open_handoff(
            unit,
            Opening(
                kind=HandoffKind.APPROVAL,
                risk=judgement.risk.value,
                package=approval(p.facts, judgement, run, shown, p.agent_says),
                action_digest=p.call.digest,
                agent_id=run.agent_id,
                within_s=self._kernel.settings.approval_within_s,
                run_id=run.run_id,
                task_id=run.task_id,
                step_id=StepId(cast("str", result["step_id"])),
                action=unit.put_json(p.call.canonical()),
                executor=p.executor,
                rules=tuple(r.id for r in judgement.rules),
                policy_digest=judgement.policy_digest,
                brief_digest=task.brief_digest if task else "",
            ),
            handoff_id=handoff_id,
        )
        return result

    def _overtake(self, unit: Unit, run: Run, p: Proposal, by: HandoffId) -> None:
        """The same call of the harness with another content: what was asked or approved is stale."""
        step = run.open_steps.get(p.key)
        if step is None or not step.handoff_id or step.action_digest == p.call.digest:
            return
        h = unit.get(Handoff, step.handoff_id)
        if h.kind is not HandoffKind.APPROVAL:
            return  # a doubt is about what may have run already
        if h.grant is None or h.grant.action_digest != p.call.digest:
            unit.record(Handoff, h.handoff_id, commands.overtake(h, by, p.call.digest))

    def _step(
        self,
        unit: Unit,
        p: Proposal,
        judgement: Judgement,
        verdict: str,
        *,
        handoff_id: str = "",
        grant_id: str = "",
        reason: str = "",
    ) -> Result:
        step = StepJudged(
            run_id=unit.get(Run, p.run_id).run_id,
            step_id=StepId(new_id("st")),
            key=p.key,
            tool=p.call.tool[:200],
            effect=p.facts.effect.value,
            action_digest=p.call.digest,
            verdict=verdict,
            risk=judgement.risk.value,
            rules=tuple(r.id for r in judgement.rules),
            hazards=p.facts.hazards,
            opaque=p.facts.opaque,
            policy_digest=judgement.policy_digest,
            subagent=p.subagent[:200],
            handoff_id=HandoffId(handoff_id),
            call=unit.put_json(p.call.canonical()),
            summary=unit.put(p.facts.summary),
        )
        unit.record(Run, p.run_id, [step])
        return {
            "verdict": "allow" if verdict == "observed" else verdict,
            "step_id": step.step_id,
            "handoff_id": handoff_id,
            "grant_id": grant_id,
            "reason": reason or _reason(judgement),
            "would": judgement.verdict.value,
            "risk": judgement.risk.value,
            "rules": [cast("object", encode(r)) for r in judgement.rules],
        }

    def record_reads(
        self, actor: Actor, run_id: str, reads: list[Read], request_key: str = ""
    ) -> Result:
        """Record reads the runner let through by itself. Idempotent for an equal `request_key`."""

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            check_not_over(run)
            for r in reads:
                check_key(r.key)
                judgement = judge(r.facts)
                verdict = "allow" if judgement.verdict is Verdict.ALLOW else "observed"
                step = StepJudged(
                    run_id=run.run_id,
                    step_id=StepId(new_id("st")),
                    key=r.key,
                    tool=r.call.tool[:200],
                    effect=r.facts.effect.value,
                    action_digest=r.call.digest,
                    verdict=verdict,
                    risk=Risk.LOW.value,
                    summary=unit.put(r.facts.summary),
                    called_at=r.at,
                )
                unit.record(Run, run_id, [step])
            return {"recorded": len(reads)}

        command = [run_id, [r.key for r in reads]]
        return self._kernel.run(actor, work, key=request_key, command=command)

    def record_result(self, actor: Actor, r: StepResult) -> Result:
        """What came of a step, by its key. Settles a hooked start as `reported`. Idempotent."""

        def work(unit: Unit) -> Result:
            run = unit.get(Run, r.run_id)
            step = run.open_steps.get(r.key)
            if step is None or run.over:
                return {"settled": False}
            output = unit.put(r.output) if r.output else None
            done = StepFinished(
                run.run_id, StepId(step.step_id), r.exit_code, r.failed, r.duration_ms, output
            )
            unit.record(Run, r.run_id, [done])
            settled = self._settle(unit, step, r, output)
            return {"settled": settled, "step_id": step.step_id, "handoff_id": step.handoff_id}

        return self._kernel.run(
            actor, work, before_commit=lambda: fault_point("result.before_commit")
        )

    def _settle(self, unit: Unit, step: OpenStep, r: StepResult, output: BodyRef | None) -> bool:
        if not step.handoff_id or step.verdict != "allow":
            return False
        h = unit.get(Handoff, step.handoff_id)
        if not commands.starts_unsettled(h) or h.grant is None:
            return False
        settle = commands.Settle(
            h.grant.start_id, EffectOutcome.REPORTED, h.grant.action_digest, r.exit_code, output
        )
        unit.record(Handoff, h.handoff_id, commands.settle(h, settle))
        return True


def check_key(key: str) -> None:
    """Keys come from the agent's harness. Raises UsageError."""
    if not key or len(key) > MAX_KEY or not key.isprintable():
        raise UsageError(
            f"`key` is {key[:40]!r}", hint=f"Send 1 to {MAX_KEY} printable characters."
        )


def _edited_away(h: Handoff) -> bool:
    return h.decision is not None and h.decision.kind is DecisionKind.APPROVE_WITH_EDITS


def _only_edited(h: Handoff, action_digest: str) -> bool:
    """Whether a person approved another form of the call than this one."""
    return _edited_away(h) and (h.grant is None or h.grant.action_digest != action_digest)


def _reason(judgement: Judgement) -> str:
    return " ".join(
        f"{r.why.rstrip('.')}. {r.remedy}".strip()
        for r in judgement.rules
        if r.verdict is not Verdict.ALLOW
    )
