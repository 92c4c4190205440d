"""The life of a run: leases, epochs, pauses, take-overs, ends."""

import threading
from collections.abc import Callable
from typing import cast

import pytest

from handfast.core.domain.errors import (
    InvalidTransition,
    NotFound,
    NotPermitted,
    StaleEpoch,
    UsageError,
)
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import AgentStarted, Mode, RunOutcome
from handfast.core.domain.handoff import Status
from handfast.core.domain.ids import RunId
from handfast.core.domain.run import Run, RunStatus
from handfast.core.domain.task import Task
from handfast.engine.runs import Exit, NewRun, Pause, Session
from handfast.storage.api import Committed, WriteSet
from tests.engine_room import OPERATOR, RUNNER, Room, parallel


def _state(room: Room, run_id: str) -> Run:
    return room.engine.kernel.state(Run, run_id)


def _leased(room: Room, runner: str = "runner-1") -> Run:
    run = room.engine.runs.lease(RUNNER, runner, "host")
    assert run is not None
    return run


def _started(room: Room) -> Run:
    room.queued_run()
    run = _leased(room)
    room.engine.runs.started(RUNNER, AgentStarted(RunId(run.run_id), run.epoch, 10, 20, "boot"))
    return run


def test_a_session_is_one_run_however_often_it_is_announced(rooms: Room) -> None:
    session = Session(rooms.agent_id, "claude-code", "s\u00e9ance", "/repo", Mode.OBSERVE)
    answers = parallel(lambda _: rooms.engine.runs.session(RUNNER, session))
    assert len({a["run_id"] for a in answers}) == 1
    assert _state(rooms, cast("str", answers[0]["run_id"])).status is RunStatus.RUNNING
    rooms.engine.runs.ended(
        RUNNER, cast("str", answers[0]["run_id"]), None, RunOutcome.SESSION_OVER
    )
    again = rooms.engine.runs.session(RUNNER, session)
    assert again["run_id"] != answers[0]["run_id"]


@pytest.mark.parametrize("session_id", ["a\0b", "\ud800"])
def test_a_session_with_an_impossible_name_is_refused(rooms: Room, session_id: str) -> None:
    session = Session(rooms.agent_id, "claude-code", session_id, "/repo", Mode.OBSERVE)
    with pytest.raises(UsageError):
        rooms.engine.runs.session(RUNNER, session)


def test_many_runners_lease_each_run_once(rooms: Room) -> None:
    runs = {rooms.queued_run() for _ in range(5)}
    leased = parallel(lambda n: rooms.engine.runs.lease(RUNNER, f"runner-{n}", "host"))
    got = [run.run_id for run in leased if run is not None]
    assert sorted(got) == sorted(runs)
    assert rooms.engine.runs.lease(RUNNER, "late", "host") is None


def test_a_lease_is_kept_by_its_heartbeat_and_taken_over_without(room: Room) -> None:
    run = _started(room)
    for _ in range(5):
        room.clock.move(5)
        assert room.engine.runs.heartbeat(run.run_id, run.epoch)
        assert room.engine.runs.lease(RUNNER, "runner-2", "host") is None
    room.clock.move(6)
    taken = _leased(room, "runner-2")
    assert (taken.run_id, taken.epoch) == (run.run_id, run.epoch + 1)
    assert taken.process is not None, "the new runner must know which process to end"
    assert not room.engine.runs.heartbeat(run.run_id, run.epoch)
    assert room.engine.runs.heartbeat(run.run_id, taken.epoch)


def test_a_run_taken_over_by_many_has_one_new_holder(rooms: Room) -> None:
    run = _started(rooms)
    rooms.clock.move(60)
    taken = parallel(lambda n: rooms.engine.runs.lease(RUNNER, f"runner-{n}", "host"))
    assert [t.epoch for t in taken if t is not None] == [run.epoch + 1]


