"""Lists and single things, read through the running server or, where none runs, from the store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast

from handfast.cli.control import Control, Json, running
from handfast.cli.local import existing_engine
from handfast.client import calls, staff
from handfast.core.domain.errors import UsageError

if TYPE_CHECKING:
    from handfast.engine.facade import Engine

STATUSES = ("waiting", "decided", "closed", "all")


class Reads(Protocol):
    """The JSON of the API. Raises NotFound."""

    def handoffs(
        self, status: str, *, run_id: str = "", task_id: str = "", limit: int = 50
    ) -> list[Json]: ...

    def stopped(self) -> list[Json]:
        """What the kill switch stops."""
        ...

    def handoff(self, handoff_id: str) -> Json: ...

    def runs(self, *, task_id: str = "", limit: int = 50) -> list[Json]: ...

    def run(self, run_id: str) -> Json: ...

    def steps(self, run_id: str) -> Iterator[Json]:
        """Page by page, while they are read."""
        ...

    def tasks(self, *, limit: int = 50) -> list[Json]: ...

    def task(self, task_id: str) -> Json: ...


@contextmanager
def reads() -> Iterator[Reads]:
    control = running()
    if control is not None:
        yield RemoteReads(control)
        return
    with existing_engine() as engine:
        yield LocalReads(engine)


def check_status(status: str) -> str:
    if status not in STATUSES:
        raise UsageError(f"`--status` is `{status}`", hint=f"One of: {', '.join(STATUSES)}.")
    return status


class RemoteReads:
    def __init__(self, control: Control) -> None:
        self._control = control

    def handoffs(
        self, status: str, *, run_id: str = "", task_id: str = "", limit: int = 50
    ) -> list[Json]:
        asked = calls.handoffs(status, run_id=run_id, task_id=task_id, limit=limit)
        return _items(self._control.send(asked))

    def stopped(self) -> list[Json]:
        return self._control.send(staff.control())

    def handoff(self, handoff_id: str) -> Json:
        return self._control.send(calls.handoff(handoff_id))

    def runs(self, *, task_id: str = "", limit: int = 50) -> list[Json]:
        return _items(self._control.send(calls.runs(task_id, limit=limit)))

    def run(self, run_id: str) -> Json:
        return self._control.send(calls.run(run_id))

    def steps(self, run_id: str) -> Iterator[Json]:
        return all_pages(lambda after: self._control.send(calls.steps(run_id, after)))

    def tasks(self, *, limit: int = 50) -> list[Json]:
        return _items(self._control.send(calls.tasks(limit=limit)))

    def task(self, task_id: str) -> Json:
        return self._control.send(calls.task(task_id))


class LocalReads:
    def __init__(self, engine: "Engine") -> None:
        self._engine, self._views = engine, engine.views

    def handoffs(
        self, status: str, *, run_id: str = "", task_id: str = "", limit: int = 50
    ) -> list[Json]:
        return self._views.handoffs(status, run_id=run_id, task_id=task_id, limit=limit).items

    def stopped(self) -> list[Json]:
        return self._engine.switch.status()

    def handoff(self, handoff_id: str) -> Json:
        return self._views.handoff(handoff_id)

    def runs(self, *, task_id: str = "", limit: int = 50) -> list[Json]:
        return self._views.runs(task_id=task_id, limit=limit).items

    def run(self, run_id: str) -> Json:
        return self._views.run(run_id)

    def steps(self, run_id: str) -> Iterator[Json]:
        return all_pages(lambda after: self._views.steps(run_id, after=after))

    def tasks(self, *, limit: int = 50) -> list[Json]:
        return self._views.tasks(limit=limit).items

    def task(self, task_id: str) -> Json:
        return self._views.task(task_id)


def all_pages(page: Callable[[int], Json]) -> Iterator[Json]:
    """The items of all pages; `page` gives the one after a version."""
    after = 0
    while True:
        part = page(after)
        yield from part["items"]
        after = int(part.get("next") or 0)
        if not after:
            return


def _items(page: Json) -> list[Json]:
    return cast("list[Json]", page["items"])
