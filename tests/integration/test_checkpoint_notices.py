"""Who is told of a checkpoint, at a real receiver: nobody while asks wait, and each person once."""

from handfast.core.domain.events_handoff import DecisionKind
from tests.engine_room import Room
from tests.integration.test_notify_planning import add, handoffs_in, hook, push, question, room
from tests.receivers import Web
from tests.told import deliver

__all__ = ["hook", "room"]  # fixtures of the neighbouring file
BUDGET = "version: 1\ninterruptions: {cost: 3, planned: []}\n"


def test_nobody_is_told_while_asks_wait_and_once_when_the_checkpoint_opens(
    room: Room, hook: Web
) -> None:
    add(room, hook)
    room.engine.policies.propose(room.me, "organisation", BUDGET)
    cases = [question(room), question(room), push(room)]
    room.engine.sweep()
    deliver(room.engine)
    assert hook.got == []
    room.clock.move(10 * 60)
    room.engine.sweep()
    deliver(room.engine)
    (got,) = hook.got
    assert handoffs_in(got) == [cases[0]]
    assert all(room.handoff(case).asked_people == (room.me.id,) for case in cases)


def test_a_later_level_tells_its_people_as_always(room: Room, hook: Web) -> None:
    """What nobody took up in the sitting goes on to whom the policy names next."""
    ben = room.another("ben")
    add(room, hook, who=ben)
    levels = "levels: [{to: person:ana, ack_within: 10m}, {to: person:ben}]"
    gate = f"gates: [{{id: g, when: 'true', require: {{{levels}}}}}]\n"
    room.engine.policies.propose(room.me, "organisation", BUDGET + gate)
    case = push(room)
    for minutes, told in ((20, 0), (11, 1)):
        room.clock.move(minutes * 60)
        room.engine.sweep()
        deliver(room.engine)
        assert len(hook.got) == told
    assert handoffs_in(hook.got[0]) == [case]


def test_an_edit_of_a_gathered_ask_is_told_to_those_who_must_approve_it(
    room: Room, hook: Web
) -> None:
    ben = room.another("ben")
    add(room, hook, who=ben)
    gate = "gates: [{id: g, when: 'true', require: {approvals: 2}}]\n"
    room.engine.policies.propose(room.me, "organisation", BUDGET + gate)
    push(room, "a")
    second = push(room, "b")
    room.clock.move(20 * 60)
    room.engine.sweep()
    deliver(room.engine)
    assert len(hook.got) == 1
    room.decide(second, DecisionKind.APPROVE_WITH_EDITS, edited="git push b origin")
    deliver(room.engine)
    assert [handoffs_in(g) for g in hook.got[1:]] == [[second]]
