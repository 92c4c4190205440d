"""Asks that wait to be asked together: when they are asked, who is told, and that waiting decides nothing."""

import json
from datetime import timedelta
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.checkpoint import Checkpoint
from handfast.core.domain.errors import InvalidTransition, NotPermitted
from handfast.core.domain.events_checkpoint import Stage, Why
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Status
from handfast.core.domain.publication import Publication
from handfast.engine.deferring import recent
from tests.engine_room import OPERATOR, RUNNER, Room, parallel
from tests.unit.test_engine_votes import policy

BUDGET = "interruptions: {cost: 3, per_day: 3, wait_at_most: 2h, sitting: 15m}\n"
LOCAL = ("fs.delete-tracked",)  # medium risk, a change
MINUTE = 60


def asked(room: Room, command: str, hazards: tuple[str, ...] = LOCAL) -> str:
    return cast("str", room.propose(command, command, hazards)["handoff_id"])


def question(room: Room, words: str, *, blocking: bool = False) -> str:
    done = room.engine.reviews.ask(RUNNER, room.run_id, words, blocking=blocking)
    return cast("str", done["handoff_id"])


def later(room: Room, minutes: float) -> list[Checkpoint]:
    """The clock moves, the server sweeps; the checkpoints so far, oldest first."""
    room.clock.move(minutes * MINUTE)
    room.engine.sweep()
    return opened(room)


def opened(room: Room) -> list[Checkpoint]:
    return recent(room.engine.kernel)[::-1]


def posted(room: Room) -> list[str]:
    """Handoffs that people were told of through the outbox, in order."""
    items = room.engine.kernel.store.outbox(1000)
    return [json.loads(i.payload)["handoff_id"] for i in items if i.topic == "handoff.requested"]


def test_without_the_section_every_ask_interrupts_at_once(room: Room) -> None:
    case = asked(room, "rm a")
    h = room.handoff(case)
    assert (h.status, h.deferral, h.checkpoint_id) == (Status.ROUTED, None, "")
    assert h.to_tell == (room.me.id,)
    assert room.types(f"handoff/{case}") == ["handoff.requested", "handoff.routed"]


def test_a_cost_of_zero_changes_nothing(room: Room) -> None:
    policy(room, "interruptions: {cost: 0}\n")
    assert room.handoff(asked(room, "rm a")).status is Status.ROUTED


def test_an_ask_waits_until_the_waiting_costs_an_interruption(room: Room) -> None:
    """0.15 reviewer-minutes a minute: 3 of them are reached after 20 minutes."""
    policy(room, BUDGET)
    case = asked(room, "rm a")
    h = room.handoff(case)
    assert (h.status, h.to_tell, h.stage) == (Status.REQUESTED, (), Stage.CHANGE)
    assert h.waiting
    assert later(room, 19.9) == []
    (checkpoint,) = later(room, 0.2)
    h = room.handoff(case)
    assert (h.status, h.to_tell) == (Status.ROUTED, (room.me.id,))
    assert (checkpoint.why, checkpoint.handoffs) == (Why.COST, (case,))
    assert 3_000 <= checkpoint.waited_mils < 3_100


def test_asks_that_wait_are_asked_in_one_sitting_and_told_of_once(room: Room) -> None:
    policy(room, BUDGET)
    first = asked(room, "rm a")
    assert later(room, 8) == []
    second = asked(room, "rm b")
    third = question(room, "Which name?")
    (checkpoint,) = later(room, 6)  # 14 * 0.15 + 6 * 0.15 + 6 * 0.02 = 3.12
    assert set(checkpoint.handoffs) == {first, second, third}
    assert [h for h in (first, second, third) if room.handoff(h).to_tell] == [first]
    assert checkpoint.people == (room.me.id,)
    assert {room.handoff(h).checkpoint_id for h in (first, second, third)} == {
        checkpoint.checkpoint_id
    }


def test_what_waits_is_not_posted_before_it_is_asked(room: Room) -> None:
    policy(room, BUDGET)
    case = asked(room, "rm a")
    assert case not in posted(room)
    later(room, 21)
    assert posted(room).count(case) == 1


def test_what_is_urgent_goes_at_once_and_takes_the_queue_along(room: Room) -> None:
    policy(room, BUDGET)
    waits = asked(room, "rm a")
    urgent = asked(room, "npm publish", ("publish",))
    (checkpoint,) = opened(room)
    assert (checkpoint.why, checkpoint.lead) == (Why.URGENT, urgent)
    assert checkpoint.handoffs == (urgent, waits)
    assert checkpoint.because == "critical risk"
    assert room.handoff(urgent).to_tell == (room.me.id,)
    assert room.handoff(waits).to_tell == ()
    assert room.handoff(waits).status is Status.ROUTED


