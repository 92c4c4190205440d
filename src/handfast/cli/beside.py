"""The runner inside this process: the hooks' endpoint and what starts agents."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handfast.runner.serving import RunnerServer


@dataclass(frozen=True, slots=True)
class RunnerPlace:
    """Where a runner works. `link_url` is where people open a case; `ports` are not for agents."""

    home: Path
    server_url: str
    token: str
    port: int
    link_url: str
    ports: tuple[int, ...]


def bind_runner(place: RunnerPlace) -> "RunnerServer":
    """The runner's endpoint with its port taken, not yet answering. Raises UsageError (`port_taken`)."""
    from handfast.client import Client
    from handfast.engine.clock import SystemClock
    from handfast.runner.hooks.endpoint import HookEndpoint
    from handfast.runner.hooks.settings import HookSettings
    from handfast.runner.serving import RunnerServer

    place.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = HookSettings(home=place.home, link_url=place.link_url, ports=place.ports)
    client = Client(place.server_url, place.token)
    return RunnerServer(HookEndpoint(client, settings, SystemClock().now), place.port)


@contextmanager
def working(runner: "RunnerServer") -> Iterator[None]:
    """Answer hooks for as long as the context lasts."""
    with runner:
        yield
