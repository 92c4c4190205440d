"""Starts processes of the product without paying for their imports each time.

One process imports the product and then only forks. Each child is a session of its own that runs one
`handfast` command: it is killed, stopped and limited like any other process. What a child may be given
besides: a file that shifts its clock, and code that plants a bug in the product before it starts.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

SRC = Path(__file__).parents[2] / "src"
LOADED = (
    "app",
    "cli.serve",
    "cli.beside",
    "cli.entry",
    "cli.execute",
    "server.serving",
    "runner.execute",
)
MESSAGE_BYTES = 1_000_000


@dataclass
class Born:
    """A process of the product. `returncode` is as in `subprocess`: minus the signal that ended it."""

    nursery: "Nursery"
    pid: int
    stdout: IO[str]
    returncode: int | None = None

    def poll(self) -> int | None:
        self.nursery.hear()
        return self.returncode

    def wait(self, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while self.poll() is None:
            assert time.monotonic() < deadline, f"process {self.pid} did not end"
            self.nursery.hear(0.05)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing for one that has ended. Its number is not given away before the nursery was heard."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


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
        log: IO[str],
        *,
        clock: Path | None = None,
        plant: str = "",
    ) -> Born:
        """Run `handfast WORDS`. Standard error goes to `log`, standard output to the answer's `stdout`."""
        order = {
            "words": [str(word) for word in words],
            "environment": dict(environment),
            "folder": str(folder),
            "clock": str(clock or ""),
            "plant": plant,
        }
        reading, writing = os.pipe()
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(order).encode()], [writing, log.fileno()])
            finally:
                os.close(writing)
            born = Born(self, self._answer()["pid"], os.fdopen(reading))
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
            raw, descriptors, _, _ = socket.recv_fds(ours, MESSAGE_BYTES, 2)
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


def _live(order: dict[str, Any], out: int, log: int) -> None:
    """The child: one command from start to end."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        os.dup2(out, 1)
        os.dup2(log, 2)
        os.close(out)
        os.close(log)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, closefd=False)
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


def _say_the_rest() -> None:
    threading._shutdown()  # type: ignore[attr-defined]  # threads that an interpreter waits for at its end
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

    for name in LOADED:
        importlib.import_module(f"handfast.{name}")
    importlib.import_module("psycopg")
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as mine:
        tend(mine)
