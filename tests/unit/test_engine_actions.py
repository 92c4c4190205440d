"""The gate: propose, wait, decide, propose again, run once, report."""

from pathlib import Path
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import InvalidTransition, NotFound, UsageError
from handfast.core.domain.events_handoff import DecisionKind, Executor, HandoffKind
from handfast.core.domain.events_work import Mode, RunOutcome
from handfast.core.domain.handoff import GrantStatus, Status
from handfast.core.domain.publication import ORGANISATION
from handfast.core.domain.run import Run
from handfast.engine.actions import Read
from handfast.engine.gating import Proposal
from handfast.engine.runs import Session
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope
from tests.engine_room import HAZARDS, OPERATOR, RUNNER, Room, parallel


def test_the_whole_cycle(room: Room) -> None:
    asked = room.propose("t1", "git push")
    assert asked["verdict"] == "wait"
    handoff = room.handoff(asked["handoff_id"])
    assert handoff.status is Status.ROUTED
    decided = room.decide(asked["handoff_id"])
    allowed = room.propose("t1", "git push")
    assert allowed["verdict"] == "allow"
    assert allowed["grant_id"] == decided["grant_id"] != ""
    assert room.handoff(asked["handoff_id"]).status is Status.RESUMED
    assert room.result("t1")["settled"]
    closed = room.handoff(asked["handoff_id"])
    assert closed.status is Status.CLOSED
    assert closed.outcome == "effect_reported"
    assert room.types(f"handoff/{asked['handoff_id']}") == [
        "handoff.requested",
        "handoff.routed",
        "handoff.decided",
        "grant.minted",
        "grant.redeemed",
        "effect.recorded",
        "handoff.closed",
    ]


def test_what_policy_allows_is_allowed_at_once(room: Room) -> None:
    assert room.propose("t1", "ls", ())["verdict"] == "allow"
    assert "handoff.requested" not in room.types()


def test_what_policy_denies_is_denied_and_the_attempt_is_recorded(room: Room) -> None:
    denied = room.propose("t1", "rm -r ~/.local/share/handfast", ("control-plane",))
    assert denied["verdict"] == "deny"
    assert denied["reason"]
    assert "access.refused" in room.types()
    assert room.engine.kernel.state(Run, room.run_id).counts.denied == 1


def test_an_equal_call_attaches_and_another_one_asks_for_itself(room: Room) -> None:
    first = room.propose("t1", "git push")
    assert room.propose("t2", "git push")["handoff_id"] == first["handoff_id"]
    other = room.propose("t3", "git push --tags")
    assert other["handoff_id"] != first["handoff_id"]
    room.decide(first["handoff_id"])
    assert room.propose("t3", "git push --tags")["verdict"] == "wait"
    assert room.propose("t2", "git push")["verdict"] == "allow"


def test_one_approval_is_one_start(room: Room) -> None:
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    assert room.propose("t1", "git push")["verdict"] == "allow"
    room.result("t1")
    again = room.propose("t2", "git push")
    assert again["verdict"] == "wait"
    assert again["handoff_id"] != asked["handoff_id"]


def test_a_changed_call_needs_an_approval_of_its_own(room: Room) -> None:
    """R3: also under the same call id; the approval of the old one is closed as stale."""
    asked = room.propose("t1", "git push origin main")
    room.decide(asked["handoff_id"])
    changed = room.propose("t1", "git push origin other")
    assert changed["verdict"] == "wait"
    assert changed["handoff_id"] != asked["handoff_id"]
    assert room.handoff(asked["handoff_id"]).outcome == "stale"


@pytest.mark.parametrize("kind", [DecisionKind.REJECT, DecisionKind.REQUEST_CHANGES])
def test_a_refused_call_stays_denied_in_its_run(room: Room, kind: DecisionKind) -> None:
    """R2: however often it is asked, and with the reason each time."""
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"], kind, reason="not on a Friday")
    for n in range(3):
        room.clock.move(86_400 * 30)
        denied = room.propose(f"t{n}", "git push")
        assert denied["verdict"] == "deny"
        assert "not on a Friday" in cast("str", denied["reason"])
    assert room.types().count("handoff.requested") == 1


def test_a_refusal_holds_for_its_run_only(room: Room) -> None:
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"], DecisionKind.REJECT)
    other = Session(room.agent_id, "claude-code", "session-2", "/repo", Mode.ENFORCE)
    run_id = room.engine.runs.session(RUNNER, other)["run_id"]
    assert room.propose("t1", "git push", run_id=run_id)["verdict"] == "wait"


