"""Bodies of the policies: texts, and what a person says of them."""

from typing import Annotated, Literal

from pydantic import Field

from handfast.core.domain.publication import ORGANISATION
from handfast.server.api.schema_proof import Proof
from handfast.server.api.schema_work import Digest, Reply

ScopeName = Annotated[str, Field(max_length=4096)]
Reason = Annotated[str, Field(max_length=2000)]


class PolicyVersion(Reply):
    digest: str
    author: str
    at: str


class PolicyState(Reply):
    scope: str
    version: int
    in_force: PolicyVersion | None
    proposed: PolicyVersion | None
    approver: str
    published_at: str


class PolicyList(Reply):
    items: list[PolicyState]


class PolicyText(Reply):
    scope: str
    text: str


class BookOut(Reply):
    scope: str
    digest: str
    text: str


class InForceOut(Reply):
    """`digest` stands for all that is in force, the built-in policy included."""

    digest: str
    books: list[BookOut]


class PolicyIn(Proof):
    """A whole policy file for `organisation`, or for a repository named by its path."""

    scope: ScopeName = ORGANISATION
    text: Annotated[str, Field(max_length=1_000_000)]
    reason: Reason = ""


class PolicyVerdictIn(Proof):
    """`digest` names the proposal that is meant."""

    scope: ScopeName = ORGANISATION
    digest: Digest
    reason: Reason = ""


class PolicyChanged(Reply):
    scope: str
    digest: str
    status: Literal["proposed", "in_force", "declined"]
