"""Several starts under the other rules: a quorum, an emergency, the kill switch, limits, a caller's own wish."""

from typing import Any, cast

import pytest

from handfast.core.domain.action import Effect, Facts
from handfast.core.domain.errors import GateClosed, InvalidTransition, UsageError
from handfast.core.domain.events_handoff import DecisionKind, Executor
from handfast.core.domain.grant_scope import Scope, Span, Wanted, no_wider
from handfast.core.domain.handoff import Grant
from handfast.core.domain.limit_facts import Reported
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.grants import Redemption
from handfast.engine.kernel import Result
from handfast.engine.overrides import Emergency
from tests.engine_room import OPERATOR, RUNNER, Room

RULE = """\
version: 1
builtin: {{off: [push]}}
gates:
  - id: push
    when: call.hazards.exists(h, h == "git.push")
    require: {{{more}scope: {{times: 3, within: 2h}}}}
"""
FACTS = Facts(Effect.NETWORK, "pushes", ("git.push",), reversible=True)


def rule(room: Room, more: str = "") -> None:
    room.engine.policies.propose(room.me, ORGANISATION, RULE.format(more=more))


def push(room: Room, key: str, **more: Any) -> Result:
    return room.propose(key, "git push", facts=FACTS, **more)


def given(room: Room, handoff_id: object) -> Grant:
    found = room.handoff(handoff_id).grant
    assert found is not None
    return found


def scoped(room: Room, executor: Executor = Executor.HOOKED) -> str:
    """An approval of three starts, of which one ran."""
    rule(room)
    handoff_id = cast("str", push(room, "first", executor=executor)["handoff_id"])
    room.decide(handoff_id, scope=Wanted(3))
    if executor is Executor.HOOKED:
        assert push(room, "first")["verdict"] == "allow"
        assert room.result("first")["settled"]
    return handoff_id


def let_go(room: Room, target: str) -> None:
    for stage in ("review", "agents", "all") if target == "all" else ("all",):
        named = (room.agent_id,) if stage == "agents" else ()
        room.engine.switch.release(room.me, target, stage, "known", named)


def test_with_a_quorum_the_last_one_says_how_far_it_reaches(room: Room) -> None:
    rule(room, "approvals: 2, ")
    ben, cy = room.another("ben"), room.another("cy")
    case = push(room, "t1")["handoff_id"]
    with pytest.raises(UsageError) as early:
        room.decide(case, actor=ben, scope=Wanted(2))
    assert early.value.code == "scope_not_last"
    room.decide(case, actor=ben)
    with pytest.raises(UsageError) as wide:
        room.decide(case, actor=cy, scope=Wanted(4))
    assert wide.value.code == "scope_too_wide"
    room.decide(case, actor=cy, scope=Wanted(2))
    assert given(room, case).uses == 2


def test_an_edited_form_is_approved_for_one_start(room: Room) -> None:
    rule(room, "approvals: 2, ")
    ben, cy = room.another("ben"), room.another("cy")
    case = push(room, "t1")["handoff_id"]
    room.decide(case, DecisionKind.APPROVE_WITH_EDITS, actor=ben, edited="git push --dry-run")
    shown = cast("dict[str, object]", room.engine.views.handoff(str(case))["may_give"])
    assert shown["times"] == 1
    room.decide(case, actor=cy)
    with pytest.raises(UsageError, match="plain approval"):
        room.decide(case, scope=Wanted(2))
    room.decide(case)
    assert given(room, case).uses == 1


def test_an_emergency_gives_one_start_for_no_longer_than_any_permission(room: Room) -> None:
    rule(room, "approvals: 2, ")
    case = cast("str", push(room, "t1")["handoff_id"])
    seen = room.handoff(case).presented_digest
    room.engine.overrides.override(room.me, Emergency(case, seen, "the site is down"))
    grant = given(room, case)
    ttl = room.engine.kernel.settings.grant_ttl_s
    assert (grant.uses, grant.span) == (1, Span.RUN)
    assert (grant.expires_at - room.clock.now()).total_seconds() <= ttl