def test_an_edited_call_is_the_only_one_that_runs(room: Room) -> None:
    asked = room.propose("t1", "git push --force")
    edited = "git push origin fix"
    room.decide(asked["handoff_id"], DecisionKind.APPROVE_WITH_EDITS, edited=edited)
    original = room.propose("t1", "git push --force")
    assert original["verdict"] == "deny"
    assert edited in cast("str", original["reason"])
    call = room.engine.handoffs.call_in(_edited_body(room, asked["handoff_id"]))
    proposal = Proposal(room.run_id, "t2", call, Facts(Effect.NETWORK, "pushes", ("git.push",)))
    allowed = room.engine.actions.propose(RUNNER, proposal)
    assert allowed["verdict"] == "allow"
    assert allowed["handoff_id"] == asked["handoff_id"]
    doubt = room.engine.actions.propose(RUNNER, proposal)
    assert doubt["verdict"] == "wait", "it started, so it is not asked about as if it had not"
    assert room.handoff(doubt["handoff_id"]).about == asked["handoff_id"]
    assert room.propose("t4", "git push --force")["verdict"] == "deny"


def test_an_expired_approval_that_is_still_open_hides_no_start(room: Room) -> None:
    """The sweep may be late: the older approval has expired by the clock and is not closed yet."""
    first = room.propose("t1", "git push")
    room.decide(first["handoff_id"])
    grant = room.handoff(first["handoff_id"]).grant
    assert grant is not None
    room.clock.move((grant.expires_at - room.clock.now()).total_seconds())
    second = room.propose("t2", "git push")
    assert second["handoff_id"] != first["handoff_id"]
    room.decide(second["handoff_id"])
    assert room.propose("t3", "git push")["verdict"] == "allow"
    assert room.handoff(first["handoff_id"]).status is Status.DECIDED, "the case this is about"
    doubt = room.propose("t4", "git push")
    assert doubt["verdict"] == "wait"
    assert room.handoff(doubt["handoff_id"]).about == second["handoff_id"]


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("allowed_by", ["policy", "facts"])
def test_what_is_in_doubt_runs_under_no_later_verdict(
    room: Room, settled: bool, allowed_by: str
) -> None:
    """R4: neither a policy published since nor quieter facts of the same call start it a second time."""
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    assert room.propose("t1", "git push")["verdict"] == "allow"
    if settled:
        room.engine.runs.settle(RUNNER, room.run_id, None)
    if allowed_by == "policy":
        text = "version: 1\nbuiltin: {off: [push]}\n"
        room.engine.policies.propose(room.me, ORGANISATION, text)
    hazards = HAZARDS if allowed_by == "policy" else ()
    again = room.propose("t2", "git push", hazards)
    assert again["verdict"] == "wait"
    doubt = room.handoff(again["handoff_id"])
    assert (doubt.kind, doubt.about) == (HandoffKind.DOUBT, asked["handoff_id"])
    room.decide(doubt.handoff_id, DecisionKind.ANSWER, answer="it_did_not_run")
    assert room.propose("t3", "git push", hazards)["verdict"] == "allow"


def _edited_body(room: Room, handoff_id: object) -> str:
    decision = room.handoff(handoff_id).decision
    assert decision is not None
    assert decision.edited_action is not None
    return decision.edited_action.body_id


@pytest.mark.parametrize("edited", ["", "  ", "git push", "handfast hooks pause 60"])
def test_an_edit_that_is_none_or_is_denied_is_refused(room: Room, edited: str) -> None:
    scope = Scope(Path("/repo"), Path("/repo"), (room.home,), ())
    call, facts = read_call("Bash", {"command": "git push"}, scope)
    asked = room.propose("t1", "git push", call=call, facts=facts)
    with pytest.raises(UsageError):
        room.decide(asked["handoff_id"], DecisionKind.APPROVE_WITH_EDITS, edited=edited)
    assert room.handoff(asked["handoff_id"]).waiting


