"""Who is asked when: levels, silence, holding, re-routing, snoozing, overriding."""

from datetime import timedelta
from typing import cast

import pytest

from handfast.core.domain.action import Effect, Facts
from handfast.core.domain.errors import InvalidTransition, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import RunOutcome
from handfast.core.domain.handoff import Status
from handfast.core.domain.handoff_routing import ROUNDS
from handfast.engine.overrides import Emergency
from handfast.engine.queues import queue_page
from handfast.storage.api import Query
from tests.engine_room import OPERATOR, Room, parallel
from tests.unit.test_engine_votes import _run_of, asked, needing, policy

LEVELS = "levels: [{to: person:ben, ack_within: 10m}, {to: person:cy, ack_within: 20m, repeat: 2}, {to: reviewers}]"
MINUTE = 60


def _later(room: Room, minutes: float) -> None:
    room.clock.move(int(minutes * MINUTE))
    room.engine.sweep()


def _routed(room: Room, case: str) -> list[tuple[int, str]]:
    h = room.handoff(case)
    return [(h.level, h.asked)]


def test_levels_are_asked_one_after_the_other_and_end_with_the_whole_time(room: Room) -> None:
    needing(room, f"{{within: 2h, {LEVELS}}}")
    ben, cy = room.another("ben"), room.another("cy")
    case = asked(room)
    seen = [(0, room.handoff(case).asked, room.handoff(case).asked_people)]
    for minutes in (10, 20, 20):
        _later(room, minutes)
        h = room.handoff(case)
        seen.append((h.level, h.asked, h.asked_people))
    assert [(level, to) for level, to, _ in seen] == [
        (0, "person:ben"),
        (1, "person:cy"),
        (2, "person:cy"),
        (3, "reviewers"),
    ]
    assert [people for _, _, people in seen[:3]] == [(ben.id,), (cy.id,), (cy.id,)]
    assert len(seen[3][2]) == 3
    _later(room, 69)
    assert room.handoff(case).waiting
    _later(room, 1)
    assert room.handoff(case).status is Status.EXPIRED
    assert room.types(f"handoff/{case}").count("handoff.level_timed_out") == 4
    room.check()


def test_a_level_with_nobody_in_it_is_passed_at_once(room: Room) -> None:
    needing(room, f"{{within: 2h, {LEVELS}}}")
    cy = room.another("cy")
    case = asked(room)
    assert room.handoff(case).asked_people == ()
    room.engine.sweep()
    assert room.handoff(case).asked_people == (cy.id,)


def test_whoever_holds_it_stops_the_levels_until_they_give_it_back(room: Room) -> None:
    needing(room, f"{{within: 2h, {LEVELS}}}")
    ben = room.another("ben")
    room.another("cy")
    case = asked(room)
    room.engine.handoffs.acknowledge(ben, case)
    _later(room, 60)
    assert _routed(room, case) == [(0, "person:ben")]
    room.engine.handoffs.release(ben, case)
    _later(room, 10)
    assert _routed(room, case) == [(1, "person:cy")]
    room.engine.handoffs.acknowledge(ben, case)
    _later(room, 50)
    assert room.handoff(case).status is Status.EXPIRED


def test_a_route_gives_levels_to_gates_that_name_none(room: Room) -> None:
    policy(
        room,
        """routes:
  - risk: [critical]
    levels: [{to: person:nobody}]
  - kind: [approval]
    risk: [high]
    rules: [push]
    levels: [{to: person:ben, ack_within: 10m}, {to: reviewers}]
""",
    )
    room.another("ben")
    case = asked(room)
    assert room.handoff(case).asked == "person:ben"
    assert len(room.handoff(case).levels_s) == 2
    question = room.engine.reviews.ask(OPERATOR, room.run_id, "Which branch?")
    assert room.handoff(question["handoff_id"]).asked == "reviewers"


@pytest.mark.parametrize("silence", ["expire", "reject"])
def test_silence_never_approves(room: Room, silence: str) -> None:
    needing(room, f"{{within: 1h, silence: {silence}}}")
    case = asked(room)
    _later(room, 60)
    h = room.handoff(case)
    assert h.status is Status.EXPIRED
    assert h.grant is None
    again = room.propose("again", "git push")
    if silence == "reject":
        assert h.outcome == "nobody answered: refused"
        assert (again["verdict"], again["handoff_id"]) == ("deny", case)
        assert "nobody answered" in str(again["reason"])
    else:
        assert h.outcome == "nobody answered"
        assert again["verdict"] == "wait"
        assert again["handoff_id"] != case


