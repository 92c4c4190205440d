"""`handfast exec GRANT`: the mediated executor. Redeem, run exactly what was approved, record what came of it.

Order, so that a crash at any point is seen and never repeats the action: read the grant, hash its operands
again, take the one start, run, record. What happens between taking the start and recording the effect is in
doubt afterwards, and a person settles it.
"""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

from handfast.client import Client, calls, discovery
from handfast.client.request import Json
from handfast.core.domain.action import Call, Operand
from handfast.core.domain.errors import HandfastError, NotPermitted, UsageError
from handfast.core.domain.faults import fault_point
from handfast.observe.operands import rehash
from handfast.observe.scope import Scope
from handfast.observe.secrets import redact
from handfast.runner import state

# Where output goes while it comes: the stream's number (1 or 2) and the bytes.
Stream: TypeAlias = Callable[[int, bytes], None]

HEAD_BYTES, TAIL_BYTES = 16_000, 48_000
_DRAIN_S: Final = 1.0  # for output of what the command left running
_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Executed:
    """`exit_code` is the command's, 128 and the number for a signal. `recorded` is false when the server did
    not take the record: the start is then in doubt, though it ran."""

    grant_id: str
    handoff_id: str
    start_id: str
    exit_code: int
    duration_ms: int
    recorded: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The call as it would run now. Its digest covers the operands as they are on disk."""

    grant_id: str
    run_id: str
    call: Call
    command: str
    cwd: Path


def client_for(home: Path, cwd: Path) -> Client:
    """With the credential of who executes: HANDFAST_TOKEN, else the agent whose hook covers the folder,
    else the operator. Raises Unavailable, NotPermitted."""
    url = os.environ.get(discovery.URL_VARIABLE) or discovery.server_url(home)
    token = os.environ.get(discovery.TOKEN_VARIABLE, "")
    if not token:
        hook = state.hook_at(home, cwd)
        token = hook.token if hook else discovery.file_token(home, discovery.OPERATOR_TOKEN)
    return Client(url, token)


def execute_grant(
    client: Client, grant_id: str, *, stream: Stream, environment: Mapping[str, str] | None = None
) -> Executed:
    """Run what the grant permits, once. `stream` gets the output as it comes.

    Raises StaleDecision when script or arguments are not what was approved, GateClosed when the grant
    was used, expired or never given, NotFound, NotPermitted, UsageError: then nothing ran.
    """
    plan = prepare(client, grant_id)
    taken = client.send(
        calls.redeem(
            grant_id,
            plan.call.digest,
            executor="mediated",
            run_id=plan.run_id,
            epoch=discovery.run_epoch(plan.run_id),
        )
    )
    start_id, handoff_id = str(taken["start_id"]), str(taken["handoff_id"])
    fault_point("exec.before_run")
    ran = _run(plan, stream, environment if environment is not None else os.environ)
    fault_point("exec.after_run")
    problem = _record(client, plan, start_id, ran)
    return Executed(
        grant_id, handoff_id, start_id, ran.exit_code, ran.duration_ms, not problem, problem
    )


def prepare(client: Client, grant_id: str) -> Plan:
    """Read the grant and hash what it depends on. Takes nothing."""
    detail = client.send(calls.grant(grant_id))
    call = _call(detail.get("call"), grant_id)
    command = call.arguments.get("command")
    if call.tool != "Bash" or not isinstance(command, str):
        raise UsageError(
            f"grant `{grant_id}` is for a `{call.tool}` call, which is not a shell command",
            hint="Issue the approved call again in the agent: its hook redeems the grant.",
        )
    run_id = str(detail.get("run_id") or "")
    worktree = _worktree(client, detail, run_id)
    scope = Scope(worktree=worktree, cwd=worktree / call.cwd)
    if not scope.cwd.is_dir():
        raise UsageError(f"the folder `{scope.cwd}` of grant `{grant_id}` is not there")
    return Plan(grant_id, run_id, rehash(call, scope), command, scope.cwd)


def _call(found: object, grant_id: str) -> Call:
    if not isinstance(found, dict):
        raise NotPermitted(
            f"the call of grant `{grant_id}` cannot be read: it was erased, or there is none"
        )
    try:
        operands = tuple(Operand(str(o["path"]), str(o["digest"])) for o in found["operands"])
        return Call(str(found["tool"]), dict(found["arguments"]), str(found["cwd"]), operands)
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"the call of grant `{grant_id}` has a form this version does not know"
        ) from None


def _worktree(client: Client, detail: Json, run_id: str) -> Path:
    place = str(detail.get("worktree") or "")
    if not place and run_id:
        run = client.send(calls.run(run_id))
        place = str(run.get("worktree") or run.get("cwd") or "")
    if not place or not Path(place).is_dir():
        raise UsageError(
            f"the worktree `{place}` is not on this machine",
            hint="Execute the grant where the agent runs.",
        )
    return Path(place)


_STEERS = re.compile(
    rf"{discovery.TOKEN_VARIABLE}$|BASH_ENV$|ENV$|BASH_FUNC_|SHELLOPTS$|BASHOPTS$|PS4$|LD_PRELOAD$|LD_AUDIT$"
)


@dataclass(frozen=True, slots=True)
class _Ran:
    exit_code: int
    duration_ms: int
    output: str
    note: str


def _run(plan: Plan, stream: Stream, environment: Mapping[str, str]) -> _Ran:
    """`bash -c` in a process group of its own. Signals we get are passed on to the group.

    Without our token, and without what would make its shell run something before it or in its place.
    """
    kept = {k: v for k, v in environment.items() if not _STEERS.match(k)}
    started = time.monotonic()
    output = _Bounded()
    try:
        process = subprocess.Popen(
            ["bash", "-c", plan.command],
            cwd=plan.cwd,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        return _Ran(127, 0, "", f"bash could not be started: {error.strerror or error}")
    with _forwarding(process):
        _pump(process, stream, output)
        code = process.wait()
    note = f"ended by {signal.Signals(-code).name}" if code < 0 else ""
    duration_ms = int((time.monotonic() - started) * 1000)
    return _Ran(128 - code if code < 0 else code, duration_ms, output.text(), note)


def _pump(process: subprocess.Popen[bytes], stream: Stream, output: "_Bounded") -> None:
    """Pass output on until the command has ended; what it left running may hold the pipes open."""
    with selectors.DefaultSelector() as selector:
        for number, pipe in ((1, process.stdout), (2, process.stderr)):
            if pipe is not None:
                selector.register(pipe.fileno(), selectors.EVENT_READ, number)
        ended_at = 0.0
        while selector.get_map():
            for key, _ in selector.select(0.1):
                data = os.read(key.fd, 65_536)
                if not data:
                    selector.unregister(key.fd)
                    continue
                output.add(data)
                with contextlib.suppress(OSError):  # nobody reads our output any more
                    stream(key.data, data)
            if process.poll() is not None:
                ended_at = ended_at or time.monotonic()
                if time.monotonic() - ended_at > _DRAIN_S:
                    break
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The command gets the signals meant for us, so that its end can still be recorded."""

    def forward(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    before = {}
    try:
        for number in _FORWARDED:
            before[number] = signal.signal(number, forward)
    except ValueError:  # not the main thread: signals do not come here
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _record(client: Client, plan: Plan, start_id: str, ran: _Ran) -> str:
    """'' when the server has it, else why not."""
    try:
        client.send(
            calls.effect(
                plan.grant_id,
                start_id,
                "verified",
                executed_digest=plan.call.digest,
                exit_code=ran.exit_code,
                output=redact(ran.output)[0],
                note=ran.note,
            )
        )
    except HandfastError as error:
        return error.message
    return ""


class _Bounded:
    """The first and the last part of a stream of bytes."""

    def __init__(self) -> None:
        self._head, self._tail, self._size = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        self._size += len(data)
        room = HEAD_BYTES - len(self._head)
        self._head += data[: max(room, 0)]
        self._tail += data[max(room, 0) :]
        del self._tail[:-TAIL_BYTES]

    def text(self) -> str:
        left_out = self._size - len(self._head) - len(self._tail)
        cut = f"\n… {left_out:,} bytes left out …\n" if left_out else ""
        parts = (bytes(each).decode("utf-8", "replace") for each in (self._head, self._tail))
        return cut.join(parts)
