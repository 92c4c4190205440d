"""Decisions: who may, what wins, what is refused, and what time does by itself."""

from datetime import timedelta
from typing import cast

import pytest

from handfast.core.domain import handoff_routing as routing
from handfast.core.domain.errors import (
    AlreadyDecided,
    InvalidTransition,
    NotFound,
    NotPermitted,
    StaleDecision,
    UsageError,
)
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind, Executor
from handfast.core.domain.handoff import Handoff, Status
from handfast.engine.grants import Redemption
from handfast.engine.handoffs import Decision
from handfast.engine.kernel import Result, Unit
from handfast.storage.api import Query
from tests.engine_room import OPERATOR, RUNNER, Room, parallel


def _asked(room: Room, command: str = "git push") -> str:
    return cast("str", room.propose("t1", command)["handoff_id"])


def test_two_deciders_at_once_one_wins_and_the_others_are_told(rooms: Room) -> None:
    """R11."""
    asked = _asked(rooms)
    kinds = [DecisionKind.APPROVE, DecisionKind.REJECT]

    def work(n: int) -> Result | AlreadyDecided:
        try:
            return rooms.decide(asked, kinds[n % 2], reason=f"says {n}")
        except AlreadyDecided as told:
            return told

    answers = parallel(work)
    told = [a for a in answers if isinstance(a, AlreadyDecided)]
    assert len(told) == len(answers) - 1
    decision = rooms.handoff(asked).decision
    assert decision is not None
    for each in told:
        assert each.details["decided_by"] == rooms.me.id
        assert each.details["decision"] == decision.kind.value
        assert each.details["decided_at"]
    assert rooms.types().count("handoff.decided") == 1


@pytest.mark.parametrize(
    "actor",
    [
        RUNNER,
        Actor("agent", "ag_1", "token"),
        Actor("operator", "operator", "token"),
        Actor("system", "handfast", "system"),
        Actor("person", "pe_1", "token"),
        Actor("person", "pe_1", ""),
    ],
    ids=lambda a: f"{a.type}-{a.auth}",
)
def test_only_a_person_who_proved_it_decides(room: Room, actor: Actor) -> None:
    """R10: a token is not a person, whoever holds it."""
    asked = _asked(room)
    with pytest.raises(NotPermitted, match="only a signed-in person"):
        room.decide(asked, actor=actor)
    for act in (room.engine.handoffs.acknowledge, room.engine.handoffs.release):
        with pytest.raises(NotPermitted):
            act(actor, asked)
    assert room.handoff(asked).waiting


def test_a_person_nobody_knows_does_not_decide(room: Room) -> None:
    with pytest.raises(NotFound):
        room.decide(_asked(room), actor=Actor("person", "pe_nobody", "browser"))


def test_a_decision_on_something_else_than_is_shown_is_refused(room: Room) -> None:
    asked = _asked(room)
    with pytest.raises(StaleDecision) as caught:
        room.decide(asked, presented_digest="sha256:older")
    assert caught.value.details["presented_digest"] == room.handoff(asked).presented_digest
    assert room.handoff(asked).waiting


def test_what_is_not_offered_is_refused(room: Room) -> None:
    for kind in (DecisionKind.ANSWER, DecisionKind.TAKE_OVER):
        with pytest.raises(InvalidTransition, match="not offered"):
            room.decide(_asked(room), kind, answer="yes")


@pytest.mark.parametrize(
    "kind", [DecisionKind.REJECT, DecisionKind.REQUEST_CHANGES, DecisionKind.APPROVE]
)
def test_a_reason_is_required_where_it_matters(room: Room, kind: DecisionKind) -> None:
    """Refusing always needs one, approving does at critical risk."""
    asked = room.propose("t1", "git push --force", ("git.push-force",))["handoff_id"]
    with pytest.raises(UsageError, match="`reason` is missing"):
        room.decide(asked, kind, reason="  ")


def test_a_reason_has_an_end(room: Room) -> None:
    with pytest.raises(UsageError, match="20000"):
        room.decide(_asked(room), reason="x" * 20_001)


def test_a_repeated_decision_gives_the_first_answer(room: Room) -> None:
    asked = _asked(room)
    first = room.decide(asked, request_key="k")
    assert room.decide(asked, request_key="k") == first
    with pytest.raises(InvalidTransition):
        room.decide(asked, DecisionKind.REJECT, request_key="k")
    assert room.types().count("handoff.decided") == 1


def test_holding_is_for_one_and_does_not_block_deciding(room: Room) -> None:
    asked = _asked(room)
    handoffs = room.engine.handoffs
    assert handoffs.acknowledge(room.me, asked)["holder"] == room.me.id
    assert handoffs.acknowledge(room.me, asked)["holder"] == room.me.id
    assert room.types().count("handoff.acknowledged") == 1
    handoffs.release(room.me, asked)
    with pytest.raises(InvalidTransition, match="not held by you"):
        handoffs.release(room.me, asked)
    handoffs.acknowledge(room.me, asked)
    room.decide(asked)
    with pytest.raises(AlreadyDecided):
        handoffs.acknowledge(room.me, asked)


