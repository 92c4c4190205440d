"""Requests and replies about who is asked: progress of a handoff, routing commands, overrides."""

from typing import Annotated

from pydantic import Field

from handfast.server.api.schema_proof import Proof, Words
from handfast.server.api.schema_work import Digest, Reply

Audience = Annotated[str, Field(min_length=1, max_length=200)]


class ClauseOut(Reply):
    """`could` names who can still approve for it, at most 50."""

    approvals: int
    audience: list[str]
    separate: bool
    approved_by: list[str]
    missing: int
    could: list[str]


class VoteOut(Reply):
    by: str
    by_name: str
    at: str
    auth: str
    clauses: list[int]
    reason: str


class NextOut(Reply):
    to: str
    at: str


class TakesOut(Reply):
    """What a decision takes and how far it is. `level` counts from 1."""

    in_words: str
    clauses: list[ClauseOut]
    silence: str
    silence_means: str
    requested_by: list[str]
    votes: list[VoteOut]
    asked: str
    asked_people: list[str]
    level: int
    levels: int
    round: int
    next: NextOut | None
    ends_at: str


class RouteIn(Proof):
    """`to` as in a policy: `team:sre`, `person:ann`, `reviewers`."""

    to: Annotated[tuple[Audience, ...], Field(min_length=1, max_length=20)]
    reason: Words


class SnoozeIn(Proof):
    for_s: Annotated[int, Field(ge=1, le=31_536_000)]


class OverrideIn(Proof):
    """`presented_digest` is the one of the handoff as it was shown."""

    presented_digest: Digest
    reason: Words
    idempotency_key: Annotated[str, Field(max_length=200)] = ""


class Routed(Reply):
    handoff_id: str
    asked: str


class Snoozed(Reply):
    handoff_id: str
    until: str


class Overridden(Reply):
    """`review_id` is the handoff in which a second person must review it; `overrides` counts them all."""

    handoff_id: str
    grant_id: str
    review_id: str
    overrides: int


class CheckpointNote(Reply):
    """`waits`: nobody was asked yet; `open_by` is when they are at the latest. `says` is for a person,
    `to_agent` for the agent whose call waits."""

    checkpoint_id: str
    stage: str
    waits: bool
    since: str
    open_by: str
    says: str
    to_agent: str = ""
