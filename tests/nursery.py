"""Starts processes of the product without paying for their imports each time.

One process imports the product and then only forks. Each child is a session of its own that runs one
`handfast` command: it is killed, stopped and limited like any other process. What a child may be given
besides: a controlling terminal, a file that shifts its clock, code that plants a bug in the product before
it starts. What a start itself costs or loads is tested with processes of `python -m handfast`.
"""

import atexit
import contextlib
import fcntl
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

SRC = Path(__file__).parents[1] / "src"
LOADED = (
    "handfast.app",
    "handfast.cli.entry",
    "handfast.cli.execute",
    "handfast.cli.serve",
    "handfast.client.failover",
    "handfast.engine.relay.durable",
    "handfast.runner.execute",
    "handfast.runner.hooks.endpoint",
    "handfast.runner.serving",
    "handfast.server.application",
    "handfast.server.serving",
    "psycopg",
)
# It reads the name of its machine from the environment as it loads.
LEFT_TO_THE_CHILD = "handfast.runner.supervisor"
MESSAGE_BYTES = 1_000_000
DEADLINE_S = 120.0  # only to end a hang


@cache
def nursery() -> "Nursery":
    """One for this process of the tests, made at its first use."""
    made = Nursery()
    atexit.register(made.close)
    return made


@dataclass
class Born:
    """A process of the product, to use as a `subprocess.Popen`. `returncode` is minus the signal that ended
    it. What is no pipe is an empty stream."""

    nursery: "Nursery"
    pid: int
    stdin: IO[str]
    stdout: IO[str]
    stderr: IO[str]
    returncode: int | None = None

    def poll(self) -> int | None:
        self.nursery.hear()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + (DEADLINE_S if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or DEADLINE_S)
            self.nursery.hear(0.05)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, said: str = "", timeout: float | None = None) -> tuple[str, str]:
        """Write, and read all it prints until it has ended. Raises subprocess.TimeoutExpired."""
        found = ["", ""]

        def read(at: int, stream: IO[str]) -> None:
            found[at] = stream.read()

        streams = enumerate((self.stdout, self.stderr))
        readers = [threading.Thread(target=read, args=each, daemon=True) for each in streams]
        for reader in readers:
            reader.start()
        with contextlib.suppress(BrokenPipeError), self.stdin:
            self.stdin.write(said)
        self.wait(timeout)
        for reader in readers:
            reader.join(DEADLINE_S if timeout is None else timeout)
            if reader.is_alive():  # somebody else holds the other end
                raise subprocess.TimeoutExpired(
                    f"the pipes of process {self.pid}", timeout or DEADLINE_S
                )
        self.close()
        return found[0], found[1]

    def send_signal(self, number: int) -> None:
        """Nothing for one that has ended. Its number is not given away before the nursery was heard."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """Nothing of it is left."""
        self.kill()
        self.close()
        self.wait()

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Close the pipes."""
        for stream in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.wait()


