"""What may be declared of a gated function, checked when it is declared."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict

from handfast.adapters.python.operands import Operands
from handfast.adapters.python.receipt import Receipt, Start
from handfast.client import Client
from handfast.core.domain.action import Effect
from handfast.core.domain.errors import UsageError

ApprovalMode: TypeAlias = Literal["policy", "always_require", "never_require"]
OnWait: TypeAlias = Literal["block", "raise"]
MODES, WAITS = ("policy", "always_require", "never_require"), ("block", "raise")


class Options(TypedDict, total=False):
    """Keyword arguments of `gate`.

    - `tool`: the name that policy sees; the function's own by default.
    - `approval_mode`: `policy` decides (default); `always_require` asks a person whatever policy says;
      `never_require` claims that what is declared in `effect` and `hazards` is all there is. Policy has the
      last word in each.
    - `effect`, `hazards`: what the function does, in the words of the built-in policy. Without either it
      counts as something that cannot be read, and is gated.
    - `exclude`: parameters that do not matter, such as a description. They are not bound, and not sent.
    - `canonical`: called like the function, gives the JSON that an approval is bound to.
    - `operands`: called like the function, gives the files (or named bytes) it depends on.
    - `preview`: called like the function before anybody is asked; a dry run whose text or dict is shown.
    - `undo`: takes the receipt; runs through `receipt.undo()` only.
    - `reconcile`: takes a `Start`; says `ran` (or `Ran(value)`), `did_not_run` or `unknown`.
    - `idempotent`: a start in doubt may be asked for anew without a person settling the doubt first.
    - `summary`: called like the function, gives the ask in one line.
    - `on_wait`: `block` until the decision, at most `timeout_s` (default: no limit), or `raise` Waiting.
    - `client`, `run_id`: instead of HANDFAST_URL, HANDFAST_TOKEN and HANDFAST_RUN_ID.
    """

    tool: str
    approval_mode: ApprovalMode
    effect: str
    hazards: tuple[str, ...]
    exclude: tuple[str, ...]
    canonical: Callable[..., Mapping[str, Any]]
    operands: Callable[..., Operands]
    preview: Callable[..., object]
    undo: Callable[[Receipt[Any]], object]
    reconcile: Callable[[Start], object]
    idempotent: bool
    summary: Callable[..., str]
    on_wait: OnWait
    timeout_s: float
    client: Client
    run_id: str


@dataclass(frozen=True, slots=True)
class Declared:
    """The options with their defaults. See `Options`."""

    tool: str = ""
    approval_mode: ApprovalMode = "policy"
    effect: str = ""
    hazards: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    canonical: Callable[..., Mapping[str, Any]] | None = None
    operands: Callable[..., Operands] | None = None
    preview: Callable[..., object] | None = None
    undo: Callable[[Receipt[Any]], object] | None = None
    reconcile: Callable[[Start], object] | None = None
    idempotent: bool = False
    summary: Callable[..., str] | None = None
    on_wait: OnWait = "block"
    timeout_s: float = 0.0
    client: Client | None = None
    run_id: str = ""

    def check(self, function: Callable[..., object]) -> None:
        """Raises UsageError for what contradicts itself or the function."""
        if self.approval_mode not in MODES:
            raise UsageError(
                f"`approval_mode` is `{self.approval_mode}`", hint=f"One of: {', '.join(MODES)}."
            )
        if self.on_wait not in WAITS:
            raise UsageError(f"`on_wait` is `{self.on_wait}`", hint="`block` or `raise`.")
        if self.approval_mode == "never_require" and not self.read:
            raise UsageError(
                "`never_require` needs `effect=` or `hazards=`",
                hint="Declare what the function does: policy decides by it whether it may.",
            )
        if self.effect and self.effect not in {e.value for e in Effect}:
            raise UsageError(
                f"`effect` is `{self.effect}`",
                hint=f"One of: {', '.join(e.value for e in Effect)}.",
            )
        names: tuple[object, ...] = (self.hazards, self.exclude)
        if any(isinstance(each, str) for each in names):
            raise UsageError("`hazards` and `exclude` are tuples of names", hint='("deploy",)')
        self._check_kind(function)

    def _check_kind(self, function: Callable[..., object]) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise UsageError(
                f"`{function.__name__}` is a generator: it would run after its gate",
                hint="Gate the function that uses it.",
            )
        if inspect.iscoroutinefunction(function):
            return
        for name in ("preview", "undo", "reconcile"):
            if inspect.iscoroutinefunction(getattr(self, name)):
                raise UsageError(f"`{name}` is async, and `{function.__name__}` is not")
        for name in ("canonical", "operands", "summary"):
            if inspect.iscoroutinefunction(getattr(self, name)):
                raise UsageError(f"`{name}` is async; it must answer at once")

    @property
    def read(self) -> bool:
        """Whether the function's effects are declared, so that policy has something to judge by."""
        return bool(self.effect or self.hazards)
