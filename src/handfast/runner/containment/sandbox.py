"""A sandbox for one start of an agent: its command line, its doors, its end."""

import contextlib
import errno
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from handfast.core.domain.containment import CONTAINED, split_host
from handfast.core.domain.errors import RejectedError
from handfast.core.domain.inert import inert
from handfast.runner.containment import entry, places
from handfast.runner.containment.mounts import Mount, Seen, arguments
from handfast.runner.containment.probe import Probe
from handfast.runner.containment.relay import Proxy, Relay, Straight, is_loopback
from handfast.runner.processes import AgentProcess, NeverStarted

_INSIDE: Final = Path("/run/handfast")
_ENTRY: Final = _INSIDE / "entry.py"
_CHANNEL: Final = _INSIDE / "channel"
_PROXY_VARIABLES: Final = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
_UPSTREAM: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_DROPPED: Final = frozenset({"XDG_RUNTIME_DIR", "HANDFAST_URL", "ALL_PROXY", "all_proxy"})
# The person's signing key is not inside, and there is nothing to tidy up in a few new objects.
_GIT: Final = {
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}
_LOOPBACK: Final = "127.0.0.1,localhost,::1"
_START_S: Final = 30.0
_TICK_S: Final = 0.05
_FIRST_PORT: Final = 1024
_MAX_DOORS: Final = 128
_MAX_SOCKET_PATH: Final = 100
Answer = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into a sandbox. `mounts` lie over the file system every agent sees; `copies` are made
    inside before the start; `hidden` is never seen."""

    command: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    hook_url: str
    server_url: str
    hosts: tuple[str, ...] = ()
    mounts: Sequence[Mount] = ()
    copies: Sequence[tuple[Path, Path]] = ()
    hidden: Sequence[Path] = ()


class Sandbox:
    """Made by `contain`. Start `command` with `environment`, then `connect`; `close` at its end."""

    def __init__(self, wanted: Wanted, probe: Probe) -> None:
        self._wanted = wanted
        self._doors = _doors(wanted)
        self._place = _short_folder()
        self._channel = socket.socket(socket.AF_UNIX)
        self._channel.bind(str(self._place / "channel"))
        self._channel.listen(1)
        self._relay: Relay | None = None
        self.environment = _environment(wanted.environment)
        self.command = self._command(probe)

    @property
    def told(self) -> str:
        """What holds the agent, in words."""
        network = " + ".join(("127.0.0.1 hook", *self._wanted.hosts))
        return f"{CONTAINED}worktree writable, rest read-only, network: {network}"

    def connect(self, process: AgentProcess) -> NeverStarted | None:
        """Take the doors over, and wait until the agent's program runs. Answers why it does not."""
        deadline = time.monotonic() + _START_S
        self._channel.settimeout(_TICK_S)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                inner, _ = self._channel.accept()
                self._channel.close()
                shutil.rmtree(self._place, ignore_errors=True)
                with inner:
                    return self._take_over(inner, process)
            if process.wait(0) is not None:
                return self._failed(process)
        process.end(0)
        return NeverStarted("the sandbox did not start in time", errno.ETIMEDOUT)

    def close(self) -> None:
        """Shut the doors. Idempotent."""
        if self._relay is not None:
            self._relay.close()
        self._channel.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _take_over(self, inner: socket.socket, process: AgentProcess) -> NeverStarted | None:
        inner.settimeout(_START_S)
        _, handles, _, _ = socket.recv_fds(inner, 16, _MAX_DOORS)
        doors = [socket.socket(fileno=handle) for handle in handles]
        for door in doors:
            door.settimeout(None)
        self._relay = Relay(
            [(door, answer) for door, (*_, answer) in zip(doors, self._doors, strict=False)]
        )
        said = inner.recv(1024) if doors else b""
        if not said and len(doors) == len(self._doors):
            return None
        process.wait(_START_S)
        if not said:
            return self._failed(process)
        number = int(json.loads(said)["errno"])
        program = inert(self._wanted.command[0], 200, multiline=False)
        return NeverStarted(
            f"the program `{program}` could not be run in the sandbox of "
            f"`{self._wanted.cwd}`: {os.strerror(number)}",
            number,
        )

    def _failed(self, process: AgentProcess) -> NeverStarted:
        said = (process.folder / "stderr").read_text("utf-8", "replace")[-500:]
        why = inert(said.strip(), 500, multiline=False) or "no message"
        return NeverStarted(f"the sandbox could not be made: {why}", errno.EPERM)

    def _command(self, probe: Probe) -> list[str]:
        wanted, python = self._wanted, Path(sys.executable).resolve()
        first = places.program_file(wanted.command[0], self.environment, wanted.cwd)
        programs = [python, *([first] if first is not None else [])]
        mounts = [
            *places.mounts(self.environment, programs, wanted.hidden),
            *wanted.mounts,
            Mount(Seen.READ, _ENTRY, Path(entry.__file__)),
            Mount(Seen.READ, _CHANNEL, self._place / "channel"),
        ]
        config = {
            "channel": str(_CHANNEL),
            "doors": [(host, port) for host, port, _ in self._doors],
            "proxy": _PROXY_VARIABLES,
            "copies": [(str(source), str(target)) for source, target in wanted.copies],
        }
        return [
            *(probe.program, *probe.options, *arguments(mounts)),
            *("--dev", "/dev", "--proc", "/proc", "--chdir", str(wanted.cwd), "--"),
            *(str(python), "-I", "-S", str(_ENTRY), json.dumps(config), *wanted.command),
        ]


