"""One call of the API as a value: what is sent, and how its answer is read."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

from handfast.client.problems import error_of
from handfast.core.domain.errors import AdapterError

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")

IDEMPOTENCY_HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A call that may be sent, and sent again when `repeatable`.

    Repeatable are reads, and commands with an idempotency key: the server gives a repeat the first
    answer and does nothing. `timeout_s` 0 means the client's own.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    content: bytes | None = None
    content_type: str = ""
    accept: str = "application/json"
    key: str = ""
    timeout_s: float = 0.0

    @property
    def repeatable(self) -> bool:
        return self.method == "GET" or bool(self.key)

    @property
    def payload(self) -> bytes | None:
        if self.body is not None:
            return json.dumps(self.body, ensure_ascii=False, allow_nan=False).encode()
        return self.content

    @property
    def headers(self) -> dict[str, str]:
        kind = "application/json" if self.body is not None else self.content_type
        return {
            "Accept": self.accept,
            **({"Content-Type": kind} if kind else {}),
            **({IDEMPOTENCY_HEADER: self.key} if self.key else {}),
        }


def new_key() -> str:
    """A key for one command, however often it is sent."""
    return secrets.token_urlsafe(18)


def read_object(answer: Answer) -> Json:
    """The JSON object of a success. Raises the error of a problem, AdapterError for anything else."""
    check(answer)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AdapterError(
            "the server's answer is not a JSON object",
            code="not_handfast",
            hint="Check the address, and that server and client are of one version.",
        )
    return found


def read_optional(answer: Answer) -> Json | None:
    """As `read_object`; None for 204."""
    return None if answer.status == 204 else read_object(answer)


def read_items(answer: Answer) -> list[Json]:
    """The items of a page, or of a bare list."""
    check(answer)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    items = found.get("items") if isinstance(found, dict) else found
    if not isinstance(items, list):
        raise AdapterError("the server's answer is not a list", code="not_handfast")
    return items


def read_bytes(answer: Answer) -> bytes:
    check(answer)
    return answer.body


def read_nothing(answer: Answer) -> None:
    check(answer)


def check(answer: Answer) -> None:
    """Raises the error that the answer stands for."""
    if not 200 <= answer.status < 300:
        raise error_of(answer.status, answer.body)


def get(
    path: str, read: Callable[[Answer], T], query: Mapping[str, object] | None = None
) -> Request[T]:
    asked = {k: str(v) for k, v in (query or {}).items() if v not in ("", None)}
    return Request("GET", path, read, query=asked)


def post(path: str, body: Mapping[str, object], key: str = "") -> Request[Json]:
    return Request("POST", path, read_object, body=given(body), key=key)


def given(fields: Mapping[str, object]) -> Json:
    """Without the fields that were left out."""
    return {k: v for k, v in fields.items() if v is not None}


def path_part(item_id: str) -> str:
    return quote(item_id, safe="")
