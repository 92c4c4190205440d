"""The runner inside this process: the hooks' endpoint, and the supervisor that starts agents."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from handfast.client import Client
from handfast.client.failover import Servers, SeveralServers, SeveralServersAsync
from handfast.engine.clock import SystemClock
from handfast.runner.hooks.endpoint import HookEndpoint
from handfast.runner.hooks.settings import HookSettings
from handfast.runner.serving import RunnerServer
from handfast.runner.supervisor.service import Supervisor

_FLUSH_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class RunnerPlace:
    """Where a runner works. `link_url` is where people open a case; `ports` are not for agents, and
    files in `hidden` are not seen by contained ones. `others` are servers on the same database. `apart`:
    there may be other runners, which have what is not here."""

    home: Path
    server_url: str
    token: str
    port: int
    link_url: str
    ports: tuple[int, ...]
    hidden: tuple[Path, ...] = ()
    others: tuple[str, ...] = ()
    capacity: int = 4
    apart: bool = False

    def clients(self) -> tuple[Client, Client]:
        """For threads, and for the endpoint's event loop."""
        if not self.others:
            return Client(self.server_url, self.token), Client(self.server_url, self.token)
        servers = Servers((self.server_url, *self.others))
        several, endless = SeveralServers(servers), SeveralServersAsync(servers)
        first = Client(self.server_url, self.token, transport=several)
        return first, Client(self.server_url, self.token, async_transport=endless)


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
    client: Client
    endpoint: Endpoint
    server: RunnerServer

    @classmethod
    def bind(cls, place: RunnerPlace) -> "Runner":
        """Raises UsageError (`port_taken`)."""
        place.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = HookSettings(
            home=place.home,
            link_url=place.link_url,
            ports=place.ports,
            control_paths=place.hidden,
        )
        client, of_endpoint = place.clients()
        endpoint = Endpoint(of_endpoint, settings, SystemClock().now)
        for url in place.others:
            if port := urlsplit(url).port:
                endpoint.protect(port)
        return cls(place, client, endpoint, RunnerServer(endpoint, place.port))

    @contextmanager
    def working(self, refused: Callable[[], None] = lambda: None) -> Iterator[Supervisor]:
        """Answer hooks and take runs for as long as the context lasts; then the agents are ended. `refused`
        is called when the server wants no more of this runner."""
        with self.server, self.client:
            supervisor = Supervisor(
                self.client,
                self.place.home,
                self.server.hook_url,
                self.endpoint.registry,
                flush=self.endpoint.flush_now,
                runs=self.place.capacity,
            )
            supervisor.hide(*self.place.hidden)
            supervisor.apart(refused, declines=self.place.apart)
            with supervisor:
                yield supervisor
