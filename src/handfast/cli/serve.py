"""The two kinds of process, in one (`handfast serve`) or apart."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from handfast.cli.output import Json, note, say, say_json, shown
from handfast.cli.place import Place, announce, find, withdraw
from handfast.client import discovery
from handfast.core.domain.errors import InvalidTransition, NotPermitted, StorageError, UsageError

if TYPE_CHECKING:
    import socket

    from handfast.cli.beside import Runner
    from handfast.engine.facade import Engine
    from handfast.server.serving import Server
    from handfast.server.site import Site

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - looked up only
_START_S = 30.0


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8480,
    runner_port: int = 8484,
    no_runner: Annotated[bool, Parameter(negative=())] = False,
    database: str = "",
    public_url: str = "",
    allow_remote: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> None:
    """Run the server, the pages and the runner until Ctrl-C or SIGTERM.

    Parameters
    ----------
    host
        The address to listen on.
    port
        The server's port, 8480 when left out; 0 takes any free one.
    runner_port
        The port of the agents' hooks on loopback, 8484 when left out; 0 takes any free one.
    no_runner
        Only the server: runners are started elsewhere with `handfast runner`.
    database
        `sqlite:////absolute/path.db` or `postgresql://user@host/name`. A file in the data folder
        when left out; HANDFAST_DATABASE_URL says it too.
    public_url
        How people reach the pages. On this machine alone, when left out: http://handfast.localhost
        and the port. Cookies know no ports: with http://127.0.0.1:8480 every program that listens on
        another port there gets the cookie that decides.
    allow_remote
        Accept an address that other machines reach. Put TLS before it.
    """
    from handfast.app import open_engine, open_telemetry
    from handfast.server.serving import bind, greeting, url_of
    from handfast.server.site import Site

    _alone(discovery.data_folder())
    _log_to_stderr()
    with ExitStack() as stack, _until_told() as stopped:
        telemetry = open_telemetry()
        stack.callback(telemetry.close)
        engine = open_engine(database, telemetry=telemetry)
        stack.callback(engine.close)
        token = _tokens(engine)
        site = Site(public_url=public_url)
        bound = stack.enter_context(bind(host, port, allow_remote=allow_remote))
        if allow_remote:
            note(f"Warning: {host} may be reached from other machines. Put TLS before it.")
        url = _near(url_of(bound))
        people_url = site.pages(url)
        # Both ports are taken before anything is said, so that a taken one starts nothing.
        runner = None
        if not no_runner:
            runner = _bind_runner(engine, url, people_url, token, runner_port, database)
        told = _Told(as_json=as_json)
        roles = _Roles(runner=not no_runner, relay=_delivers())
        serving = _Serving(engine, bound, url, site, told.later, roles)
        stack.enter_context(serving.running(stopped))
        if runner is not None:
            stack.enter_context(runner.working())
        place = Place(url, os.getpid(), _now())
        announce(engine.home, place)
        stack.callback(withdraw, engine.home, place.pid)
        hook_url = runner.server.hook_url if runner else ""
        told.ready((url, people_url, hook_url), greeting(engine, people_url))
        stopped.wait()
    serving.check()


def _tokens(engine: "Engine") -> str:
    """Makes the token files on first use; gives the runner's."""
    from handfast.engine.access import PrincipalKind

    engine.access.ensure_file_token(engine.home, PrincipalKind.OPERATOR)
    return engine.access.ensure_file_token(engine.home, PrincipalKind.RUNNER)


def _bind_runner(
    engine: "Engine", url: str, link_url: str, token: str, port: int, database: str
) -> "Runner":
    from handfast.cli.beside import Runner, RunnerPlace

    ports = (int(url.rpartition(":")[2]), port)
    files = _database_files(database or os.environ.get("HANDFAST_DATABASE_URL", ""))
    hidden = (*files, *engine.contacts.outlets().files)
    return Runner.bind(RunnerPlace(engine.home, url, token, port, link_url, ports, hidden))


def _database_files(database: str) -> tuple[Path, ...]:
    """Of SQLite outside the data folder: contained agents must not read them."""
    kind, _, path = database.partition(":///")
    if kind.partition("+")[0] != "sqlite" or not path:
        return ()
    from handfast.engine.relay.place import relay_file

    files = (Path(path), relay_file(path))
    return tuple(Path(f"{file}{end}").absolute() for file in files for end in ("", "-wal", "-shm"))


def _delivers() -> bool:
    """Raises UsageError for another word than on and off."""
    said = os.environ.get("HANDFAST_RELAY", "on")
    if said not in ("on", "off"):
        raise UsageError(f"HANDFAST_RELAY is `{said}`", hint="Use on or off.")
    return said == "on"


