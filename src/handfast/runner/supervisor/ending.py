"""How an agent's process ended, as far as it is known."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from handfast.client.request import Json
from handfast.core.domain.inert import inert
from handfast.observe.secrets import redact
from handfast.runner.hooks.registry import Registration
from handfast.runner.processes import Exit, read_exit
from handfast.runner.supervisor import claude
from handfast.runner.supervisor.leftovers import epoch_folders

LOST: Final = "lost"
STOPPED: Final = "runner_stopped"
TAKEN: Final = "taken_over"
COMPLETED: Final = "completed"
MAX_OUTPUT: Final = 20_000
NOT_EXECUTABLE, NOT_FOUND = 126, 127
QUICK_S: Final = 5.0
_READ_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` and `signal` are None when nobody saw the end. `waits_on` are handoffs that calls of this
    start were told to wait for; `says` is the agent's last message."""

    code: int | None
    signal: int | None
    reason: str
    output: str = ""
    error_output: str = ""
    says: str = ""
    cost_total: str = ""
    turns: int = 0
    duration_ms: int = 0
    calls: int = 0
    left_behind: int = 0
    waits_on: tuple[str, ...] = ()

    @property
    def deferred(self) -> bool:
        return self.reason == claude.DEFERRED

    @property
    def lost(self) -> bool:
        return self.reason in (LOST, STOPPED, TAKEN)

    @property
    def failed(self) -> bool:
        return self.code != 0 and not self.deferred

    @property
    def shown(self) -> str:
        """How it ended, in words."""
        if self.reason == STOPPED:
            return "The agent was ended because the runner stopped."
        if self.reason == TAKEN:
            return "The agent was ended because a person took the run over."
        if self.lost or (self.code is None and self.signal is None):
            return "The agent was lost: nobody saw how it ended."
        if self.signal is not None:
            return f"The agent was ended by signal {self.signal}."
        return f"The agent exited with code {self.code}."


def ended(
    exit_: Exit, *, is_claude: bool, registration: Registration | None, duration_ms: int
) -> Ended:
    """From what the process left in its folder and what its hook heard."""
    out, err = _text(exit_.stdout.path), _text(exit_.stderr.path)
    result = claude.result_in(out) if is_claude else claude.Result()
    heard = registration.last_message if registration else ""
    waits = tuple(registration.waiting) if registration else ()
    deferred = registration.deferred if registration else None
    paused = result.deferred or (
        deferred is not None and exit_.code == 0 and not result.stop_reason
    )
    if deferred is not None and paused:
        waits = (deferred.handoff_id, *(w for w in waits if w != deferred.handoff_id))
    return Ended(
        code=exit_.code,
        signal=exit_.signal,
        reason=claude.DEFERRED if paused else _reason(exit_, result),
        output=_output(out, err, result),
        error_output=err[-4_000:],
        says=inert(result.text or heard, MAX_OUTPUT),
        cost_total=result.cost_usd,
        turns=result.turns,
        duration_ms=duration_ms,
        calls=registration.calls if registration else 0,
        left_behind=exit_.left_behind,
        waits_on=waits,
    )


def seen_before(run: Json, folder: Path, *, is_claude: bool) -> Ended:
    """An end that is on record already, with what is left of it on this machine."""
    folders = epoch_folders(folder)
    out = _text(folders[-1] / "stdout") if folders else ""
    result = claude.result_in(out) if is_claude else claude.Result()
    return Ended(
        code=run.get("exit_code"),
        signal=None,
        reason=str(run.get("exit_reason") or COMPLETED),
        output=str(run.get("output") or ""),
        says=inert(result.text, MAX_OUTPUT),
        calls=int((run.get("counts") or {}).get("steps", 0)),
        left_behind=read_exit(folders[-1]).left_behind if folders else 0,
    )


def stopped(found: Ended, reason: str = STOPPED) -> Ended:
    """Ended by the runner, which stops; or because a person took the run over."""
    return replace(found, reason=reason)


def lost(run: Json, reason: str = LOST) -> Ended:
    """An agent that a killed runner left behind, ended since."""
    return Ended(None, None, reason, calls=int((run.get("counts") or {}).get("steps", 0)))


def not_run(run: Json, reason: str) -> Ended:
    """A later start whose program could not be run."""
    steps = int((run.get("counts") or {}).get("steps", 0))
    return Ended(NOT_FOUND, None, reason[:2_000], calls=steps)


def never_ran(found: Ended, *, first: bool, changed: bool) -> bool:
    """Whether the agent's program did not get as far as working: no call, no change, no answer."""
    if not first or changed or found.calls or found.code in (0, None):
        return False
    if found.code in (NOT_EXECUTABLE, NOT_FOUND):
        return True
    return (
        found.duration_ms < QUICK_S * 1000
        and not found.says
        and found.output == _tail(found.error_output)
    )


def _reason(exit_: Exit, result: claude.Result) -> str:
    if exit_.ended_by == "unknown":
        return LOST
    if exit_.signal is not None:
        return f"ended by signal {exit_.signal}"
    if result.is_error:
        return f"the agent reports {result.subtype or 'an error'}"
    return COMPLETED if exit_.code == 0 else f"exit code {exit_.code}"


def _output(out: str, err: str, result: claude.Result) -> str:
    said = result.text or out
    return _tail("\n".join(part for part in (said.strip(), err.strip()) if part))


def _tail(text: str) -> str:
    shown = redact(text.strip())[0]
    return inert(shown[-MAX_OUTPUT:], MAX_OUTPUT)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
