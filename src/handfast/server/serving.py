"""Runs the application: binds the port first, says when it is ready, stops within seconds."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import uvicorn

from handfast.core.domain.errors import StorageError, UsageError
from handfast.engine.access import server_id
from handfast.engine.facade import Engine
from handfast.server.application import create_app
from handfast.server.hub import Hub
from handfast.server.site import LOOPBACK_NAMES, Site, without_the_name

HOST, PORT = "127.0.0.1", 8480
GRACE_S = 3
# Longer than clients keep an idle connection (5 s is usual): else the server may close one just as a request
# is sent on it, and nobody knows whether that was done.
KEEP_ALIVE_S = 30
# Commands run in threads beside the event loop. With the default of 5 ms it waits that long for its turn,
# several times a request: 200 gate checks a second then take seconds each instead of milliseconds.
SWITCH_S = 0.0005
START_S = 30
Say = Callable[[str], None]


def bind(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """A bound socket. Raises UsageError for a port in use and for an address that is not loopback."""
    if host not in LOOPBACK_NAMES and not allow_remote:
        raise UsageError(
            f"`{host}` can be reached from other machines",
            hint="Keep 127.0.0.1, or say so on purpose: `handfast serve --allow-remote`.",
        )
    if not 0 <= port <= 65_535:
        raise UsageError(f"port {port} does not exist", hint="Choose one from 1024 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay off only where it is.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as e:
        bound.close()
        raise UsageError(
            f"port {port} of {host} cannot be used: {e.strerror or e}",
            code="port_taken",
            hint="Another Handfast may be running there. Stop it, or choose another port with `--port`.",
        ) from None
    return bound


def url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Calls `ready` in a thread once it listens. Ends waits and event streams when told to stop."""

    def __init__(self, config: uvicorn.Config, hub: Hub, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.hub = hub
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await asyncio.to_thread(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the business of `run`: a stop that was asked for ends with exit code 0."""
        yield


def make_server(
    engine: Engine,
    url: str,
    *,
    ready: Callable[[], None],
    site: Site | None = None,
    runner_inline: bool = False,
    say: Say | None = None,
    relay: bool = False,
) -> Server:
    sys.setswitchinterval(SWITCH_S)
    site = site or Site()
    app = create_app(
        engine, runner_inline=runner_inline, site=site, url=site.pages(url), say=say, relay=relay
    )

    def listening() -> None:
        ready()
        if app.state.relay is not None:
            app.state.relay.begin()

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        ws="none",
    )
    return Server(config, app.state.hub, listening)


def run(
    engine: Engine,
    host: str = HOST,
    port: int = PORT,
    *,
    site: Site | None = None,
    allow_remote: bool = False,
    runner_inline: bool = False,
    say: Say = print,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Must be called in the main thread.

    Says where it is ready, and the one-time set-up link while nobody is set up. `on_ready` gets the
    URL once requests are answered. Raises UsageError when the address cannot be used.
    """
    bound = bind(host, port, allow_remote=allow_remote)
    url, site = url_of(bound), site or Site()
    if host not in LOOPBACK_NAMES:
        say(f"Warning: {host} can be reached from other machines, without encryption.")

    def ready() -> None:
        for line in greeting(engine, site.pages(url)):
            say(line)
        if on_ready:
            on_ready(url)

    server = make_server(
        engine, url, ready=ready, site=site, runner_inline=runner_inline, say=say, relay=True
    )
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server, bound))


async def _serve(server: Server, bound: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, _stop, server)
    await server.serve(sockets=[bound])
    if not server.started:
        raise StorageError("the server did not start", hint="The log above says why.")


def _stop(server: Server) -> None:
    """A second signal does not wait for anybody."""
    server.force_exit = server.should_exit
    server.should_exit = True


def greeting(engine: Engine, url: str) -> list[str]:
    """What to say when the server is ready, with the address of its pages. Makes a new set-up link while
    nobody is set up."""
    lines = [f"Handfast is ready on {url}"]
    if not engine.people.any():
        link = f"{url}/setup/{engine.people.invite(server_id(engine.home))}"
        lines.append(f"Set up your account (once, within 24 hours): {link}")
    if hint := without_the_name(url):
        lines.append(hint)
    return lines


class ServerThread:
    """The server in a thread of this process, on any free port: for tests and for embedding.

    With `relay` it delivers what is posted; only one server a process may. Without, that waits for one
    that does. With `at_address` the pages are at `url` itself, where servers on other ports get the cookies too.

    with ServerThread(engine) as server:
        httpx.get(server.url + "/healthz")
    """

    def __init__(
        self,
        engine: Engine,
        host: str = HOST,
        port: int = 0,
        *,
        site: Site | None = None,
        at_address: bool = False,
        runner_inline: bool = False,
        say: Say | None = None,
        relay: bool = False,
    ) -> None:
        self._bound = bind(host, port)
        self.url = url_of(self._bound)
        site = site or Site(public_url=self.url if at_address else "")
        self.pages_url = site.pages(self.url)
        self._settled = threading.Event()
        self._server = make_server(
            engine,
            self.url,
            ready=self._settled.set,
            site=site,
            runner_inline=runner_inline,
            say=say or _log,
            relay=relay,
        )
        self._thread = threading.Thread(target=self._run, name="handfast-server", daemon=True)

    @property
    def hub(self) -> Hub:
        return self._server.hub

    def start(self) -> Self:
        """Returns when requests are answered. Raises StorageError when that takes 30 seconds."""
        self._thread.start()
        self._settled.wait(START_S)
        if not self._server.started:
            raise StorageError("the server did not start", hint="Its log says why.")
        return self

    def stop(self) -> None:
        """Returns when the server has ended."""
        self._server.should_exit = True
        self._thread.join()
        self._bound.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._bound])
        finally:
            self._settled.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _log(line: str) -> None:
    logging.getLogger("handfast.server").info("%s", line)