@pytest.mark.parametrize("scope", ["all", "agent"])
def test_the_kill_switch_stops_the_next_use_and_lets_it_go_on_with_the_time_that_was_left(
    room: Room, scope: str
) -> None:
    handoff_id = scoped(room)
    target = scope if scope == "all" else f"agent:{room.agent_id}"
    before = given(room, handoff_id)
    room.engine.switch.kill(room.me, target, "odd pushes")
    assert push(room, "t2")["verdict"] == "deny"
    room.engine.freezing.sweep()
    assert room.handoff(handoff_id).frozen_at is not None
    room.clock.move(3 * 3600)
    room.engine.sweep()
    assert given(room, handoff_id).status is before.status, "frozen, its time stands still"
    let_go(room, target)
    room.engine.freezing.sweep()
    assert given(room, handoff_id).expires_at >= before.expires_at
    allowed = push(room, "t3")
    assert (allowed["verdict"], allowed["handoff_id"]) == ("allow", handoff_id)
    assert given(room, handoff_id).used == 2


def test_no_start_of_a_frozen_permission_is_redeemed(room: Room) -> None:
    handoff_id = scoped(room, Executor.MEDIATED)
    grant = given(room, handoff_id)
    right = Redemption(handoff_id, grant.grant_id, grant.action_digest, Executor.MEDIATED)
    room.engine.switch.kill(room.me, "all", "odd pushes")
    room.engine.freezing.sweep()
    with pytest.raises(GateClosed) as stopped:
        room.engine.grants.redeem(OPERATOR, right)
    assert stopped.value.code == "kill_switch"
    let_go(room, "all")
    with pytest.raises(InvalidTransition, match="frozen"):
        room.engine.grants.redeem(OPERATOR, right)
    room.engine.freezing.sweep()
    assert room.engine.grants.redeem(OPERATOR, right)["start_id"]


def test_a_limit_stops_the_next_use(room: Room) -> None:
    handoff_id = scoped(room)
    room.engine.limits.report(RUNNER, room.run_id, Reported(cost_usd="60.00"))
    held = push(room, "t2")
    assert held["verdict"] == "wait"
    assert held["handoff_id"] != handoff_id
    grant = given(room, handoff_id)
    right = Redemption(handoff_id, grant.grant_id, grant.action_digest, Executor.HOOKED)
    with pytest.raises(GateClosed) as stopped:
        room.engine.grants.redeem(RUNNER, right)
    assert stopped.value.code == "limit_reached"
    room.decide(held["handoff_id"])
    assert push(room, "t3")["handoff_id"] == handoff_id


def test_a_caller_that_wants_a_person_every_time_gets_no_second_start(room: Room) -> None:
    handoff_id = scoped(room)
    asked = push(room, "t2", require_approval=True)
    assert asked["verdict"] == "wait"
    assert asked["handoff_id"] != handoff_id
    with pytest.raises(UsageError) as wide:
        room.decide(asked["handoff_id"], scope=Wanted(2))
    assert wide.value.code == "scope_too_wide"


@pytest.mark.parametrize(
    ("new", "old", "holds"),
    [
        (Scope(), Scope(), True),
        (Scope(2), Scope(3), True),
        (Scope(3), Scope(2), False),
        (Scope(2, Span.TASK), Scope(2), False),
        (Scope(1, Span.TASK), Scope(1), True),
        (Scope(2, within_s=60), Scope(2, within_s=120), True),
        (Scope(2, within_s=120), Scope(2, within_s=60), False),
        (Scope(2, within_s=60), Scope(2), False),
        (Scope(2), Scope(2, within_s=60), False),
    ],
)
def test_a_scope_is_no_wider_only_in_every_part(new: Scope, old: Scope, holds: bool) -> None:
    assert no_wider(new, old) is holds
