"""Registered runners: who may take which run, which process of theirs counts, what they give back."""

from typing import cast

import pytest

from handfast.core.domain.errors import (
    InvalidTransition,
    NotFound,
    NotPermitted,
    StaleEpoch,
    UsageError,
)
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_work import AgentStarted, Mode, RunLeased
from handfast.core.domain.ids import RunId
from handfast.core.domain.run import Run, RunStatus
from handfast.engine.leasing import Kept, Seat
from handfast.engine.runners import NewRunner, Process
from handfast.engine.runs import NewRun, Session
from handfast.storage.api import Query, StateRow
from tests.engine_room import OPERATOR, RUNNER, Room, parallel


def _seat(room: Room, name: str, **terms: tuple[str, ...]) -> Seat:
    """A process of a new runner."""
    added = room.engine.runners.add(OPERATOR, NewRunner(name, **terms))
    return _again(room, cast("str", added["runner_id"]))


def _again(room: Room, runner_id: str) -> Seat:
    begun = room.engine.runners.start(RUNNER, runner_id, Process("host", 1, "1", 2))
    return Seat(runner_id, "host", cast("int", begun["instance"]))


def _labelled(room: Room, *labels: str) -> str:
    first = room.engine.kernel.state(Run, room.queued_run())
    new = NewRun(first.task_id, room.agent_id, "none", ("agent", "go"), labels=labels)
    run = cast("str", room.engine.runs.create(OPERATOR, new)["run_id"])
    taken = room.engine.runs.lease(RUNNER, "rid", "host")
    assert taken is not None
    assert taken.run_id == first.run_id
    return run


def _take(room: Room, seat: Seat) -> str:
    run = room.engine.runs.leasing.lease(RUNNER, seat)
    return run.run_id if run else ""


def test_a_run_goes_only_to_a_runner_with_all_its_labels(room: Room) -> None:
    run_id = _labelled(room, "gpu", "net=prod")
    assert _take(room, Seat("unknown", "host")) == ""
    assert _take(room, _seat(room, "one", labels=("gpu",))) == ""
    assert _take(room, _seat(room, "both", labels=("net=prod", "gpu", "x"))) == run_id


@pytest.mark.parametrize(
    ("terms", "takes"),
    [
        ({}, True),
        ({"repositories": ("/repo",)}, True),
        ({"repositories": ("https://*", "/re*")}, True),
        ({"repositories": ("https://*",)}, False),
        ({"agents": ("claude",)}, True),
        ({"agents": ("other",)}, False),
    ],
)
def test_a_runner_takes_what_it_may(
    room: Room, terms: dict[str, tuple[str, ...]], takes: bool
) -> None:
    room.engine.agents.add(OPERATOR, "other", "none")
    known = {a["name"]: a for a in room.engine.views.agents()}
    mine = next(str(name) for name, a in known.items() if a["agent_id"] == room.agent_id)
    agents = tuple(mine if name == "claude" else name for name in terms.get("agents", ()))
    run_id = room.queued_run()
    seat = _seat(room, "one", **{**terms, **({"agents": agents} if agents else {})})
    assert _take(room, seat) == (run_id if takes else "")


def test_many_runners_get_each_run_once_with_one_epoch(rooms: Room) -> None:
    runs = {rooms.queued_run() for _ in range(4)}
    seats = [_seat(rooms, f"r{n}") for n in range(6)]
    got = [run for run in parallel(lambda n: _take(rooms, seats[n]), 6) if run]
    assert sorted(got) == sorted(runs)
    for run_id in runs:
        rows = rooms.engine.kernel.store.events(stream=f"run/{run_id}")
        leases = [e for row in rows if isinstance(e := from_bytes(row.data).event, RunLeased)]
        assert [e.epoch for e in leases] == [1]


def test_a_new_process_takes_the_runs_of_the_one_before_at_once(room: Room) -> None:
    run_id = room.queued_run()
    first = _seat(room, "one")
    assert _take(room, first) == run_id
    second = _again(room, first.runner_id)
    assert _take(room, _seat(room, "another")) == "", "its lease holds against everybody else"
    with pytest.raises(StaleEpoch):
        _take(room, first)
    with pytest.raises(StaleEpoch):
        room.engine.runners.heartbeat(first.runner_id, first.instance)
    assert _take(room, second) == run_id
    assert room.engine.kernel.state(Run, run_id).epoch == 2
    assert not room.engine.runs.heartbeat(run_id, 1)


def test_a_run_given_back_is_free_at_once_and_not_offered_to_who_declined_it(room: Room) -> None:
    run_id = room.queued_run()
    first, second = _seat(room, "one"), _seat(room, "two")
    assert _take(room, first) == run_id
    leasing = room.engine.runs.leasing
    leasing.release(RUNNER, run_id, 1, "not here")
    assert room.engine.kernel.state(Run, run_id).status is RunStatus.QUEUED
    declined = Seat(first.runner_id, "host", first.instance, frozenset({run_id}))
    assert _take(room, declined) == ""
    assert _take(room, second) == run_id
    with pytest.raises(StaleEpoch):
        leasing.release(RUNNER, run_id, 1, "again")
    started = AgentStarted(RunId(run_id), 2, 10, 20, "boot", "/trees/1")
    room.engine.runs.started(RUNNER, started)
    assert room.engine.kernel.state(Run, run_id).seat == second.runner_id
    leasing.release(RUNNER, run_id, 2, "stops", Kept("refs/x/1", "c" * 40, b"session"))
    run = room.engine.kernel.state(Run, run_id)
    assert (run.status, run.snapshot_commit, run.process) == (RunStatus.READY, "c" * 40, None)
    assert run.session is not None


