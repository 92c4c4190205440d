"""A task: delegated work with a brief, on one repository and target branch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain.brief import Budget
from handfast.core.domain.errors import InvalidTransition, UsageError
from handfast.core.domain.events import TaskEvent
from handfast.core.domain.events_work import (
    BodyRef,
    TaskClosed,
    TaskCreated,
    TaskHeld,
    TaskOutcome,
    TaskPartMade,
    TaskReleased,
    TaskReopened,
)
from handfast.core.domain.ids import PersonId, TaskId


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold in force."""

    by: PersonId
    at: datetime
    reason: BodyRef


MAX_PARTS = 500


@dataclass(frozen=True, slots=True)
class Task:
    """`parts` are the tasks made as parts of this one, each with the budget it was given."""

    task_id: TaskId
    repository: str
    target_branch: str
    base_commit: str
    brief: BodyRef
    brief_digest: str
    created_at: datetime
    outcome: TaskOutcome | None = None
    requested_by: PersonId = PersonId("")
    hold: Hold | None = None
    parent: TaskId = TaskId("")
    parts: Mapping[str, Budget] = field(default_factory=dict)


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
            parent=event.parent,
        )
    if state is None:
        raise ValueError("a task's first event must be task.created")
    match event:
        case TaskClosed():
            return replace(state, outcome=event.outcome)
        case TaskReopened():
            return replace(state, outcome=None)
        case TaskPartMade():
            return replace(state, parts={**state.parts, event.part: event.budget})
        case TaskHeld():
            return replace(state, hold=Hold(event.by, at, event.reason))
        case TaskReleased():
            return replace(state, hold=None)
        case _:
            assert_never(event)


def close(state: Task, outcome: TaskOutcome) -> list[TaskEvent]:
    """Idempotent: the first outcome stands."""
    return [] if state.outcome else [TaskClosed(state.task_id, outcome)]


def reopen(state: Task, by: PersonId) -> list[TaskEvent]:
    """A task whose work was not merged may be delegated again. Raises InvalidTransition for one that was."""
    if state.outcome is TaskOutcome.MERGED:
        raise InvalidTransition(
            f"task `{state.task_id}` is closed: {state.outcome.value}",
            hint="Make a new task for what is left to do.",
        )
    return [TaskReopened(state.task_id, by)] if state.outcome else []


def take_part(state: Task, part: TaskId, budget: Budget) -> list[TaskEvent]:
    """A part of an open task. Raises UsageError for one too many."""
    if len(state.parts) >= MAX_PARTS:
        raise UsageError(
            f"task `{state.task_id}` has {MAX_PARTS} parts",
            hint="Make a part that has parts of its own.",
        )
    return [TaskPartMade(state.task_id, part, budget)]


def check_not_held(state: Task) -> None:
    """Raises InvalidTransition (code `legal_hold`) while nothing of the task may be erased."""
    if state.hold is not None:
        raise InvalidTransition(
            f"task `{state.task_id}` is under a legal hold since {state.hold.at:%Y-%m-%d}",
            code="legal_hold",
            hint="`handfast task release` ends it. Nothing was erased.",
        )
