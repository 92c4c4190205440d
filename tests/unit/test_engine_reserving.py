"""The parts of a task spend no more than the whole: reserved while open, what was used when they have ended."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from handfast.app import open_engine
from handfast.core.domain.brief import Brief, Budget
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events_work import RunOutcome
from handfast.core.domain.limit_facts import Reported
from handfast.core.domain.task import Task
from handfast.engine.facade import Engine
from handfast.engine.tasks import NewTask
from tests.engine_room import OPERATOR, RUNNER, Room, parallel
from tests.worked import Work, another_run

WHOLE = Brief("Make the shop faster", budget=Budget("10.00", 100))


def made(engine: Engine, brief: Brief, parent: str = "") -> str:
    new = NewTask(brief, "/repo", "main", "0" * 40, parent=parent)
    return cast("str", engine.tasks.create(OPERATOR, new)["task_id"])


def part(room: Room, whole: str, cost: str = "", calls: int = 0) -> str:
    return made(room.engine, Brief("A part", budget=Budget(cost, calls)), whole)


def given(room: Room, task_id: str) -> Budget:
    return room.engine.tasks.brief(room.engine.kernel.state(Task, task_id)).budget


def refused(room: Room, whole: str, cost: str = "", calls: int = 0) -> dict[str, object]:
    before = room.types()
    with pytest.raises(UsageError, match="more than is left of the parent's") as error:
        part(room, whole, cost, calls)
    assert error.value.code == "beyond_what_is_left"
    assert room.types() == before
    return dict(error.value.details)


def spent(work: Work, cost: str, calls: int, outcome: RunOutcome = RunOutcome.FAILED) -> None:
    """The run makes its calls, tells its cost and ends."""
    for _ in range(calls):
        work.bash("true")
    work.room.engine.limits.report(RUNNER, work.run_id, Reported(cost_usd=cost))
    work.room.engine.runs.ended(RUNNER, work.run_id, None, outcome)


def test_the_parts_of_a_task_reserve_its_budget(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    part(room, whole, "6", 50)
    assert refused(room, whole, "4.01", 10) == {"field": "budget.cost_usd", "left": "4"}
    assert refused(room, whole, "4", 51) == {"field": "budget.tool_calls", "left": "50"}
    part(room, whole, "4", 49)
    assert refused(room, whole, calls=1) == {"field": "budget.cost_usd", "left": "0"}
    room.check()


def test_a_task_says_what_is_left_for_one_more_part(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    assert room.engine.views.task(whole)["left"] == {}
    first = part(room, whole, "2.50", 30)
    assert room.engine.views.task(whole)["left"] == {"cost_usd": "7.5", "tool_calls": "70"}
    spent(another_run(room, first), "1", 3)
    assert room.engine.views.task(whole)["left"] == {"cost_usd": "9", "tool_calls": "97"}


def test_what_a_part_leaves_open_is_all_that_is_left(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    part(room, whole, "2.50", 30)
    rest = part(room, whole)
    assert given(room, rest) == Budget("7.5", 70)
    assert refused(room, whole)["left"] == "0"


def test_a_part_that_ended_counts_with_what_it_used(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    first = part(room, whole, "6", 60)
    part(room, whole, "4", 40)
    spent(another_run(room, first), "1.50", 3)
    assert given(room, part(room, whole)) == Budget("4.5", 57)


def test_what_nobody_told_counts_as_all_that_was_given(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    work = another_run(room, part(room, whole, "6", 60))
    room.engine.runs.ended(RUNNER, work.run_id, None, RunOutcome.FAILED)
    assert refused(room, whole, "5", 1) == {"field": "budget.cost_usd", "left": "4"}


def test_a_part_that_ended_reserves_again_when_it_is_delegated_again(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    first = part(room, whole, "6", 60)
    spent(another_run(room, first), "5", 3)
    second = part(room, whole, "1", 10)
    with pytest.raises(UsageError, match="`6` is asked for and `4` of `10` is left"):
        another_run(room, first)
    assert room.engine.kernel.state(Task, first).outcome
    spent(another_run(room, second), "0.25", 1)
    another_run(room, second)
    assert refused(room, whole, "3.76", 1)["left"] == "3.75"


def test_a_part_of_a_part_is_within_the_part(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    middle = part(room, whole, "5", 50)
    part(room, middle, "5", 10)
    assert refused(room, middle, "0.01", 1)["left"] == "0"
    part(room, whole, "5", 50)


def test_without_a_bound_nothing_is_reserved(room: Room) -> None:
    whole = made(room.engine, Brief("x", budget=Budget(tool_calls=10)))
    part(room, whole, "900", 5)
    assert given(room, part(room, whole, "900", 5)).cost_usd == "900"


def test_a_check_of_a_brief_reserves_nothing(room: Room) -> None:
    whole = made(room.engine, WHOLE)
    new = NewTask(Brief("A part"), "/repo", "main", "0" * 40, parent=whole)
    for _ in range(2):
        assert room.engine.tasks.check(new).budget == WHOLE.budget


@pytest.fixture
def servers(rooms: Room) -> Iterator[list[Engine]]:
    """Four servers on one database."""
    with ExitStack() as stack:
        found = [rooms.engine]
        for _ in range(3):
            engine = open_engine(rooms.engine.database, rooms.home, rooms.clock)
            stack.callback(engine.close)
            found.append(engine)
        yield found


def test_of_parts_made_at_once_by_several_servers_those_that_fit_are_made(
    rooms: Room, servers: list[Engine]
) -> None:
    whole = made(rooms.engine, WHOLE)

    def one(n: int) -> str:
        try:
            return made(servers[n % 4], Brief("A part", budget=Budget("4", 10)), whole)
        except UsageError as error:
            return error.code

    told = parallel(one, 8)
    assert sorted(told).count("beyond_what_is_left") == 6
    assert set(rooms.engine.kernel.state(Task, whole).parts) == {t for t in told if "task_" in t}


def test_a_part_made_while_another_is_delegated_again_fits_beside_it(
    rooms: Room, servers: list[Engine], tmp_path: Path
) -> None:
    whole = made(rooms.engine, WHOLE)
    first = part(rooms, whole, "6", 60)
    spent(another_run(rooms, first), "0", 0)

    def one(n: int) -> bool:
        try:
            if n % 2:
                made(servers[n % 4], Brief("A part", budget=Budget("6", 10)), whole)
            else:
                another_run(
                    Room(servers[n % 4], rooms.clock, tmp_path, rooms.me, rooms.agent_id, ""), first
                )
        except UsageError:
            return False
        return True

    parallel(one, 2)
    state = rooms.engine.kernel.state(Task, whole)
    held = [rooms.engine.kernel.state(Task, t).outcome is None for t in state.parts]
    assert sum(held) == 1
