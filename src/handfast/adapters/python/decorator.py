"""`gate`: the decorator. Keeps the function's signature, name and docstring; adds `gated` and `reconcile`."""

import functools
import inspect
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, cast, get_type_hints

from handfast.adapters.python import doubts, drive, session
from handfast.adapters.python.arguments import Signature
from handfast.adapters.python.course import Order, course
from handfast.adapters.python.options import Declared, Options
from handfast.adapters.python.receipt import Ran, Receipt, Undo
from handfast.adapters.python.steps import Step
from handfast.client import Client, calls
from handfast.core.domain.canonical import JSON, digest
from handfast.core.domain.errors import GateClosed

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Gated(Protocol[P, R_co]):
    """A gated function. `gated` is called like it and gives the receipt instead of the value.

    For an async function both give awaitables. As a method: `Class.method.gated(instance, …)`.
    """

    __name__: str
    gated: Callable[..., Any]
    reconcile: Callable[[], Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., R_co]: ...


def gate(**options: Unpack[Options]) -> Callable[[Callable[P, R]], Gated[P, R]]:
    """Let a function run only as a person approved it, or as policy lets it: see `Options`.

        @gate(tool="deploy", approval_mode="always_require")
        def deploy(service: str, version: str) -> str: ...

    Every call is proposed with its exact arguments, waits where policy or `always_require` says so, takes
    the one start of its approval, runs, and is recorded. Raises UsageError here for options that contradict
    each other; at a call: UsageError, Waiting, GateClosed, AlreadyRan, NotPermitted and Unavailable, and
    then nothing ran.
    """
    declared = Declared(**options)

    def decorate(function: Callable[P, R]) -> Gated[P, R]:
        if isinstance(function, staticmethod | classmethod):
            inner = decorate(function.__func__)
            return cast("Gated[P, R]", type(function)(inner))
        declared.check(function)
        named = replace(declared, tool=declared.tool or function.__name__)
        made = Gate(function, named, Signature(function, named.exclude, named.canonical))
        return cast("Gated[P, R]", _wrapped(function, made))

    return decorate


def _wrapped(function: Callable[..., Any], made: "Gate") -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        async def arun(*args: Any, **kwargs: Any) -> Any:
            return (await made.acall(args, kwargs)).value

        async def agated(*args: Any, **kwargs: Any) -> Receipt[Any]:
            return await made.acall(args, kwargs)

        return _dressed(function, arun, agated, made.areconcile)

    def run(*args: Any, **kwargs: Any) -> Any:
        return made.call(args, kwargs).value

    def gated(*args: Any, **kwargs: Any) -> Receipt[Any]:
        return made.call(args, kwargs)

    return _dressed(function, run, gated, made.reconcile)


def _dressed(
    function: Callable[..., Any],
    wrapper: Callable[..., Any],
    gated: Callable[..., Any],
    reconcile: Callable[[], object],
) -> Callable[..., Any]:
    _look_like(wrapper, function)
    _look_like(gated, function)
    vars(wrapper).update(gated=gated, reconcile=reconcile)
    return wrapper


