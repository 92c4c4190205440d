"""A task: delegated work with a brief, on one repository and target branch."""

from dataclasses import dataclass, replace
from datetime import datetime

from handfast.core.domain.events import TaskEvent
from handfast.core.domain.events_work import BodyRef, TaskClosed, TaskCreated, TaskOutcome
from handfast.core.domain.ids import PersonId, TaskId


@dataclass(frozen=True, slots=True)
class Task:
    task_id: TaskId
    repository: str
    target_branch: str
    base_commit: str
    brief: BodyRef
    brief_digest: str
    created_at: datetime
    outcome: TaskOutcome | None = None
    requested_by: PersonId = PersonId("")


def evolve(state: Task | None, event: TaskEvent, at: datetime) -> Task:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, TaskCreated):
        return Task(
            task_id=event.task_id,
            repository=event.repository,
            target_branch=event.target_branch,
            base_commit=event.base_commit,
            brief=event.brief,
            brief_digest=event.brief_digest,
            created_at=at,
            requested_by=event.requested_by,
        )
    if state is None:
        raise ValueError("a task's first event must be task.created")
    return replace(state, outcome=event.outcome)


def close(state: Task, outcome: TaskOutcome) -> list[TaskEvent]:
    """Idempotent: the first outcome stands."""
    return [] if state.outcome else [TaskClosed(state.task_id, outcome)]
