"""Why a recorded action was stopped, and what the policy in force now would say of it. Writes nothing."""

from handfast.core.domain.action import Judgement
from handfast.core.domain.errors import NotFound
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.requirement import in_words
from handfast.core.policy.builtin import RULES
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.policies import Policies
from handfast.engine.simulation import Recording, recording_of

_BUILTIN = {rule.id: rule.why for rule in RULES}


def explain(kernel: Kernel, policies: Policies, handoff_id: str) -> Result:
    """What stopped the action of a handoff: then (verdict, risk, rules, hazards, opaque, policy_digest) and
    now, by the policy in force, or why that cannot be said (`unread`).

    Raises NotFound for a handoff that is not about one recorded action.
    """
    handoff = kernel.state(Handoff, handoff_id)
    if not handoff.step_id:
        raise NotFound(
            f"handoff `{handoff_id}` is not about one recorded action",
            hint="Only what a call of an agent opened can be explained by its rules.",
        )
    found = recording_of(kernel, handoff.run_id, handoff.step_id)
    if found is None:
        return {"handoff_id": handoff_id, "unread": "the content of that action was erased"}
    step = found.step
    return {
        "handoff_id": handoff_id,
        "run_id": step.run_id,
        "step_id": step.step_id,
        "tool": step.tool,
        "at": found.at,
        "verdict": step.verdict,
        "risk": step.risk,
        "rules": [{"id": rule, "why": _BUILTIN.get(rule, "")} for rule in step.rules],
        "hazards": list(step.hazards),
        "opaque": list(step.opaque),
        "policy_digest": step.policy_digest,
        "repository": found.repository,
        "unread": "",
        "now": _now(kernel, policies, found),
    }


def _now(kernel: Kernel, policies: Policies, found: Recording) -> Result:
    def work(unit: Unit) -> Result:
        in_force = policies.in_force(unit, found.repository)
        return _judged(in_force.judge(found.facts, found.subject), in_force.digest)

    return kernel.run(SYSTEM, work)


def _judged(judged: Judgement, digest: str) -> Result:
    return {
        "verdict": judged.verdict.value,
        "risk": judged.risk.value,
        "rules": [{"id": r.id, "why": r.why, "verdict": r.verdict.value} for r in judged.rules],
        "takes": in_words(judged.requirement) if judged.verdict.value == "gate" else "",
        "policy_digest": digest,
    }
