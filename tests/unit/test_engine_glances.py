"""One look a minute: loading a page again writes nothing, and a changed form is another look."""

from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Handoff
from tests.engine_room import Room


def looks(room: Room, handoff_id: str) -> int:
    return room.types(f"handoff/{handoff_id}").count("handoff.viewed")


def test_a_case_loaded_again_and_again_is_one_look_a_minute(room: Room) -> None:
    waits = str(room.propose("t1", "git push")["handoff_id"])
    mia, viewed = room.another("mia"), room.engine.handoffs.viewed
    for _ in range(60):
        viewed(room.me, waits)
    assert looks(room, waits) == 1
    viewed(mia, waits)
    assert looks(room, waits) == 2
    room.clock.move(59)
    viewed(room.me, waits)
    assert looks(room, waits) == 2
    room.clock.move(1)
    viewed(room.me, waits)
    assert looks(room, waits) == 3
    room.check()


def test_the_time_spent_on_it_is_kept_beside_the_look(room: Room) -> None:
    waits = str(room.propose("t1", "git push")["handoff_id"])
    room.engine.handoffs.viewed(room.me, waits)
    for _ in range(5):
        room.engine.handoffs.viewed(room.me, waits, 40_000)
    assert looks(room, waits) == 2


def test_another_form_of_the_case_is_another_look(room: Room) -> None:
    text = "version: 1\ngates: [{id: two, when: 'true', require: {approvals: 2}}]\n"
    mia = room.another("mia", ("reviewer", "admin"))
    proposed = room.engine.policies.propose(room.me, "organisation", text)
    room.engine.policies.approve(mia, "organisation", str(proposed["digest"]))
    waits = str(room.propose("t1", "git push origin a")["handoff_id"])
    room.engine.handoffs.viewed(room.me, waits)
    before = room.engine.kernel.state(Handoff, waits).presented_digest
    room.decide(waits, DecisionKind.APPROVE_WITH_EDITS, mia, edited="git push origin b")
    assert room.engine.kernel.state(Handoff, waits).presented_digest != before
    room.engine.handoffs.viewed(room.me, waits)
    assert looks(room, waits) == 2