@pytest.mark.parametrize(
    ("more", "hazards", "reversible"),
    [
        ("urgent: [{risk: [high]}]", ("git.push",), None),
        ("urgent: [{rules: [delete-tracked], tool: [Bash]}]", LOCAL, None),
    ],
)
def test_a_policy_may_call_more_urgent(
    room: Room, more: str, hazards: tuple[str, ...], reversible: bool | None
) -> None:
    policy(room, f"interruptions: {{cost: 3, planned: [], {more}}}\n")
    assert room.handoff(asked(room, "it", hazards)).status is Status.ROUTED


def test_no_undo_and_a_stated_deadline_is_urgent(room: Room) -> None:
    gate = "gates: [{id: g, when: 'call.tool == \"Bash\"', require: {within: 1h}}]\n"
    policy(room, BUDGET + gate)
    facts = Facts(Effect.WRITE, "drops it", LOCAL, reversible=False)
    call = Call("Bash", {"command": "drop"})
    case = room.propose("1", "drop", call=call, facts=facts)["handoff_id"]
    assert room.handoff(case).status is Status.ROUTED
    kept = Facts(Effect.WRITE, "moves it", LOCAL, reversible=True)
    case = room.propose("2", "move", call=Call("Bash", {"command": "move"}), facts=kept)
    assert room.handoff(case["handoff_id"]).deferral is not None


def test_nothing_waits_longer_than_the_policy_says_or_than_there_is_time_to_decide(
    room: Room,
) -> None:
    gate = "gates: [{id: g, when: 'call.command == \"rm short\"', require: {within: 10m}}]\n"
    policy(room, "interruptions: {cost: 900, wait_at_most: 1h}\n" + gate)
    long, short = asked(room, "rm long"), asked(room, "rm short")
    start = room.clock.now()
    assert room.handoff(short).due_at == start + timedelta(minutes=10)
    assert room.handoff(long).due_at == start + timedelta(hours=1)
    (checkpoint,) = later(room, 10)
    assert checkpoint.why is Why.LATEST
    assert set(checkpoint.handoffs) == {short, long}


def test_waiting_decides_nothing_and_takes_no_time_from_people(room: Room) -> None:
    """Silence is counted from the asking: what nobody was asked about does not go on."""
    gate = (
        "gates: [{id: g, when: 'true', risk: low, require: {within: 30m, silence: auto_proceed}}]\n"
    )
    policy(room, "builtin: {off: [delete-tracked]}\ninterruptions: {cost: 900}\n" + gate)
    call, facts = Call("Bash", {"command": "x"}), Facts(Effect.WRITE, "x", reversible=True)
    case = room.propose("1", "x", call=call, facts=facts)["handoff_id"]
    assert room.handoff(case).may_proceed
    assert len(later(room, 30)) == 1
    assert room.handoff(case).status is Status.ROUTED
    later(room, 29)
    assert room.handoff(case).waiting
    later(room, 1)
    h = room.handoff(case)
    assert h.decision is not None
    assert h.decision.by_machine


def test_what_comes_while_people_look_joins_them_and_tells_nobody(room: Room) -> None:
    policy(room, BUDGET)
    first = asked(room, "rm a")
    later(room, 21)
    joins = asked(room, "rm b")
    (checkpoint,) = later(room, 1)
    assert checkpoint.handoffs == (first, joins)
    assert room.handoff(joins).status is Status.ROUTED
    assert room.handoff(joins).to_tell == ()
    room.decide(first)
    room.decide(joins)
    alone = asked(room, "rm c")
    later(room, 1)
    assert room.handoff(alone).deferral is not None, "everything of the sitting was decided"


def test_a_sitting_is_over_after_its_time(room: Room) -> None:
    policy(room, BUDGET)
    asked(room, "rm a")
    later(room, 21)
    later(room, 15)
    case = asked(room, "rm b")
    later(room, 1)
    assert room.handoff(case).deferral is not None


def test_at_the_cap_of_the_day_an_ask_waits_its_longest(room: Room) -> None:
    policy(room, "interruptions: {cost: 3, per_day: 1, wait_at_most: 3h, planned: []}\n")
    room.decide(asked(room, "rm a"))
    assert later(room, 1) == []
    asked(room, "rm b")
    assert len(later(room, 21)) == 1
    room.clock.move(16 * MINUTE)
    case = asked(room, "rm c")
    assert len(later(room, 60)) == 1, "3 reviewer-minutes were reached long ago"
    assert room.handoff(case).deferral is not None
    assert later(room, 120)[-1].why is Why.LATEST
    room.clock.move(25 * 3600)
    next_day = asked(room, "rm d")
    assert later(room, 21)[-1].handoffs == (next_day,)


