"""Agent processes: started, known again after a crash, ended with all they started.

Each agent runs under a keeper (`runner.keeper`), in a session of its own. When the runner dies, by
SIGKILL too, the keeper ends the agent and everything below it; when the keeper dies, the kernel ends
the agent, and `end` finds the rest by the identity that was recorded.

What is found: descendants, the agent's session, and processes that carry the run's mark in their
environment. On Linux a process escapes only by clearing its environment, leaving the session and losing
its keeper. On other systems orphans in sessions of their own are not found.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import AdapterError, NotFound
from handfast.core.domain.inert import inert
from handfast.runner import proctable
from handfast.runner.proctable import Row

MARK: Final = "HANDFAST_PROCESS"
GRACE_S: Final = 5.0
HEAD_BYTES: Final = 8 * 1024 * 1024
TAIL_BYTES: Final = 1024 * 1024
_START_S: Final = 30.0
_KILL_S: Final = 10.0
_KEEPER_S: Final = 2.0
_TICK_S: Final = 0.02
_KEEPER: Final = (
    "import sys; sys.path.append(sys.argv[1]); from handfast.runner.keeper import main; main()"
)
# Now, because the name may be relative to the folder Python was started in.
_PYTHON: Final = str(Path(sys.executable).absolute())
_PACKAGES: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """An agent process that can be told from any later one with the same number."""

    boot: str
    keeper_pid: int
    keeper_started: str
    agent_pid: int
    agent_started: str
    mark: str
    wrapped: bool = False  # the agent process is a sandbox, with the agent inside


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """The agent's program was not run at all. Not an exit: no code of the agent has run."""

    reason: str
    errno: int


@dataclass(frozen=True, slots=True)
class StreamFacts:
    path: Path
    bytes: int  # written by the agent
    left_out: int  # between the first and the last part, not in the file
    unwritten: int  # refused by the disk


@dataclass(frozen=True, slots=True)
class Exit:
    """How an agent ended. Code and signal are None when nobody could see it."""

    code: int | None
    signal: int | None
    ended_by: str  # agent, runner, runner_gone, unknown
    left_behind: int  # processes the agent left running, ended with it; not counted in a sandbox
    stdout: StreamFacts
    stderr: StreamFacts


@dataclass(frozen=True, slots=True)
class Ended:
    signalled: tuple[int, ...]  # by this call; the keeper may have ended others
    survivors: tuple[int, ...]  # still there after SIGKILL, as a process in a stuck system call is

    @property
    def gone(self) -> bool:
        return not self.survivors


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. Of each output the first `head_bytes` and the last `tail_bytes` are kept."""

    command: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]  # all of it; the mark is added
    mark: str  # names the run and its epoch; every process of the run carries it
    stdin: bytes | None = None
    grace_s: float = GRACE_S
    head_bytes: int = HEAD_BYTES
    tail_bytes: int = TAIL_BYTES
    wrapped: bool = False  # the command is a sandbox


class AgentProcess:
    """A running agent, held by the runner that started it. Closing it, or dying, ends the agent."""

    def __init__(
        self, keeper: subprocess.Popen[bytes], identity: ProcessIdentity, folder: Path
    ) -> None:
        self._keeper = keeper
        self.identity = identity
        self.folder = folder

    def wait(self, timeout_s: float | None = None) -> Exit | None:
        """How it ended, once nothing of it is left; None while it runs. May be called again."""
        try:
            self._keeper.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._release()
        found = read_exit(self.folder)
        if found.ended_by == "unknown":
            end(self.identity)  # the keeper was killed: look for what it cannot end any more
        return found

    def end(self, grace_s: float = GRACE_S) -> Ended:
        """Ask the agent and all it started to end, then kill what is left."""
        ended = end(self.identity, grace_s)
        self.wait(_KILL_S)
        return ended

    def close(self) -> None:
        """End the agent if it runs, and let go of the keeper."""
        if self._keeper.stdin is not None and not self._keeper.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._keeper.stdin.write(b"end\n")
        self._release()
        try:
            self._keeper.wait(GRACE_S + _KILL_S)
        except subprocess.TimeoutExpired:
            end(self.identity, 0)
            self._keeper.wait()

    def _release(self) -> None:
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                pipe.close()


def start(launch: Launch, folder: Path) -> AgentProcess | NeverStarted:
    """Start an agent. Returns once the program runs or could not be run.

    `folder` is taken for this start alone: it gets `stdout` and `stderr`, `process.json` and at the end
    `exit.json`. Raises AdapterError when the keeper itself fails.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for stale in ("process.json", "exit.json"):
        (folder / stale).unlink(missing_ok=True)
    if launch.stdin is not None:
        (folder / "stdin").write_bytes(launch.stdin)
    try:
        keeper = _spawn_keeper(folder)
    except OSError as error:
        raise _keeper_failed(str(error)) from error
    try:
        answer = _converse(keeper, _config(launch, folder), folder)
    except BaseException:
        _abandon(keeper)
        raise
    if "never_started" in answer:
        _abandon(keeper)
        return _never_started(launch, answer["never_started"])
    row = proctable.row_of(keeper.pid)
    identity = ProcessIdentity(
        boot=proctable.boot(),
        keeper_pid=keeper.pid,
        keeper_started=row.started if row else "",
        agent_pid=int(str(answer["agent_pid"])),
        agent_started=str(answer["agent_started"]),
        mark=launch.mark,
        wrapped=launch.wrapped,
    )
    process = AgentProcess(keeper, identity, folder)
    try:
        _write(folder / "process.json", asdict(identity))
    except OSError:
        process.close()
        raise
    return process


