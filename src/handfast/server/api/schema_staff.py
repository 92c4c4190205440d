"""Requests and replies about people, rotations, and the kill switch."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from handfast.server.api.schema_proof import Proof
from handfast.server.api.schema_work import Id, Line, Reply

Reason = Annotated[str, Field(max_length=2_000)]
Roles = Annotated[tuple[Line, ...], Field(max_length=20)]


class AbsenceOut(Reply):
    starts: str
    ends: str


class PersonOut(Reply):
    """`away_until` is '' for who is there; `delegate` is the name of who is asked instead. With a `disabled_at`
    the `roles` are those that they have again when they are enabled."""

    person_id: str
    name: str
    roles: list[str]
    added_at: str
    has_pin: bool
    away_until: str
    delegate: str
    absences: list[AbsenceOut]
    disabled_at: str = ""


class PersonList(Reply):
    items: list[PersonOut]


class InviteIn(Proof):
    roles: Roles


class Invited(Reply):
    """`path` is a one-time link on this server, valid for 24 hours. It is not shown again."""

    path: str
    roles: list[str]


class WhoIn(Proof):
    """`login` is a login or the id of a person."""

    login: Line


class RolesIn(Proof):
    login: Line
    roles: Roles


class AwayIn(Proof):
    """`login` '' is oneself; `delegate` is a login. Times carry their offset from UTC."""

    starts: AwareDatetime | None = None
    ends: AwareDatetime
    login: Line = ""
    delegate: Line = ""


class BackIn(Proof):
    login: Line = ""


class PlannedOut(Reply):
    """`name` is '' where a cover was taken back."""

    name: str
    starts: str
    ends: str


class OnCallOut(Reply):
    """`via` is turn, calendar or cover. `logins` are what policy or calendar say; `people` those of them
    who are set up and may decide. `fetched_at` and `problem` are of a calendar's copy."""

    rotation: str
    scope: str
    via: str
    person_ids: list[str]
    people: list[str]
    logins: list[str]
    until: str
    calendar: str
    fetched_at: str
    problem: str
    planned: list[PlannedOut]


class OnCallList(Reply):
    items: list[OnCallOut]


class OverrideIn(Proof):
    """`login` '' takes an override of that time back."""

    rotation: Line
    login: Line = ""
    starts: AwareDatetime | None = None
    ends: AwareDatetime
    reason: Reason = ""


class StopOut(Reply):
    """`stage` is stopped, review or agents; `agents` may act at the last one."""

    scope: str
    stage: str
    by: str
    by_name: str
    at: str
    reason: str
    agents: list[str]
    says: str


class ControlOut(Reply):
    items: list[StopOut]


class KillIn(Proof):
    """`scope` is `all`, `team:NAME` or `agent:ID`."""

    scope: Line
    reason: Reason


class ReleaseIn(Proof):
    """`agents` are the ids of those that may act again at the stage `agents`."""

    scope: Line
    stage: Literal["review", "agents", "all"]
    reason: Reason
    agents: Annotated[tuple[Id, ...], Field(max_length=1_000)] = ()
