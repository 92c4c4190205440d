"""Who is in an audience, by the policy in force and the roles of the people who are set up."""

from datetime import UTC, datetime, timedelta

import pytest

from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.person import Person
from handfast.core.domain.publication import ORGANISATION
from handfast.core.domain.requirement import Clause, Requirement
from handfast.engine.kernel import Unit
from tests.engine_room import OPERATOR, Room

POLICY = """\
version: 1
teams: {dba: [ann, bob, nobody-yet], ops: [carl]}
rotations:
  payments: {people: [ann, bob], starts: 2026-01-05T09:00, zone: Europe/Berlin, every: 1w}
owners: {"@acme/db": team:dba}
"""


def _in(room: Room, audience: str, at: datetime | None = None, repository: str = "") -> set[str]:
    unit = Unit(room.engine.kernel, OPERATOR, "")
    moment = at or room.clock.now()
    return set(room.engine.directory.members(unit, audience, repository, moment))


@pytest.fixture
def people(room: Room) -> dict[str, str]:
    """ann and bob decide, carl only operates; `me` is ana with every role."""
    made: dict[str, Actor] = {
        "ann": room.another("ann"),
        "bob": room.another("bob", ("reviewer", "operator")),
        "carl": room.another("carl", ("operator",)),
    }
    text = POLICY
    done = room.engine.policies.propose(room.me, ORGANISATION, text)
    room.engine.policies.approve(made["bob"], ORGANISATION, str(done["digest"]))
    return {"me": room.me.id} | {login: actor.id for login, actor in made.items()}


def test_audiences_have_the_members_the_policy_names(room: Room, people: dict[str, str]) -> None:
    me, ann, bob = people["me"], people["ann"], people["bob"]
    assert _in(room, "reviewers") == {me, ann, bob}
    assert _in(room, "team:dba") == {ann, bob}
    assert _in(room, "role:operator") == {me, bob}
    assert _in(room, "person:ANN") == {ann}
    assert _in(room, "owner:@acme/db") == {ann, bob}
    assert _in(room, "owner:@other/dba") == {ann, bob}
    assert _in(room, "owner:@bob") == {bob}


@pytest.mark.parametrize(
    "audience",
    ["team:none", "team:ops", "role:none", "person:eve", "person:carl", "oncall:none", "owners",
     "owner:@acme/none", "owner:x y", "", "everybody"],
)  # fmt: skip
def test_whoever_is_not_known_or_may_not_decide_is_nobody(
    room: Room, people: dict[str, str], audience: str
) -> None:
    assert people
    assert _in(room, audience) == set()


def test_the_one_on_call_changes_at_the_hand_over(room: Room, people: dict[str, str]) -> None:
    monday = datetime(2026, 3, 30, 7, tzinfo=UTC)  # 09:00 in Berlin, one day after the clock moved
    assert _in(room, "oncall:payments", monday - timedelta(seconds=1)) == {people["bob"]}
    assert _in(room, "oncall:payments", monday) == {people["ann"]}
    assert _in(room, "oncall:payments", datetime(2026, 1, 5, 7, tzinfo=UTC)) == set()


def test_a_person_counts_for_the_clauses_of_their_audiences(
    room: Room, people: dict[str, str]
) -> None:
    wanted = Requirement((Clause(1, ("team:dba",)), Clause(2, ("person:ann", "role:admin"))))

    def counts(login: str) -> tuple[int, ...]:
        unit = Unit(room.engine.kernel, OPERATOR, "")
        return room.engine.directory.counts_for(
            unit, room.engine.kernel.state(Person, people[login]).person_id, wanted, "", unit.now
        )

    assert counts("ann") == (0, 1)
    assert counts("bob") == (0,)
    assert counts("me") == (1,)
    assert counts("carl") == ()


def test_many_people_are_all_found(room: Room) -> None:
    from handfast.engine import directory

    for n in range(5):
        room.another(f"p{n}")
    whole = _in(room, "reviewers")
    assert len(whole) == 6
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "_PAGE", 2)
        assert _in(room, "reviewers") == whole


def test_a_repository_may_name_the_teams_of_the_organisation_and_not_change_them(
    room: Room, people: dict[str, str]
) -> None:
    room.engine.policies.propose(
        Actor("person", people["bob"], "browser"),
        "/repo",
        "version: 1\nteams: {dba: [ana], web: [ana]}\ngates:\n"
        "  - {id: a, when: call.tool == 'x', require: {from: [team:dba, team:web]}}\n",
    )
    digest = room.engine.policies.list()[1]["proposed"]
    assert isinstance(digest, dict)
    room.engine.policies.approve(room.me, "/repo", str(digest["digest"]))
    assert _in(room, "team:dba", repository="/repo") == {people["ann"], people["bob"]}
    assert _in(room, "team:web", repository="/repo") == {people["me"]}
    assert _in(room, "team:web") == set()
    asks = "version: 1\ngates:\n  - {id: a, when: call.tool == 'x', require: {from: team:%s}}\n"
    with pytest.raises(UsageError, match="3:47: there is no `gone` in `teams`"):
        room.engine.policies.propose(room.me, "/repo", asks % "gone")
    room.engine.policies.propose(room.me, "/repo", asks % "ops")
