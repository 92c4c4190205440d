"""The agents' registry, through the running server or, where none runs, on the store itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from handfast.cli.control import Control, Json, running
from handfast.cli.local import local_engine, operator
from handfast.client import calls

if TYPE_CHECKING:
    from handfast.engine.facade import Engine


class Registry(Protocol):
    """Raises NotFound, InvalidTransition, UsageError."""

    def all(self) -> list[Json]: ...

    def add(self, name: str, harness: str, team: str = "") -> Json: ...

    def issue(self, agent_id: str, scopes: Sequence[str], ttl_s: int) -> Json: ...

    def suspend(self, agent_id: str, reason: str) -> Json: ...

    def reinstate(self, agent_id: str, reason: str) -> Json: ...

    def revoke(self, token_id: str) -> Json: ...


@contextmanager
def registry() -> Iterator[Registry]:
    control = running()
    if control is not None:
        yield RemoteRegistry(control)
        return
    with local_engine() as engine:
        yield LocalRegistry(engine)


class RemoteRegistry:
    def __init__(self, control: Control) -> None:
        self._control = control

    def all(self) -> list[Json]:
        return self._control.send(calls.agents())

    def add(self, name: str, harness: str, team: str = "") -> Json:
        return self._control.send(calls.add_agent(name, harness, team))

    def issue(self, agent_id: str, scopes: Sequence[str], ttl_s: int) -> Json:
        return self._control.send(calls.issue_token(agent_id, scopes, ttl_s))

    def suspend(self, agent_id: str, reason: str) -> Json:
        return self._control.send(calls.suspend_agent(agent_id, reason))

    def reinstate(self, agent_id: str, reason: str) -> Json:
        return self._control.send(calls.reinstate_agent(agent_id, reason))

    def revoke(self, token_id: str) -> Json:
        self._control.send(calls.revoke_token(token_id))
        return {"token_id": token_id}


class LocalRegistry:
    def __init__(self, engine: "Engine") -> None:
        self._engine = engine

    def all(self) -> list[Json]:
        return self._engine.views.agents()

    def add(self, name: str, harness: str, team: str = "") -> Json:
        return self._engine.agents.add(operator(), name, harness, team)

    def issue(self, agent_id: str, scopes: Sequence[str], ttl_s: int) -> Json:
        from handfast.core.domain.codec import format_time

        issued = self._engine.agents.issue(operator(), agent_id, tuple(scopes), ttl_s)
        return {
            "token": issued.token,
            "token_id": issued.token_id,
            "expires_at": format_time(issued.expires_at),
        }

    def suspend(self, agent_id: str, reason: str) -> Json:
        return self._engine.agents.suspend(operator(), agent_id, reason)

    def reinstate(self, agent_id: str, reason: str) -> Json:
        return self._engine.agents.reinstate(operator(), agent_id, reason)

    def revoke(self, token_id: str) -> Json:
        return self._engine.agents.revoke(operator(), token_id)
