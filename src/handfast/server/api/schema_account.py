"""Requests and replies about one's own account, and about projects and teams."""

from typing import Annotated, Literal

from pydantic import Field

from handfast.server.api.schema_proof import Proof
from handfast.server.api.schema_work import Asked, Line, Reply

Names = Annotated[tuple[Line, ...], Field(max_length=200)]
Repositories = Annotated[tuple[Annotated[str, Field(max_length=1_000)], ...], Field(max_length=200)]


class AccountOut(Reply):
    """`projects` are the names of those the caller is in; `sees_all` is true where nothing is kept from them."""

    person_id: str
    name: str
    roles: list[str]
    teams: list[str]
    projects: list[str]
    sees_all: bool


class SessionOut(Reply):
    """`current` is the one that asks. `method` is password, or how else the person signed in."""

    session_id: str
    method: str
    started_at: str
    expires_at: str
    current: bool


class SessionList(Reply):
    items: list[SessionOut]


class Ended(Reply):
    """How many sessions, and how many tokens."""

    ended: int
    tokens: int = 0


class OwnTokenIn(Asked):
    """`expires_in_s` 0 means 30 days; a year is the most."""

    label: Line
    scopes: Annotated[tuple[Literal["read", "write"], ...], Field(min_length=1, max_length=2)] = (
        "read",
    )
    expires_in_s: Annotated[int, Field(ge=0, le=366 * 86_400)] = 0


class OwnTokenOut(Reply):
    """`token` is shown this once; only its hash is kept."""

    token: str
    token_id: str
    expires_at: str


class OwnTokenShown(Reply):
    token_id: str
    label: str
    scopes: list[str]
    issued_at: str
    expires_at: str


class OwnTokenList(Reply):
    items: list[OwnTokenShown]


class PasswordIn(Asked):
    old: Annotated[str, Field(max_length=1_000)]
    new: Annotated[str, Field(max_length=1_000)]


class LoginIn(Proof):
    login: Line


class TeamsIn(Proof):
    login: Line
    teams: Names


class TeamsOut(Reply):
    person_id: str
    teams: list[str]


class ProjectIn(Proof):
    """All of it: a project of that name is replaced. `members` are logins."""

    name: Line
    repositories: Repositories
    members: Names = ()
    teams: Names = ()


class MemberOut(Reply):
    person_id: str
    name: str


class ProjectOut(Reply):
    project_id: str
    name: str
    repositories: list[str]
    members: list[MemberOut]
    teams: list[str]


class ProjectList(Reply):
    items: list[ProjectOut]