@dataclass
class Nursery:
    """The client's side. Thread-safe."""

    process: "subprocess.Popen[bytes]" = field(init=False)
    _socket: socket.socket = field(init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _living: dict[int, Born] = field(default_factory=dict, init=False)
    _pending: list[dict[str, Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SRC), "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket = ours

    def start(
        self,
        words: Sequence[object],
        environment: Mapping[str, str],
        folder: Path,
        *,
        asks: bool = False,
        stdout: IO[Any] | None = None,
        stderr: IO[Any] | None = None,
        terminal: int | None = None,
        clock: Path | None = None,
        plant: str = "",
    ) -> Born:
        """Run `handfast WORDS`. What it prints goes into the files given, or into pipes of the answer. It
        reads from a pipe if it `asks`, else nothing. `terminal` is to be its controlling terminal."""
        order = {
            "words": [str(word) for word in words],
            "environment": dict(environment),
            "folder": str(folder),
            "clock": str(clock or ""),
            "plant": plant,
        }
        with contextlib.ExitStack() as given:
            stdin, reads = _to_write(given) if asks else (io.StringIO(), _nothing(given))
            out, prints = (io.StringIO(), stdout.fileno()) if stdout else _to_read(given)
            err, complains = (io.StringIO(), stderr.fileno()) if stderr else _to_read(given)
            theirs = [reads, prints, complains, *([] if terminal is None else [terminal])]
            with self._lock:
                socket.send_fds(self._socket, [json.dumps(order).encode()], theirs)
                born = Born(self, self._answer()["pid"], stdin, out, err)
                self._living[born.pid] = born
                self._settle()
        return born

    def hear(self, within_s: float = 0.0) -> None:
        """Take note of the processes that have ended."""
        with self._lock:
            while select.select([self._socket], [], [], within_s)[0]:
                self._pending.append(self._read())
                within_s = 0.0
            self._settle()

    def close(self) -> None:
        self._socket.close()
        self.process.wait(30)

    def _answer(self) -> dict[str, Any]:
        while "pid" not in (said := self._read()):
            self._pending.append(said)
        return said

    def _read(self) -> dict[str, Any]:
        raw = self._socket.recv(MESSAGE_BYTES)
        assert raw, "the nursery has ended"
        said: dict[str, Any] = json.loads(raw)
        return said

    def _settle(self) -> None:
        for said in self._pending:
            born = self._living.pop(said["ended"])
            born.returncode = os.waitstatus_to_exitcode(said["status"])
        self._pending.clear()


def _to_read(given: contextlib.ExitStack) -> tuple[IO[str], int]:
    """Our end of a pipe and theirs, which is closed with `given`."""
    reading, writing = os.pipe()
    given.callback(os.close, writing)
    return os.fdopen(reading), writing


def _to_write(given: contextlib.ExitStack) -> tuple[IO[str], int]:
    reading, writing = os.pipe()
    given.callback(os.close, reading)
    return os.fdopen(writing, "w"), reading


def _nothing(given: contextlib.ExitStack) -> int:
    return given.enter_context(Path(os.devnull).open()).fileno()


# -- the nursery's side


def tend(ours: socket.socket) -> None:
    """Fork for each order; say who has ended. Ends, with all it started, when nobody listens any more."""
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    living: set[int] = set()
    while True:
        ready, _, _ = select.select([ours.fileno(), waking], [], [])
        if waking in ready:
            os.read(waking, 4096)
            for pid, status in _ended():
                living.discard(pid)
                ours.send(json.dumps({"ended": pid, "status": status}).encode())
        if ours.fileno() in ready:
            raw, descriptors, _, _ = socket.recv_fds(ours, MESSAGE_BYTES, 4)
            if not raw:
                for pid in living:
                    os.kill(pid, signal.SIGKILL)
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for inherited in (waking, woken, ours.detach()):
                    os.close(inherited)
                _live(json.loads(raw), *descriptors)
            living.add(pid)
            for descriptor in descriptors:
                os.close(descriptor)
            ours.send(json.dumps({"pid": pid}).encode())


def _ended() -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, status))


def _live(order: dict[str, Any], *descriptors: int) -> None:
    """The child: one command from start to end."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["handfast", *order["words"]]
        _take(*descriptors)
        if order["clock"]:
            shift_clock(Path(order["clock"]))
        exec(order["plant"], {})  # noqa: S102 - a bug of ours, planted on purpose
        from handfast.cli import main

        code = main(order["words"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the edge of a process
        sys.excepthook(*sys.exc_info())
    finally:
        _say_the_rest()
        os._exit(code)


def _take(*descriptors: int) -> None:
    """Standard input, output and error, and a terminal where there is one: as the start of a process has them."""
    for number, given in enumerate(descriptors[:3]):
        os.dup2(given, number)
        os.close(given)
    for terminal in descriptors[3:]:  # stays open: closed everywhere, it would hang up
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)


def _say_the_rest() -> None:
    threading._shutdown()  # type: ignore[attr-defined]  # threads that an interpreter waits for at its end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue


def shift_clock(path: Path) -> None:
    """From now on this process's clock is the machine's plus the seconds that the file holds.

    What goes on by itself, as a clock that is set does: `time.monotonic` and with it every timeout stay.
    """
    import datetime as dt

    from handfast.engine import clock

    real, real_ns = time.time, time.time_ns

    def shift() -> float:
        return float(path.read_text() or 0)

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return dt.datetime.fromtimestamp(real() + shift(), tz)

    clock.datetime = Shifted  # type: ignore[attr-defined]  # the one clock of the product
    time.time = lambda: real() + shift()
    time.time_ns = lambda: real_ns() + int(shift() * 1_000_000_000)


if __name__ == "__main__":
    import gc
    import importlib

    from handfast.cli.catalogue import COMMANDS

    commands = {f"handfast.cli.{entry.target.partition(':')[0]}" for entry in COMMANDS}
    for name in (*LOADED, *sorted(commands)):
        importlib.import_module(name)
    assert LEFT_TO_THE_CHILD not in sys.modules
    assert tempfile.tempdir is None, "each child finds its own folder for temporary files"
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as mine:
        tend(mine)
