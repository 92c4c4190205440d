"""The kill switch: nothing of what is stopped starts, also not at that very moment; let go in stages."""

import threading
from datetime import timedelta
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import (
    GateClosed,
    InvalidTransition,
    NotFound,
    NotPermitted,
    UsageError,
)
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import Executor
from handfast.core.domain.events_work import Mode
from handfast.engine.grants import Redemption, grant_of
from handfast.engine.kernel import Result
from handfast.engine.runs import Session
from tests.engine_room import OPERATOR, RUNNER, Room, parallel


def _redeem(room: Room, handoff_id: str, actor: Actor = OPERATOR) -> Result:
    digest = room.handoff(handoff_id).action_digest
    return room.engine.grants.redeem(
        actor, Redemption(handoff_id, grant_of(handoff_id), digest, Executor.MEDIATED)
    )


def _approved(room: Room, key: str = "1", command: str = "git push") -> str:
    asked = room.propose(key, command, executor=Executor.MEDIATED)
    room.decide(asked["handoff_id"])
    return cast("str", asked["handoff_id"])


def test_from_a_kill_on_every_effect_is_denied_and_reads_go_on(room: Room) -> None:
    room.engine.switch.kill(room.me, "all", "the pipeline deletes data")
    for key, hazards in (("1", ()), ("2", ("git.push",))):
        denied = room.propose(key, "git push", hazards)
        assert denied["verdict"] == "deny"
        assert "stopped by Ana: the pipeline deletes data" in str(denied["reason"])
        assert cast("list[Result]", denied["rules"])[0]["id"] == "kill-switch"
    read = Facts(Effect.READ, "reads", ())
    assert room.propose("3", "git log", facts=read)["verdict"] == "allow"


def test_a_read_that_took_an_approval_is_stopped_with_its_grant(room: Room) -> None:
    secret = Facts(Effect.READ, "reads a key", ("secret.access",))
    room.decide(room.propose("1", "cat key", facts=secret)["handoff_id"])
    room.engine.switch.kill(room.me, "all", "stop")
    assert room.propose("2", "cat key", facts=secret)["verdict"] == "deny"
    assert "grant.redeemed" not in room.types()


def test_observing_and_a_pause_of_the_hook_are_no_way_around_a_kill(room: Room) -> None:
    session = Session(room.agent_id, "claude-code", "watched", "/repo", Mode.OBSERVE)
    run_id = room.engine.runs.session(RUNNER, session)["run_id"]
    room.engine.hooks.pause(room.me, 60, "a demonstration")
    assert room.propose("1", "git push", run_id=run_id)["verdict"] == "allow"
    room.engine.switch.kill(room.me, "all", "stop")
    assert room.propose("2", "git push", run_id=run_id)["verdict"] == "deny"
    assert room.propose("2", "git push")["verdict"] == "deny"


def test_an_unused_grant_starts_nothing_while_stopped_and_the_try_is_on_record(room: Room) -> None:
    handoff_id = _approved(room)
    room.engine.switch.kill(room.me, "all", "stop")
    for actor in (OPERATOR, RUNNER, Actor("agent", room.agent_id, "token")):
        with pytest.raises(GateClosed, match="all agents are stopped by Ana: stop"):
            _redeem(room, handoff_id, actor)
    assert room.types(f"handoff/{handoff_id}")[-1] == "grant.refused"
    _let_go(room, "all")
    assert _redeem(room, handoff_id)["start_id"]


def _let_go(room: Room, scope: str) -> None:
    for stage in ("review", "all"):
        room.engine.switch.release(room.me, scope, stage, "looked at it")


def test_after_a_kill_has_returned_no_start_is_taken(rooms: Room) -> None:
    """Eight grants are redeemed while a person pulls the switch."""
    room = rooms
    waiting = [_approved(room, str(n), f"git push {n}") for n in range(8)]
    stopped = threading.Event()
    late: list[str] = []
    started: list[str] = []

    def work(n: int) -> None:
        if n == 0:
            room.engine.switch.kill(room.me, "all", "stop")
            stopped.set()
            return
        for handoff_id in waiting[n - 1 :: 7]:
            after = stopped.is_set()
            try:
                _redeem(room, handoff_id)
            except GateClosed:
                continue
            started.append(handoff_id)
            if after:
                late.append(handoff_id)

    parallel(work, 8)
    assert late == []
    log = room.types()
    killed = log.index("control.killed")
    assert [t for t in log[killed:] if t == "grant.redeemed"] == []
    assert log[:killed].count("grant.redeemed") == len(started)


