"""The kill switch, a pause, an override and an undo where they meet something else."""

from datetime import timedelta
from typing import cast

import pytest

from handfast.core.domain.errors import GateClosed
from handfast.core.domain.events_handoff import DecisionKind, Executor
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.freezing import AGAIN
from handfast.engine.grants import Redemption
from handfast.engine.overrides import Emergency
from tests.engine_room import OPERATOR, RUNNER, Room
from tests.unit.test_engine_limits import go, publish
from tests.unit.test_engine_preview import ran


def test_what_was_born_frozen_between_two_sweeps_thaws_after_all(room: Room) -> None:
    room.engine.freezing.sweep()
    room.engine.switch.kill(room.me, "all", "stop")
    asked = room.engine.reviews.ask(RUNNER, room.run_id, "Which?")["handoff_id"]
    assert room.handoff(asked).frozen_at is not None
    room.engine.switch.release(room.me, "all", "review", "people decide again")
    room.clock.move(AGAIN / timedelta(seconds=1))
    room.engine.freezing.sweep()
    assert room.handoff(asked).frozen_at is None


def test_what_a_person_refused_does_not_run_while_the_hook_is_paused(room: Room) -> None:
    room.decide(room.propose("1", "git push")["handoff_id"], DecisionKind.REJECT)
    room.engine.hooks.pause(room.me, 60, "a demonstration")
    assert room.propose("2", "git push")["verdict"] == "deny"
    assert room.propose("3", "git push other")["verdict"] == "allow"


def test_an_overridden_limit_lets_the_run_go_on(room: Room) -> None:
    publish(room, "tool_calls: {hand_over: 2}")
    for n in range(2):
        go(room, str(n), f"make {n}")
    asked = go(room, "2", "make 2")
    assert asked["verdict"] == "wait"
    h = room.handoff(asked["handoff_id"])
    room.engine.overrides.override(room.me, Emergency(h.handoff_id, h.presented_digest, "now"))
    assert go(room, "3", "make 3")["verdict"] == "allow"
    assert "run.limit_raised" in room.types(f"run/{room.run_id}")


def _undo(room: Room, asked: str) -> str:
    return cast("str", room.engine.undoing.undo(OPERATOR, asked)["handoff_id"])


def test_a_refused_call_stays_refused_beside_an_undo_that_is_the_same_command(room: Room) -> None:
    asked = ran(room)
    room.result("t1")
    first = _undo(room, asked)
    action = room.handoff(first).action
    assert action is not None
    call = room.engine.handoffs.call_in(action.body_id)
    mine = room.propose("t8", "", call=call)["handoff_id"]
    room.decide(mine, DecisionKind.REJECT)
    room.decide(first, DecisionKind.REJECT)
    room.clock.move(1)
    assert _undo(room, asked) != first
    again = room.propose("t9", "", call=call)
    assert (again["verdict"], again["handoff_id"]) == ("deny", mine)


@pytest.mark.parametrize("scope", ["all", "agent"])
def test_a_kill_of_all_stops_an_undo_and_a_kill_of_its_agent_does_not(
    room: Room, scope: str
) -> None:
    """A person approves and runs an undo: it is how what a stopped agent did is taken back."""
    asked = ran(room)
    room.result("t1")
    undo = _undo(room, asked)
    room.decide(undo)
    grant = room.handoff(undo).grant
    assert grant is not None
    room.engine.switch.kill(room.me, "all" if scope == "all" else f"agent:{room.agent_id}", "stop")
    room.engine.sweep()
    redeem = Redemption(undo, grant.grant_id, grant.action_digest, Executor.MEDIATED)
    if scope == "agent":
        assert room.engine.grants.redeem(OPERATOR, redeem)["start_id"]
        return
    with pytest.raises(GateClosed, match="all agents are stopped"):
        room.engine.grants.redeem(OPERATOR, redeem)
    assert "grant.redeemed" not in room.types(f"handoff/{undo}")


def test_what_a_newer_policy_denies_is_not_started_by_an_older_approval(room: Room) -> None:
    asked = room.propose("1", "git push", executor=Executor.MEDIATED)["handoff_id"]
    room.decide(asked)
    grant = room.handoff(asked).grant
    assert grant is not None
    redeem = Redemption(
        room.handoff(asked).handoff_id, grant.grant_id, grant.action_digest, Executor.MEDIATED
    )
    freeze = "version: 1\ngates:\n  - id: freeze\n    when: %s\n    deny: nothing leaves today\n"
    policies = room.engine.policies
    policies.propose(room.me, ORGANISATION, freeze % 'call.hazards.exists(h, h == "git.push")')
    with pytest.raises(GateClosed, match="nothing leaves today"):
        room.engine.grants.redeem(OPERATOR, redeem)
    assert room.types(f"handoff/{asked}")[-1] == "grant.refused"
    policies.propose(room.me, ORGANISATION, freeze % 'call.command == "git pull"')
    assert room.engine.grants.redeem(OPERATOR, redeem)["start_id"]


def test_an_undo_that_is_asked_for_twice_is_one_question_with_one_start(room: Room) -> None:
    asked = ran(room)
    room.result("t1")
    undo = _undo(room, asked)
    assert _undo(room, asked) == undo
    room.decide(undo)
    assert _undo(room, asked) == undo
    grant = room.handoff(undo).grant
    assert grant is not None
    redeem = Redemption(room.handoff(undo).handoff_id, grant.grant_id, grant.action_digest,
                        Executor.MEDIATED)  # fmt: skip
    room.engine.grants.redeem(OPERATOR, redeem)
    assert _undo(room, asked) == undo