def test_a_person_may_decide_before_the_checkpoint(room: Room) -> None:
    policy(room, BUDGET)
    case = asked(room, "rm a")
    room.decide(case)
    h = room.handoff(case)
    assert h.decision is not None
    assert (h.status, h.deferral) == (Status.DECIDED, None)
    assert later(room, 121) == []


def test_a_person_may_have_everything_asked_now(room: Room) -> None:
    """The one who opens it is there; the others are told."""
    policy(room, BUDGET)
    ben = room.another("ben")
    cases = {asked(room, "rm a"), asked(room, "rm b")}
    room.engine.checkpoints.open_now(room.me)
    (checkpoint,) = opened(room)
    assert (checkpoint.why, checkpoint.because) == (Why.PERSON, room.me.id)
    assert set(checkpoint.handoffs) == cases
    assert checkpoint.people == (ben.id,)
    with pytest.raises(InvalidTransition, match="nothing of this waits"):
        room.engine.checkpoints.open_now(room.me)
    with pytest.raises(NotPermitted):
        room.engine.checkpoints.open_now(OPERATOR)


def test_who_takes_it_up_is_asked_and_nobody_else_is_told(room: Room) -> None:
    policy(room, BUDGET)
    room.another("ben")
    case = asked(room, "rm a")
    room.engine.handoffs.acknowledge(room.me, case)
    h = room.handoff(case)
    assert (h.status, h.holder, h.to_tell, h.deferral) == (
        Status.ACKNOWLEDGED,
        room.me.id,
        (),
        None,
    )
    assert case not in posted(room)
    later(room, 121)
    assert room.handoff(case).holder == room.me.id, "the deadline is that of the asking"


def test_each_person_is_told_of_one_handoff_of_a_checkpoint(room: Room) -> None:
    """A checkpoint for several audiences reaches everybody, each once."""
    ben, cy = room.another("ben"), room.another("cy")
    gates = (
        "gates:\n"
        "  - {id: dba, when: 'call.command == \"rm dba\"', require: {from: 'team:dba'}}\n"
        "  - {id: all, when: 'call.command != \"rm dba\"', require: {}}\n"
        "teams: {dba: [cy]}\n"
    )
    policy(room, BUDGET + gates)
    for command in ("rm dba", "rm a", "rm b"):
        asked(room, command)
    (checkpoint,) = later(room, 7)
    told = [room.handoff(h).to_tell for h in checkpoint.handoffs]
    assert sorted(p for people in told for p in people) == sorted([room.me.id, ben.id, cy.id])
    assert checkpoint.people == tuple(sorted([room.me.id, ben.id, cy.id]))


def test_a_frozen_ask_neither_opens_nor_costs(room: Room) -> None:
    policy(room, BUDGET)
    case = asked(room, "rm a")
    later(room, 10)
    room.engine.switch.kill(room.me, f"agent:{room.agent_id}", "drill")
    room.engine.sweep()
    assert room.handoff(case).frozen_at is not None
    assert later(room, 200) == []
    room.engine.switch.release(room.me, f"agent:{room.agent_id}", "all", "over")
    assert later(room, 0) == []
    assert later(room, 9.9) == []
    assert len(later(room, 0.2)) == 1


def test_a_policy_that_cannot_be_read_lets_nothing_wait(room: Room) -> None:
    """A question needs no verdict of the policy, so it is asked, and at once."""
    policy(room, BUDGET)
    assert room.handoff(question(room, "Which name?")).deferral is not None
    state = room.engine.kernel.state(Publication, "organisation")
    assert state.in_force is not None
    room.engine.kernel.store.erase_body(state.in_force.text.body_id)
    room.engine.policies._compiled.clear()
    h = room.handoff(question(room, "Which colour?"))
    assert (h.status, h.deferral) == (Status.ROUTED, None)


def test_two_servers_open_a_checkpoint_once(rooms: Room) -> None:
    policy(rooms, BUDGET)
    cases = {asked(rooms, f"rm {n}") for n in range(5)}
    rooms.clock.move(30 * MINUTE)
    parallel(lambda _: rooms.engine.sweep())
    (checkpoint,) = opened(rooms)
    assert set(checkpoint.handoffs) == cases
    assert rooms.types().count("checkpoint.opened") == 1
    assert rooms.types().count("handoff.routed") == 5


def test_an_ask_whose_run_ends_is_withdrawn_from_the_queue(room: Room) -> None:
    policy(room, BUDGET)
    case = asked(room, "rm a")
    room.decide(case, DecisionKind.REJECT)
    assert later(room, 121) == []