def _outrun(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill commits after the next command read that nothing is stopped, and before it commits."""
    store, pulled = room.engine.kernel.store, threading.Event()
    commit = store.commit

    def outrun(write: object) -> object:
        if not pulled.is_set():
            pulled.set()
            room.engine.switch.kill(room.me, "all", "stop")
        return commit(write)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", outrun)


def test_a_start_that_was_being_decided_when_the_switch_was_pulled_is_not_taken(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    handoff_id = _approved(room)
    _outrun(room, monkeypatch)
    with pytest.raises(GateClosed):
        _redeem(room, handoff_id)
    assert "grant.redeemed" not in room.types()


@pytest.mark.parametrize("hazards", [(), ("git.push",)], ids=["not gated", "approved"])
def test_a_call_that_was_being_judged_when_the_switch_was_pulled_is_denied(
    room: Room, monkeypatch: pytest.MonkeyPatch, hazards: tuple[str, ...]
) -> None:
    if hazards:
        room.decide(room.propose("1", "git push", hazards)["handoff_id"])
    _outrun(room, monkeypatch)
    assert room.propose("2", "git push", hazards)["verdict"] == "deny"
    assert "grant.redeemed" not in room.types()


def test_a_run_that_was_being_leased_when_the_switch_was_pulled_stays_queued(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = room.queued_run()
    _outrun(room, monkeypatch)
    assert room.engine.runs.lease(RUNNER, "r1", "host") is None
    assert room.types(f"run/{run_id}") == ["run.created"]


def test_one_agent_and_one_team_are_stopped_alone(room: Room) -> None:
    agents = room.engine.agents
    other = cast("str", agents.add(OPERATOR, "deployer", "x", "ops")["agent_id"])
    session = Session(other, "x", "s2", "/repo", Mode.ENFORCE)
    run_id = room.engine.runs.session(RUNNER, session)["run_id"]
    with pytest.raises(NotFound, match="no agent is in the team `opps`"):
        room.engine.switch.kill(room.me, "team:opps", "typo")
    room.engine.switch.kill(room.me, "team:ops", "odd deploys")
    assert room.propose("1", "ls > x", (), run_id=run_id)["verdict"] == "deny"
    assert room.propose("1", "ls > x", ())["verdict"] == "allow"
    room.engine.switch.kill(room.me, f"agent:{room.agent_id}", "odd pushes")
    assert room.propose("2", "ls > x", ())["verdict"] == "deny"
    shown = [(s["scope"], s["reason"]) for s in room.engine.switch.status()]
    assert shown == [("team:ops", "odd deploys"), (f"agent:{room.agent_id}", "odd pushes")]
    room.engine.switch.release(room.me, f"agent:{room.agent_id}", "all", "fine")
    assert room.propose("3", "ls > x", ())["verdict"] == "allow"
    assert room.propose("3", "ls > x", (), run_id=run_id)["verdict"] == "deny"


def test_a_release_goes_stage_by_stage_and_each_is_on_record(room: Room) -> None:
    switch = room.engine.switch
    with pytest.raises(InvalidTransition, match="`all` is not stopped"):
        switch.release(room.me, "all", "review", "why")
    switch.kill(room.me, "all", "stop")
    with pytest.raises(InvalidTransition, match="`all` does not follow"):
        switch.release(room.me, "all", "all", "in a hurry")
    switch.release(room.me, "all", "review", "people decide again")
    assert room.propose("1", "touch x", ())["verdict"] == "deny"
    with pytest.raises(UsageError, match="`agents` go with the stage"):
        switch.release(room.me, "all", "agents", "none named")
    with pytest.raises(NotFound):
        switch.release(room.me, "all", "agents", "no such", ("ag_none",))
    other = cast("str", room.engine.agents.add(OPERATOR, "other", "x")["agent_id"])
    switch.release(room.me, "all", "agents", "one first", (other,))
    assert room.propose("2", "touch x", ())["verdict"] == "deny"
    switch.release(room.me, "all", "agents", "the other one", (room.agent_id,))
    assert room.propose("3", "touch x", ())["verdict"] == "allow"
    switch.kill(room.me, "all", "again")
    assert room.propose("4", "touch x", ())["verdict"] == "deny"
    _let_go(room, "all")
    assert switch.status() == []
    recorded = [t for t in room.types("installation/1") if t.startswith("control.")]
    assert recorded == ["control.killed", *["control.released"] * 3,
                        "control.killed", *["control.released"] * 2]  # fmt: skip


def test_who_may_pull_it_and_who_may_let_go(room: Room) -> None:
    switch = room.engine.switch
    reviewer, auditor = room.another("bob"), room.another("eve", ("auditor",))
    for actor in (OPERATOR, RUNNER, auditor):
        with pytest.raises(NotPermitted):
            switch.kill(actor, "all", "stop")
    with pytest.raises(UsageError, match="`reason` is empty"):
        switch.kill(reviewer, "all", " ")
    with pytest.raises(UsageError, match="`scope` is"):
        switch.kill(reviewer, "everything", "stop")
    switch.kill(reviewer, "all", "stop")
    with pytest.raises(NotPermitted, match="roles"):
        switch.release(reviewer, "all", "review", "go on")
    switch.release(room.me, "all", "review", "go on")


def test_a_stopped_run_is_not_leased_and_its_runner_is_told(room: Room) -> None:
    first = room.queued_run()
    leased = room.engine.runs.lease(RUNNER, "r1", "host")
    assert leased is not None
    assert leased.run_id == first
    second = room.queued_run()
    assert not room.engine.runs.killed(first)
    room.engine.switch.kill(room.me, "all", "stop")
    assert room.engine.runs.killed(first)
    room.clock.move(3600)
    assert room.engine.runs.lease(RUNNER, "r2", "host") is None
    _let_go(room, "all")
    again = room.engine.runs.lease(RUNNER, "r2", "host")
    assert again is not None
    assert {first, second} >= {again.run_id}


def test_a_session_of_a_stopped_agent_may_still_read(room: Room) -> None:
    room.engine.switch.kill(room.me, "all", "stop")
    session = Session(room.agent_id, "claude-code", "new", "/repo", Mode.ENFORCE)
    run_id = room.engine.runs.session(RUNNER, session)["run_id"]
    read = Facts(Effect.READ, "reads", ())
    asked = room.propose("1", "cat x", facts=read, run_id=run_id, call=Call("Read", {}))
    assert asked["verdict"] == "allow"


def test_what_waits_is_frozen_and_goes_on_with_the_time_it_had(room: Room) -> None:
    waiting = [cast("str", room.propose(str(n), f"git push {n}")["handoff_id"]) for n in range(5)]
    granted = _approved(room, "9", "git push granted")
    due = {h: room.handoff(h).next_due for h in (*waiting, granted)}
    room.engine.switch.kill(room.me, "all", "stop")
    assert room.engine.freezing.sweep(limit=4) == 4
    assert room.engine.freezing.sweep(limit=4) == 2
    assert room.engine.freezing.sweep(limit=4) == 0
    room.clock.move(7 * 86_400)
    room.engine.sweep()
    assert all(room.handoff(h).next_due is None for h in due)
    with pytest.raises(InvalidTransition, match="frozen"):
        room.decide(waiting[0])
    room.engine.switch.release(room.me, "all", "review", "people decide again")
    assert room.engine.freezing.sweep(limit=4) == 4
    assert room.engine.freezing.sweep(limit=4) == 2
    room.engine.sweep()
    moved = {h: room.handoff(h).next_due for h in due}
    assert moved == {h: at and at + timedelta(days=7) for h, at in due.items()}
    room.decide(waiting[0])
    with pytest.raises(GateClosed):
        _redeem(room, granted)


def test_a_handoff_that_opens_while_its_agent_is_stopped_is_born_frozen(room: Room) -> None:
    start = _approved(room)
    _redeem(room, start)
    room.engine.switch.kill(room.me, f"agent:{room.agent_id}", "stop")
    doubt = cast("list[str]", room.engine.runs.settle(RUNNER, room.run_id, None)["doubts"])[0]
    assert room.handoff(doubt).frozen_at is not None
    room.engine.switch.release(room.me, f"agent:{room.agent_id}", "all", "go on")
    room.engine.sweep()
    assert room.handoff(doubt).frozen_at is None


def test_only_what_is_stopped_is_frozen(room: Room) -> None:
    mine = cast("str", room.propose("1", "git push")["handoff_id"])
    other = cast("str", room.engine.agents.add(OPERATOR, "other", "x", "ops")["agent_id"])
    session = Session(other, "x", "s2", "/repo", Mode.ENFORCE)
    run_id = room.engine.runs.session(RUNNER, session)["run_id"]
    theirs = cast("str", room.propose("1", "git push", run_id=run_id)["handoff_id"])
    room.engine.switch.kill(room.me, "team:ops", "stop")
    room.engine.sweep()
    assert room.handoff(mine).frozen_at is None
    assert room.handoff(theirs).frozen_at is not None
    room.engine.switch.kill(room.me, "all", "all of it")
    room.engine.sweep()
    room.engine.switch.release(room.me, "all", "review", "only ops")
    room.engine.sweep()
    assert room.handoff(mine).frozen_at is None
    assert room.handoff(theirs).frozen_at is not None


def test_what_a_person_killed_no_token_lets_go(room: Room) -> None:
    agents = room.engine.agents
    agents.suspend(OPERATOR, room.agent_id, "looked odd")
    agents.reinstate(OPERATOR, room.agent_id, "was fine")
    agents.suspend(OPERATOR, room.agent_id, "looked odd again")
    room.engine.switch.kill(room.me, f"agent:{room.agent_id}", "it is odd")
    with pytest.raises(NotPermitted, match="by a person's kill"):
        agents.reinstate(OPERATOR, room.agent_id, "go on")
    assert room.propose("1", "touch x", ())["verdict"] == "deny"
    (shown,) = room.engine.switch.status()
    assert (shown["by_name"], shown["says"]) == (
        "Ana",
        "agent `claude` is stopped by Ana: it is odd",
    )
    room.engine.switch.release(room.me, f"agent:{room.agent_id}", "all", "looked into it")
    assert room.propose("2", "touch x", ())["verdict"] == "allow"