@dataclass(frozen=True, slots=True)
class _Roles:
    """What this process does besides answering."""

    runner: bool
    relay: bool


class _Serving:
    """The server in a thread: so the runner can let go of its runs while the server still answers."""

    def __init__(
        self,
        engine: "Engine",
        bound: "socket.socket",
        url: str,
        site: "Site",
        say_later: Callable[[str], None],
        roles: _Roles,
    ) -> None:
        from handfast.server.serving import make_server

        self._bound = bound
        self._ready = threading.Event()
        self._asked = False
        self._server: Server = make_server(
            engine,
            url,
            ready=self._ready.set,
            site=site,
            runner_inline=roles.runner,
            say=say_later,
            relay=roles.relay,
        )

    @contextmanager
    def running(self, stopped: threading.Event) -> Iterator[None]:
        """Sets `stopped` when the server ends by itself. Raises StorageError when it does not start."""

        def serve() -> None:
            try:
                self._server.run(sockets=[self._bound])
            finally:
                self._ready.set()
                stopped.set()

        thread = threading.Thread(target=serve, name="handfast-server", daemon=True)
        thread.start()
        self._ready.wait(_START_S)
        try:
            if not self._server.started:
                raise StorageError("the server did not start", hint="The log above says why.")
            yield
            self._asked = thread.is_alive()
        finally:
            self._server.should_exit = True
            thread.join()

    def check(self) -> None:
        """Raises StorageError when the server ended without being asked to."""
        if not self._asked:
            raise StorageError("the server ended by itself", hint="The log above says why.")


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets. A second signal does not wait for anybody."""
    stopped = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def stop(*_: object) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        stopped.set()

    for number in signals:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the process says. With `--json` it is one document, and the rest goes to standard error."""

    as_json: bool

    def ready(self, urls: tuple[str, str, str], lines: list[str]) -> None:
        """`urls` are the server's, the pages', and the hooks' or ''."""
        url, pages_url, hook_url = urls
        if self.as_json:
            setup = next((word for line in lines for word in line.split() if "/setup/" in word), "")
            document = {
                "url": url,
                "pages_url": pages_url,
                "hook_url": hook_url,
                "setup_url": setup,
            }
            say_json({**document, "pid": os.getpid()})
        else:
            for line in lines:
                say(line)
            if hook_url:
                say(f"The runner answers hooks on {hook_url}")
        _flush()

    def later(self, line: str) -> None:
        if self.as_json:
            note(line)
        else:
            say(line)
            _flush()


def run_apart(
    urls: tuple[str, ...],
    token: str,
    token_file: Path | None,
    capacity: int,
    port: int,
    *,
    as_json: bool,
) -> int:
    """Only the runner, in this process, until it is told to stop or the server wants no more of it."""
    from handfast.cli.beside import Runner, RunnerPlace

    _log_to_stderr()
    hidden = (token_file.absolute(),) if token_file else ()
    place = RunnerPlace(
        discovery.data_folder(), urls[0], token, port, urls[0], (port,), hidden,
        others=urls[1:], capacity=capacity, apart=True,
    )  # fmt: skip
    bound = Runner.bind(place)
    with _until_told() as stopped, bound.working(stopped.set) as supervisor:
        hook_url = bound.server.hook_url
        if as_json:
            say_json({"server": urls[0], "hook_url": hook_url, "pid": os.getpid()})
        else:
            say(f"The runner answers hooks on {hook_url}, for the server {', '.join(urls)}")
        _flush()
        stopped.wait()
    if supervisor.presence.refused:
        raise NotPermitted(supervisor.presence.refused, code="runner_refused")
    return 0


def _alone(home: Path) -> None:
    """One server for each data folder. Raises InvalidTransition."""
    other = find(home)
    if other is not None:
        raise InvalidTransition(
            f"a server runs already for `{home}`: {other.url}, process {other.pid}",
            code="server_running",
            hint="Use it, or stop it first. Another HANDFAST_HOME is another installation.",
        )


def _near(url: str) -> str:
    """The server's address as this machine reaches it."""
    for every, loopback in _LOOPBACK_OF.items():
        url = url.replace(f"//{every}:", f"//{loopback}:")
    return url


def _now() -> str:
    from handfast.core.domain.codec import format_time
    from handfast.engine.clock import SystemClock

    return format_time(SystemClock().now())


class _Inert(logging.Formatter):
    """Log lines quote what agents sent."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Inert("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _flush() -> None:
    print(end="", flush=True)
