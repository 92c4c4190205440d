"""Scoped grants: N starts of exactly one call, for a run or a task, until a time; never wider than the rule."""

from dataclasses import replace
from typing import Any, cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts, Operand
from handfast.core.domain.errors import GateClosed, InvalidTransition, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor
from handfast.core.domain.events_work import RunOutcome
from handfast.core.domain.grant_scope import Scope, Span, Wanted, most, narrowest
from handfast.core.domain.handoff import Grant, GrantStatus, Status
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.grants import EffectReport, Redemption
from handfast.engine.kernel import Result
from tests.engine_room import OPERATOR, RUNNER, Room, parallel

POLICY = """\
version: 1
builtin: {off: [push]}
gates:
  - id: push
    when: call.hazards.exists(h, h == "git.push")
    require: {scope: {times: 3, for: task, within: 2h}}
"""
FACTS = Facts(Effect.NETWORK, "pushes", ("git.push",), reversible=True)
HOUR = 3600


def scoped(room: Room, wanted: Wanted, **more: Any) -> str:
    """An approved `git push` with the scope that is wanted."""
    room.engine.policies.propose(room.me, ORGANISATION, POLICY)
    asked = push(room, "first", **more)
    assert asked["verdict"] == "wait"
    room.decide(asked["handoff_id"], scope=wanted)
    return cast("str", asked["handoff_id"])


def push(room: Room, key: str, command: str = "git push", **more: Any) -> Result:
    return room.propose(key, command, **{"facts": FACTS, **more})


def grant(room: Room, handoff_id: str) -> Grant:
    found = room.handoff(handoff_id).grant
    assert found is not None
    return found


def test_each_use_is_a_start_of_its_own_with_its_own_effect(room: Room) -> None:
    handoff_id = scoped(room, Wanted(3, Span.RUN, HOUR))
    for use in (1, 2, 3):
        allowed = push(room, f"t{use}")
        assert (allowed["verdict"], allowed["handoff_id"]) == ("allow", handoff_id)
        assert room.result(f"t{use}", use)["settled"]
    state = room.handoff(handoff_id)
    assert (state.status, state.outcome) == (Status.CLOSED, "effect_reported")
    assert grant(room, handoff_id).used == 3
    view = room.engine.views.handoff(handoff_id)
    effects = cast("list[Result]", cast("Result", view["grant"])["effects"])
    assert [(x["use"], x["exit_code"]) for x in effects] == [(1, 1), (2, 2), (3, 3)]
    uses = [
        line["text"]
        for line in cast("list[Result]", view["timeline"])
        if line["type"] == "grant.redeemed"
    ]
    assert uses == ["use 1 of 3", "use 2 of 3", "use 3 of 3"]
    again = push(room, "t4")
    assert again["verdict"] == "wait"
    assert again["handoff_id"] != handoff_id


def test_a_changed_script_is_a_new_question_under_any_scope(room: Room) -> None:
    call = Call("Bash", {"command": "bash x.sh"}, operands=(Operand("x.sh", "sha256:1"),))
    handoff_id = scoped(room, Wanted(3), call=call)
    assert push(room, "t1", call=call)["handoff_id"] == handoff_id
    room.result("t1")
    other = push(room, "t2", call=replace(call, operands=(Operand("x.sh", "sha256:2"),)))
    assert other["verdict"] == "wait"
    assert other["handoff_id"] != handoff_id
    assert push(room, "t3", call=call)["verdict"] == "allow", "the approved one still may"


@pytest.mark.parametrize(
    "wanted", [Wanted(4), Wanted(2, within_s=3 * HOUR), Wanted(2, Span.TASK), Wanted(0, Span.TASK)]
)
def test_nothing_wider_than_the_rule_can_be_given(room: Room, wanted: Wanted) -> None:
    """The run here is a session without a task, so `task` is too wide as well."""
    room.engine.policies.propose(room.me, ORGANISATION, POLICY)
    asked = push(room, "t")
    with pytest.raises(UsageError, match="wider than the rule") as refused:
        room.decide(asked["handoff_id"], scope=wanted)
    assert refused.value.code == "scope_too_wide"
    assert room.handoff(asked["handoff_id"]).waiting


@pytest.mark.parametrize("reversible", [None, False])
def test_what_cannot_be_undone_is_approved_once_whatever_the_rule_says(
    room: Room, reversible: bool | None
) -> None:
    room.engine.policies.propose(room.me, ORGANISATION, POLICY)
    asked = push(room, "t", facts=replace(FACTS, reversible=reversible))
    assert room.engine.views.handoff(cast("str", asked["handoff_id"]))["may_give"] == {
        "times": 1,
        "span": "run",
        "within_s": 2 * HOUR,
        "words": "once, within 2 h",
    }
    with pytest.raises(UsageError, match="wider"):
        room.decide(asked["handoff_id"], scope=Wanted(2))


def test_a_scope_without_a_word_in_the_rule_is_refused(room: Room) -> None:
    asked = push(room, "t")
    with pytest.raises(UsageError, match="wider than the rule"):
        room.decide(asked["handoff_id"], scope=Wanted(2))


