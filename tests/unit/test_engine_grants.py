"""The mediated executor's side: one start, of exactly what was approved, in time, by the right party."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from handfast.core.domain.errors import (
    GateClosed,
    InvalidTransition,
    NotPermitted,
    RejectedError,
    StaleDecision,
    StaleEpoch,
)
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import EffectOutcome, Executor
from handfast.core.domain.events_work import AgentStarted, RunOutcome
from handfast.core.domain.handoff import GrantStatus, Status
from handfast.core.domain.ids import RunId
from handfast.core.domain.package import ReviewedWork
from handfast.engine.grants import EffectReport, Redemption, grant_of, handoff_of
from handfast.engine.kernel import Result
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import Pause
from tests.engine_room import OPERATOR, RUNNER, Room, parallel


def _approved(room: Room, command: str = "git push") -> Redemption:
    """A mediated approval, and the redemption that is right for it."""
    asked = room.propose("t1", command, executor=Executor.MEDIATED)
    granted = room.decide(asked["handoff_id"])
    digest = room.handoff(asked["handoff_id"]).action_digest
    return Redemption(
        cast("str", asked["handoff_id"]),
        cast("str", granted["grant_id"]),
        digest,
        Executor.MEDIATED,
    )


def _with(r: Redemption, **other: object) -> Redemption:
    return replace(r, **other)  # type: ignore[arg-type]


def test_redeem_run_and_report(room: Room) -> None:
    right = _approved(room)
    start = room.engine.grants.redeem(RUNNER, right)
    report = EffectReport(
        right.handoff_id,
        cast("str", start["start_id"]),
        EffectOutcome.VERIFIED,
        right.action_digest,
        0,
        "pushed",
    )
    assert room.engine.grants.effect(RUNNER, report)["outcome"] == "verified"
    closed = room.handoff(right.handoff_id)
    assert (closed.status, closed.outcome) == (Status.CLOSED, "effect_verified")
    assert closed.effect is not None
    assert closed.effect.exit_code == 0
    again = EffectReport(right.handoff_id, report.start_id, EffectOutcome.NONE)
    room.engine.grants.effect(RUNNER, again)
    assert room.handoff(right.handoff_id) == closed, "the first report stands"


def test_a_used_grant_is_refused_and_the_attempt_is_recorded(room: Room) -> None:
    right = _approved(room)
    room.engine.grants.redeem(RUNNER, right)
    with pytest.raises(GateClosed) as caught:
        room.engine.grants.redeem(RUNNER, right)
    assert caught.value.code == "grant_used"
    assert room.types().count("grant.refused") == 1
    assert room.types().count("grant.redeemed") == 1


def test_many_threads_redeem_and_one_starts(rooms: Room) -> None:
    right = _approved(rooms)

    def work(_: int) -> Result | GateClosed:
        try:
            return rooms.engine.grants.redeem(RUNNER, right)
        except GateClosed as refused:
            return refused

    answers = parallel(work)
    assert sum(isinstance(a, dict) for a in answers) == 1
    assert rooms.types().count("grant.redeemed") == 1
    assert rooms.types().count("grant.refused") == len(answers) - 1


def test_a_repeat_by_key_gives_the_same_start(room: Room) -> None:
    right = _with(_approved(room), request_key="k")
    first = room.engine.grants.redeem(RUNNER, right)
    assert room.engine.grants.redeem(RUNNER, right) == first
    assert room.types().count("grant.redeemed") == 1


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"action_digest": "sha256:changed"}, StaleDecision),
        ({"grant_id": "gr_other"}, GateClosed),
        ({"executor": Executor.HOOKED}, GateClosed),
        ({"epoch": 7}, StaleEpoch),
    ],
)
def test_anything_but_what_was_approved_is_refused(
    room: Room, other: dict[str, object], error: type[RejectedError]
) -> None:
    right = _approved(room)
    with pytest.raises(error):
        room.engine.grants.redeem(RUNNER, _with(right, **other))
    grant = room.handoff(right.handoff_id).grant
    assert grant is not None
    assert grant.status is GrantStatus.MINTED
    room.engine.grants.redeem(RUNNER, right)


def test_a_grant_ends_on_time(room: Room) -> None:
    """R5: the last microsecond counts, the next one does not."""
    right = _approved(room)
    grant = room.handoff(right.handoff_id).grant
    assert grant is not None
    left = grant.expires_at - room.clock.now()
    room.clock.move((left - timedelta(microseconds=1)).total_seconds())
    other = _approved(room, "git push 2")
    room.clock.move(0.000001)
    with pytest.raises(GateClosed) as caught:
        room.engine.grants.redeem(RUNNER, right)
    assert caught.value.code == "grant_expired"
    room.engine.grants.redeem(RUNNER, other)
    room.engine.sweep()
    with pytest.raises(GateClosed) as caught:
        room.engine.grants.redeem(RUNNER, right)
    assert caught.value.code == "grant_expired"


def test_an_agent_redeems_only_its_own_grants(room: Room) -> None:
    right = _approved(room)
    with pytest.raises(NotPermitted, match="another agent"):
        room.engine.grants.redeem(Actor("agent", "ag_other", "token"), right)
    mine = Actor("agent", room.agent_id, "token")
    room.engine.agents.suspend(OPERATOR, room.agent_id, "odd")
    with pytest.raises(NotPermitted, match="suspended"):
        room.engine.grants.redeem(mine, right)
    room.engine.agents.reinstate(OPERATOR, room.agent_id, "fine")
    start = room.engine.grants.redeem(mine, right)
    report = EffectReport(right.handoff_id, cast("str", start["start_id"]), EffectOutcome.VERIFIED)
    with pytest.raises(NotPermitted):
        room.engine.grants.effect(Actor("agent", "ag_other", "token"), report)
    room.engine.grants.effect(mine, report)


@pytest.mark.parametrize("start_id", ["", "start_other"])
def test_an_effect_without_its_start_is_refused(room: Room, start_id: str) -> None:
    """Nobody can report that something ran before it was allowed to start."""
    right = _approved(room)
    report = EffectReport(right.handoff_id, start_id, EffectOutcome.VERIFIED)
    with pytest.raises(InvalidTransition, match="has no start"):
        room.engine.grants.effect(RUNNER, report)
    room.engine.grants.redeem(RUNNER, right)
    with pytest.raises(InvalidTransition, match="has no start"):
        room.engine.grants.effect(RUNNER, report)


def test_an_execution_that_was_not_approved_is_not_taken_as_its_effect(room: Room) -> None:
    right = _approved(room)
    start = cast("str", room.engine.grants.redeem(RUNNER, right)["start_id"])
    wrong = EffectReport(right.handoff_id, start, EffectOutcome.VERIFIED, "sha256:other")
    with pytest.raises(StaleDecision):
        room.engine.grants.effect(RUNNER, wrong)
    assert room.handoff(right.handoff_id).effect is None


def test_a_start_without_an_effect_becomes_a_doubt_in_time(room: Room) -> None:
    right = _approved(room)
    room.engine.grants.redeem(RUNNER, right)
    room.clock.move(3_599)
    room.engine.sweep()
    assert room.handoff(right.handoff_id).effect is None
    room.clock.move(1)
    room.engine.sweep()
    settled = room.handoff(right.handoff_id)
    assert settled.outcome == "effect_unknown"
    waiting = room.engine.views.handoffs(status="waiting").items
    assert [h["kind"] for h in waiting] == ["doubt"]


def test_an_old_runner_cannot_start_what_a_new_one_took_over(room: Room) -> None:
    """R7."""
    run_id = room.queued_run()
    first = room.engine.runs.lease(RUNNER, "runner-1", "host")
    assert first is not None
    room.engine.runs.started(RUNNER, AgentStarted(RunId(run_id), first.epoch, 1, 1, "boot"))
    asked = room.propose("t1", "git push", run_id=run_id, executor=Executor.MEDIATED)
    granted = cast("str", room.decide(asked["handoff_id"])["grant_id"])
    room.clock.move(60)
    second = room.engine.runs.lease(RUNNER, "runner-2", "host")
    assert second is not None
    assert (second.run_id, second.epoch) == (run_id, first.epoch + 1)
    handoff = room.handoff(asked["handoff_id"])
    late = Redemption(
        handoff.handoff_id, granted, handoff.action_digest, Executor.MEDIATED, first.epoch
    )
    with pytest.raises(StaleEpoch):
        room.engine.grants.redeem(RUNNER, late)
    room.engine.grants.redeem(RUNNER, _with(late, epoch=second.epoch))


def test_the_merge_of_finished_work_is_not_the_agents(room: Room) -> None:
    run_id = room.queued_run()
    run = room.engine.runs.lease(RUNNER, "runner-1", "host")
    assert run is not None
    facts = ReviewFacts(ReviewedWork("a" * 40, "b" * 40, "main", files=("f.py",)), "diff", 1, 0)
    opened = room.engine.reviews.open(RUNNER, FinishedWork(run_id, run.epoch, facts, Pause()))
    granted = cast("str", room.decide(opened["handoff_id"])["grant_id"])
    handoff = room.handoff(opened["handoff_id"])
    right = Redemption(handoff.handoff_id, granted, handoff.action_digest, Executor.MEDIATED)
    with pytest.raises(NotPermitted, match="merged by Handfast"):
        room.engine.grants.redeem(Actor("agent", room.agent_id, "token"), right)
    room.engine.grants.redeem(RUNNER, right)


@pytest.mark.parametrize("executor", list(Executor)[:2])
def test_a_grant_is_for_the_run_that_asked_and_ends_with_it(room: Room, executor: Executor) -> None:
    right = _approved(room)
    other = room.queued_run()
    with pytest.raises(GateClosed, match="not given for run") as refused:
        room.engine.grants.redeem(RUNNER, _with(right, run_id=other))
    assert refused.value.code == "wrong_run"
    room.engine.runs.ended(RUNNER, room.run_id, None, RunOutcome.SESSION_OVER)
    for run_id in ("", room.run_id):
        with pytest.raises(GateClosed, match="has ended"):
            room.engine.grants.redeem(RUNNER, _with(right, run_id=run_id, executor=executor))
    grant = room.handoff(right.handoff_id).grant
    assert grant is not None
    assert grant.used == 0


def test_an_agent_does_not_verify_what_its_own_tool_ran(room: Room) -> None:
    """`verified` says that an executor of ours saw it."""
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    room.propose("t1", "git push")
    grant = room.handoff(asked["handoff_id"]).grant
    assert grant is not None
    agent = Actor("agent", room.agent_id, "token")
    report = EffectReport(
        cast("str", asked["handoff_id"]), grant.start_id, EffectOutcome.VERIFIED, exit_code=0
    )
    with pytest.raises(NotPermitted, match="own tool"):
        room.engine.grants.effect(agent, report)
    said = replace(report, outcome=EffectOutcome.REPORTED)
    assert room.engine.grants.effect(agent, said)["outcome"] == "reported"


def test_a_grant_and_its_handoff_name_each_other() -> None:
    assert grant_of("ho_1") == "gr_1"
    assert handoff_of("gr_1") == "ho_1"
