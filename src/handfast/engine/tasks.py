"""Delegation: a task with its brief."""

import json
from dataclasses import dataclass
from typing import cast

from handfast.core.domain.brief import Brief
from handfast.core.domain.brief_scope import narrowed
from handfast.core.domain.canonical import digest
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.copying import replace
from handfast.core.domain.errors import InvalidTransition, UsageError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_work import TaskCreated
from handfast.core.domain.ids import TaskId
from handfast.core.domain.task import Task, take_part
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.repeats import said_by
from handfast.engine.reserving import Reserving


@dataclass(frozen=True, slots=True)
class NewTask:
    brief: Brief
    repository: str
    target_branch: str
    base_commit: str
    request_key: str = ""
    parent: str = ""


class Tasks:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._reserving = Reserving(kernel)

    def create(self, actor: Actor, new: NewTask) -> Result:
        """Idempotent by `request_key`. With a `parent` the brief is narrowed to its.

        Raises NotFound for an unknown parent, InvalidTransition for one that is closed, UsageError
        (`wider_than_parent`, `beyond_what_is_left` of the budget) naming the field.
        """

        def work(unit: Unit) -> Result:
            narrow = self._within(unit, new)
            brief = encode(narrow)
            task_id = TaskId(new_id("task"))
            event = TaskCreated(
                task_id=task_id,
                repository=new.repository,
                target_branch=new.target_branch,
                base_commit=new.base_commit,
                brief=unit.put_json(brief),
                brief_digest=digest(brief),
                requested_by=actor.person,
                parent=TaskId(new.parent),
            )
            unit.record(Task, task_id, [event])
            if new.parent:
                part = take_part(unit.get(Task, new.parent), task_id, narrow.budget)
                unit.record(Task, new.parent, part)
            return {"task_id": task_id}

        return self._kernel.run(actor, work, key=new.request_key, command=said_by(new))

    def check(self, new: NewTask) -> Brief:
        """The brief as it would be delegated. Records nothing; raises what `create` raises."""
        found: list[Brief] = []

        def work(unit: Unit) -> Result:
            found.append(self._within(unit, new))
            return {}

        self._kernel.run(SYSTEM, work)
        return found[-1]

    def left(self, task: Task) -> dict[str, str]:
        """What is left of the budget for one more part, by field; empty for a task without parts."""
        return self._reserving.left(Unit(self._kernel, SYSTEM, ""), task, self.brief(task).budget)

    def _within(self, unit: Unit, new: NewTask) -> Brief:
        if not new.parent:
            return new.brief
        parent = unit.get(Task, new.parent)
        if parent.outcome:
            raise InvalidTransition(
                f"task `{parent.task_id}` is closed: {parent.outcome.value}",
                hint="A part of a task is delegated while the task is open.",
            )
        if new.repository != parent.repository:
            raise UsageError(
                f"`repository` is wider than the parent's: `{new.repository}` is not `{parent.repository}`",
                code="wider_than_parent",
                details={"field": "repository"},
            )
        whole = self.brief(parent)
        brief = narrowed(new.brief, whole)
        budget = self._reserving.room(unit, parent, whole.budget, new.brief.budget)
        return replace(brief, budget=budget)

    def again(self, unit: Unit, task: Task) -> None:
        """Before a task that is closed is delegated again. Raises UsageError where it is a part and what is left
        of its parent's budget does not suffice."""
        parent = unit.find(Task, task.parent) if task.parent and task.outcome else None
        if parent is not None and task.task_id in parent.parts:
            self._reserving.again(unit, parent, self.brief(parent).budget, task)

    def brief(self, task: Task) -> Brief:
        """The brief as it was delegated; an erased one keeps only a note of that."""
        content = self._kernel.vault.open(task.brief.body_id)
        if content.erased:
            return Brief(intent="(erased)")
        return decode(Brief, cast("dict[str, object]", json.loads(content.data)))