def test_a_scope_goes_with_a_plain_approval_only(room: Room) -> None:
    room.engine.policies.propose(room.me, ORGANISATION, POLICY)
    asked = push(room, "t")
    with pytest.raises(UsageError, match="plain approval"):
        room.decide(asked["handoff_id"], DecisionKind.REJECT, scope=Wanted(2))


def test_a_start_in_doubt_blocks_the_others_until_a_person_settles_it(room: Room) -> None:
    """R4 holds for each start: the doubtful one is not repeated, and it counts."""
    handoff_id = scoped(room, Wanted(3))
    push(room, "t1")
    doubt = push(room, "t2")
    assert doubt["verdict"] == "wait"
    assert room.handoff(doubt["handoff_id"]).about == handoff_id
    assert grant(room, handoff_id).status is GrantStatus.BLOCKED
    assert push(room, "t3")["handoff_id"] == doubt["handoff_id"]
    with pytest.raises(GateClosed) as refused:
        redeem(room, handoff_id, Executor.HOOKED)
    assert refused.value.code == "grant_blocked"
    room.decide(doubt["handoff_id"], DecisionKind.ANSWER, answer="it_ran")
    assert "grant.reopened" in room.types(f"handoff/{handoff_id}")
    for use in (2, 3):
        assert push(room, f"u{use}")["handoff_id"] == handoff_id
        room.result(f"u{use}")
    assert room.types(f"handoff/{handoff_id}").count("grant.redeemed") == 3
    assert room.handoff(handoff_id).status is Status.CLOSED


def test_a_late_result_does_not_settle_the_next_start(room: Room) -> None:
    handoff_id = scoped(room, Wanted(3))
    push(room, "t1")
    doubt = push(room, "t2")["handoff_id"]
    room.decide(doubt, DecisionKind.ANSWER, answer="it_did_not_run")
    push(room, "t3")
    assert not room.result("t1")["settled"]
    assert grant(room, handoff_id).status is GrantStatus.REDEEMED
    assert room.result("t3")["settled"]


def redeem(room: Room, handoff_id: str, executor: Executor = Executor.MEDIATED) -> str:
    g = grant(room, handoff_id)
    asked = Redemption(handoff_id, g.grant_id, g.action_digest, executor)
    return cast("str", room.engine.grants.redeem(RUNNER, asked)["start_id"])


def test_a_mediated_executor_takes_one_start_at_a_time(room: Room) -> None:
    handoff_id = scoped(room, Wanted(2), executor=Executor.MEDIATED)
    for _ in range(2):
        start = redeem(room, handoff_id)
        with pytest.raises(GateClosed):
            redeem(room, handoff_id)
        room.engine.grants.effect(RUNNER, EffectReport(handoff_id, start, EffectOutcome.VERIFIED))
    with pytest.raises(GateClosed):
        redeem(room, handoff_id)


def test_many_threads_get_no_more_starts_than_were_given(rooms: Room) -> None:
    handoff_id = scoped(rooms, Wanted(3), executor=Executor.MEDIATED)

    def use(_: int) -> int:
        try:
            start = redeem(rooms, handoff_id)
        except GateClosed:
            return 0
        rooms.engine.grants.effect(RUNNER, EffectReport(handoff_id, start, EffectOutcome.VERIFIED))
        return 1

    taken = sum(sum(parallel(use)) for _ in range(3))
    assert taken == 3 == rooms.types(f"handoff/{handoff_id}").count("grant.redeemed")


@pytest.mark.parametrize(("used", "outcome"), [(0, "grant_expired"), (1, "scope_ended")])
def test_a_scope_ends_with_its_time(room: Room, used: int, outcome: str) -> None:
    """R5: whether or not somebody swept."""
    handoff_id = scoped(room, Wanted(3, within_s=HOUR))
    for n in range(used):
        push(room, f"t{n}")
        room.result(f"t{n}")
    room.clock.move(HOUR)
    assert push(room, "late")["handoff_id"] != handoff_id
    room.engine.sweep()
    assert room.handoff(handoff_id).outcome == outcome
    assert grant(room, handoff_id).status is GrantStatus.EXPIRED


def test_a_doubt_nobody_answers_keeps_the_rest_closed_to_the_end(room: Room) -> None:
    handoff_id = scoped(room, Wanted(3, within_s=HOUR))
    push(room, "t1")
    push(room, "t2")
    room.clock.move(HOUR)
    room.engine.sweep()
    assert room.handoff(handoff_id).status is Status.CLOSED
    assert room.handoff(handoff_id).outcome == "scope_ended"


