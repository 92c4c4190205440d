"""Problem bodies of the API (RFC 9457) back to the error classes they were made from."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from handfast.core.domain import errors
from handfast.core.domain.errors import AdapterError, HandfastError, StorageError, Unavailable
from handfast.core.domain.inert import inert

_KNOWN: Final = frozenset(
    {"type", "title", "status", "detail", "instance", "code", "hint", "retryable"}
)
_MAX_TEXT: Final = 4_000


def _classes(root: type[HandfastError]) -> Iterator[type[HandfastError]]:
    yield root
    for each in root.__subclasses__():
        yield from _classes(each)


# Codes narrower than their class, where the status alone does not tell the class.
_NARROWER: Final[Mapping[str, type[HandfastError]]] = {
    "grant_used": errors.GateClosed,
    "grant_expired": errors.GateClosed,
    "grant_blocked": errors.GateClosed,
    "grant_revoked": errors.GateClosed,
    "limit_reached": errors.GateClosed,
    "policy_denied": errors.GateClosed,
    "wrong_executor": errors.GateClosed,
    "wrong_run": errors.GateClosed,
    "kill_switch": errors.GateClosed,
    "frozen": errors.InvalidTransition,
    "legal_hold": errors.InvalidTransition,
    "still_open": errors.InvalidTransition,
    "package_erased": errors.InvalidTransition,
    "not_shown": errors.UsageError,
    "taken_over": errors.InvalidTransition,
    "not_taken_over": errors.InvalidTransition,
    "not_handed_over": errors.InvalidTransition,
    "hand_back_pending": errors.InvalidTransition,
    "merge_running": errors.InvalidTransition,
    "link_used": errors.InvalidTransition,
    "link_expired": errors.InvalidTransition,
    "link_stale": errors.StaleDecision,
    "nothing_deferred": errors.InvalidTransition,
    "not_in_bulk": errors.InvalidTransition,
    "runner_followed": errors.StaleEpoch,
}
_BY_CODE: Final = {each.default_code: each for each in _classes(HandfastError)} | dict(_NARROWER)
_BY_STATUS: Final[Mapping[int, type[HandfastError]]] = {
    401: errors.NotPermitted,
    403: errors.NotPermitted,
    404: errors.NotFound,
    409: errors.RejectedError,
    413: errors.UsageError,
    422: errors.UsageError,
    429: errors.LimitExceeded,
    503: errors.Unavailable,
}


def error_of(status: int, body: bytes) -> HandfastError:
    """The error behind an answer that is not a success.

    The code decides the class; a code of its own (`edit_denied`) falls back to the class for the status.
    An answer that is no problem body raises nothing better than AdapterError (something else listens
    there) or StorageError (5xx).
    """
    problem = _object(body)
    if problem is None or not isinstance(problem.get("code"), str):
        return _foreign(status, body)
    code = problem["code"]
    cls = (
        _BY_CODE.get(code)
        or _BY_STATUS.get(status)
        or (StorageError if status >= 500 else errors.RejectedError)
    )
    return cls(
        _text(problem.get("detail"))
        or _text(problem.get("title"))
        or f"the server answered {status}",
        code=code,
        retryable=problem.get("retryable") is True,
        hint=_text(problem.get("hint")),
        details={k: v for k, v in problem.items() if k not in _KNOWN},
    )


def unreachable(url: str, why: str) -> Unavailable:
    return Unavailable(
        f"no server answers at {url}: {why}",
        code="server_unreachable",
        hint="Start it with `handfast serve`, or set HANDFAST_URL to where it is.",
    )


def _foreign(status: int, body: bytes) -> HandfastError:
    shown = inert(body[:200].decode("utf-8", "replace"), 200, multiline=False)
    if status in (502, 503, 504):
        return Unavailable(f"the server answered {status}: {shown}", code="server_unavailable")
    if status >= 500:
        return StorageError(
            f"the server failed ({status}): {shown}",
            code="server_failed",
            hint="Look at its log; `handfast doctor` checks its parts.",
        )
    return AdapterError(
        f"the answer ({status}) is not one of a Handfast server: {shown}",
        code="not_handfast",
        hint="Check the address: another program may listen there.",
    )


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _text(value: object) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""