def test_a_retired_runner_is_refused_and_its_runs_are_free(room: Room) -> None:
    run_id = room.queued_run()
    added = room.engine.runners.add(OPERATOR, NewRunner("one"))
    token, runner_id = cast("str", added["token"]), cast("str", added["runner_id"])
    assert room.engine.access.principal(token).id == runner_id
    seat = _again(room, runner_id)
    assert _take(room, seat) == run_id
    done = room.engine.runners.retire(OPERATOR, runner_id, "sold")
    assert done["runs"] == [run_id]
    with pytest.raises(NotPermitted):
        room.engine.access.principal(token)
    with pytest.raises(NotPermitted):
        _take(room, seat)
    with pytest.raises(NotPermitted):
        room.engine.runners.start(RUNNER, runner_id, Process("host", 2))
    assert _take(room, _seat(room, "two")) == run_id
    assert room.engine.runners.add(OPERATOR, NewRunner("one"))["runner_id"] != runner_id


def test_a_new_token_ends_the_one_before(room: Room) -> None:
    added = room.engine.runners.add(OPERATOR, NewRunner("one"))
    issued = room.engine.runners.issue(OPERATOR, cast("str", added["runner_id"]))
    with pytest.raises(NotPermitted):
        room.engine.access.principal(cast("str", added["token"]))
    found = room.engine.access.principal(cast("str", issued["token"]))
    assert found.runner_id == added["runner_id"]


def test_the_list_says_what_each_runner_does(room: Room) -> None:
    def states() -> list[object]:
        return [r["state"] for r in room.engine.runners.all()]

    room.engine.runners.add(OPERATOR, NewRunner("one"))
    seat = _seat(room, "two")
    assert states() == ["never started", "idle"]
    run_id = room.queued_run()
    _take(room, seat)
    assert room.engine.runners.all()[1]["runs"] == [run_id]
    room.clock.move(5)
    room.engine.runners.heartbeat(seat.runner_id, seat.instance)
    room.clock.move(5)
    assert states() == ["never started", "working"]
    room.clock.move(5)
    assert states() == ["never started", "silent"]
    room.engine.runners.stop(RUNNER, seat.runner_id, seat.instance, "told to")
    assert states() == ["never started", "stopped"]


def test_a_runner_without_a_token_of_its_own_keeps_its_name(room: Room) -> None:
    first = room.engine.runners.start(RUNNER, "", Process("host", 1, name="laptop 1"))
    again = room.engine.runners.start(RUNNER, "", Process("host", 2, name="laptop 1"))
    assert again["runner_id"] == first["runner_id"]
    assert (first["instance"], again["instance"]) == (1, 2)


def test_a_start_that_arrives_twice_is_one_process(room: Room) -> None:
    runners, process = room.engine.runners, Process("host", 1, name="laptop 1")
    first = runners.start(RUNNER, "", process, request_key="k1")
    assert runners.start(RUNNER, "", process, request_key="k1") == first
    runners.heartbeat(str(first["runner_id"]), int(str(first["instance"])))
    assert runners.start(RUNNER, "", process, request_key="k2")["instance"] == 2
    with pytest.raises(InvalidTransition):
        runners.start(RUNNER, "", Process("host", 9, name="laptop 1"), request_key="k1")


def test_what_cannot_be_is_refused(room: Room) -> None:
    runners = room.engine.runners
    runners.add(OPERATOR, NewRunner("one"))
    with pytest.raises(InvalidTransition, match="named"):
        runners.add(OPERATOR, NewRunner("one"))
    with pytest.raises(NotFound, match="agent"):
        runners.add(OPERATOR, NewRunner("two", agents=("nobody",)))
    for new in (NewRunner(""), NewRunner("x", labels=("a b",)), NewRunner("x", repositories=("",))):
        with pytest.raises(UsageError):
            runners.add(OPERATOR, new)
    with pytest.raises(NotFound):
        runners.start(RUNNER, "rn_none", Process("host", 1))


def test_sessions_of_people_are_in_no_runners_way(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some never say that they ended. A dead runner's run is found behind any number of them."""
    for n in range(70):
        session = Session(room.agent_id, "claude-code", f"old-{n}", "/work", Mode.ENFORCE)
        room.engine.runs.session(RUNNER, session)
    run_id = room.queued_run()
    first = room.engine.runs.lease(RUNNER, "dead", "host")
    assert first is not None
    room.clock.move(60)
    store = room.engine.kernel.store
    pages: list[int] = []

    def find(query: Query) -> list[StateRow]:
        rows = type(store).find(store, query)
        pages.append(len(rows))
        return rows

    monkeypatch.setattr(store, "find", find)
    second = room.engine.runs.lease(RUNNER, "next", "host")
    assert second is not None
    assert (second.run_id, second.epoch) == (run_id, first.epoch + 1)
    assert room.engine.runs.lease(RUNNER, "one-more", "host") is None
    assert max(pages) <= 50
    assert len(pages) <= 12, "a look ends where the sessions begin"