def read_identity(folder: Path) -> ProcessIdentity:
    """The identity `start` recorded. Raises NotFound when there is none that can be read."""
    try:
        return ProcessIdentity(**json.loads((folder / "process.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise NotFound(
            f"`{folder}` holds no record of a process",
            code="process_unknown",
            hint="Nothing was started there, or it never got that far; its keeper has ended it.",
        ) from error


def read_exit(folder: Path) -> Exit:
    """How the process started with `folder` ended; `ended_by` is `unknown` when nobody saw it."""
    try:
        facts = json.loads((folder / "exit.json").read_text("utf-8"))
        return Exit(
            facts["code"],
            facts["signal"],
            facts["ended_by"],
            facts["left_behind"],
            StreamFacts(folder / "stdout", **facts["stdout"]),
            StreamFacts(folder / "stderr", **facts["stderr"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        stdout, stderr = (
            StreamFacts(folder / name, _size(folder / name), 0, 0) for name in ("stdout", "stderr")
        )
        return Exit(None, None, "unknown", 0, stdout, stderr)


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether the very agent process of `identity` runs. Not fooled by a reused number."""
    if identity.boot != proctable.boot():
        return False
    return proctable.is_same(identity.agent_pid, identity.agent_started)


def end(identity: ProcessIdentity, grace_s: float = GRACE_S) -> Ended:
    """End the agent, everything it started, and its keeper; from any process of the same user.

    SIGTERM, then after `grace_s` SIGKILL until nothing is left. Idempotent. Answers survivors rather
    than raise: nothing may be resumed while there are any.
    """
    if identity.boot != proctable.boot():
        return Ended((), ())
    signalled: set[int] = set()
    keeper = proctable.row_of(identity.keeper_pid)
    if keeper is not None and keeper.started == identity.keeper_started:
        for number in (signal.SIGTERM, signal.SIGCONT):
            proctable.send(keeper, number)
    killing_at = time.monotonic() + grace_s
    while True:
        rows = members(identity)
        keeper_there = proctable.is_same(identity.keeper_pid, identity.keeper_started)
        now = time.monotonic()
        if (not rows and not keeper_there) or now > killing_at + _KILL_S:
            break
        if now >= killing_at:
            _signal_new(rows, signalled, signal.SIGKILL, again=True)
            # Last and late: orphans come to it, and it writes down how the agent ended.
            if keeper is not None and keeper_there and now > killing_at + _KEEPER_S:
                proctable.send(keeper, signal.SIGKILL)
        else:
            inside = [row for row in rows if not _is_wall(identity, row)]
            _signal_new(inside, signalled, signal.SIGTERM, again=False)
        time.sleep(_TICK_S)
    return Ended(tuple(sorted(signalled)), tuple(sorted(row.pid for row in members(identity))))


def members(identity: ProcessIdentity) -> list[Row]:
    """What is left of the agent, without its keeper."""
    rows = proctable.table()
    keeper, agent = rows.get(identity.keeper_pid), rows.get(identity.agent_pid)
    pids = proctable.marked(rows, MARK, identity.mark)
    if keeper is not None and keeper.started == identity.keeper_started:
        pids |= proctable.descendants(rows, keeper.pid)
    if agent is not None and agent.started == identity.agent_started:
        pids |= {agent.pid} | proctable.descendants(rows, agent.pid)
        # Its session number is the agent's only while the agent is there to hold the number.
        pids |= {row.pid for row in rows.values() if row.session == agent.pid}
    pids -= {identity.keeper_pid} | proctable.ancestors(rows, os.getpid())
    return [rows[pid] for pid in pids if not rows[pid].gone]


def _is_wall(identity: ProcessIdentity, row: Row) -> bool:
    """Of the sandbox itself: it ends with what it holds, and killing it kills that."""
    if not identity.wrapped:
        return False
    return row.pid == identity.agent_pid or proctable.is_namespace_init(row.pid)


def _signal_new(
    rows: list[Row], signalled: set[int], number: signal.Signals, *, again: bool
) -> None:
    for row in rows:
        if again or row.pid not in signalled:
            signalled.add(row.pid)
            proctable.send(row, number)


def _spawn_keeper(folder: Path) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    with (folder / "keeper.log").open("wb") as log:
        return subprocess.Popen(
            [_PYTHON, "-I", "-S", "-X", "utf8", "-c", _KEEPER, str(_PACKAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=kept,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )


def _converse(
    keeper: subprocess.Popen[bytes], config: Mapping[str, object], folder: Path
) -> dict[str, object]:
    """Tell the keeper what to start; its one line of answer."""
    if keeper.stdin is None or keeper.stdout is None:
        raise AdapterError("the keeper has no pipes", code="keeper_failed")
    line = b""
    try:
        keeper.stdin.write(json.dumps(config).encode() + b"\n")
        deadline = time.monotonic() + _START_S
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([keeper.stdout], [], [], deadline - time.monotonic())
            data = os.read(keeper.stdout.fileno(), 65536) if ready else b""
            if not data:
                break
            line += data
        return dict(json.loads(line))
    except (OSError, ValueError) as error:
        log = (folder / "keeper.log").read_text("utf-8", "replace")
        raise _keeper_failed(log) from error


def _keeper_failed(why: str) -> AdapterError:
    return AdapterError(
        f"the process that keeps agents could not be started: {inert(why, 1_000) or 'no message'}",
        code="keeper_failed",
        hint="Run `handfast doctor`.",
    )


def _abandon(keeper: subprocess.Popen[bytes]) -> None:
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            pipe.close()
    try:
        keeper.wait(GRACE_S + _KILL_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()


def _config(launch: Launch, folder: Path) -> dict[str, object]:
    return {
        "command": list(launch.command),
        "cwd": str(launch.cwd),
        "environment": {**launch.environment, MARK: launch.mark},
        "stdin": None if launch.stdin is None else str(folder / "stdin"),
        "stdout": str(folder / "stdout"),
        "stderr": str(folder / "stderr"),
        "exit": str(folder / "exit.json"),
        "head": launch.head_bytes,
        "tail": launch.tail_bytes,
        "grace_s": launch.grace_s,
        "wrapped": launch.wrapped,
    }


def _never_started(launch: Launch, failure: object) -> NeverStarted:
    fields = failure if isinstance(failure, dict) else {}
    number = int(fields.get("errno") or 0)
    why = os.strerror(number)
    program = inert(launch.command[0], 200, multiline=False)
    if fields.get("at"):
        return NeverStarted(f"`{fields['at']}` could not be entered or opened: {why}", number)
    return NeverStarted(
        f"the program `{program}` could not be run in `{launch.cwd}`: {why}",
        number,
    )


def _write(path: Path, fields: Mapping[str, object]) -> None:
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(fields, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
