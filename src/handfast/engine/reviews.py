"""Finished work, and questions, handed to a person."""

from dataclasses import dataclass, replace

from handfast.core.domain.action import Call, Effect, Facts, Judgement, Risk, Verdict
from handfast.core.domain.completeness import MAX_RETURNS, lacking
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import Executor, HandoffKind
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.package import Evidence, Package, ShowKind, WhatWillHappen
from handfast.core.domain.reviewed_files import check_files
from handfast.core.domain.run import Run, check_epoch, check_not_over
from handfast.core.domain.takeover import check_free
from handfast.core.domain.task import Task
from handfast.engine.audiences import Audiences
from handfast.engine.escalations import attempts
from handfast.engine.evidence import evidence_of, stated_by
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.ledger import attempts_of
from handfast.engine.opening import Opening, at_most, open_handoff
from handfast.engine.packages import ReviewFacts, containment, cost_of, review
from handfast.engine.policies import InForce, Policies
from handfast.engine.repeats import said_by
from handfast.engine.review_files import keep_files
from handfast.engine.runs import Pause, pause_events
from handfast.engine.sent_back import since_review
from handfast.engine.subjects import subject_of
from handfast.engine.tasks import Tasks
from handfast.engine.waking import wake
from handfast.storage.api import Query

MERGE_TOOL = "git.merge"
_WHY_ASKED = {
    True: "The agent cannot go on without an answer.",
    False: "The agent goes on meanwhile; the answer decides what it does later.",
}
HIGH = ("fs.", "secret.", "control-plane", "git.hooks")


@dataclass(frozen=True, slots=True)
class FinishedWork:
    """`returns`: the runner can give incomplete work back to its agent."""

    run_id: str
    epoch: int
    facts: ReviewFacts
    pause: Pause
    request_key: str = ""
    returns: bool = False


def merge_call(repository: str, target_branch: str, commit: str, target_commit: str = "") -> Call:
    """The action that approving a review permits: exactly this commit into exactly this branch.

    With `target_commit` the branch has to stand there as well.
    """
    arguments = {"repository": repository, "target_branch": target_branch, "commit": commit}
    if target_commit:
        arguments["target_commit"] = target_commit
    return Call(MERGE_TOOL, arguments, cwd=repository)


