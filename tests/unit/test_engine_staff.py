"""Roles, absences and covers: who may change them, and whom they make the one that is asked."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from handfast.core.domain.errors import InvalidTransition, NotFound, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.kernel import Result, Unit
from handfast.engine.staff import Absence, Cover
from tests.engine_room import OPERATOR, Room, parallel

POLICY = """\
version: 1
teams: {dba: [ann, bob]}
rotations:
  payments: {people: [ann, bob], starts: 2026-01-05T09:00, zone: Europe/Berlin, every: 1w}
  nights: {calendar: /srv/nights.ics}
hours:
  ann: {zone: Europe/Berlin, from: "09:00", to: 17:00}
  bob: {zone: America/New_York, from: "09:00", to: 17:00}
"""
MONDAY = datetime(2026, 1, 5, 8, tzinfo=UTC)  # 09:00 in Berlin: ann's turn


class Crew:
    def __init__(self, room: Room, policy: str = POLICY) -> None:
        self.room = room
        self.ann, self.bob = room.another("ann"), room.another("bob")
        self.carl = room.another("carl", ("reviewer", "operator"))
        done = room.engine.policies.propose(room.me, ORGANISATION, policy)
        room.engine.policies.approve(self.carl, ORGANISATION, str(done["digest"]))
        gone = (MONDAY - room.clock.now()).total_seconds()
        assert gone > 0
        room.clock.move(gone)

    def members(self, audience: str) -> set[str]:
        unit = Unit(self.room.engine.kernel, OPERATOR, "")
        return set(self.room.engine.directory.members(unit, audience, "", unit.now))

    def asked(self, audience: str) -> list[str]:
        unit = Unit(self.room.engine.kernel, OPERATOR, "")
        return list(self.room.engine.directory.asked(unit, audience, "", unit.now))

    def away(self, who: Actor, hours: int = 10, delegate: str = "") -> Result:
        now = self.room.clock.now()
        absence = Absence(now, now + timedelta(hours=hours), "", delegate)
        return self.room.engine.staff.away(who, absence)

    def cover(self, by: Actor, login: str, hours: int = 10, rotation: str = "payments") -> Result:
        now = self.room.clock.now()
        shown = self.room.engine.staff.cover(
            by, Cover(rotation, login, now, now + timedelta(hours=hours), "a swap")
        )
        return next(s for s in shown if s["rotation"] == rotation)


@pytest.fixture
def crew(room: Room) -> Crew:
    return Crew(room)


def test_whoever_is_away_is_not_asked_and_still_may_decide(room: Room, crew: Crew) -> None:
    room.clock.move(7 * 3600)  # 16:00 in Berlin, 10:00 in New York
    assert set(crew.asked("team:dba")) == {crew.ann.id, crew.bob.id}
    crew.away(crew.ann, 10)
    assert crew.asked("team:dba") == [crew.bob.id]
    assert crew.members("team:dba") == {crew.ann.id, crew.bob.id}
    room.clock.move(10 * 3600)
    assert crew.members("team:dba") == set(crew.asked("team:dba")) == {crew.ann.id, crew.bob.id}


def test_a_delegate_is_asked_and_counts_where_the_one_away_is_named(room: Room, crew: Crew) -> None:
    for audience in ("team:dba", "person:ann", "oncall:payments", "owner:@x/dba"):
        assert crew.carl.id not in crew.members(audience)
    crew.away(crew.ann, 10, "carl")
    for audience in ("team:dba", "person:ann", "oncall:payments", "owner:@x/dba"):
        assert crew.carl.id in crew.members(audience)
        assert crew.carl.id in crew.asked(audience)
        assert crew.ann.id not in crew.asked(audience)
    crew.away(crew.carl, 5, "bob")  # one step: bob does not stand in for ann through carl
    assert crew.asked("person:ann") == []
    room.clock.move(11 * 3600)
    assert crew.members("person:ann") == {crew.ann.id}


def test_a_delegation_widens_nothing_a_role_gives(room: Room, crew: Crew) -> None:
    crew.away(room.me, 10, "bob")
    assert crew.bob.id not in crew.members("role:admin")
    assert room.me.id not in crew.asked("reviewers")


def test_a_policy_may_forbid_delegates(room: Room) -> None:
    crew = Crew(room, POLICY + "delegates: false\n")
    crew.away(crew.ann, 10, "carl")
    assert crew.members("person:ann") == {crew.ann.id}
    assert crew.asked("person:ann") == []


def test_those_at_work_are_asked_first_and_all_when_nobody_is(room: Room, crew: Crew) -> None:
    assert crew.asked("team:dba") == [crew.ann.id]  # 09:00 in Berlin, 03:00 in New York
    room.clock.move(9 * 3600)
    assert crew.asked("team:dba") == [crew.bob.id]  # 18:00 and 12:00
    room.clock.move(5 * 3600)
    assert set(crew.asked("team:dba")) == {crew.ann.id, crew.bob.id}  # 23:00 and 17:00
    assert crew.members("team:dba") == {crew.ann.id, crew.bob.id}


def test_a_level_of_several_audiences_is_asked_as_one(room: Room, crew: Crew) -> None:
    unit = Unit(room.engine.kernel, OPERATOR, "")
    asked = room.engine.directory.asked
    assert asked(unit, ("person:bob",), "", unit.now) == (crew.bob.id,)  # nobody else is there
    assert asked(unit, ("person:bob", "person:ann"), "", unit.now) == (crew.ann.id,)
    assert asked(unit, ("team:none", "oncall:none"), "", unit.now) == ()


def test_the_least_loaded_is_asked_first(room: Room, crew: Crew) -> None:
    room.clock.move(7 * 3600)
    order = crew.asked("team:dba")
    busy = crew.ann if order[0] == crew.ann.id else crew.bob
    asked = room.propose("1", "git push")
    room.engine.handoffs.acknowledge(busy, cast("str", asked["handoff_id"]))
    assert crew.asked("team:dba") == order[::-1]


def test_an_absence_is_ones_own_or_an_admins_and_on_record(room: Room, crew: Crew) -> None:
    now, staff = room.clock.now(), room.engine.staff
    later = now + timedelta(hours=1)
    with pytest.raises(NotPermitted, match="only an admin"):
        staff.away(crew.bob, Absence(now, later, "ann"))
    with pytest.raises(NotPermitted, match="token"):
        staff.away(OPERATOR, Absence(now, later, "ann"))
    with pytest.raises(NotPermitted, match="delegate of somebody else"):
        staff.away(room.me, Absence(now, later, "ann", "ana"))
    with pytest.raises(UsageError, match="own `delegate`"):
        staff.away(crew.ann, Absence(now, later, "", "ann"))
    room.another("eve", ("auditor",))
    with pytest.raises(UsageError, match="may not decide"):
        staff.away(crew.ann, Absence(now, later, "", "eve"))
    with pytest.raises(NotFound, match="nobody has the login `no`"):
        staff.away(crew.ann, Absence(now, later, "", "no"))
    for starts, ends in ((later, now), (now, now), (now, now + timedelta(days=400))):
        with pytest.raises(UsageError):
            staff.away(crew.ann, Absence(starts, ends))
    staff.away(room.me, Absence(now, later, "ann", "bob"))
    shown = next(p for p in staff.everybody() if p["name"] == "Ann")
    assert (shown["delegate"], bool(shown["away_until"])) == ("Bob", True)
    staff.back(crew.ann)
    staff.back(crew.ann)
    assert room.types(f"person/{crew.ann.id}")[-2:] == ["person.away_set", "person.away_ended"]


def test_a_cover_is_on_call_instead_until_it_ends_or_is_taken_back(room: Room, crew: Crew) -> None:
    assert crew.members("oncall:payments") == {crew.ann.id}
    shown = crew.cover(crew.ann, "bob", 10)
    assert (shown["via"], shown["people"]) == ("cover", ["Bob"])
    assert crew.members("oncall:payments") == {crew.bob.id}
    crew.cover(room.me, "carl", 5)
    assert crew.members("oncall:payments") == {crew.carl.id}
    room.clock.move(5 * 3600)
    assert crew.members("oncall:payments") == {crew.bob.id}
    shown = crew.cover(crew.ann, "", 20)
    assert (shown["via"], shown["logins"]) == ("turn", ["ann"])
    assert crew.members("oncall:payments") == {crew.ann.id}
    assert room.types("installation/1").count("rotation.covered") == 3


def test_nobody_puts_themselves_on_call_who_takes_no_turns(room: Room, crew: Crew) -> None:
    with pytest.raises(NotPermitted, match="put on call by another"):
        crew.cover(crew.carl, "carl")
    with pytest.raises(NotPermitted, match="put on call by another"):
        crew.cover(crew.ann, "carl")
    crew.cover(room.me, "carl")
    room.another("eve", ("auditor",))
    with pytest.raises(UsageError, match="may not decide"):
        crew.cover(room.me, "eve")
    with pytest.raises(NotFound, match="no rotation `none`"):
        crew.cover(room.me, "ann", rotation="none")
    with pytest.raises(NotPermitted):
        crew.cover(OPERATOR, "ann")


def test_who_is_on_call_is_shown_with_the_age_of_a_calendar(room: Room, crew: Crew) -> None:
    nights, payments = room.engine.staff.on_call()
    assert (payments["rotation"], payments["people"], payments["until"]) == (
        "payments", ["Ann"], "2026-01-12T08:00:00.000000Z",
    )  # fmt: skip
    assert (nights["people"], nights["fetched_at"]) == ([], "")
    assert crew.members("oncall:nights") == set()
    data = (
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:bob\r\nDTSTART:20260105T000000Z\r\n"
        "DURATION:P1D\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    room.engine.calendars.keep("/srv/nights.ics", data.encode(), room.clock.now())
    room.engine.calendars.failed("/srv/nights.ics", "no answer")
    nights = room.engine.staff.on_call()[0]
    assert (nights["people"], nights["problem"]) == (["Bob"], "no answer")
    assert nights["fetched_at"] == "2026-01-05T08:00:00.000000Z"
    assert crew.members("oncall:nights") == {crew.bob.id}


def test_roles_are_an_admins_to_change(room: Room) -> None:
    staff = room.engine.staff
    bob = room.another("bob")
    for actor in (bob, OPERATOR):
        with pytest.raises(NotPermitted):
            staff.set_roles(actor, "bob", ["admin"])
    with pytest.raises(UsageError, match="king"):
        staff.set_roles(room.me, "bob", ["king"])
    with pytest.raises(UsageError, match="empty"):
        staff.set_roles(room.me, "bob", [])
    with pytest.raises(InvalidTransition, match="last admin"):
        staff.set_roles(room.me, "ana", ["reviewer"])
    assert staff.set_roles(room.me, "bob", ["viewer"])["roles"] == ["viewer"]
    with pytest.raises(NotPermitted):
        room.decide(room.propose("1", "git push")["handoff_id"], actor=bob)
    staff.set_roles(room.me, "bob", ["admin", "reviewer"])
    staff.set_roles(bob, "ana", ["reviewer"])
    assert [p["roles"] for p in staff.everybody()] == [["reviewer"], ["admin", "reviewer"]]
    assert room.types(f"person/{bob.id}").count("person.roles_set") == 2


def test_an_approval_of_somebody_disabled_counts_no_more(room: Room) -> None:
    bob, carl = room.another("bob"), room.another("carl", ("reviewer", "operator"))
    two = 'version: 1\ngates:\n  - id: two\n    when: "true"\n    require: {approvals: 2}\n'
    done = room.engine.policies.propose(room.me, ORGANISATION, two)
    room.engine.policies.approve(carl, ORGANISATION, str(done["digest"]))
    handoff = room.propose("1", "git push")["handoff_id"]
    room.decide(handoff, actor=bob)
    room.engine.disabling.disable(room.me, "bob")
    assert room.decide(handoff)["decided"] is False
    assert [v.person_id for v in room.handoff(handoff).votes] == [room.me.id]
    with pytest.raises(NotPermitted):
        room.decide(handoff, actor=bob)
    room.check()


def test_two_admins_who_disable_each_other_at_once_leave_one(rooms: Room) -> None:
    bob = rooms.another("bob", ("admin",))

    def work(n: int) -> bool:
        by, login = ((rooms.me, "bob"), (bob, "ana"))[n]
        try:
            rooms.engine.disabling.disable(by, login)
        except (InvalidTransition, NotPermitted):
            return False
        return True

    assert sorted(parallel(work, 2)) == [False, True]
    closed = [p for p in rooms.engine.staff.everybody() if p["disabled_at"]]
    assert len(closed) == 1


def test_two_admins_who_take_each_others_role_at_once_leave_one(rooms: Room) -> None:
    room = rooms
    bob = room.another("bob", ("admin",))

    def work(n: int) -> bool:
        by, login = ((room.me, "bob"), (bob, "ana"))[n]
        try:
            room.engine.staff.set_roles(by, login, ["reviewer"])
        except (InvalidTransition, NotPermitted):
            return False
        return True

    assert sorted(parallel(work, 2)) == [False, True]
    assert sum("admin" in cast("list[str]", p["roles"]) for p in room.engine.staff.everybody()) == 1
