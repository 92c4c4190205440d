"""Opens a handoff inside a unit of work: the one way a handoff comes to be."""

from dataclasses import dataclass

from handfast.core.domain.action import Facts, Judgement, Risk
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.codec import encode
from handfast.core.domain.completeness import missing
from handfast.core.domain.copying import replace
from handfast.core.domain.events_handoff import (
    DecisionKind,
    Executor,
    HandoffKind,
    HandoffRequested,
    HandoffReturned,
)
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import most
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.handoff_votes import APPROVING
from handfast.core.domain.ids import AgentId, HandoffId, PersonId, RunId, StepId, TaskId
from handfast.core.domain.package import Package
from handfast.core.domain.requirement import Requirement, askings
from handfast.core.domain.run import Run
from handfast.core.policy.interruption_section import Asked
from handfast.engine.audiences import About, Audiences, Resolved
from handfast.engine.deferring import first_asked
from handfast.engine.freezing import frozen_at_birth
from handfast.engine.ids import new_id
from handfast.engine.kernel import Unit
from handfast.engine.packages import OFFERED, OVERRIDE_REVIEWED, bounded, presented_digest


@dataclass(frozen=True, slots=True)
class Opening:
    """What a handoff is about. `action` is the body with the exact call, where there is one.

    `editable`: a reviewer can write a part of the call anew. `refused` is a merge that policy denies: nobody can approve it. `returned` is what its agent has to supply
    first: then nobody is asked.

    `owners` are those of each changed file. `apart` are people who may not count besides those who asked
    for the work.
    """

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
    tool: str = ""
    owners: tuple[tuple[str, ...], ...] = ()
    apart: tuple[PersonId, ...] = ()
    editor: PersonId = PersonId("")
    edited_text: BodyRef | None = None
    form_digest: str = ""
    subagent: str = ""
    operand_texts: BodyRef | None = None
    editable: bool = True
    refused: bool = False
    blocking: bool = True
    returned: tuple[str, ...] = ()
    files: BodyRef | None = None
    whole: BodyRef | None = None


def at_most(judgement: Judgement, facts: Facts) -> Requirement:
    """What an approval takes, and the most it may cover for this very action."""
    asked = judgement.requirement
    scope = most(asked.scope, reversible=facts.reversible, risk=judgement.risk.value)
    return replace(asked, scope=scope)


def open_handoff(audiences: Audiences, unit: Unit, o: Opening, *, handoff_id: str = "") -> Handoff:
    """Record it and ask the first level, or return it to its agent with what is missing."""
    o = _bounded(unit, o)
    about = About(o.kind, o.risk, o.run_id, o.task_id, o.rules, o.tool, o.owners, o.about)
    takes = audiences.resolve(unit, about, o.requirement)
    if takes.note:
        o = replace(o, package=replace(o.package, not_seen=(*o.package.not_seen, takes.note)))
    of_override = o.kind is HandoffKind.REVIEW and bool(o.about)
    if lacking := missing(o.kind, o.package, of_override=of_override):
        o = replace(o, package=replace(o.package, incomplete=(*o.package.incomplete, *lacking)))
    planned = askings(takes.requirement, o.requirement.within_s or o.within_s)
    hid = HandoffId(handoff_id or new_id("ho"))
    offered = OVERRIDE_REVIEWED if of_override else _offered(unit, o)
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
        levels_s=tuple(asking.seconds for asking in planned),
        run_id=o.run_id,
        task_id=o.task_id,
        step_id=o.step_id,
        action=o.action,
        executor=o.executor,
        rules=o.rules,
        policy_digest=o.policy_digest,
        brief_digest=o.brief_digest,
        about=o.about,
        requirement=takes.requirement,
        requested_by=(*takes.requested_by, *o.apart),
        may_proceed=_may_proceed(o),
        editor=o.editor,
        edited_text=o.edited_text,
        form_digest=o.form_digest,
        subagent=o.subagent,
        operand_texts=o.operand_texts,
        blocking=o.blocking,
        files=o.files,
        whole=o.whole,
    )
    if o.returned:
        return unit.record(Handoff, hid, [request, HandoffReturned(hid, o.returned)])
    people = audiences.asked(unit, planned[0].to, takes.repository)
    made = first_asked(audiences, unit, request, people, _asked(unit, o, takes))
    return frozen_at_birth(unit, made)


def _bounded(unit: Unit, o: Opening) -> Opening:
    """A change too large to be shown is kept whole beside the package."""
    shown = bounded(o.package)
    if shown is o.package:
        return o
    return replace(o, package=shown, whole=unit.put(o.package.what_will_happen.text, "text/x-diff"))


def _asked(unit: Unit, o: Opening, takes: Resolved) -> Asked:
    """What decides whether it may wait for others: taken from the facts, never from the agent's words."""
    what = o.package.what_will_happen
    run = unit.find(Run, o.run_id) if o.run_id else None
    return Asked(
        kind=o.kind,
        risk=o.risk,
        facts={
            "risk": (o.risk,),
            "kind": (o.kind.value,),
            "rules": o.rules,
            "repository": (takes.repository,),
            "tool": (o.tool,),
        },
        reversible=what.reversible,
        blocking=o.blocking,
        stated=o.requirement.within_s > 0,
        review_of_override=o.kind is HandoffKind.REVIEW and bool(o.about),
        worked=run is not None and run.counts.steps > run.counts.reads,
        hazards=what.hazards,
    )


def _offered(unit: Unit, o: Opening) -> tuple[DecisionKind, ...]:
    """Editing finished work needs its texts. Taking over needs a runner that can end the agent and hand the worktree
    over; a doubt ends no run."""
    offered, take = OFFERED[o.kind], DecisionKind.TAKE_OVER
    if o.files is not None and o.package.review is not None:
        offered = (DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS, *offered[1:])
    if not o.editable:
        offered = tuple(kind for kind in offered if kind is not DecisionKind.APPROVE_WITH_EDITS)
    if o.refused:
        offered = tuple(kind for kind in offered if kind not in APPROVING)
    run = unit.find(Run, o.run_id) if o.run_id else None
    of_runner = run is not None and run.command is not None and o.kind is not HandoffKind.DOUBT
    return (*offered, take) if of_runner and take not in offered else offered


def _may_proceed(o: Opening) -> bool:
    """Whether `auto_proceed` may hold: low risk, reversible for certain, and read in full."""
    what = o.package.what_will_happen
    fully_read = what.reversible is True and not what.opaque
    small = o.kind is HandoffKind.APPROVAL and o.risk == Risk.LOW.value
    return small and fully_read and not o.package.unshown
