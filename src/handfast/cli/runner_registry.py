"""The registry of runners, through the running server or, where none runs, on the store itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from handfast.cli.control import Control, Json, running
from handfast.cli.local import local_engine, operator
from handfast.client import runner_calls

if TYPE_CHECKING:
    from handfast.engine.facade import Engine


class RunnerRegistry(Protocol):
    """Raises NotFound, NotPermitted, InvalidTransition, UsageError."""

    def all(self) -> list[Json]: ...

    def add(
        self, name: str, repository: Sequence[str], agent: Sequence[str], label: Sequence[str]
    ) -> Json: ...

    def issue(self, runner_id: str) -> Json: ...

    def retire(self, runner_id: str, reason: str) -> Json: ...


@contextmanager
def runner_registry() -> Iterator[RunnerRegistry]:
    control = running()
    if control is not None:
        yield _Remote(control)
        return
    with local_engine() as engine:
        yield _Local(engine)


class _Remote:
    def __init__(self, control: Control) -> None:
        self._control = control

    def all(self) -> list[Json]:
        return self._control.send(runner_calls.runners())

    def add(
        self, name: str, repository: Sequence[str], agent: Sequence[str], label: Sequence[str]
    ) -> Json:
        return self._control.send(runner_calls.add_runner(name, repository, agent, label))

    def issue(self, runner_id: str) -> Json:
        return self._control.send(runner_calls.issue_runner_token(runner_id))

    def retire(self, runner_id: str, reason: str) -> Json:
        return self._control.send(runner_calls.retire_runner(runner_id, reason))


class _Local:
    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def all(self) -> list[Json]:
        return self._engine.runners.all()

    def add(
        self, name: str, repository: Sequence[str], agent: Sequence[str], label: Sequence[str]
    ) -> Json:
        from handfast.engine.runners import NewRunner

        new = NewRunner(name, tuple(repository), tuple(agent), tuple(label))
        return self._engine.runners.add(operator(), new)

    def issue(self, runner_id: str) -> Json:
        return self._engine.runners.issue(operator(), runner_id)

    def retire(self, runner_id: str, reason: str) -> Json:
        return self._engine.runners.retire(operator(), runner_id, reason)
