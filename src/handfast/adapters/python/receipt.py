"""What a caller of a gated function gets: a receipt, or an error that says why nothing ran."""

import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

from handfast.core.domain.canonical import JSON
from handfast.core.domain.errors import GateClosed, RejectedError, UsageError

T_co = TypeVar("T_co", covariant=True)


class Waiting(RejectedError):
    """A person has been asked and has not answered yet; nothing ran.

    Call the function again with the same arguments after the decision. `handoff_id` names the case.
    """

    default_code = "waiting"

    @classmethod
    def on(cls, handoff_id: str, tool: str, later: str = "") -> Self:
        said = f". {later}" if later else ""
        return cls(
            f"`{tool}` waits for a decision: handoff `{handoff_id}`{said}",
            hint="Call it again with the same arguments after the decision.",
            details={"handoff_id": handoff_id},
        )

    @property
    def handoff_id(self) -> str:
        return str(self.details.get("handoff_id", ""))


class AlreadyRan(RejectedError):
    """An earlier start of this very call took effect; its value is not known here. Do not repeat it."""

    default_code = "already_ran"


@dataclass(frozen=True, slots=True)
class Ran(Generic[T_co]):
    """What a `reconcile` probe gives when the start took effect and its value is known."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Start:
    """A start without a recorded effect, for a `reconcile` probe. `arguments` are the canonical ones."""

    tool: str
    arguments: Mapping[str, JSON]
    handoff_id: str
    grant_id: str
    start_id: str
    started_at: str


Found: TypeAlias = Literal["ran", "did_not_run", "unknown"] | Ran[Any]


@dataclass(slots=True)
class Undo:
    """The declared undo of one start. Taken once; `run` and `arun` belong to the two faces of a gate."""

    run: "Callable[[Receipt[Any]], Receipt[Any]] | None" = None
    arun: "Callable[[Receipt[Any]], Awaitable[Receipt[Any]]] | None" = None
    _taken: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        with self._lock:
            if self._taken:
                raise GateClosed("this was undone already, or its undo is under way", code="undone")
            self._taken = True

    def give_back(self) -> None:
        with self._lock:
            self._taken = False


@dataclass(frozen=True, slots=True)
class Receipt(Generic[T_co]):
    """What a call led to. `grant_id` is empty where policy let the call run without a person.

    `effect` is `verified` for an approved start, `reported` for an ungated call, or what the record says
    otherwise. `recorded` is False when the server did not take the record: the start is then in doubt
    there, and `problem` says why.
    """

    value: T_co
    tool: str
    arguments: Mapping[str, JSON]
    run_id: str
    step_id: str = ""
    handoff_id: str = ""
    grant_id: str = ""
    start_id: str = ""
    effect: str = ""
    recorded: bool = True
    problem: str = ""
    _undo: Undo | None = field(default=None, repr=False, compare=False)

    def undo(self) -> "Receipt[Any]":
        """Take it back with the function declared as `undo`: gated and recorded as a call of its own, once.

        It may be tried again when it did not run. Raises UsageError where none was declared, GateClosed
        (`undone`) the second time, and whatever a gated call raises.
        """
        undo = self._declared()
        if undo.run is None:
            raise UsageError("this function is async", hint="Use `await receipt.aundo()`.")
        undo.take()
        return undo.run(self)

    async def aundo(self) -> "Receipt[Any]":
        """As `undo`, for an async function."""
        undo = self._declared()
        if undo.arun is None:
            raise UsageError("this function is not async", hint="Use `receipt.undo()`.")
        undo.take()
        return await undo.arun(self)

    def _declared(self) -> Undo:
        if self._undo is None:
            raise UsageError(f"`{self.tool}` declares no undo", hint="Pass `undo=` to `gate`.")
        return self._undo
