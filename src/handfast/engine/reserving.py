"""What the parts of a task have taken of its budget, read so that two delegations at once cannot both have it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from handfast.core.domain.brief import Budget
from handfast.core.domain.reservation import (
    Amounts,
    amounts,
    apportioned,
    left,
    plain,
    together,
    used,
)
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.core.policy.measures import measured
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query


class Reserving:
    """Works inside a unit of work, which then commits only while every task that was read is still as it was."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def room(self, unit: Unit, parent: Task, whole: Budget, asked: Budget) -> Budget:
        """The budget of one more part. Raises UsageError naming the field and what is left."""
        unit.rely_on(Task, parent.task_id)
        return apportioned(asked, whole, self.taken(unit, parent)) if amounts(whole) else asked

    def again(self, unit: Unit, parent: Task, whole: Budget, part: Task) -> None:
        """A part that ended is delegated once more: what it used stays used, and its budget is reserved anew.
        Raises UsageError."""
        unit.rely_on(Task, parent.task_id)
        others = self.taken(unit, parent, but=part.task_id)
        apportioned(parent.parts[part.task_id], whole, [*others, self._used(unit, part)])

    def left(self, unit: Unit, parent: Task, whole: Budget) -> dict[str, str]:
        """What one more part may have, as text by field; empty for a task without parts."""
        if not parent.parts:
            return {}
        return {name: plain(most) for name, most in left(whole, self.taken(unit, parent)).items()}

    def taken(self, unit: Unit, parent: Task, but: str = "") -> list[Amounts]:
        """What each part holds or has used."""
        found: list[Amounts] = []
        for task_id, budget in parent.parts.items():
            part = unit.get(Task, task_id)
            unit.rely_on(Task, task_id)
            if task_id == but:
                continue
            spent = self._used(unit, part)
            found.append(spent if part.outcome else together([amounts(budget), spent]))
        return found

    def _used(self, unit: Unit, task: Task) -> Amounts:
        """By its runs that have ended; of a part that has ended, by its own parts too."""
        spent: list[Amounts] = [
            used(r.budget, measured(r, unit.now)) for r in self._runs(task) if r.over
        ]
        if task.outcome and task.parts:
            spent += self.taken(unit, task)
        return together(spent)

    def _runs(self, task: Task) -> Iterator[Run]:
        query = Query("run", task_id=task.task_id, newest_first=True, limit=500)
        while rows := self._kernel.store.find(query):
            yield from (cast("Run", load(BY_NAME["run"], r.doc)) for r in rows)
            query = replace(query, after=(rows[-1].rank, rows[-1].opened))
