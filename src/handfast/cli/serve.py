"""`handfast serve` and `handfast runner`: the two kinds of process, in one or apart."""

import os
import signal
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from handfast.cli.beside import RunnerPlace, bind_runner, working
from handfast.cli.output import Json, note, say, say_json
from handfast.cli.place import Place, announce, find, withdraw
from handfast.client import discovery
from handfast.core.domain.errors import InvalidTransition, UsageError

_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}  # noqa: S104 - looked up only
_RUNNER_TOKEN = "hfr_"  # noqa: S105 - how it begins


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
        How people reach the server, when that is not the address it listens on.
    allow_remote
        Accept an address that other machines reach. Put TLS before it.
    """
    from handfast.app import open_engine
    from handfast.engine.access import PrincipalKind
    from handfast.server import serving
    from handfast.server.site import Site

    _alone(discovery.data_folder())
    engine = open_engine(database)
    ready = _Ready(as_json=as_json)
    with ExitStack() as stack:
        stack.callback(engine.close)
        engine.access.ensure_file_token(engine.home, PrincipalKind.OPERATOR)
        token = engine.access.ensure_file_token(engine.home, PrincipalKind.RUNNER)

        def runner_of(url: str) -> RunnerPlace:
            here = url.rpartition(":")[2]
            ports = (int(here), runner_port)
            return RunnerPlace(engine.home, url, token, runner_port, public_url or url, ports)

        # A port that is taken is found before the server says that it is ready.
        early = bind_runner(runner_of(_near(host, port))) if port and not no_runner else None
        if early is not None:
            stack.callback(early.stop)

        def on_ready(url: str) -> None:
            runner = early
            if runner is None and not no_runner:
                runner = bind_runner(runner_of(_near_url(url)))
            if runner is not None:
                stack.enter_context(working(runner))
            place = Place(_near_url(url), os.getpid(), _now())
            announce(engine.home, place)
            stack.callback(withdraw, engine.home, place.pid)
            ready.finish(place.url, runner.hook_url if runner else "")

        serving.run(
            engine,
            host,
            port,
            site=Site(public_url=public_url),
            allow_remote=allow_remote,
            runner_inline=not no_runner,
            say=ready.say,
            on_ready=on_ready,
        )


@dataclass(slots=True)
class _Ready:
    """What is said until the server is ready; with `--json` it is one document, the rest goes aside."""

    as_json: bool
    said: list[str] = field(default_factory=list)
    done: bool = False

    def say(self, line: str) -> None:
        if not self.as_json:
            say(line)
            _flush()
        elif self.done:
            note(line)
        else:
            self.said.append(line)

    def finish(self, url: str, hook_url: str) -> None:
        self.done = True
        if self.as_json:
            say_json({"url": url, "hook_url": hook_url, "pid": os.getpid(), "said": self.said})
        elif hook_url:
            say(f"The runner answers hooks on {hook_url}")
        _flush()


def runner(
    *,
    server: str,
    token_file: Path,
    port: int = 8484,
    as_json: Json = False,
) -> None:
    """Run only the runner, beside the workspaces, for a server elsewhere.

    Parameters
    ----------
    server
        The server's address: `https://handfast.example.org`.
    token_file
        A file with the runner's token: `runner.token` of the server's data folder.
    port
        The port of the agents' hooks on loopback, 8484 when left out; 0 takes any free one.
    """
    token = _token(token_file)
    home = discovery.data_folder()
    bound = bind_runner(RunnerPlace(home, server.rstrip("/"), token, port, server, (port,)))
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with working(bound):
        if as_json:
            say_json({"server": server, "hook_url": bound.hook_url, "pid": os.getpid()})
        else:
            say(f"The runner answers hooks on {bound.hook_url}, for the server {server}")
        _flush()
        stopped.wait()


def _alone(home: Path) -> None:
    """One server for each data folder. Raises InvalidTransition."""
    other = find(home)
    if other is not None:
        raise InvalidTransition(
            f"a server runs already for `{home}`: {other.url}, process {other.pid}",
            code="server_running",
            hint="Use it, or stop it first. Another HANDFAST_HOME is another installation.",
        )


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"the token file `{path}` cannot be read: {error}") from None
    if not token.startswith(_RUNNER_TOKEN):
        raise UsageError(
            f"`{path}` does not hold a runner's token",
            hint="It begins with hfr_ and is in `runner.token` of the server's data folder.",
        )
    return token


def _near(host: str, port: int) -> str:
    """The server's address as seen from this machine."""
    return f"http://{_LOOPBACK_OF.get(host, host)}:{port}"


def _near_url(url: str) -> str:
    for host, near in _LOOPBACK_OF.items():
        shown = f"[{host}]" if ":" in host else host
        url = url.replace(f"//{shown}:", f"//{near}:")
    return url


def _now() -> str:
    from handfast.core.domain.codec import format_time
    from handfast.engine.clock import SystemClock

    return format_time(SystemClock().now())


def _flush() -> None:
    print(end="", flush=True)