def test_every_call_of_an_old_runner_is_refused(room: Room) -> None:
    run = _started(room)
    room.clock.move(60)
    _leased(room, "runner-2")
    runs, run_id, old = room.engine.runs, run.run_id, run.epoch
    calls: list[Callable[[], object]] = [
        lambda: runs.started(RUNNER, AgentStarted(run_id, old, 1, 1, "boot")),
        lambda: runs.paused(RUNNER, run_id, old, Pause()),
        lambda: runs.exited(RUNNER, run_id, old, Exit(0)),
        lambda: runs.never_started(RUNNER, run_id, old, "no such program", ""),
        lambda: runs.settle(RUNNER, run_id, old),
        lambda: runs.ended(RUNNER, run_id, old, RunOutcome.FAILED),
        lambda: room.propose("t1", "ls", (), run_id=run_id, epoch=old),
    ]
    size = room.engine.kernel.store.size()
    for call in calls:
        with pytest.raises(StaleEpoch):
            call()
    assert room.engine.kernel.store.size() == size


def test_a_paused_run_goes_on_when_what_it_waits_for_is_decided(room: Room) -> None:
    run = _started(room)
    asked = cast("str", room.propose("t1", "git push", run_id=run.run_id)["handoff_id"])
    pause = Pause("refs/x", "c" * 40, b"session", (asked,), "waits")
    assert room.engine.runs.paused(RUNNER, run.run_id, run.epoch, pause)["status"] == "paused"
    assert room.engine.runs.lease(RUNNER, "runner-2", "host") is None
    room.clock.move(3_600)
    assert room.engine.runs.lease(RUNNER, "runner-2", "host") is None, "waiting costs no lease"
    room.decide(asked, DecisionKind.REJECT)
    ready = _state(room, run.run_id)
    assert (ready.status, ready.ready_for) == (RunStatus.READY, asked)
    resumed = _leased(room, "runner-2")
    assert (resumed.run_id, resumed.epoch) == (run.run_id, run.epoch + 1)
    assert (resumed.snapshot_ref, resumed.snapshot_commit) == ("refs/x", "c" * 40)
    assert resumed.session is not None


def test_a_pause_after_the_decision_is_ready_at_once(room: Room) -> None:
    run = _started(room)
    asked = cast("str", room.propose("t1", "git push", run_id=run.run_id)["handoff_id"])
    room.decide(asked)
    paused = room.engine.runs.paused(RUNNER, run.run_id, run.epoch, Pause(waiting_on=(asked,)))
    assert paused["status"] == "ready"


def test_a_paused_run_goes_on_when_its_case_expires(room: Room) -> None:
    run = _started(room)
    asked = cast("str", room.propose("t1", "git push", run_id=run.run_id)["handoff_id"])
    room.engine.runs.paused(RUNNER, run.run_id, run.epoch, Pause(waiting_on=(asked,)))
    room.clock.move(90_000)
    room.engine.sweep()
    assert _state(room, run.run_id).status is RunStatus.READY


