"""Runs a command that policy declares, a preview or a probe: a list of words, never a shell, bounded.

Only what the built-in reading allows by itself is run: a preview that would be gated is not made, and says so.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.client.request import Json
from handfast.core.domain.action import Effect, Verdict
from handfast.core.policy.builtin import judge
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope
from handfast.observe.secrets import redact
from handfast.runner.environment import scrubbed_environment

TIMEOUT_S: Final = 60.0
MAX_OUTPUT: Final = 60_000
# What runs no code of the worktree, which the agent wrote and may be kept from running outside its sandbox.
_OUTSIDE: Final = (Effect.READ, Effect.NETWORK)


@dataclass(frozen=True, slots=True)
class DryRun:
    """`exit_code` is None when it did not end in time or did not start; `refused` says why it was not run."""

    command: tuple[str, ...]
    exit_code: int | None = None
    duration_ms: int = 0
    output: str = ""
    refused: str = ""

    def fields(self) -> Json:
        return {
            "command": list(self.command),
            "exit_code": self.exit_code,
            "duration_ms": self.duration_ms,
            "output": self.output,
            "refused": self.refused,
        }


def dry_run(
    words: Sequence[str], scope: Scope, timeout_s: float = TIMEOUT_S, *, contained: bool = False
) -> DryRun:
    """Run `words` in the folder of `scope`, with the environment an agent gets. Never raises.

    It runs outside the sandbox of a `contained` agent, so nothing is run then that may run what the agent wrote.

    Its output is redacted and cut in the middle. A command that does not end in time is killed with all it
    started.
    """
    command = tuple(words)
    _, facts = read_call("Bash", {"command": shlex.join(command)}, scope)
    if judge(facts).verdict is not Verdict.ALLOW:
        return DryRun(command, refused=f"it would need an approval itself: {facts.summary}")
    if contained and facts.effect not in _OUTSIDE:
        why = "the agent is contained, and this could run what it wrote outside its sandbox"
        return DryRun(command, refused=why)
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        try:
            process = subprocess.Popen(
                command,
                cwd=scope.cwd,
                env=scrubbed_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return DryRun(command, refused=f"it could not be started: {error.strerror or error}")
        code = _ended(process, timeout_s)
        took = int((time.monotonic() - started) * 1000)
        return DryRun(command, code, took, redact(_read(out.fileno()))[0])


def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left running, too
        process.wait()


def _read(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    half = MAX_OUTPUT // 2
    head = os.pread(descriptor, half if size > MAX_OUTPUT else MAX_OUTPUT, 0)
    if size <= MAX_OUTPUT:
        return head.decode("utf-8", "replace")
    tail = os.pread(descriptor, half, size - half)
    cut = f"\n… {size - MAX_OUTPUT:,} bytes left out …\n"
    return head.decode("utf-8", "replace") + cut + tail.decode("utf-8", "replace")


def scope_of(worktree: Path, cwd: str = ".", control_paths: tuple[Path, ...] = ()) -> Scope:
    return Scope(worktree=worktree, cwd=worktree / cwd, control_paths=control_paths)
