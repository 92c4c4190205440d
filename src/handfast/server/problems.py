"""One table from errors to HTTP: every refusal has the same body, RFC 9457 `application/problem+json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson
from starlette.responses import Response

from handfast.core.domain import errors as e

MEDIA = "application/problem+json"
UNAUTHENTICATED = "unauthenticated"

# Looked up along the class tree of an error, so a new error gets the status of its branch.
STATUS: Mapping[type[BaseException], int] = {
    e.UsageError: 422,
    e.NotFound: 404,
    e.NotPermitted: 403,
    e.LimitExceeded: 429,
    e.Incomplete: 422,
    e.RejectedError: 409,
    e.StorageError: 503,
    e.AdapterError: 502,
    e.HandfastError: 500,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for a program and for a person. `details` become members of the body."""

    status: int
    code: str
    detail: str
    hint: str = ""
    retryable: bool = False
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def body(self) -> dict[str, object]:
        return {
            **self.details,
            "type": f"urn:handfast:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
            "retryable": self.retryable,
        }


def status_of(error: e.HandfastError) -> int:
    """The HTTP status of an error; 401 when the credential itself is the trouble."""
    if error.code == UNAUTHENTICATED:
        return 401
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def problem_of(error: e.HandfastError) -> Problem:
    return Problem(
        status_of(error), error.code, error.message, error.hint, error.retryable, error.details
    )


def problem_response(problem: Problem) -> Response:
    headers = {"Cache-Control": "no-store", **retry_after(problem)}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(problem.body()), problem.status, headers, MEDIA)


def retry_after(problem: Problem) -> dict[str, str]:
    """The header that says when to send it again; nothing where that is not known."""
    seconds = problem.details.get("retry_after_s", 1 if problem.status == 503 else 0)
    return {"Retry-After": str(seconds)} if problem.retryable and seconds else {}
