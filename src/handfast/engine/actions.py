"""The gate check: an agent proposes a call, policy judges it, and it is allowed, denied or handed over.

Nothing here runs anything. `allow` of a gated call means that its grant was redeemed in the same
transaction: the caller holds the one start there will ever be.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.action import Call, Effect, Facts, Judgement, MatchedRule, Risk, Verdict
from handfast.core.domain.agent import Agent
from handfast.core.domain.checkpoint_words import to_agent
from handfast.core.domain.codec import encode
from handfast.core.domain.copying import replace
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import EffectOutcome
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.events_work import BodyRef, Mode, StepFinished, StepJudged
from handfast.core.domain.faults import fault_point
from handfast.core.domain.grant_scope import ONCE
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import HandoffId, StepId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.limit_facts import Reported, check_reported
from handfast.core.domain.run import OpenStep, Run, check_epoch, check_not_over
from handfast.engine.audiences import Audiences
from handfast.engine.brief_gate import BriefGate
from handfast.engine.escalations import gist
from handfast.engine.gating import Gating, Proposal, Stopped
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.killing import RULE, KillSwitch
from handfast.engine.limits import RunLimits
from handfast.engine.policies import Policies
from handfast.engine.repeats import said, said_by
from handfast.engine.staleness import form_of

MAX_KEY = 200
_STOPPED = "Stop here; a person lets agents go on. Reading is still possible."
HELD_RULE = "taken-over"
_HELD = "A person has taken this run over: nothing of it runs until it is handed back"
_STOP = "Stop here. You will be told what was changed, and go on from there."
_ALWAYS = MatchedRule(
    "always-required",
    Verdict.GATE,
    "The program declares that this call is approved by a person every time.",
    "Wait for the decision.",
)


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
    usage: Reported | None = None


class Actions:
    """Gate checks and step results of runs. All calls are atomic."""

    def __init__(
        self, policies: Policies, limits: RunLimits, audiences: Audiences, briefs: BriefGate
    ) -> None:
        self._briefs = briefs
        self._kernel: Kernel = audiences.kernel
        self._policies = policies
        self._limits = limits
        self._gating = Gating(audiences)
        self._switch = KillSwitch(audiences.kernel)

    def propose(self, actor: Actor, p: Proposal) -> Result:
        """Judge a call. Result: verdict allow|wait|deny|preview, step_id, handoff_id, grant_id, reason, would.

        Idempotent for an equal `request_key`. Raises NotFound, StaleEpoch, InvalidTransition, and
        UsageError for a key that is not 1 to 200 printable characters.
        """
        check_key(p.key)
        action_digest = p.call.digest
        proposal = replace(p, digest=action_digest, form=form_of(p.call, action_digest))
        result = self._kernel.run(
            actor,
            lambda unit: self._propose(unit, proposal),
            key=p.request_key,
            command=said_by(p),
            before_commit=lambda: fault_point("action.before_commit"),
        )
        fault_point("action.after_commit")
        return result

    def _propose(self, unit: Unit, p: Proposal) -> Result:
        run = unit.get(Run, p.run_id)
        check_not_over(run)
        if p.epoch is not None:
            check_epoch(run, p.epoch)
        judgement = self._judge(unit, run, p)
        step_id = StepId(new_id("st"))
        stopped = self._stopped(unit, run, p, judgement, step_id)
        if stopped.verdict == "preview":
            return _answer(stopped, judgement, "")
        if stopped.verdict == "wait":
            stopped = replace(stopped, later=to_agent(unit.get(Handoff, stopped.handoff_id)))
        return self._step(unit, p, judgement, step_id, stopped)

    def _stopped(
        self, unit: Unit, run: Run, p: Proposal, judgement: Judgement, step_id: StepId
    ) -> Stopped:
        if judgement.verdict is Verdict.DENY:
            self._tampering(unit, p)
            return Stopped("deny")
        looks = p.facts.effect is Effect.READ and judgement.verdict is Verdict.ALLOW
        if looks:
            return Stopped("allow")
        mode = self._mode(unit, run)
        if limited := self._limits.stopped(unit, run, p, mode):
            return limited
        if judgement.verdict is Verdict.ALLOW:
            return self._gating.held_back(unit, run, p) or Stopped("allow")
        if mode is Mode.OBSERVE and not p.require_approval:
            return self._gating.held_back(unit, run, p) or Stopped("observed")
        kind = self._policies.kind(unit, run, p.call, p.facts)
        return self._gating.stopped(unit, run, replace(p, kind=kind), judgement, step_id)

    def _judge(self, unit: Unit, run: Run, p: Proposal) -> Judgement:
        agent = unit.find(Agent, run.agent_id)
        judged = self._policies.judge(
            unit, run, p.call, p.facts, executor=p.executor.value, subagent=p.subagent
        )
        judged = self._briefs.judged(unit, run, p.call, p.facts, judged)
        if agent is None or agent.suspended:
            why = "This agent is suspended" if agent else "This agent is not registered"
            rule = MatchedRule("agent-not-active", Verdict.DENY, why, "Ask an operator.")
            return replace(judged, verdict=Verdict.DENY, rules=(rule, *judged.rules))
        looks = p.facts.effect is Effect.READ and judged.verdict is Verdict.ALLOW
        stopped = "" if looks else self._switch.blocked(unit, agent.agent_id)
        if stopped:
            rule = MatchedRule(RULE, Verdict.DENY, f"Nothing runs now: {stopped}", _STOPPED)
            return replace(judged, verdict=Verdict.DENY, rules=(rule, *judged.rules))
        if run.held and not looks:
            rule = MatchedRule(HELD_RULE, Verdict.DENY, _HELD, _STOP)
            return replace(judged, verdict=Verdict.DENY, rules=(rule, *judged.rules))
        return _required(judged) if p.require_approval else judged

    def _mode(self, unit: Unit, run: Run) -> Mode:
        """A pause by a person turns enforcing into observing until it ends."""
        installation = unit.find(Installation, INSTALLATION_ID)
        if installation is not None and installation.paused(unit.now):
            return Mode.OBSERVE
        return run.mode

    def _tampering(self, unit: Unit, p: Proposal) -> None:
        if "control-plane" in p.facts.hazards:
            what = f"agent call of {p.call.tool[:200]}"
            refused = AccessRefused(what=what, why="control-plane", subject=p.run_id)
            unit.record(Installation, INSTALLATION_ID, [refused])

    def _step(
        self, unit: Unit, p: Proposal, judgement: Judgement, step_id: StepId, stopped: Stopped
    ) -> Result:
        step = StepJudged(
            run_id=unit.get(Run, p.run_id).run_id,
            step_id=step_id,
            key=p.key,
            tool=p.call.tool[:200],
            effect=p.facts.effect.value,
            action_digest=p.digest,
            verdict=stopped.verdict,
            risk=judgement.risk.value,
            rules=tuple(r.id for r in judgement.rules),
            hazards=p.facts.hazards,
            opaque=p.facts.opaque,
            policy_digest=judgement.policy_digest,
            subagent=p.subagent[:200],
            handoff_id=HandoffId(stopped.handoff_id),
            call=unit.put_json(p.call.canonical()),
            summary=unit.put(p.facts.summary),
            facts=unit.put_json(seen) if (seen := seen_facts(p.facts)) else None,
        )
        unit.record(Run, p.run_id, [step])
        return _answer(stopped, judgement, step_id)

    def record_reads(
        self, actor: Actor, run_id: str, reads: list[Read], request_key: str = ""
    ) -> Result:
        """Record reads the runner let through by itself. Idempotent for an equal `request_key`."""

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            check_not_over(run)
            for r in reads:
                check_key(r.key)
                judgement = self._policies.judge(unit, run, r.call, r.facts)
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

        command = said([run_id, reads]) if request_key else ""
        return self._kernel.run(actor, work, key=request_key, command=command)

    def record_result(self, actor: Actor, r: StepResult) -> Result:
        """What came of a step, by its key. Settles a hooked start as `reported`. Idempotent.

        Raises UsageError for `usage` that is no amount.
        """
        if r.usage is not None:
            check_reported(r.usage)

        def work(unit: Unit) -> Result:
            run = unit.get(Run, r.run_id)
            step = run.open_steps.get(r.key)
            if step is None or run.over:
                return {"settled": False}
            output = unit.put(r.output) if r.output else None
            repeat = self._repeat(run, step, r)
            done = StepFinished(
                run.run_id,
                StepId(step.step_id),
                r.exit_code,
                r.failed,
                r.duration_ms,
                output,
                repeat,
            )
            unit.record(Run, r.run_id, [done])
            if r.usage is not None:
                self._limits.record(unit, unit.get(Run, r.run_id), r.usage)
            self._limits.noticed(unit, r.run_id)
            settled = self._settle(unit, step, r, output)
            return {"settled": settled, "step_id": step.step_id, "handoff_id": step.handoff_id}

        return self._kernel.run(
            actor, work, before_commit=lambda: fault_point("result.before_commit")
        )

    def _repeat(self, run: Run, step: OpenStep, r: StepResult) -> int:
        """How often in a row this call has failed with this result. The log holds no digest of a result
        that could be guessed from; what is compared is the content, as long as it is kept."""
        if not r.failed and r.exit_code in (0, None):
            return 0
        earlier = run.usage.failed_before(step.action_digest)
        if earlier is None or earlier.exit_code != r.exit_code:
            return 1
        before = self._kernel.vault.text(earlier.output)
        return earlier.times + 1 if gist(before) == gist(r.output) else 1

    def _settle(self, unit: Unit, step: OpenStep, r: StepResult, output: BodyRef | None) -> bool:
        if not step.handoff_id or step.verdict != "allow":
            return False
        h = unit.get(Handoff, step.handoff_id)
        if not commands.starts_unsettled(h) or h.grant is None:
            return False
        if h.grant.step_id and h.grant.step_id != step.step_id:
            return False  # the late result of an earlier start
        settle = commands.Settle(
            h.grant.start_id, EffectOutcome.REPORTED, h.grant.action_digest, r.exit_code, output
        )
        unit.record(Handoff, h.handoff_id, commands.settle(h, settle))
        return True


_SEEN = frozenset({"paths", "changes", "reversible", "branches", "environments"})


def seen_facts(facts: Facts) -> dict[str, object]:
    """What conditions see of a call beside what its event holds; empty for most calls."""
    return {k: v for k, v in encode(facts).items() if k in _SEEN}


def _required(judged: Judgement) -> Judgement:
    """The caller's own code asks for a person every time. Only ever stricter than what policy says."""
    if judged.verdict is Verdict.DENY:
        return judged
    rules = tuple(r for r in judged.rules if r.verdict is not Verdict.ALLOW)
    risk = Risk.MEDIUM if judged.risk is Risk.LOW else judged.risk
    once = replace(judged.requirement, scope=ONCE)
    gated = replace(judged, verdict=Verdict.GATE, risk=risk, rules=(_ALWAYS, *rules))
    return replace(gated, requirement=once)


def _answer(stopped: Stopped, judgement: Judgement, step_id: str) -> Result:
    answer: Result = {
        "verdict": "allow" if stopped.verdict == "observed" else stopped.verdict,
        "step_id": step_id,
        "handoff_id": stopped.handoff_id,
        "grant_id": stopped.grant_id,
        "reason": stopped.reason or _reason(judgement),
        "words": stopped.words,
        "later": stopped.later,
        "would": judgement.verdict.value,
        "risk": judgement.risk.value,
        "rules": [cast("object", encode(r)) for r in judgement.rules],
    }
    return answer | ({"preview": list(stopped.preview)} if stopped.preview else {})


def check_key(key: str) -> None:
    """Keys come from the agent's harness. Raises UsageError."""
    if not key or len(key) > MAX_KEY or not key.isprintable():
        raise UsageError(
            f"`key` is {key[:40]!r}", hint=f"Send 1 to {MAX_KEY} printable characters."
        )


def _reason(judgement: Judgement) -> str:
    return " ".join(
        f"{r.why.rstrip('.')}. {r.remedy}".strip()
        for r in judgement.rules
        if r.verdict is not Verdict.ALLOW
    )
