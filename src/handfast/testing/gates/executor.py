"""What an executor or adapter implements to be held against the twelve rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from handfast.testing.gates.place import Place


class Outcome(StrEnum):
    """What an attempt came to. Only `ran` may have had an effect."""

    RAN = "ran"
    WAITING = "waiting"
    DENIED = "denied"
    FAILED = "failed"


class Crash(StrEnum):
    """Where a process is killed with SIGKILL."""

    ASKED = "asked"  # a person was asked, nobody has decided
    STARTED = "started"  # the start was taken, nothing has run
    RAN = "ran"  # it ran, nothing was recorded


@dataclass(frozen=True, slots=True)
class Action:
    """What to do: append `marker` and a line feed to `place.effects`, once.

    `operand` is a file the action depends on: the executor binds the approval to what is in it.
    """

    marker: str
    operand: Path | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """`handoff_id` is the case that was opened or met, '' where there is none."""

    outcome: Outcome
    handoff_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the executor claims. Without `operands` it must refuse an action that has one; without
    `parallel` it must refuse a second ask while one is open. Nothing is skipped."""

    operands: bool = True
    parallel: bool = True


Way: TypeAlias = Callable[[Action], Attempt]


class Executor(Protocol):
    """One session of an agent with the means to run an action. Nothing here waits for a decision."""

    @property
    def capabilities(self) -> Capabilities: ...

    def begin(self, place: "Place") -> None:
        """Start a session of its own at `place.url`, with `place.token`."""
        ...

    def attempt(self, action: Action) -> Attempt:
        """Ask for the action as an agent would, and run it if it may run now."""
        ...

    def resume(self, action: Action, asked: Attempt) -> Attempt:
        """Go on with `action` after the case `asked` was decided, or before: then it must not run."""
        ...

    def replay(self, action: Action, asked: Attempt) -> Attempt:
        """Go on once more from the state as it was when the approval arrived: a snapshot, a grant, a call
        with the same id."""
        ...

    def crash(self, action: Action, asked: Attempt, at: Crash) -> None:
        """Do it in a process that is killed with SIGKILL at `at`; returns when it is dead.

        For `asked` the process asks anew; otherwise the case `asked` has been approved.
        """
        ...

    def answered_outside(self, action: Action) -> Attempt:
        """As `attempt`, while the harness around it says yes by itself, in every way it has."""
        ...

    def ways_around(self) -> Mapping[str, Way]:
        """Other ways to the same effect that this executor knows of: sub-agents, wrappers, other tools,
        another session, retries. At least one; each must be judged like the first."""
        ...

    def end(self) -> None:
        """Stop everything that was started. Idempotent."""
        ...