@pytest.mark.parametrize("first", ["decide", "pause"])
def test_a_decision_and_a_pause_at_the_same_moment_leave_the_run_ready(
    rooms: Room, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read before either writes: the slower one must notice the faster one."""
    run = _started(rooms)
    asked = cast("str", rooms.propose("t1", "git push", run_id=run.run_id)["handoff_id"])
    seen = rooms.handoff(asked).presented_digest
    both_read, first_wrote = threading.Barrier(2), threading.Event()
    store = rooms.engine.kernel.store
    commit = store.commit
    waited = threading.local()

    def meet(write: WriteSet) -> Committed:
        if not getattr(waited, "done", False):
            waited.done = True
            both_read.wait(20)
            if threading.current_thread().name != first:
                first_wrote.wait(20)
        try:
            return commit(write)
        finally:
            if threading.current_thread().name == first:
                first_wrote.set()

    monkeypatch.setattr(store, "commit", meet)
    waiting = Pause(waiting_on=(asked,))
    work = {
        "decide": lambda: rooms.decide(asked, presented_digest=seen),
        "pause": lambda: rooms.engine.runs.paused(RUNNER, run.run_id, run.epoch, waiting),
    }
    threads = [threading.Thread(target=act, name=name) for name, act in work.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    monkeypatch.undo()
    assert rooms.handoff(asked).decision is not None
    assert _state(rooms, run.run_id).status is RunStatus.READY


def test_an_end_withdraws_what_waits_and_closes_the_task(room: Room) -> None:
    run = _started(room)
    asked = room.propose("t1", "git push", run_id=run.run_id)
    room.engine.runs.exited(RUNNER, run.run_id, run.epoch, Exit(1, cost_usd="0.25", turns=3))
    ended = room.engine.runs.ended(RUNNER, run.run_id, run.epoch, RunOutcome.FAILED)
    assert room.engine.runs.ended(RUNNER, run.run_id, run.epoch, RunOutcome.MERGED) == ended
    assert room.handoff(asked["handoff_id"]).status is Status.WITHDRAWN
    outcome = room.engine.kernel.state(Task, run.task_id).outcome
    assert outcome is not None
    assert outcome.value == "failed"


def test_work_that_was_not_merged_may_be_delegated_again_and_merged_work_not(room: Room) -> None:
    run = _started(room)
    again = NewRun(run.task_id, room.agent_id, "none", ("x",))
    room.engine.runs.ended(RUNNER, run.run_id, run.epoch, RunOutcome.FAILED)
    second = room.engine.runs.create(OPERATOR, again)["run_id"]
    assert room.engine.kernel.state(Task, run.task_id).outcome is None
    room.engine.runs.ended(RUNNER, cast("str", second), None, RunOutcome.MERGED)
    with pytest.raises(InvalidTransition, match="is closed: merged"):
        room.engine.runs.create(OPERATOR, again)


@pytest.mark.parametrize("cost", ["-1", "NaN", "Infinity", "1e9", "1,5", "\u00b2", "1." + "0" * 50])
def test_a_cost_that_is_no_amount_is_refused(room: Room, cost: str) -> None:
    run = _started(room)
    with pytest.raises(UsageError, match="cost_usd"):
        room.engine.runs.exited(RUNNER, run.run_id, run.epoch, Exit(0, cost_usd=cost))


def test_costs_add_up_exactly(room: Room) -> None:
    run = _started(room)
    for start in range(3):
        again = AgentStarted(RunId(run.run_id), run.epoch, 10 + start, 20, "boot")
        room.engine.runs.started(RUNNER, again)
        for _ in range(2):  # a repeat after a lost answer counts nothing twice
            room.engine.runs.exited(RUNNER, run.run_id, run.epoch, Exit(0, cost_usd="0.1", turns=2))
    state = _state(room, run.run_id)
    assert (state.cost_usd, state.turns) == ("0.3", 6)


def test_an_agent_that_never_started_is_not_a_failure_of_the_work(room: Room) -> None:
    room.queued_run()
    run = _leased(room)
    room.engine.runs.never_started(RUNNER, run.run_id, run.epoch, "no such program", "not found")
    assert _state(room, run.run_id).outcome is RunOutcome.NEVER_STARTED


def test_runs_need_a_task_and_an_active_agent(room: Room) -> None:
    with pytest.raises(NotFound):
        room.engine.runs.create(OPERATOR, NewRun("task_none", room.agent_id, "none", ("x",)))
    run_id = room.queued_run()
    task_id = _state(room, run_id).task_id
    with pytest.raises(NotFound, match="not registered"):
        room.engine.runs.create(OPERATOR, NewRun(task_id, "ag_none", "none", ("x",)))
    room.engine.agents.suspend(OPERATOR, room.agent_id, "odd")
    with pytest.raises(NotPermitted):
        room.engine.runs.create(OPERATOR, NewRun(task_id, room.agent_id, "none", ("x",)))


def test_a_gap_is_recorded(room: Room) -> None:
    room.engine.runs.gap(Actor("runner", "r", "token"), room.run_id, "hook-missed", "x" * 600)
    assert _state(room, room.run_id).counts.gaps == 1