def _look_like(wrapper: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Name, docstring, signature and annotations, but not `__wrapped__`: what unwraps functions to call
    them would walk around the gate."""
    functools.update_wrapper(wrapper, function)
    del wrapper.__wrapped__  # type: ignore[attr-defined]  # `update_wrapper` set it
    try:
        wrapper.__annotations__ = get_type_hints(function, include_extras=True)
        signature = inspect.signature(function, eval_str=True)
    except (NameError, TypeError, SyntaxError, AttributeError):  # names known to a checker only
        signature = inspect.signature(function)
    vars(wrapper)["__signature__"] = signature


@dataclass(slots=True)
class Gate:
    """One gated function. An equal call is refused while one is under way in this process."""

    function: Callable[..., Any]
    declared: Declared
    signature: Signature
    _under_way: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Receipt[Any]:
        with self._alone(self.signature.of(args, kwargs)):
            return self._played(self._order(args, kwargs))

    async def acall(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Receipt[Any]:
        with self._alone(self.signature.of(args, kwargs)):
            return await self._aplayed(self._order(args, kwargs))

    def reconcile(self) -> dict[str, str]:
        """Ask the probe about every start of this function in the run that has no effect recorded, at
        start-up for instance. Gives what it said by handoff id. Runs nothing."""
        if self.declared.client is not None:
            return drive.play(self._settled(), self.declared.client)
        with session.client() as client:
            return drive.play(self._settled(), client)

    async def areconcile(self) -> dict[str, str]:
        """As `reconcile`."""
        client = self._client()
        try:
            return await drive.aplay(self._settled(), client)
        finally:
            await self._aclosed(client)

    def _settled(self) -> Generator[Step, Any, dict[str, str]]:
        declared = self._placed()
        run_id = declared.run_id
        if not run_id:
            run_id = str((yield calls.session_run(**session.session()))["run_id"])
        said: dict[str, str] = {}
        for start in (yield from doubts.open_starts(run_id, declared.tool)):
            found = yield from doubts.settle(start, declared)
            said[start.handoff_id] = "ran" if isinstance(found, Ran) else found
        return said

    # -- one call

    def _order(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Order:
        declared = self._placed()
        return Order(
            tool=declared.tool,
            declared=declared,
            function=self.function,
            args=args,
            kwargs=kwargs,
            arguments=lambda: self.signature.of(args, kwargs),
            session=session.session,
            undo=self._undo(declared) if declared.undo else None,
        )

    def _placed(self) -> Declared:
        return replace(self.declared, run_id=self.declared.run_id or session.run_id())

    def _undo(self, declared: Declared) -> Undo:
        undo = Undo()

        def order(receipt: Receipt[Any]) -> Order:
            return self._undoing(declared, receipt)

        def run(receipt: Receipt[Any]) -> Receipt[Any]:
            with _given_back(undo, made := order(receipt)):
                return self._played(made)

        async def arun(receipt: Receipt[Any]) -> Receipt[Any]:
            with _given_back(undo, made := order(receipt)):
                return await self._aplayed(made)

        if inspect.iscoroutinefunction(self.function):
            undo.arun = arun
        else:
            undo.run = run
        return undo

    def _undoing(self, declared: Declared, receipt: Receipt[Any]) -> Order:
        """The undo as a call of its own: `TOOL.undo` of exactly this start, under the same mode."""
        of: dict[str, JSON] = {
            "of": receipt.start_id or receipt.step_id,
            "handoff_id": receipt.handoff_id,
            "arguments": receipt.arguments,
        }
        own = replace(
            declared,
            tool=f"{declared.tool}.undo",
            canonical=None,
            operands=None,
            preview=None,
            undo=None,
            reconcile=None,
            idempotent=False,
            summary=None,
            run_id=receipt.run_id,
        )
        undo = cast("Callable[..., object]", declared.undo)
        return Order(own.tool, own, undo, (receipt,), {}, lambda: dict(of), session.session)

    def _played(self, order: Order) -> Receipt[Any]:
        if self.declared.client is not None:
            return drive.play(course(order), self.declared.client)
        with session.client() as client:
            return drive.play(course(order), client)

    async def _aplayed(self, order: Order) -> Receipt[Any]:
        client = self._client()
        try:
            return await drive.aplay(course(order), client)
        finally:
            await self._aclosed(client)

    def _client(self) -> Client:
        return self.declared.client or session.client()

    async def _aclosed(self, client: Client) -> None:
        if client is not self.declared.client:
            await client.aclose()

    @contextmanager
    def _alone(self, arguments: dict[str, JSON]) -> Iterator[None]:
        mark = digest(arguments)
        with self._lock:
            if mark in self._under_way:
                raise GateClosed(
                    f"an equal call of `{self.declared.tool}` is under way in this process",
                    code="call_under_way",
                    hint="Wait for it. Each call needs an approval of its own.",
                )
            self._under_way.add(mark)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(mark)


@contextmanager
def _given_back(undo: Undo, order: Order) -> Iterator[None]:
    """An undo that did not start may be tried again."""
    try:
        yield
    except BaseException:
        if not order.started:
            undo.give_back()
        raise
