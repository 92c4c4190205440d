"""What happens at a call of a gated function, as a generator of steps that both faces of a gate play.

    bind → preview → propose → wait → hash again and redeem → run → record

A step is a request to send or something of the developer's to call. An error goes back into the generator
where the step was. Nothing is run but by `_execute`, which takes a start, or `_ungated`, which policy let by.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from handfast.adapters.python import doubts, record
from handfast.adapters.python.operands import code_of, hashed
from handfast.adapters.python.options import Declared
from handfast.adapters.python.receipt import AlreadyRan, Ran, Receipt, Undo, Waiting
from handfast.adapters.python.steps import Invoke, Step
from handfast.client import calls, discovery
from handfast.client.request import Json, new_key
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.canonical import JSON
from handfast.core.domain.errors import GateClosed, StaleDecision
from handfast.core.domain.faults import fault_point
from handfast.core.domain.inert import inert

POLL_S = 25.0
MAX_PREVIEW = 12_000

Course: TypeAlias = Generator[Step, Any, Receipt[Any]]


@dataclass(slots=True)
class Order:
    """One call of a gated function. `arguments` gives the canonical ones, read anew each time.

    `started` turns True when a start was taken or an ungated call began.
    """

    tool: str
    declared: Declared
    function: Callable[..., object]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    arguments: Callable[[], dict[str, JSON]]
    session: Callable[[], Json]
    undo: Undo | None = None
    started: bool = False
    known: dict[str, JSON] = field(default_factory=dict)

    def call(self) -> Call:
        """The canonical call as it would run now: arguments and operands are read again."""
        self.known = self.arguments()
        named = self.declared.operands
        found = hashed(named(*self.args, **self.kwargs)) if named else ()
        return Call(self.tool, self.known, ".", (code_of(self.function), *found))

    def run(self) -> object:
        return self.function(*self.args, **self.kwargs)


def course(order: Order) -> Course:
    """Ask, wait, run, record. Gives the receipt; raises Waiting, AlreadyRan, GateClosed and what the
    server raised without having run anything, and what the function raised after recording it."""
    order.call()  # what has no canonical form is refused before anybody is asked
    run_id = order.declared.run_id or str((yield calls.session_run(**order.session()))["run_id"])
    settled = yield from _doubt_settled(order, run_id)
    if settled is not None:
        return settled
    preview = yield from _preview(order)
    deadline = time.monotonic() + order.declared.timeout_s if order.declared.timeout_s else None
    while True:
        call, key = order.call(), f"gate-{new_key()}"
        said = yield calls.propose(run_id, key, _proposed(order, call, preview))
        receipt = Receipt(
            None,
            order.tool,
            call.arguments,
            run_id,
            str(said["step_id"]),
            str(said["handoff_id"]),
            str(said["grant_id"]),
        )
        if said["verdict"] == "deny":
            raise (yield from _refused(order, said))
        if said["verdict"] == "allow":
            return (yield from _allowed(order, receipt, call, key))
        decided = yield from _decided(
            order, receipt.handoff_id, deadline, str(said.get("later") or "")
        )
        taken = yield from _taken(order, decided, run_id)
        if taken is not None:
            grant_id, start_id, call = taken
            return (yield from _execute(order, record.at(receipt, grant_id, start_id), call))


def _proposed(order: Order, call: Call, preview: str) -> calls.Proposed:
    d = order.declared
    summary = d.summary(*order.args, **order.kwargs) if d.summary else ""
    drawn = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    facts = Facts(
        effect=Effect(d.effect or "exec"),
        summary=inert(_ask(str(summary)) or f"{order.tool}({drawn})", 150, multiline=False),
        hazards=tuple(d.hazards),
        opaque=() if d.read else ("python-function",),
        reversible=True if d.undo else None,
    )
    return calls.Proposed(
        call,
        facts,
        executor="mediated",
        agent_says=inert(str(summary), 2_000) if summary else "",
        require_approval=d.approval_mode == "always_require",
        preview=preview,
        undo=_undo_said(d),
    )


def _ask(summary: str) -> str:
    """Without the block in which claims are stated: that is read from all that is said."""
    return summary.partition("```claims")[0].strip()


def _undo_said(declared: Declared) -> str:
    if declared.undo is None:
        return ""
    name = getattr(declared.undo, "__name__", "a function")
    said = (getattr(declared.undo, "__doc__", "") or "").strip().partition("\n")[0]
    return f"`{name}` takes it back{': ' + said[:200] if said else ''}"


def _preview(order: Order) -> Generator[Step, Any, str]:
    """What the dry run says. One that fails says so; it never keeps the question from being asked."""
    preview = order.declared.preview
    if preview is None:
        return ""
    try:
        said = yield Invoke(lambda: preview(*order.args, **order.kwargs))
    except Exception as error:  # noqa: BLE001 - shown to the person who decides
        return inert(f"The preview failed: {type(error).__name__}: {error}", MAX_PREVIEW)
    return inert(record.text_of(said), MAX_PREVIEW)


def _decided(
    order: Order, handoff_id: str, deadline: float | None, later: str
) -> Generator[Step, Any, Json]:
    """The handoff once nothing is waited for. Raises Waiting when this call does not wait that long; `later` is
    what it says then of a checkpoint."""
    fault_point("handoff.before_wait")
    while order.declared.on_wait == "block":
        left = POLL_S if deadline is None else min(deadline - time.monotonic(), POLL_S)
        if left <= 0:
            break
        answer = yield calls.wait(handoff_id, left)
        found: Json = answer["handoff"]
        if answer["decided"]:
            return found
        later = str((found.get("checkpoint") or {}).get("to_agent") or "")
    raise Waiting.on(handoff_id, order.tool, later)


def _taken(
    order: Order, handoff: Json, run_id: str
) -> Generator[Step, Any, tuple[str, str, Call] | None]:
    """The one start of an approval: grant, start and the call as it is now. None: ask anew.

    Asked anew is what changed while it waited, and what a person found not to have run.
    """
    _raise_refusal(order, handoff)
    if handoff["kind"] == "doubt":
        return None
    grant = handoff["grant"]
    if not grant or grant["status"] != "minted":
        raise GateClosed(
            f"the approval of handoff `{handoff['handoff_id']}` was used already, or is too old",
            code="grant_used",
            hint="Call it again to ask anew.",
        )
    call = order.call()
    grant_id = str(grant["grant_id"])
    try:
        taken = yield calls.redeem(
            grant_id,
            call.digest,
            executor="mediated",
            run_id=run_id,
            epoch=discovery.run_epoch(run_id),
        )
    except StaleDecision:
        return None
    return grant_id, str(taken["start_id"]), call


def _raise_refusal(order: Order, handoff: Json) -> None:
    """Raises GateClosed or AlreadyRan for a handoff that ended without an approval."""
    named = f"handoff `{handoff['handoff_id']}`"
    details = {"handoff_id": str(handoff["handoff_id"])}
    decision = handoff["decision"]
    if decision is None:
        raise GateClosed(
            f"`{order.tool}` was not decided: {named} is {handoff['status']}",
            code=f"handoff_{handoff['status']}",
            details=details,
        )
    if decision["answer"] == "it_ran":
        raise AlreadyRan(f"a person checked that `{order.tool}` already ran: {named}")
    if decision["kind"] not in ("approve", "answer"):
        raise GateClosed(
            f"`{order.tool}` was not approved: {decision['kind']} on {named}: {decision['reason']}",
            code="refused",
            details=details,
        )


def _refused(order: Order, said: Json) -> Generator[Step, Any, GateClosed]:
    """A call denied at once: by policy, or because a person answered an equal one before.

    Raises AlreadyRan where that answer was that it ran.
    """
    if said["handoff_id"]:
        _raise_refusal(order, (yield calls.handoff(str(said["handoff_id"]))))
    return GateClosed(
        f"`{order.tool}` was denied: {said['reason']}",
        code="refused",
        details={"handoff_id": str(said["handoff_id"])},
    )


def _allowed(order: Order, receipt: Receipt[Any], call: Call, key: str) -> Course:
    """The server said allow: with the start it took for an approved call, or because policy lets it by."""
    if receipt.grant_id:
        detail = yield calls.grant(receipt.grant_id)
        start_id = str(detail["grant"]["start_id"])
        return (yield from _execute(order, record.at(receipt, receipt.grant_id, start_id), call))
    if order.declared.approval_mode == "always_require":
        raise GateClosed(
            f"`{order.tool}` needs an approval, and the server let it by without one",
            code="not_gated",
            hint="Use a server of the same version.",
        )
    return (yield from _ungated(order, receipt, key))


def _ungated(order: Order, receipt: Receipt[Any], key: str) -> Course:
    order.started = True
    began = time.monotonic()
    try:
        value = yield Invoke(order.run)
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from record.result(receipt, key, began, error=error)
        raise
    return (yield from record.result(receipt, key, began, value=value, undo=order.undo))


def _execute(order: Order, receipt: Receipt[Any], call: Call) -> Course:
    """Run what a start was taken for, and record what came of it. The only way to run what was approved."""
    order.started = True
    fault_point("exec.before_run")
    try:
        value = yield Invoke(order.run)
    except GeneratorExit:
        raise
    except Exception as error:
        yield from record.failed(receipt, call, error)
        raise
    except BaseException as error:  # cancelled, or told to end: nobody knows how far it came
        yield from record.cut_off(receipt, error)
        raise
    fault_point("exec.after_run")
    return (yield from record.done(receipt, call, value, order.undo))


def _doubt_settled(order: Order, run_id: str) -> Generator[Step, Any, Receipt[Any] | None]:
    """Before asking: what became of an earlier start of this call, where a probe or a declaration can say.

    A receipt when it took effect and its value is known. Raises AlreadyRan when only that is known.
    """
    d = order.declared
    if d.reconcile is None and not d.idempotent:
        return None
    for start in (yield from doubts.open_starts(run_id, order.tool)):
        if start.arguments != order.known:
            continue
        found = yield from doubts.settle(start, d)
        if isinstance(found, Ran):
            return Receipt(
                found.value,
                order.tool,
                start.arguments,
                run_id,
                "",
                start.handoff_id,
                start.grant_id,
                start.start_id,
                "verified",
                _undo=order.undo,
            )
        if found == "ran":
            raise AlreadyRan(
                f"`{order.tool}` already ran: start `{start.start_id}` took effect",
                hint="Let `reconcile` give `Ran(value)` where the value is known.",
                details={"handoff_id": start.handoff_id},
            )
    return None
