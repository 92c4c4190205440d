"""Refusals in the audit trail: the first at once, a flood of them as a number."""

import json

from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.refusals import MOST_KINDS
from tests.engine_room import Room, parallel


def told(room: Room) -> list[tuple[str, int]]:
    """`what` and the number of each entry."""
    rows = room.engine.kernel.store.events(types=("access.refused",), limit=5_000)
    found = [json.loads(row.data)["data"] for row in rows]
    return [(each["what"], each.get("times", 1)) for each in found]


def test_a_flood_of_one_kind_is_one_entry_a_minute_with_its_number(room: Room) -> None:
    access = room.engine.access
    for _ in range(500):
        access.refused(room.me, "decide", "no role")
    access.refusals.flush()  # the minute is not over
    assert told(room) == [("decide", 1)]
    room.clock.move(60)
    access.refusals.flush()
    access.refused(room.me, "decide", "no role")
    assert told(room) == [("decide", 1), ("decide", 499)]
    room.engine.access.refusals.flush(all_of_them=True)
    assert room.engine.kernel.state(Installation, INSTALLATION_ID).refusals == 501
    room.check()


def test_after_a_quiet_minute_it_is_told_at_once_again(room: Room) -> None:
    access = room.engine.access
    for _ in range(2):
        access.refused(room.me, "decide", "no role")
        room.clock.move(60)
        access.refusals.flush()
    assert told(room) == [("decide", 1)] * 2


def test_many_kinds_of_one_caller_are_counted_together_and_others_are_not_hidden(
    room: Room,
) -> None:
    access = room.engine.access
    for number in range(200):
        access.refused(room.me, "get_handoff", f"need to know of handoff ho_{number}")
    assert len(told(room)) == MOST_KINDS + 1
    access.refused(room.another("mia"), "get_handoff", "need to know of handoff ho_1")
    assert told(room)[-1] == ("get_handoff", 1)
    access.refusals.flush(all_of_them=True)
    assert sum(times for _, times in told(room)) == 201
    assert ("several", 200 - MOST_KINDS - 1) in told(room)


def test_none_is_lost_between_threads(room: Room) -> None:
    access = room.engine.access

    def often(_: int) -> None:
        for _ in range(25):
            access.refused(room.me, "decide", "no role")

    parallel(often)
    access.refusals.flush(all_of_them=True)
    assert sum(times for _, times in told(room)) == 200


def test_what_was_counted_is_recorded_before_the_engine_closes(room: Room) -> None:
    for _ in range(3):
        room.engine.access.refused(room.me, "decide", "no role")
    kept: list[tuple[str, int]] = []
    close = room.engine.kernel.store.close
    room.engine.kernel.store.close = lambda: kept.extend(told(room))  # type: ignore[method-assign]
    room.engine.close()
    room.engine.kernel.store.close = close  # type: ignore[method-assign]
    assert kept == [("decide", 1), ("decide", 2)]