def test_escalation_asks_again_then_everybody_then_ends(room: Room) -> None:
    needing(room, "{within: 1h, silence: escalate, from: person:ben}")
    ben = room.another("ben")
    case = asked(room)
    for n in range(1, ROUNDS + 1):
        _later(room, 60)
        assert (room.handoff(case).round, room.handoff(case).asked) == (n, "person:ben")
        assert room.handoff(case).asked_people == (ben.id,)
    _later(room, 60)
    assert room.handoff(case).asked == "reviewers"
    assert set(room.handoff(case).asked_people) == {room.me.id, ben.id}
    with pytest.raises(NotPermitted):
        room.decide(case)  # asked is not allowed: it still takes Ben
    _later(room, 60)
    assert room.handoff(case).status is Status.EXPIRED
    room.check()


def _quiet(room: Room, reversible: bool | None = True, opaque: tuple[str, ...] = ()) -> str:
    """A call that only the policy gates."""
    facts = Facts(Effect.WRITE, "writes notes", (), opaque, reversible=reversible)
    return cast("str", room.propose("w", "touch notes", facts=facts)["handoff_id"])


AUTO = "gates: [{id: g, when: 'true', risk: low, require: {within: 1h, silence: auto_proceed}}]\n"


def test_a_machine_proceeds_only_as_declared_and_is_never_shown_as_a_person(room: Room) -> None:
    """R10."""
    policy(room, AUTO)
    case = _quiet(room)
    _later(room, 60)
    h = room.handoff(case)
    assert h.decision is not None
    assert h.grant is not None
    assert h.decision.by_machine
    assert h.decision.person_id == ""
    assert "handoff.decided" not in room.types(f"handoff/{case}")
    shown = cast("dict[str, object]", room.engine.views.handoff(case)["decision"])
    assert (shown["by"], shown["by_name"]) == ("policy", "policy (a machine)")
    assert shown["by_machine"] is True
    facts = Facts(Effect.WRITE, "writes notes", (), reversible=True)
    assert room.propose("w2", "touch notes", facts=facts)["verdict"] == "allow"
    room.check()


@pytest.mark.parametrize(
    ("reversible", "opaque"), [(None, ()), (False, ()), (True, ("dynamic-path",))]
)
def test_a_machine_does_not_proceed_with_what_it_cannot_read_or_undo(
    room: Room, reversible: bool | None, opaque: tuple[str, ...]
) -> None:
    policy(room, AUTO)
    case = _quiet(room, reversible, opaque)
    _later(room, 60)
    assert room.handoff(case).status is Status.EXPIRED
    assert room.handoff(case).grant is None


def test_a_machine_does_not_proceed_while_somebody_holds_it(room: Room) -> None:
    policy(room, AUTO)
    case = _quiet(room)
    room.engine.handoffs.acknowledge(room.me, case)
    _later(room, 60)
    assert room.handoff(case).status is Status.EXPIRED


def test_a_stricter_gate_ends_what_would_proceed(room: Room) -> None:
    policy(room, AUTO[:-2] + ", {id: h, when: 'true', risk: low, require: {within: 1h}}]\n")
    case = _quiet(room)
    _later(room, 60)
    assert room.handoff(case).status is Status.EXPIRED


def test_re_routing_asks_others_with_a_reason_and_keeps_who_counts(room: Room) -> None:
    needing(room, f"{{within: 2h, {LEVELS}}}")
    ben, dee = room.another("ben"), room.another("dee")
    case = asked(room)
    before = room.handoff(case).deadline
    room.engine.handoffs.re_route(ben, case, ("person:dee",), "Dee knows that remote")
    h = room.handoff(case)
    assert (h.asked, h.asked_people, h.deadline) == ("person:dee", (dee.id,), before)
    with pytest.raises(UsageError, match="reason"):
        room.engine.handoffs.re_route(ben, case, ("person:dee",), " ")
    with pytest.raises(UsageError, match="nobody of `person:gone`"):
        room.engine.handoffs.re_route(ben, case, ("person:gone",), "gone")
    with pytest.raises(UsageError, match="nobody who can be asked"):
        room.engine.handoffs.re_route(ben, case, ("everyone",), "all")
    _later(room, 10)
    assert room.handoff(case).level == 1
    timeline = cast("list[dict[str, str]]", room.engine.views.handoff(case)["timeline"])
    assert any("Dee knows that remote" in line["text"] for line in timeline)


def test_re_routing_does_not_make_anybody_eligible(room: Room) -> None:
    policy(room, "teams: {dba: [ben]}\ngates: [{id: g, when: 'true', require: {from: team:dba}}]\n")
    ben = room.another("ben")
    room.another("dee")
    case = asked(room)
    with pytest.raises(UsageError, match="nobody of `person:dee` could decide"):
        room.engine.handoffs.re_route(ben, case, ("person:dee",), "please")


