"""What came of a call, told to the server. A record that is not taken never hides the call's own end."""

import json
import logging
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from handfast.adapters.python.arguments import plain
from handfast.adapters.python.receipt import Receipt, Undo
from handfast.adapters.python.steps import Step
from handfast.client import calls
from handfast.core.domain.action import Call
from handfast.core.domain.canonical import digest, sha256
from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.domain.inert import inert
from handfast.observe.secrets import redact

MAX_OUTPUT = 16_000
log = logging.getLogger("handfast.gate")

Told = Generator[Step, Any, Receipt[Any]]


def at(receipt: Receipt[Any], grant_id: str, start_id: str) -> Receipt[Any]:
    return replace(receipt, grant_id=grant_id, start_id=start_id)


def done(receipt: Receipt[Any], call: Call, value: object, undo: Undo | None) -> Told:
    """It ran to its end. The value's digest and its bounded text go into the record."""
    request = calls.effect(
        receipt.grant_id,
        receipt.start_id,
        "verified",
        executed_digest=call.digest,
        exit_code=0,
        output=shown(value),
        note=_digest_of(value),
    )
    return (yield from _told(replace(receipt, value=value, effect="verified", _undo=undo), request))


def failed(receipt: Receipt[Any], call: Call, error: BaseException) -> Told:
    """It raised: known to have been started, and known to have failed."""
    request = calls.effect(
        receipt.grant_id,
        receipt.start_id,
        "verified",
        executed_digest=call.digest,
        exit_code=1,
        output=_said(error),
        note=f"raised {type(error).__name__}",
    )
    return (yield from _told(receipt, request))


def cut_off(receipt: Receipt[Any], error: BaseException) -> Told:
    """It was cut off while it ran: a person finds out how far it came."""
    note = f"cut off while it ran ({type(error).__name__})"
    request = calls.effect(receipt.grant_id, receipt.start_id, "unknown", note=note, doubt=True)
    return (yield from _told(receipt, request))


def result(
    receipt: Receipt[Any],
    key: str,
    began: float,
    *,
    value: object = None,
    error: BaseException | None = None,
    undo: Undo | None = None,
) -> Told:
    """The end of a call that policy let by: there is no start to settle, only the step's result."""
    said = {
        "key": key,
        "exit_code": 1 if error else 0,
        "failed": error is not None,
        "output": _said(error) if error else shown(value),
        "duration_ms": int((time.monotonic() - began) * 1000),
    }
    ended = replace(receipt, value=value, effect="reported", _undo=undo)
    return (yield from _told(ended, calls.record_result(receipt.run_id, said)))


def _told(receipt: Receipt[Any], request: Step) -> Told:
    try:
        answer = yield request
    except HandfastError as error:
        log.warning("`%s` ran, but its record was not taken: %s", receipt.tool, error.message)
        return replace(receipt, recorded=False, problem=error.message)
    return replace(receipt, effect=str(answer.get("outcome") or receipt.effect))


def shown(value: object) -> str:
    """A value as text for people: bounded, without known credentials. '' for None."""
    return "" if value is None else redact(inert(text_of(value), MAX_OUTPUT))[0]


def text_of(value: object) -> str:
    """Text as it is; anything else as JSON where it has that form."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(plain(value, "value"), ensure_ascii=False, indent=2)
    except UsageError:
        return repr(value)


def _digest_of(value: object) -> str:
    try:
        return f"result {digest(plain(value, 'value'))}"
    except UsageError:
        return f"result {sha256(repr(value).encode('utf-8', 'replace'))} of its text"


def _said(error: BaseException) -> str:
    return redact(inert(f"{type(error).__name__}: {error}", MAX_OUTPUT))[0]