def test_a_lost_result_becomes_a_doubt_that_a_person_answers(room: Room) -> None:
    """R4: nothing is repeated until somebody looked."""
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    room.propose("t1", "git push")
    doubts = cast("list[str]", room.engine.runs.settle(RUNNER, room.run_id, None)["doubts"])
    assert len(doubts) == 1
    assert room.engine.runs.settle(RUNNER, room.run_id, None)["doubts"] == []
    assert room.handoff(asked["handoff_id"]).outcome == "effect_unknown"
    attached = room.propose("t2", "git push")
    assert (attached["verdict"], attached["handoff_id"]) == ("wait", doubts[0])
    with pytest.raises(UsageError):
        room.decide(doubts[0], DecisionKind.ANSWER, answer="perhaps")
    room.decide(doubts[0], DecisionKind.ANSWER, answer="it_ran")
    denied = room.propose("t2", "git push")
    assert denied["verdict"] == "deny"
    assert "already ran" in cast("str", denied["reason"])


def test_a_changed_call_does_not_sweep_a_doubt_away(room: Room) -> None:
    """Under the same call id: the doubt is about what may have run, not about what comes next."""
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    room.propose("t1", "git push")
    (doubt,) = cast("list[str]", room.engine.runs.settle(RUNNER, room.run_id, None)["doubts"])
    assert room.propose("t1", "git push")["handoff_id"] == doubt
    changed = room.propose("t1", "git push --tags")
    assert changed["handoff_id"] != doubt
    assert room.handoff(doubt).waiting
    assert room.propose("t2", "git push")["handoff_id"] == doubt


def test_what_did_not_run_is_asked_about_anew(room: Room) -> None:
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    room.propose("t1", "git push")
    (doubt,) = cast("list[str]", room.engine.runs.settle(RUNNER, room.run_id, None)["doubts"])
    room.decide(doubt, DecisionKind.ANSWER, answer="it_did_not_run")
    again = room.propose("t2", "git push")
    assert again["verdict"] == "wait"
    assert again["handoff_id"] not in (asked["handoff_id"], doubt)


def test_a_late_result_does_not_undo_a_doubt(room: Room) -> None:
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    room.propose("t1", "git push")
    room.engine.runs.settle(RUNNER, room.run_id, None)
    assert not room.result("t1")["settled"]
    assert room.handoff(asked["handoff_id"]).outcome == "effect_unknown"


def test_a_suspended_agent_is_denied_everything(room: Room) -> None:
    room.engine.agents.suspend(OPERATOR, room.agent_id, "odd behaviour")
    assert room.propose("t1", "ls", ())["verdict"] == "deny"
    assert room.propose("t2", "git push")["verdict"] == "deny"
    room.engine.agents.reinstate(OPERATOR, room.agent_id, "checked")
    assert room.propose("t3", "ls", ())["verdict"] == "allow"


def test_an_approval_does_not_outlive_a_suspension(room: Room) -> None:
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    room.engine.agents.suspend(OPERATOR, room.agent_id, "odd behaviour")
    assert room.propose("t1", "git push")["verdict"] == "deny"


def test_many_threads_proposing_an_approved_call_get_one_start(rooms: Room) -> None:
    asked = rooms.propose("t", "git push")
    rooms.decide(asked["handoff_id"])
    results = parallel(lambda n: rooms.propose(f"t{n}", "git push"))
    assert [r["verdict"] for r in results].count("allow") == 1
    assert rooms.types().count("grant.redeemed") == 1


def test_many_threads_proposing_a_new_call_open_one_handoff(rooms: Room) -> None:
    results = parallel(lambda n: rooms.propose(f"t{n}", "git push"))
    assert {r["verdict"] for r in results} == {"wait"}
    assert len({r["handoff_id"] for r in results}) == 1


def test_a_request_key_gives_the_first_answer_again(room: Room) -> None:
    first = room.propose("t1", "git push", request_key="r1")
    size = room.engine.kernel.store.size()
    assert room.propose("t1", "git push", request_key="r1") == first
    assert room.engine.kernel.store.size() == size
    with pytest.raises(InvalidTransition, match="used for another command"):
        room.propose("t1", "git push --tags", request_key="r1")


def test_a_grant_expires(room: Room) -> None:
    """R5: to the microsecond, whether or not somebody swept in between."""
    asked = room.propose("t1", "git push")
    room.decide(asked["handoff_id"])
    grant = room.handoff(asked["handoff_id"]).grant
    assert grant is not None
    room.clock.move((grant.expires_at - room.clock.now()).total_seconds())
    again = room.propose("t1", "git push")
    assert again["verdict"] == "wait"
    assert again["handoff_id"] != asked["handoff_id"]
    room.engine.sweep()
    expired = room.handoff(asked["handoff_id"])
    assert expired.outcome == "grant_expired"
    assert expired.grant is not None
    assert expired.grant.status is GrantStatus.EXPIRED