class Reviews:
    """All calls are atomic."""

    def __init__(self, audiences: Audiences, tasks: Tasks, policies: Policies) -> None:
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._policies = policies
        self._tasks = tasks

    def open(self, actor: Actor, work_done: FinishedWork) -> Result:
        """Hand finished work to review and pause the run. Idempotent by `request_key`.

        Raises StaleEpoch, InvalidTransition, UsageError for a run that has no task, or files that nobody may edit.
        """
        f = work_done.facts
        _check_files(f)
        evidence = self._evidence(work_done)
        known = self._kernel.state(Run, work_done.run_id)
        stated = stated_by(self._kernel, known, f.agent_says)

        def work(unit: Unit) -> Result:
            run = unit.get(Run, work_done.run_id)
            check_epoch(run, work_done.epoch)
            check_not_over(run)
            check_free(run.run_id, run.takeovers)
            if not run.task_id:
                raise UsageError(f"run `{run.run_id}` has no task, so nothing can be merged")
            opening = self._opening(unit, run, unit.get(Task, run.task_id), f, evidence)
            opening = with_since(self._kernel, with_ledger(self._kernel, opening), f)
            opening = replace(opening, package=replace(opening.package, stated=stated))
            opening = self._complete(opening, work_done)
            handoff = open_handoff(self._audiences, unit, opening)
            p = work_done.pause
            session = unit.put(p.session, "application/jsonl") if p.session else None
            paused = Pause(
                p.snapshot_ref, p.snapshot_commit, None, (handoff.handoff_id,), "work finished"
            )
            unit.record(Run, run.run_id, pause_events(run, work_done.epoch, paused, session))
            if opening.returned:
                wake(unit, handoff)
            return {"handoff_id": handoff.handoff_id, "status": handoff.status.value}

        return self._kernel.run(
            actor,
            work,
            key=work_done.request_key,
            command=said_by(work_done),
        )

    def _complete(self, opening: Opening, done: FinishedWork) -> Opening:
        """Work that lacks what its agent can supply goes back, at most `MAX_RETURNS` times in a run; then it goes
        to a person, marked."""
        lacks = lacking(opening.package) if done.returns else ()
        if not lacks:
            return opening
        status = (Status.INCOMPLETE.value,)
        query = Query("handoff", run_id=done.run_id, statuses=status, limit=MAX_RETURNS)
        if len(self._kernel.store.find(query)) < MAX_RETURNS:
            return replace(opening, returned=lacks)
        return replace(opening, package=replace(opening.package, incomplete=lacks))

    def _evidence(self, done: FinishedWork) -> tuple[Evidence, ...]:
        """Derived from what the run recorded; nobody's word is taken for it."""
        run, f = self._kernel.state(Run, done.run_id), done.facts
        if not run.task_id:
            return ()
        criteria = self._tasks.brief(self._kernel.state(Task, run.task_id)).acceptance
        return evidence_of(self._kernel, run, criteria, f.agent_says, f.changes, f.written_at)

    def _opening(
        self, unit: Unit, run: Run, task: Task, f: ReviewFacts, evidence: tuple[Evidence, ...]
    ) -> Opening:
        """The merge as a call, what policy says of it, and what a person gets to see."""
        brief = self._tasks.brief(task)
        policy = self._policies.in_force(unit, task.repository)
        target_commit = f.work.target_commit if policy.binds_target else ""
        call = merge_call(task.repository, f.work.target_branch, f.work.head_commit, target_commit)
        merge = merge_facts(f)
        judged = judged_merge(unit, run, call, f, policy)
        risk = merge_risk(f, brief.risk, judged.risk)
        stopped = tuple(r for r in judged.rules if r.verdict is not Verdict.ALLOW)
        return Opening(
            kind=HandoffKind.REVIEW,
            risk=risk.value,
            package=review(f, run, evidence, stopped, brief.intent),
            action_digest=call.digest,
            agent_id=run.agent_id,
            within_s=self._kernel.settings.review_within_s,
            run_id=run.run_id,
            task_id=run.task_id,
            action=unit.put_json(call.canonical()),
            executor=Executor.MEDIATED,
            rules=tuple(r.id for r in stopped),
            policy_digest=judged.policy_digest,
            brief_digest=task.brief_digest,
            requirement=at_most(replace(judged, risk=risk), merge),
            tool=MERGE_TOOL,
            owners=tuple(change.owners for change in f.changes),
            refused=judged.verdict is Verdict.DENY,
            # Who wrote a part of it is no independent eye on it.
            apart=tuple({t.by: None for t in run.takeovers if t.work and t.work.changed}),
            files=keep_files(unit, f),
        )

    def ask(self, actor: Actor, run_id: str, question: str, *, blocking: bool = True) -> Result:
        """A question of the agent's. Non-empty; the words are shown as the agent's. Not `blocking`: the agent
        goes on meanwhile."""
        if not question.strip():
            raise UsageError("`question` is empty", hint="Ask one thing a person can answer.")

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            check_not_over(run)
            check_free(run.run_id, run.takeovers)
            unit.rely_on(Run, run_id)
            package = Package(
                ask="The agent asks a question",
                what_will_happen=WhatWillHappen(ShowKind.TEXT, question[:20_000]),
                why_now=_WHY_ASKED[blocking],
                open_question="Answer the agent's question.",
                state="The run goes on with your answer." if blocking else "The run goes on.",
                attempts=(
                    *attempts_of(self._kernel, run.task_id, but_run=run_id),
                    *attempts(self._kernel, run),
                ),
                cost=cost_of(run),
                agent_says=question[:4_000],
                pointers=(f"run {run_id}",),
                containment=containment(run),
            )
            handoff: Handoff = open_handoff(
                self._audiences,
                unit,
                Opening(
                    kind=HandoffKind.QUESTION,
                    risk=Risk.LOW.value,
                    package=package,
                    action_digest="",
                    agent_id=run.agent_id,
                    within_s=self._kernel.settings.review_within_s,
                    run_id=run.run_id,
                    task_id=run.task_id,
                    blocking=blocking,
                ),
            )
            return {"handoff_id": handoff.handoff_id}

        return self._kernel.run(actor, work)


def _check_files(f: ReviewFacts) -> None:
    """Only files of the change itself, as it left them, may be edited. Raises UsageError."""
    check_files(f.files)
    changed = {change.path: change.new_mode for change in f.changes if change.status != "D"}
    odd = next((file for file in f.files if changed.get(file.path) != file.mode), None)
    if odd is not None:
        raise UsageError(f"`{odd.path}` is no file of this change")


def with_ledger(kernel: Kernel, opening: Opening) -> Opening:
    """With what was tried on its task before this."""
    tried = attempts_of(kernel, opening.task_id, but_run=opening.run_id)
    attempts = (*tried, *opening.package.attempts)
    return replace(opening, package=replace(opening.package, attempts=attempts))


def with_since(kernel: Kernel, opening: Opening, f: ReviewFacts) -> Opening:
    """With what differs from the form of it that was sent back."""
    found = since_review(kernel, opening.task_id, f.since_commit, f.since_diff)
    return replace(opening, package=replace(opening.package, since=found)) if found else opening


def judged_merge(unit: Unit, run: Run, call: Call, f: ReviewFacts, policy: InForce) -> Judgement:
    """What the published policies say of this merge. The built-in one has its say already: finished work
    is always reviewed."""
    merge = merge_facts(f)
    seen = replace(merge, hazards=f.hazards)
    subject = subject_of(unit, run, call, seen, executor=Executor.MEDIATED.value)
    return policy.judge(merge, subject)


def merge_facts(f: ReviewFacts) -> Facts:
    return Facts(
        Effect.WRITE,
        f"merges into {f.work.target_branch}",
        paths=f.work.files,
        changes=f.changes,
        branches=(f.work.target_branch,),
        reversible=True,
    )


def merge_risk(f: ReviewFacts, briefed: Risk, judged: Risk) -> Risk:
    """The brief's own risk, raised when the change itself shows a hazard or policy says so."""
    order = list(Risk)
    found = Risk.HIGH if any(h.startswith(HIGH) for h in f.hazards) else Risk.LOW
    return max(briefed, found, judged, key=order.index)
