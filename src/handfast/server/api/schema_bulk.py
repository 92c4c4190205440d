"""Requests and replies about several small approvals in one call."""

from typing import Annotated

from pydantic import Field

from handfast.engine.bulk import MOST
from handfast.server.api.schema_checkpoint import RefusalOut
from handfast.server.api.schema_proof import Proof, Words
from handfast.server.api.schema_work import Asked, Digest, Id, Reply


class PickIn(Asked):
    """One case, in the form that was shown."""

    handoff_id: Id
    presented_digest: Digest


class TogetherIn(Proof):
    """`reason` goes to each."""

    items: Annotated[tuple[PickIn, ...], Field(min_length=1, max_length=MOST)]
    reason: Words = ""
    idempotency_key: Annotated[str, Field(max_length=200)] = ""


class TakenOut(Reply):
    """What became of one case. `refused` None: it was approved. `decided` false: it takes more approvals."""

    handoff_id: str
    ask: str
    decided: bool
    grant_id: str
    refused: RefusalOut | None


class TogetherOut(Reply):
    results: list[TakenOut]