def test_in_observe_mode_nothing_is_stopped_and_all_is_recorded(room: Room) -> None:
    session = Session(room.agent_id, "claude-code", "session-2", "/repo", Mode.OBSERVE)
    run_id = cast("str", room.engine.runs.session(RUNNER, session)["run_id"])
    seen = room.propose("t1", "git push", run_id=run_id)
    assert (seen["verdict"], seen["would"]) == ("allow", "gate")
    denied = room.propose("t2", "x", ("control-plane",), run_id=run_id)
    assert denied["verdict"] == "deny", "the control plane is never open, in no mode"
    counts = room.engine.kernel.state(Run, run_id).counts
    assert (counts.would_stop, counts.denied, counts.stopped) == (1, 1, 0)


def test_a_pause_of_the_hook_ends_by_itself(room: Room) -> None:
    room.engine.hooks.pause(room.me, 10, "demo")
    assert room.propose("t1", "git push")["verdict"] == "allow"
    room.clock.move(600)
    assert room.propose("t2", "git push")["verdict"] == "wait"


def test_a_mediated_approval_is_not_used_up_by_the_hook(room: Room) -> None:
    asked = room.propose("t1", "git push", executor=Executor.MEDIATED)
    room.decide(asked["handoff_id"])
    denied = room.propose("t1", "git push")
    assert denied["verdict"] == "deny"
    assert "handfast exec gr_" in cast("str", denied["reason"])
    assert room.handoff(asked["handoff_id"]).status is Status.DECIDED


def test_reads_are_recorded_in_batches(room: Room) -> None:
    facts = Facts(Effect.READ, "reads a file")
    at = room.clock.now()
    reads = [Read(f"r{n}", Call("Read", {"file_path": str(n)}), facts, at) for n in range(3)]
    assert room.engine.actions.record_reads(RUNNER, room.run_id, reads) == {"recorded": 3}
    counts = room.engine.kernel.state(Run, room.run_id).counts
    assert (counts.steps, counts.reads) == (3, 3)


def test_a_result_of_an_unknown_call_settles_nothing(room: Room) -> None:
    assert room.result("never") == {"settled": False}


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", "line\nbreak", "\u202e", "\ud800"])
def test_a_key_that_is_no_key_is_refused(room: Room, key: str) -> None:
    with pytest.raises(UsageError, match="key"):
        room.propose(key, "ls")


def test_a_key_beyond_the_basic_plane_is_taken(room: Room) -> None:
    assert room.propose("\U0001f600", "git push")["verdict"] == "wait"


@pytest.mark.parametrize("command", ["\ud800", 1.5, float("nan")])
def test_a_call_without_canonical_form_is_refused(room: Room, command: object) -> None:
    call = Call("Bash", {"command": command})  # type: ignore[dict-item]
    with pytest.raises(UsageError):
        room.propose("t1", "x", call=call)


@pytest.mark.parametrize("command", ["", " ", "echo '\0'", "x" * 300_000, "\u202e rm"])
def test_an_odd_command_is_asked_about(room: Room, command: str) -> None:
    asked = room.propose("t1", command, facts=Facts(Effect.EXEC, "", ("git.push",)))
    assert asked["verdict"] == "wait"
    assert room.handoff(asked["handoff_id"]).waiting
    assert room.engine.views.handoff(cast("str", asked["handoff_id"]))["ask"]


def test_an_event_that_would_be_too_large_is_refused_whole(room: Room) -> None:
    size = room.engine.kernel.store.size()
    hazards = tuple(f"hazard.{n}" for n in range(6_000))
    with pytest.raises(UsageError, match="65536"):
        room.propose("t1", "x", hazards)
    assert room.engine.kernel.store.size() == size


def test_a_run_that_is_over_takes_no_calls(room: Room) -> None:
    asked = room.propose("t1", "git push")
    room.engine.runs.ended(RUNNER, room.run_id, None, RunOutcome.SESSION_OVER)
    assert room.handoff(asked["handoff_id"]).status is Status.WITHDRAWN
    with pytest.raises(InvalidTransition, match="has ended"):
        room.propose("t2", "ls")
    with pytest.raises(NotFound):
        room.propose("t2", "ls", run_id="run_none")