def test_only_the_holder_snoozes_and_only_until_before_the_deadline(room: Room) -> None:
    needing(room, "{within: 2h}")
    ben = room.another("ben")
    case = asked(room)
    soon = room.clock.now() + timedelta(minutes=30)
    with pytest.raises(InvalidTransition, match="not held by you"):
        room.engine.handoffs.snooze(ben, case, soon)
    room.engine.handoffs.acknowledge(ben, case)
    for bad in (timedelta(0), timedelta(hours=2), timedelta(hours=3)):
        with pytest.raises(UsageError, match="`until`"):
            room.engine.handoffs.snooze(ben, case, room.clock.now() + bad)
    room.engine.handoffs.snooze(ben, case, soon)
    due = room.handoff(case).due_at
    assert case not in _inbox(room, ben)
    assert case in _inbox(room, room.me)
    room.clock.move(30 * MINUTE)
    assert case in _inbox(room, ben)
    assert room.handoff(case).due_at == due


def _inbox(room: Room, person: Actor) -> list[object]:
    return [h["handoff_id"] for h in queue_page(room.engine, person.id).items]


def test_an_override_runs_at_once_and_a_second_person_must_review_it(room: Room) -> None:
    needing(room, "{approvals: 3}")
    ben = room.another("ben")
    case = asked(room)
    done = _override(room, room.me, case)
    h = room.handoff(case)
    assert h.decision is not None
    assert h.decision.overridden
    assert room.propose("again", "git push")["verdict"] == "allow"
    review = cast("str", done["review_id"])
    assert done["overrides"] == 1
    assert room.handoff(review).about == case
    assert review in _inbox(room, ben)
    with pytest.raises(NotPermitted, match="you asked for this work"):
        room.decide(review)
    room.decide(review, actor=ben)
    assert room.handoff(review).status is Status.CLOSED
    assert room.handoff(review).grant is None
    room.check()


def _override(
    room: Room, actor: Actor, case: str, reason: str = "the site is down"
) -> dict[str, object]:
    seen = room.handoff(case).presented_digest
    return room.engine.overrides.override(actor, Emergency(case, seen, reason))


def test_who_may_not_override(room: Room) -> None:
    needing(room, "{approvals: 3}")
    ben = room.another("ben")
    case = asked(room, run_id=_run_of(room, room.me))
    with pytest.raises(NotPermitted, match="roles do not include overriding"):
        _override(room, ben, case)
    with pytest.raises(NotPermitted, match="only a signed-in person"):
        _override(room, OPERATOR, case)
    with pytest.raises(UsageError, match="`reason`"):
        _override(room, room.me, case, " ")
    with pytest.raises(NotPermitted, match="you asked for this work"):
        _override(room, room.me, case)
    assert room.handoff(case).waiting
    _override(room, room.another("cy", ("operator",)), case)


def test_a_lone_person_may_override_their_own_work(room: Room) -> None:
    needing(room, "{approvals: 2}")
    case = asked(room, run_id=_run_of(room, room.me))
    _override(room, room.me, case)
    assert room.handoff(case).grant is not None


def test_nothing_but_an_approval_can_be_overridden(room: Room) -> None:
    question = cast("str", room.engine.reviews.ask(OPERATOR, room.run_id, "Which?")["handoff_id"])
    with pytest.raises(InvalidTransition):
        _override(room, room.me, question)
    room.another("ben")
    review = cast("str", _override(room, room.me, asked(room))["review_id"])
    with pytest.raises(InvalidTransition):
        _override(room, room.me, review)


def test_an_override_that_nobody_reviews_stays_in_the_inbox(room: Room) -> None:
    ben = room.another("ben")
    first = cast("str", _override(room, room.me, asked(room))["review_id"])
    for _ in range(ROUNDS + 2):
        room.clock.move(room.engine.kernel.settings.approval_within_s)
        room.engine.sweep()
    assert room.handoff(first).status is Status.EXPIRED
    waiting = room.engine.kernel.store.find(Query("handoff", match="override-review"))
    now = [row.stream.partition("/")[2] for row in waiting if row.status == "routed"]
    assert len(now) == 1
    assert now[0] in _inbox(room, ben)
    assert "Nobody reviewed it" in str(room.engine.views.handoff(now[0])["why_now"])
    room.engine.runs.ended(OPERATOR, room.run_id, None, RunOutcome.SESSION_OVER)
    assert room.handoff(now[0]).waiting


def test_many_servers_sweep_each_level_once(rooms: Room) -> None:
    needing(rooms, f"{{within: 2h, {LEVELS}}}")
    rooms.another("ben")
    rooms.another("cy")
    case = asked(rooms)
    rooms.clock.move(10 * MINUTE)
    parallel(lambda _: rooms.engine.sweep())
    assert rooms.types(f"handoff/{case}").count("handoff.level_timed_out") == 1
    assert rooms.handoff(case).level == 1
