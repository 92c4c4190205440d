"""The runner inside this process: the hooks' endpoint, and the supervisor that starts agents."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.client import Client
from handfast.engine.clock import SystemClock
from handfast.runner.hooks.endpoint import HookEndpoint
from handfast.runner.hooks.settings import HookSettings
from handfast.runner.serving import RunnerServer
from handfast.runner.supervisor.service import Supervisor

_FLUSH_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class RunnerPlace:
    """Where a runner works. `link_url` is where people open a case; `ports` are not for agents, and
    files in `hidden` are not seen by contained ones."""

    home: Path
    server_url: str
    token: str
    port: int
    link_url: str
    ports: tuple[int, ...]
    hidden: tuple[Path, ...] = ()


class Endpoint(HookEndpoint):
    """The hooks' endpoint, which other threads may ask to deliver what waits."""

    _loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        async with super().delivering():
            yield
        self._loop = None

    def flush_now(self) -> bool:
        """`flush` for a thread. False when something is left, and while nothing is served."""
        loop = self._loop
        if loop is None:
            return False
        return asyncio.run_coroutine_threadsafe(self.flush(), loop).result(_FLUSH_S)


@dataclass(frozen=True, slots=True)
class Runner:
    """A runner whose port is taken; it does nothing yet."""

    place: RunnerPlace
    endpoint: Endpoint
    server: RunnerServer

    @classmethod
    def bind(cls, place: RunnerPlace) -> "Runner":
        """Raises UsageError (`port_taken`)."""
        place.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = HookSettings(home=place.home, link_url=place.link_url, ports=place.ports)
        client = Client(place.server_url, place.token)
        endpoint = Endpoint(client, settings, SystemClock().now)
        return cls(place, endpoint, RunnerServer(endpoint, place.port))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Answer hooks and take runs for as long as the context lasts; then the agents are ended."""
        with self.server, Client(self.place.server_url, self.place.token) as client:
            supervisor = Supervisor(
                client,
                self.place.home,
                self.server.hook_url,
                self.endpoint.registry,
                flush=self.endpoint.flush_now,
            )
            supervisor.hide(*self.place.hidden)
            with supervisor:
                yield