def test_a_person_takes_back_what_is_left(room: Room) -> None:
    handoff_id = scoped(room, Wanted(3))
    push(room, "t1")
    room.result("t1")
    for actor in (OPERATOR, RUNNER, Actor("agent", room.agent_id, "token")):
        with pytest.raises(NotPermitted):
            room.engine.grants.revoke(actor, handoff_id)
    assert room.engine.grants.revoke(room.me, handoff_id, "enough")["status"] == "revoked"
    assert room.handoff(handoff_id).outcome == "revoked"
    assert push(room, "t2")["handoff_id"] != handoff_id
    with pytest.raises(InvalidTransition, match="nothing is left"):
        room.engine.grants.revoke(room.me, handoff_id)


def test_revoking_does_not_stop_a_start_that_runs_but_it_is_the_last(room: Room) -> None:
    handoff_id = scoped(room, Wanted(3))
    push(room, "t1")
    assert room.engine.grants.revoke(room.me, handoff_id)["status"] == "redeemed"
    assert room.result("t1")["settled"]
    assert room.handoff(handoff_id).outcome == "effect_reported"
    assert push(room, "t2")["handoff_id"] != handoff_id


def test_a_grant_of_one_start_can_be_revoked_too(room: Room) -> None:
    asked = push(room, "t")
    room.decide(asked["handoff_id"])
    room.engine.grants.revoke(room.me, cast("str", asked["handoff_id"]))
    assert push(room, "t")["handoff_id"] != asked["handoff_id"]


def _runs_of_one_task(room: Room) -> tuple[str, str]:
    first = room.queued_run()
    task_id = room.engine.views.run(first)["task_id"]
    from handfast.engine.runs import NewRun

    new = NewRun(cast("str", task_id), room.agent_id, "none", ("agent", "go"))
    return first, cast("str", room.engine.runs.create(OPERATOR, new)["run_id"])


def test_a_grant_for_the_task_covers_its_other_runs_and_one_for_the_run_does_not(
    room: Room,
) -> None:
    one, other = _runs_of_one_task(room)
    wide = scoped(room, Wanted(3, Span.TASK), run_id=one)
    assert push(room, "t1", run_id=other)["handoff_id"] == wide
    stranger = room.queued_run()
    assert push(room, "t1", run_id=stranger)["verdict"] == "wait"
    narrow = push(room, "n", "git push 2", run_id=one)["handoff_id"]
    room.decide(narrow, scope=Wanted(3, Span.RUN))
    assert push(room, "t2", "git push 2", run_id=other)["verdict"] == "wait"


def test_a_start_is_settled_with_the_run_that_took_it(room: Room) -> None:
    one, other = _runs_of_one_task(room)
    wide = scoped(room, Wanted(3, Span.TASK), run_id=one)
    push(room, "t1", run_id=other)
    assert room.engine.runs.settle(RUNNER, one, None)["doubts"] == []
    (doubt,) = cast("list[str]", room.engine.runs.settle(RUNNER, other, None)["doubts"])
    assert grant(room, wide).status is GrantStatus.BLOCKED
    assert room.handoff(doubt).run_id == other
    assert push(room, "t2", run_id=other)["handoff_id"] == doubt
    room.decide(doubt, DecisionKind.ANSWER, answer="it_ran")
    assert push(room, "t3", run_id=one)["handoff_id"] == wide


def test_a_start_of_a_grant_for_the_task_is_in_doubt_where_it_was_taken(room: Room) -> None:
    """Also where a policy allows the call by now, and the run that took it never stopped before."""
    one, other = _runs_of_one_task(room)
    wide = scoped(room, Wanted(3, Span.TASK), run_id=one)
    assert push(room, "t1", run_id=other)["handoff_id"] == wide
    room.engine.policies.propose(room.me, ORGANISATION, "version: 1\nbuiltin: {off: [push]}\n")
    again = push(room, "t2", run_id=other)
    assert again["verdict"] == "wait"
    assert room.handoff(again["handoff_id"]).about == wide


def test_another_run_of_the_task_starts_it_through_the_api_too(room: Room) -> None:
    one, other = _runs_of_one_task(room)
    wide = scoped(room, Wanted(3, Span.TASK), run_id=one, executor=Executor.MEDIATED)
    g = grant(room, wide)
    asked = Redemption(wide, g.grant_id, g.action_digest, Executor.MEDIATED, run_id=other)
    room.engine.grants.redeem(RUNNER, asked)
    assert grant(room, wide).started_by == other


def test_a_grant_for_a_run_ends_with_it(room: Room) -> None:
    handoff_id = scoped(room, Wanted(3), executor=Executor.MEDIATED)
    room.engine.runs.ended(RUNNER, room.run_id, None, RunOutcome.SESSION_OVER)
    with pytest.raises(GateClosed, match="has ended"):
        redeem(room, handoff_id)


def test_the_narrowest_of_all_rules_holds() -> None:
    wide, late = Scope(5, Span.TASK, 0), Scope(9, Span.RUN, 60)
    assert narrowest([wide, late]) == narrowest([late, wide]) == Scope(5, Span.RUN, 60)
    assert narrowest([wide, Scope()]) == Scope()
    assert most(wide, reversible=True, risk="high") == wide
    assert most(wide, reversible=True, risk="critical") == Scope()
    assert most(late, reversible=None, risk="low") == Scope(within_s=60)
