"""Who is told, through which contact and when: urgent at once, quiet hours, digests, other levels."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from handfast.core.domain.errors import AdapterError, NotFound, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.reach import Quiet, Takes
from handfast.core.policy.holding import held_until
from handfast.engine.zones import to_utc
from tests.engine_room import RUNNER, Room, in_a_moment
from tests.receivers import Web, web
from tests.told import deliver, statuses, write_settings

BERLIN = ZoneInfo("Europe/Berlin")
ALWAYS = Quiet("UTC", tuple(range(7)), 0, 1440)


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as made:
        yield made


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    write_settings(tmp_path / "home", {"private_hosts": ["127.0.0.1"]})
    with in_a_moment(tmp_path / "home") as made:
        yield made


def add(room: Room, hook: Web, takes: str = "all", who: Actor | None = None) -> str:
    made = room.engine.contacts.add(who or room.me, "webhook", hook.url, takes)
    return str(made["contact_id"])


def question(room: Room) -> str:
    """Of low risk, so it can wait."""
    run = room.queued_run()
    return str(room.engine.reviews.ask(RUNNER, run, "Which one?")["handoff_id"])


def push(room: Room, key: str = "k1") -> str:
    """Of high risk, so urgent."""
    return str(room.propose(key, f"git push {key}")["handoff_id"])


def handoffs_in(got: Any) -> list[str]:
    return [str(c["handoff_id"]) for c in got.json["data"]["handoffs"]]


@pytest.mark.parametrize(
    ("takes", "urgent", "calm"),
    [("all", 1, 1), ("urgent", 1, 0), ("none", 0, 0)],
)
def test_each_contact_gets_what_it_takes(
    room: Room, hook: Web, takes: str, urgent: int, calm: int
) -> None:
    add(room, hook, takes)
    push(room)
    deliver(room.engine)
    assert len(hook.got) == urgent
    question(room)
    deliver(room.engine)
    assert len(hook.got) == urgent + calm


def test_quiet_hours_hold_what_is_not_urgent_and_let_the_rest_through(
    room: Room, hook: Web
) -> None:
    contact = add(room, hook)
    now = room.clock.now()
    minute = now.hour * 60 + now.minute
    quiet = Quiet("UTC", tuple(range(7)), minute - 60, minute + 60)
    room.engine.contacts.set_quiet(room.me, quiet, 60)
    asked, urgent = question(room), push(room)
    deliver(room.engine)
    assert [handoffs_in(g) for g in hook.got] == [[urgent]]
    (held,) = room.engine.notices.of_handoff(asked)
    assert (held["status"], held["contact_id"]) == ("held", contact)
    assert held["due_at"]
    room.clock.move(59 * 60)
    room.engine.sweep()
    deliver(room.engine)
    assert len(hook.got) == 1
    room.clock.move(2 * 60)
    room.engine.sweep()
    deliver(room.engine)
    assert [handoffs_in(g) for g in hook.got] == [[urgent], [asked]]
    assert statuses(room.engine, asked) == ["delivered"]


def test_a_digest_bundles_what_waits_and_leaves_out_what_was_decided(room: Room, hook: Web) -> None:
    add(room, hook, "digest")
    first, second, third = question(room), question(room), question(room)
    deliver(room.engine)
    assert hook.got == []
    room.decide(second, DecisionKind.ANSWER, answer="This one")
    room.clock.move(3600)
    room.engine.sweep()
    deliver(room.engine)
    (got,) = hook.got
    assert sorted(handoffs_in(got)) == sorted([first, third])
    assert statuses(room.engine, second) == ["dropped"]
    urgent = push(room)
    deliver(room.engine)
    assert handoffs_in(hook.last()) == [urgent], "what is urgent does not wait for a digest"


def test_what_is_held_for_somebody_disabled_ends_at_once(room: Room, hook: Web) -> None:
    ann = room.another("ann")
    add(room, hook, "digest", ann)
    add(room, hook, "digest")
    asked = question(room)
    deliver(room.engine)
    assert statuses(room.engine, asked) == ["held", "held"]
    room.engine.disabling.disable(room.me, "ann")
    told = {str(n["person_id"]): n["status"] for n in room.engine.notices.of_handoff(asked)}
    assert told == {ann.id: "dropped", room.me.id: "held"}


def test_what_would_expire_before_it_is_sent_goes_out_at_once(room: Room, hook: Web) -> None:
    add(room, hook)
    room.engine.contacts.set_quiet(room.me, ALWAYS, 60)
    asked = question(room)
    deliver(room.engine)
    assert handoffs_in(hook.last()) == [asked], "quiet hours that never end hold nothing for ever"


def test_telling_twice_tells_once(room: Room, hook: Web) -> None:
    add(room, hook)
    asked = push(room)
    assert room.engine.notices.plan(asked) == 1
    assert room.engine.notices.plan(asked) == 0
    deliver(room.engine)
    assert len(hook.got) == 1


def test_others_who_are_asked_later_are_told_then(room: Room, hook: Web) -> None:
    text = "version: 1\nroutes:\n  - risk: [high]\n    levels: [{to: person:ana, ack_within: 10m}, {to: person:ben}]\n"
    room.engine.policies.propose(room.me, "organisation", text)
    ben = room.another("ben")
    add(room, hook, who=ben)
    asked = push(room)
    deliver(room.engine)
    assert hook.got == []
    room.clock.move(601)
    room.engine.sweep()
    deliver(room.engine)
    assert handoffs_in(hook.last()) == [asked]
    (notice,) = room.engine.notices.of_handoff(asked)
    assert notice["person_name"] == "Ben"
    cleo = room.another("cleo")
    add(room, hook, who=cleo)
    room.engine.handoffs.re_route(ben, asked, ("person:cleo",), "she knows it")
    deliver(room.engine)
    names = [n["person_name"] for n in room.engine.notices.of_handoff(asked)]
    assert sorted(map(str, names)) == ["Ben", "Cleo"]


def test_a_decided_handoff_and_a_removed_contact_send_nothing(room: Room, hook: Web) -> None:
    contact = add(room, hook)
    asked = push(room)
    room.engine.notices.plan(asked)
    room.decide(asked)
    other = push(room, "k2")
    room.engine.notices.plan(other)
    room.engine.contacts.remove(room.me, contact)
    deliver(room.engine)
    assert hook.got == []
    assert statuses(room.engine, asked) == statuses(room.engine, other) == ["dropped"]
    with pytest.raises(NotFound):
        room.engine.contacts.change(room.me, contact, "all")


def test_contacts_are_ones_own_and_their_addresses_leave_with_them(room: Room, hook: Web) -> None:
    contact = add(room, hook)
    ben = room.another("ben")
    with pytest.raises(NotFound):
        room.engine.contacts.remove(ben, contact)
    with pytest.raises(NotFound):
        room.engine.contacts.rotate(ben, contact)
    with pytest.raises(NotFound):
        room.engine.notices.test(ben, contact)
    agent = Actor("agent", room.agent_id, "token")
    for actor in (agent, Actor("person", room.me.id, "slack")):
        with pytest.raises(NotPermitted):
            room.engine.contacts.add(actor, "webhook", hook.url, "all")
    address = room.engine.contacts.reach(room.me.id).contact(contact).address
    assert hook.url in room.engine.kernel.vault.open(address.body_id).text
    room.engine.contacts.remove(room.me, contact)
    assert room.engine.kernel.vault.open(address.body_id).erased
    assert hook.url.encode() not in b"".join(r.data for r in room.engine.kernel.store.scan())


def test_there_are_only_so_many_contacts(room: Room, hook: Web) -> None:
    for _ in range(10):
        add(room, hook, "none")
    with pytest.raises(UsageError, match="10 contacts"):
        add(room, hook)


@pytest.mark.parametrize(
    ("quiet", "digest", "says"),
    [
        (Quiet("Europe/Atlantis", (0,), 0, 60), 60, "time zone"),
        (Quiet("UTC", (7,), 0, 60), 60, "days"),
        (Quiet("UTC", (1, 1), 0, 60), 60, "days"),
        (Quiet("UTC", (1,), 0, 2000), 60, "quiet hours"),
        (Quiet("UTC", (1,), 0, 60), 1, "digest_minutes"),
    ],
)
def test_wrong_quiet_hours_are_refused(room: Room, quiet: Quiet, digest: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        room.engine.contacts.set_quiet(room.me, quiet, digest)


def _berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


NIGHT = Quiet("Europe/Berlin", (0, 1, 2, 3, 4), 20 * 60, 7 * 60)
WEEKEND = Quiet("Europe/Berlin", (5, 6), 0, 1440)


@pytest.mark.parametrize(
    ("takes", "quiet", "digest", "now", "until"),
    [
        ("all", NIGHT, 60, "2026-03-04T12:00", ""),
        ("all", NIGHT, 60, "2026-03-04T23:00", "2026-03-05T07:00"),
        ("all", NIGHT, 60, "2026-03-05T06:59", "2026-03-05T07:00"),
        ("all", NIGHT, 60, "2026-03-07T03:00", "2026-03-07T07:00"),
        ("all", NIGHT, 60, "2026-03-07T23:00", ""),
        ("all", WEEKEND, 60, "2026-03-07T10:00", "2026-03-09T00:00"),
        ("all", Quiet(), 60, "2026-03-04T23:00", ""),
        ("digest", Quiet("Europe/Berlin"), 60, "2026-03-04T12:20", "2026-03-04T13:00"),
        ("digest", Quiet("Europe/Berlin"), 1440, "2026-03-04T12:20", "2026-03-05T00:00"),
        ("digest", NIGHT, 60, "2026-03-04T19:30", "2026-03-05T07:00"),
        # The night on which the clock is moved forward, and back.
        ("all", Quiet("Europe/Berlin", (6,), 60, 150), 60, "2026-03-29T01:30", "2026-03-29T03:30"),
        ("all", NIGHT, 60, "2026-10-24T00:30", "2026-10-24T07:00"),
    ],
)
def test_until_when_something_waits(
    takes: str, quiet: Quiet, digest: int, now: str, until: str
) -> None:
    found = held_until(
        Takes(takes),
        quiet,
        digest,
        _berlin(now),
        lambda at: at.astimezone(BERLIN),
        lambda wall: to_utc(wall, "Europe/Berlin"),
    )
    assert found == (_berlin(until) if until else None)


def test_quiet_hours_that_never_end_hold_for_a_week_at_most() -> None:
    now = datetime(2026, 3, 4, 12, tzinfo=ZoneInfo("UTC"))
    found = held_until(
        Takes.ALL, ALWAYS, 60, now, lambda at: at, lambda w: w.replace(tzinfo=now.tzinfo)
    )
    assert found is not None
    assert timedelta(days=7) < found - now <= timedelta(days=8)


# -- at the moment of sending, and of looking


def leaves_the_project(room: Room) -> None:
    room.engine.knowing.set_project(room.me, "shop", ["/repo"], [], ["nobody"])


def loses_the_role(room: Room) -> None:
    room.engine.staff.set_roles(room.me, "ben", ["viewer"])


@pytest.mark.parametrize(
    ("loses", "why"),
    [
        (leaves_the_project, "they may not know of it any more"),
        (loses_the_role, "their roles do not let them decide any more"),
    ],
)
@pytest.mark.parametrize("waits", ["quiet hours", "another attempt"])
def test_what_waited_is_not_sent_to_who_lost_sight_of_it(
    room: Room, hook: Web, waits: str, loses: Callable[[Room], None], why: str
) -> None:
    ben = room.another("ben")
    room.engine.knowing.set_project(room.me, "shop", ["/repo"], ["ben"], [])
    add(room, hook, who=ben)
    if waits == "quiet hours":
        now = room.clock.now()
        minute = now.hour * 60 + now.minute
        quiet = Quiet("UTC", tuple(range(7)), minute - 60, minute + 60)
        room.engine.contacts.set_quiet(ben, quiet, 60)
        asked = question(room)
        deliver(room.engine)
        assert statuses(room.engine, asked) == ["held"]
    else:
        asked = push(room)
        hook.status = 503
        with pytest.raises(AdapterError):
            deliver(room.engine)
        assert statuses(room.engine, asked) == ["failing"]
        hook.status = 200
    before = len(hook.got)
    loses(room)
    room.clock.move(3 * 3600)
    room.engine.sweep()
    deliver(room.engine)
    assert len(hook.got) == before
    (notice,) = room.engine.notices.of_handoff(asked)
    assert (notice["status"], notice["why"]) == ("dropped", why)


def test_a_person_reads_only_notices_of_what_they_may_know_of(room: Room, hook: Web) -> None:
    ben = room.another("ben")
    room.engine.knowing.set_project(room.me, "shop", ["/repo"], ["ben"], [])
    contact = add(room, hook, who=ben)
    test = room.engine.notices.test(ben, contact)["notice_id"]
    for n in range(3):
        push(room, f"k{n}")
    deliver(room.engine)
    shown = room.engine.notices.of_person(ben.id, limit=2)
    assert all("git push" in str(n["ask"]) for n in shown)
    assert len(shown) == 2
    leaves_the_project(room)
    left = room.engine.notices.of_person(ben.id, limit=2)
    assert [n["notice_id"] for n in left] == [test], "hidden ones take no place"