def _doors(wanted: Wanted) -> list[tuple[str, int, Answer]]:
    """Address inside, and who answers: the proxy first, then the hook, then hosts of this machine.

    Raises RejectedError for the server's own address.
    """
    hook = urlsplit(wanted.hook_url)
    hook_port = hook.port or 80
    server = urlsplit(wanted.server_url)
    server_port = server.port or (80 if server.scheme == "http" else 443)
    doors: dict[tuple[str, int], Answer] = {}
    for host in wanted.hosts:
        name, port = split_host(host)
        near = is_loopback(name)
        ours = near and is_loopback(server.hostname or "")
        if port == server_port and (ours or name == server.hostname):
            raise RejectedError(
                f"`{host}` is the server's own address, which no agent may reach",
                code="host_protected",
                hint="Leave this `--allow-host` out.",
            )
        if near and port < _FIRST_PORT:
            raise RejectedError(
                f"`{host}` cannot be opened inside a sandbox: ports below {_FIRST_PORT} are root's",
                code="host_unfit",
                hint="Have that program listen on a higher port.",
            )
        if near:
            inside = "::1" if ":" in name else "127.0.0.1"
            doors[inside, port] = Straight(name, port)
    doors["127.0.0.1", hook_port] = Straight(hook.hostname or "127.0.0.1", hook_port)
    given = wanted.environment
    upstream = next((given[name] for name in _UPSTREAM if given.get(name)), "")
    direct = given.get("no_proxy") or given.get("NO_PROXY", "")
    proxy = ("127.0.0.1", 0, Proxy(frozenset(wanted.hosts), upstream, direct))
    return [proxy, *((host, port, answer) for (host, port), answer in doors.items())]


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in given.items() if k not in _DROPPED and k not in _PROXY_VARIABLES}
    for number, (key, value) in enumerate(_GIT.items()):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    kept["GIT_CONFIG_COUNT"] = str(len(_GIT))
    return {**kept, "TMPDIR": "/tmp", "NO_PROXY": _LOOPBACK, "no_proxy": _LOOPBACK}  # noqa: S108 - its own


def _short_folder() -> Path:
    """A name of a socket may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="handfast-"))
    if len(os.fsencode(folder)) <= _MAX_SOCKET_PATH - len("/channel"):
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="handfast-", dir="/tmp"))
