"""The small program between the runner and an agent.

It starts the agent, drains its output into bounded files, records how it ended, and sees to it that
nothing of it outlives the run. A process of its own, because:

- the parent-death signal follows the *thread* that started a child, and a pool's threads come and go;
- as child subreaper it inherits what the agent's commands leave behind in sessions of their own, where
  neither the process group nor the parent leads to them any more.

Two pipes lead to the runner. Standard input carries one line of JSON; a later line asks for the end,
and when it closes the runner is gone. Standard output carries one line of JSON back: the agent's number
and start, or why it never started. How it ended goes to a file. The agent carries the parent-death
signal, in case this program is killed. Started isolated (`-I -S`), with the package's folder last on
the path: nothing in the agent's folder is imported.
"""

import ctypes
import json
import os
import selectors
import signal
import time
from pathlib import Path
from typing import Any, Final, NoReturn

from handfast.runner.proctable import (
    LINUX,
    Row,
    descendants,
    is_namespace_init,
    row_of,
    send,
    table,
)

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_CHUNK: Final = 65536
_TICK_S: Final = 0.02
_KILL_S: Final = 30.0


class Stream:
    """One output of the agent. The file holds the first `head` bytes and, once it is over, the last
    `tail` bytes; what lies between is counted."""

    def __init__(self, path: str, head: int, tail: int) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._room, self._tail_room = head, tail
        self._tail = bytearray()
        self._seen = 0
        self._unwritten = 0

    def drain(self) -> bool:
        """Take what is there. False at the end of the stream."""
        for _ in range(64):  # so that an agent that writes without pause cannot hold the keeper
            try:
                data = os.read(self.reader, _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._seen += len(data)
            head, rest = data[: self._room], data[self._room :]
            self._room -= len(head)
            self._write(head)
            self._tail += rest
            del self._tail[: max(0, len(self._tail) - self._tail_room)]
        return True

    def finish(self) -> dict[str, int]:
        written = os.fstat(self._file).st_size
        left_out = self._seen - self._unwritten - written - len(self._tail)
        if left_out:
            self._write(b"\n[%d bytes left out]\n" % left_out)
        self._write(bytes(self._tail))
        os.close(self._file)
        return {"bytes": self._seen, "left_out": left_out, "unwritten": self._unwritten}

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._file, view) :]
            except OSError:  # a full disk must not end the agent
                self._unwritten += len(view)
                return


class Keeper:
    """One agent, from its start until nothing of it is left."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._streams = {
            name: Stream(config[name], config["head"], config["tail"])
            for name in ("stdout", "stderr")
        }
        self._agent = 0
        self._status: int | None = None

    def run(self) -> None:
        wake = _wake_on_signals()
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        failure = self._start()
        for stream in self._streams.values():
            os.close(stream.writer)
        if failure:
            os.waitpid(self._agent, 0)
            _say({"never_started": failure})
            return
        row = row_of(self._agent)
        _say({"agent_pid": self._agent, "agent_started": row.started if row else ""})
        ended_by = self._attend(wake)
        left_behind = self._end_all()
        facts = {name: stream.finish() for name, stream in self._streams.items()}
        _record(
            Path(self._config["exit"]),
            {**_shown(self._status), "ended_by": ended_by, "left_behind": left_behind, **facts},
        )

    def _start(self) -> dict[str, object]:
        """Fork and exec. Answers why not, through a pipe that a successful exec closes."""
        keeper = os.getpid()
        reader, writer = os.pipe()
        self._agent = os.fork()
        if self._agent == 0:
            try:
                self._become_agent(keeper)
            except OSError as error:
                failure = {"errno": error.errno, "at": str(error.filename or "")}
                os.write(writer, json.dumps(failure).encode())
            finally:
                os._exit(127)
        os.close(writer)
        told = bytearray()
        while data := os.read(reader, _CHUNK):
            told += data
        os.close(reader)
        return dict(json.loads(told)) if told else {}

    def _become_agent(self, keeper: int) -> NoReturn:
        config = self._config
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(127)
        os.dup2(os.open(config["stdin"] or os.devnull, os.O_RDONLY), 0)
        os.dup2(self._streams["stdout"].writer, 1)
        os.dup2(self._streams["stderr"].writer, 2)
        # Also what was ignored before us: a runner in the background of a shell, or below `nohup`, is told so.
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.chdir(config["cwd"])
        command = config["command"]
        try:
            os.execvpe(command[0], command, config["environment"])  # noqa: S606 - no shell on purpose
        except OSError as error:
            raise OSError(error.errno, "exec", "") from error

    def _attend(self, wake: int) -> str:
        """Until the agent has ended, or is to end. Answers who ended it."""
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            for stream in self._streams.values():
                selector.register(stream.reader, selectors.EVENT_READ, stream)
            while True:
                for key, _ in selector.select():
                    if isinstance(key.data, Stream):
                        if not key.data.drain():
                            selector.unregister(key.fd)
                    elif key.fd == 0:
                        return "runner" if os.read(0, _CHUNK) else "runner_gone"
                    elif signal.SIGTERM in os.read(wake, _CHUNK):
                        return "runner"
                self._reap()
                if self._status is not None:
                    return "agent"

    def _end_all(self) -> int:
        """End every process that is left: asked first, killed after the grace. Answers how many
        were there beside the agent; 0 for a sandbox, whose end is the end of all in it, seen or not."""
        met: set[tuple[int, str]] = set()
        asked: set[int] = set()
        killing_at = time.monotonic() + self._config["grace_s"]
        while time.monotonic() < killing_at + _KILL_S:
            self._reap()
            rows = self._left()
            if not rows:
                break
            for row in rows:
                met.add((row.pid, row.started))
                if time.monotonic() >= killing_at:
                    send(row, signal.SIGKILL)
                elif row.pid not in asked and not self._is_wall(row):
                    asked.add(row.pid)
                    send(row, signal.SIGTERM)
            for stream in self._streams.values():
                stream.drain()
            time.sleep(_TICK_S)
        self._reap()
        for stream in self._streams.values():
            stream.drain()
        return 0 if self._config["wrapped"] else len({pid for pid, _ in met} - {self._agent})

    def _is_wall(self, row: Row) -> bool:
        """Of the sandbox itself. It ends when what it holds has ended; asked before, it would take the
        agent's grace away."""
        if not self._config["wrapped"]:
            return False
        return row.pid == self._agent or is_namespace_init(row.pid)

    def _left(self) -> list[Row]:
        rows = table()
        pids = descendants(rows, os.getpid())
        return [rows[pid] for pid in pids if not rows[pid].gone]

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._agent:
                self._status = status


def main() -> None:
    line = bytearray()
    while not line.endswith(b"\n"):
        data = os.read(0, _CHUNK)
        if not data:
            return  # the runner went away before anything was started
        line += data
    Keeper(json.loads(line)).run()


def _wake_on_signals() -> int:
    """A pipe that can be read when a child ended or the end was asked for."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _prctl(option: int, value: int) -> None:
    if LINUX and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl", f"prctl {option}")


def _say(answer: dict[str, object]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _shown(status: int | None) -> dict[str, int | None]:
    if status is None:
        return {"code": None, "signal": None}
    if os.WIFSIGNALED(status):
        return {"code": None, "signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def _record(path: Path, facts: dict[str, object]) -> None:
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_text(json.dumps(facts), "utf-8")
    unfinished.replace(path)