def test_views_and_comments_are_recorded_and_decide_nothing(room: Room) -> None:
    asked = _asked(room)
    room.clock.move(5)
    room.engine.handoffs.viewed(room.me, asked, 1200)
    first = room.handoff(asked).first_viewed_at
    room.clock.move(5)
    room.engine.handoffs.viewed(room.me, asked, 10)
    room.engine.handoffs.comment(room.me, asked, "who asked for this?")
    assert room.handoff(asked).first_viewed_at == first is not None
    assert room.handoff(asked).waiting
    for text in ("", "   ", "x" * 20_001):
        with pytest.raises(UsageError):
            room.engine.handoffs.comment(room.me, asked, text)


def test_silence_expires_and_never_approves(room: Room) -> None:
    asked = _asked(room)
    due = room.handoff(asked).due_at
    assert due is not None
    room.clock.move((due - room.clock.now()).total_seconds() - 0.000001)
    room.engine.sweep()
    assert room.handoff(asked).waiting
    room.clock.move(0.000001)
    assert room.engine.sweep() == 1
    expired = room.handoff(asked)
    assert (expired.status, expired.decision, expired.grant) == (Status.EXPIRED, None, None)
    assert room.engine.sweep() == 0
    with pytest.raises(InvalidTransition):
        room.decide(asked)
    assert room.propose("t2", "git push")["handoff_id"] != asked


def test_many_sweepers_expire_each_case_once(rooms: Room) -> None:
    for n in range(6):
        rooms.propose(f"t{n}", f"git push {n}")
    started = rooms.propose("s", "git push s")
    rooms.decide(started["handoff_id"])
    rooms.propose("s", "git push s")
    rooms.clock.move(90_000)
    parallel(lambda _: rooms.engine.sweep())
    types = rooms.types()
    assert types.count("handoff.expired") == 6
    assert types.count("effect.recorded") == 1
    doubts = [t for t in types if t == "handoff.requested"]
    assert len(doubts) == 8, "seven cases, and one doubt about the start nobody reported"
    assert rooms.engine.sweep() == 0


def test_every_case_ends_by_time_alone(room: Room) -> None:
    """R6."""
    for n in range(4):
        room.propose(f"t{n}", f"git push {n}")
    room.decide(room.propose("t1", "git push 1")["handoff_id"])
    room.decide(room.propose("t2", "git push 2")["handoff_id"])
    room.propose("t2", "git push 2")
    for _ in range(4):
        room.clock.move(8 * 86_400)
        room.engine.sweep()
    final = ("closed", "expired")
    rows = room.engine.kernel.store.find(Query("handoff"))
    assert len(rows) == 5
    assert {row.status for row in rows} <= set(final)
    assert all(row.due_at is None for row in rows)


def test_one_case_that_cannot_be_swept_does_not_hold_up_the_others(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    from handfast.core.domain.errors import HandfastError, IntegrityError
    from handfast.engine import deadlines

    first, second = _asked(room), cast("str", room.propose("t2", "git push 2")["handoff_id"])
    real = deadlines._one

    def broken(kernel: object, handoff_id: str) -> None:
        if handoff_id == first:
            raise IntegrityError("damaged")
        real(room.engine.kernel, handoff_id)

    monkeypatch.setattr(deadlines, "_one", broken)
    room.clock.move(90_000)
    with pytest.raises(HandfastError, match="damaged"):
        room.engine.sweep()
    assert room.handoff(first).waiting
    assert room.handoff(second).status is Status.EXPIRED


def test_a_decision_on_nothing_is_not_found(room: Room) -> None:
    with pytest.raises(NotFound):
        room.engine.handoffs.decide(
            room.me, Decision("ho_none", DecisionKind.APPROVE, "sha256:x", "why")
        )


def test_a_frozen_case_waits_with_its_time_kept(room: Room) -> None:
    asked = _asked(room)
    due = room.handoff(asked).due_at
    assert due is not None

    def freeze(unit: Unit) -> Result:
        unit.record(Handoff, asked, routing.freeze(unit.get(Handoff, asked), "kill switch"))
        return {}

    def thaw(unit: Unit) -> Result:
        unit.record(Handoff, asked, routing.thaw(unit.get(Handoff, asked)))
        return {}

    room.engine.kernel.run(OPERATOR, freeze)
    with pytest.raises(InvalidTransition, match="frozen since") as refused:
        room.decide(asked)
    assert refused.value.code == "frozen"
    with pytest.raises(InvalidTransition):
        room.engine.handoffs.acknowledge(room.me, asked)
    room.clock.move(10 * 86_400)
    room.engine.sweep()
    assert room.handoff(asked).waiting
    room.engine.kernel.run(OPERATOR, thaw)
    assert room.handoff(asked).due_at == due + timedelta(days=10)
    room.decide(asked)


def test_an_unused_grant_cannot_start_while_it_is_frozen(room: Room) -> None:
    asked = _asked(room)
    room.decide(asked)
    grant = room.handoff(asked).grant
    assert grant is not None

    def freeze(unit: Unit) -> Result:
        unit.record(Handoff, asked, routing.freeze(unit.get(Handoff, asked)))
        return {}

    room.engine.kernel.run(OPERATOR, freeze)
    used = Redemption(asked, grant.grant_id, grant.action_digest, Executor.HOOKED)
    with pytest.raises(InvalidTransition, match="frozen"):
        room.engine.grants.redeem(RUNNER, used)
    assert room.handoff(asked).next_due is None
    again = room.propose("t2", "git push")
    assert (again["verdict"], again["handoff_id"]) == ("deny", asked)
    assert "frozen" in str(again["reason"])
