"""Requests and replies about checkpoints: what waits for one, what was asked together, a pass over it."""

from typing import Annotated

from pydantic import Field

from handfast.core.domain.events_handoff import DecisionKind
from handfast.server.api.schema_gate import CallIn
from handfast.server.api.schema_grant import ScopeIn
from handfast.server.api.schema_handoff import HandoffOut
from handfast.server.api.schema_proof import Proof, Words
from handfast.server.api.schema_work import Asked, Digest, Id, Reply

MAX_ITEMS = 200


class DeferredOut(Reply):
    """`opens_at` is when its cost opens it if nothing else comes, '' while nobody it asks may be told of
    more today; `at_latest` holds in any case. `waited` and `cost` are reviewer-minutes."""

    handoff_id: str
    ask: str
    kind: str
    risk: str
    agent_name: str
    blocking: bool
    stage: str
    since: str
    opens_at: str
    at_latest: str
    people: list[str]
    queue: int
    waited: str
    cost: str
    why: str


class CheckpointSummary(Reply):
    """`waiting` of its `handoffs` are not decided. `people` were told of it, once."""

    checkpoint_id: str
    why: str
    why_words: str
    lead: str
    opened_at: str
    until: str
    handoffs: list[str]
    waiting: int
    stages: list[str]
    people: list[str]
    waited: str


class CheckpointItem(HandoffOut):
    """`looked_at_alone` says why an approval in a pass needs a reason of its own, '' where none is."""

    looked_at_alone: str = ""


class CheckpointOut(CheckpointSummary):
    items: list[CheckpointItem]


class CheckpointPage(Reply):
    """The latest checkpoints, newest first, and what waits for one."""

    items: list[CheckpointSummary]
    deferred: list[DeferredOut]


class OpenIn(Proof):
    """Without `handoffs`: all that waits for the person who asks."""

    handoffs: Annotated[tuple[Id, ...], Field(max_length=MAX_ITEMS)] = ()


class OpenedOut(Reply):
    checkpoint_id: str
    handoffs: list[str]


class PassItemIn(Asked):
    """A decision on one handoff, as if it stood alone. `reason` left out: that of the pass, where one reason
    for several is enough."""

    handoff_id: Id
    kind: DecisionKind
    presented_digest: Digest
    reason: Words = ""
    answer: Words = ""
    edited_call: Annotated[str, Field(max_length=100_000)] | CallIn | None = None
    scope: ScopeIn | None = None


class PassIn(Proof):
    items: Annotated[tuple[PassItemIn, ...], Field(min_length=1, max_length=MAX_ITEMS)]
    reason: Words = ""
    idempotency_key: Annotated[str, Field(max_length=200)] = ""


class RefusalOut(Reply):
    code: str
    message: str
    hint: str
    retryable: bool


class PassResultOut(Reply):
    """What became of one item. `refused` None: it was taken. `decided` false: it takes more approvals."""

    handoff_id: str
    decision: str
    decided: bool
    grant_id: str
    refused: RefusalOut | None


class PassOut(Reply):
    checkpoint_id: str
    results: list[PassResultOut]
