"""Requests and replies about agents, hooks, bodies, the log, and health."""

from typing import Annotated

from pydantic import BaseModel, Field, JsonValue

from handfast.core.domain.events_work import Mode
from handfast.server.api.schema_proof import Proof
from handfast.server.api.schema_work import Asked, Id, Line, Reply


class ProblemOut(BaseModel):
    """RFC 9457. Some problems carry more members: who decided and when, which epoch is current."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    retryable: bool


class Health(Reply):
    """`backlog` counts deliveries that have not left yet; `waiting` the handoffs that wait."""

    status: str
    version: str
    database: str
    backlog: int
    waiting: int
    runner: str


class AgentIn(Asked):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    harness: Line = "claude-code"
    team: Line = ""


class AgentOut(Reply):
    agent_id: str
    name: str
    harness: str
    registered_at: str
    suspended: bool
    suspended_why: str
    tokens: list[str]
    team: str = ""


class AgentList(Reply):
    items: list[AgentOut]


class TokenIn(Asked):
    scopes: tuple[Line, ...] = ()
    expires_in_s: Annotated[int, Field(ge=0, le=366 * 86_400)] = 0


class TokenOut(Reply):
    """The only time that the token's text is shown."""

    token: str
    token_id: str
    expires_at: str


class TokenGone(Reply):
    token_id: str


class ReasonIn(Asked):
    reason: Annotated[str, Field(max_length=500)] = ""


class Suspension(Reply):
    agent_id: str
    suspended: bool


class HookStatus(Reply):
    """`killed` says in words what the kill switch stops."""

    mode: str
    paused_until: str
    killed: tuple[str, ...] = ()


class HookModeIn(Proof):
    mode: Mode


class HookPauseIn(Proof):
    minutes: int
    reason: Annotated[str, Field(max_length=2000)] = ""


class HookPauseOut(Reply):
    paused_until: str


class HookInstalledIn(Asked):
    harness: Line
    scope: Line
    agent_id: Id
    mode: Mode


class BodyOut(Reply):
    body_id: str
    digest: str
    size: int


class BodyGone(Reply):
    body_id: str
    erased: bool


class HeadOut(Reply):
    """A signed tree head as a C2SP signed note, and the key that verifies it."""

    size: int
    note: str
    verifier: str


class EntryProof(Reply):
    position: int
    size: int
    entry: str
    leaf: str
    path: list[str]
    checkpoint: str


class ConsistencyProof(Reply):
    """`path` proves that the log of size `to` only extends the log of size `from`."""

    path: list[str]
    from_size: int = Field(alias="from")
    to_size: int = Field(alias="to")


class EventOut(Reply):
    """An entry of the log: its envelope and its place. Content is in bodies, never here."""

    position: int
    id: str
    type: str
    schema_version: int = Field(alias="schema")
    stream: str
    version: int
    at: str
    actor: dict[str, str]
    data: dict[str, JsonValue]


class EventPage(Reply):
    """`next` goes into the next call's `after`. It moves on even where the filter left nothing."""

    items: list[EventOut]
    next: int
