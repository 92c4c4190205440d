"""Opens a handoff inside a unit of work: the one way a handoff comes to be."""

from dataclasses import dataclass, replace

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.action import Facts, Judgement
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.codec import encode
from handfast.core.domain.events_handoff import (
    Executor,
    HandoffKind,
    HandoffRequested,
    HandoffReturned,
)
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import most
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import AgentId, HandoffId, PersonId, RunId, StepId, TaskId
from handfast.core.domain.package import Package, missing
from handfast.core.domain.requirement import Requirement
from handfast.engine.ids import new_id
from handfast.engine.kernel import Unit
from handfast.engine.packages import OFFERED, presented_digest


@dataclass(frozen=True, slots=True)
class Opening:
    """What a handoff is about. `action` is the body with the exact call, where there is one."""

    kind: HandoffKind
    risk: str
    package: Package
    action_digest: str
    agent_id: AgentId
    within_s: int
    run_id: RunId = RunId("")
    task_id: TaskId = TaskId("")
    step_id: StepId = StepId("")
    action: BodyRef | None = None
    executor: Executor = Executor.NONE
    rules: tuple[str, ...] = ()
    policy_digest: str = ""
    brief_digest: str = ""
    about: HandoffId = HandoffId("")
    requirement: Requirement = Requirement()
    editor: PersonId = PersonId("")
    edited_text: BodyRef | None = None
    form_digest: str = ""
    subagent: str = ""


def at_most(judgement: Judgement, facts: Facts) -> Requirement:
    """What an approval takes, and the most it may cover for this very action."""
    asked = judgement.requirement
    scope = most(asked.scope, reversible=facts.reversible, risk=judgement.risk.value)
    return replace(asked, scope=scope)


def open_handoff(unit: Unit, o: Opening, *, handoff_id: str = "") -> Handoff:
    """Record it and ask the first level, or return it incomplete with what is missing."""
    hid = HandoffId(handoff_id or new_id("ho"))
    offered = OFFERED[o.kind]
    request = HandoffRequested(
        handoff_id=hid,
        kind=o.kind,
        risk=o.risk,
        agent_id=o.agent_id,
        action_digest=o.action_digest,
        presented_digest=presented_digest(hid, o.action_digest, o.package, offered),
        package=unit.put(canonical_json(encode(o.package)), "application/json"),
        ask=unit.put(o.package.ask),
        offered=offered,
        levels_s=(o.requirement.within_s or o.within_s,),
        run_id=o.run_id,
        task_id=o.task_id,
        step_id=o.step_id,
        action=o.action,
        executor=o.executor,
        rules=o.rules,
        policy_digest=o.policy_digest,
        brief_digest=o.brief_digest,
        about=o.about,
        requirement=o.requirement,
        editor=o.editor,
        edited_text=o.edited_text,
        form_digest=o.form_digest,
        subagent=o.subagent,
    )
    lacking = missing(o.kind, o.package)
    if lacking:
        return unit.record(Handoff, hid, [request, HandoffReturned(hid, lacking)])
    unit.post("handoff.requested", {"handoff_id": hid})
    return unit.record(Handoff, hid, [request, *commands.route(request, "reviewers", unit.now)])
