"""Requests and replies about what a task's bodies hold, their erasure, and the legal hold against it."""

from typing import Annotated

from pydantic import Field

from handfast.core.domain.body_kinds import BodyKind
from handfast.server.api.schema_proof import Proof
from handfast.server.api.schema_work import Reply


class HoldIn(Proof):
    reason: Annotated[str, Field(min_length=1, max_length=2_000)]


class Held(Reply):
    task_id: str
    held: bool


class KindOut(Reply):
    """`bodies` that are still there, and the bytes of their content."""

    kind: str
    bodies: int
    bytes: int


class HoldOut(Reply):
    by_name: str
    at: str
    reason: str


class BodiesOut(Reply):
    """`hindered` says why nothing may be erased now; '' when it may."""

    task_id: str
    kinds: list[KindOut]
    bodies: int
    hindered: str
    hold: HoldOut | None = None


class EraseIn(Proof):
    """`kinds` empty means all of them. The reason stays in the log for ever: no personal data in it."""

    reason: Annotated[str, Field(min_length=1, max_length=200)]
    kinds: tuple[BodyKind, ...] = ()


class Erased(Reply):
    """`scrubbed`: the database's own files hold the bytes no more, as far as it can do that."""

    task_id: str
    kinds: list[KindOut]
    bodies: int
    scrubbed: bool
