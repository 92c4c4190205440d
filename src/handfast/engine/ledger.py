"""The ledger of attempts: what was tried on a task so far, how it ended and why, over all its runs.

A fold of what is recorded anyway, so it outlives the agent, the run and a second delegation. What was tried on
the task that a task is a part of is told as well.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, cast

from handfast.core.domain.codec import format_time
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.events_work import RunOutcome
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.inert import inert
from handfast.core.domain.package import Attempt
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.engine.filled import full
from handfast.engine.kernel import Kernel, Result
from handfast.engine.projections import BY_NAME, load
from handfast.engine.tasks import Tasks
from handfast.storage.api import Query

MAX_ATTEMPTS: Final = 30
_MAX_ABOVE: Final = 3
_MAX_ROWS: Final = 200
_MAX_LINE: Final = 300
_Dated = tuple[datetime, Attempt]

_REFUSED: Final = {
    DecisionKind.REQUEST_CHANGES: "changes requested",
    DecisionKind.REJECT: "refused",
    DecisionKind.TAKE_OVER: "taken over by a person",
}
_ENDED: Final = {
    RunOutcome.FAILED: "failed",
    RunOutcome.NEVER_STARTED: "never started",
    RunOutcome.WITHDRAWN: "withdrawn",
    RunOutcome.NOTHING_CHANGED: "ended without a change",
}


def of_task(kernel: Kernel, tasks: Tasks, task: Task, *, but_run: str = "") -> Result:
    """What a run and its pages need of the task: brief, its digest, the branch, and what was tried before
    `but_run`."""
    return {
        "brief": full(tasks.brief(task)),
        "brief_digest": task.brief_digest,
        "target_branch": task.target_branch,
        "attempts": [full(a) for a in attempts_of(kernel, task.task_id, but_run=but_run)],
    }


def attempts_of(kernel: Kernel, task_id: str, *, but_run: str = "") -> tuple[Attempt, ...]:
    """Oldest first, the newest `MAX_ATTEMPTS`. The end of `but_run` is left out: it is the one going on."""
    found: list[_Dated] = []
    above = task_id
    for _ in range(_MAX_ABOVE):
        row = kernel.store.load(f"task/{above}") if above else None
        if row is None:
            break
        found += [*_decided(kernel, above), *_ended(kernel, above, but_run)]
        above = cast("Task", load(BY_NAME["task"], row.doc)).parent
    found.sort(key=lambda each: each[0])
    return tuple(attempt for _, attempt in found[-MAX_ATTEMPTS:])


def _decided(kernel: Kernel, task_id: str) -> Iterator[_Dated]:
    """What people turned down, with their reason."""
    for row in reversed(kernel.store.find(_newest("handoff", task_id))):
        h = cast("Handoff", load(BY_NAME["handoff"], row.doc))
        decision = h.decision
        if decision is None or decision.kind not in _REFUSED:
            continue
        reason = kernel.vault.text(decision.reason)
        asked = kernel.vault.open(h.ask.body_id).text
        outcome = _REFUSED[decision.kind]
        if h.kind is HandoffKind.ESCALATION:
            outcome = f"stopped at a limit: {outcome}"
        yield decision.at, _attempt(asked, outcome, reason, h.run_id, decision.at)


def _ended(kernel: Kernel, task_id: str, but_run: str) -> Iterator[_Dated]:
    """Runs that ended without merged work. One whose work was refused is told by that decision."""
    for row in reversed(kernel.store.find(_newest("run", task_id))):
        run = cast("Run", load(BY_NAME["run"], row.doc))
        if run.run_id == but_run or run.outcome not in _ENDED:
            continue
        agent = kernel.store.load(f"agent/{run.agent_id}")
        name = getattr(load(BY_NAME["agent"], agent.doc), "name", "") if agent else run.agent_id
        why = run.exit_reason or (f"exit code {run.exit_code}" if run.exit_code else "")
        tried = f"A run by {name}, {run.counts.steps} calls"
        yield run.created_at, _attempt(tried, _ENDED[run.outcome], why, run.run_id, run.created_at)


def _newest(kind: str, task_id: str) -> Query:
    return Query(kind, task_id=task_id, newest_first=True, limit=_MAX_ROWS)


def _attempt(tried: str, outcome: str, why: str, run_id: str, at: datetime) -> Attempt:
    return Attempt(
        tried=inert(tried, _MAX_LINE, multiline=False),
        outcome=outcome,
        why=inert(why, 1_000, multiline=False),
        run_id=run_id,
        at=format_time(at),
    )
