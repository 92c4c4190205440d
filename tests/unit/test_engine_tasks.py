"""Tasks that are parts of other tasks, the brief as a gate, and the ledger of what was tried."""

from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief, Budget, Scope
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.errors import InvalidTransition, NotFound, UsageError
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import RunOutcome
from handfast.core.domain.task import Task
from handfast.engine.gating import Proposal
from handfast.engine.tasks import NewTask
from tests.engine_room import OPERATOR, RUNNER, Room
from tests.worked import Work, another_run, begun

WIDE = Brief(
    "Make the shop faster",
    non_goals=("no new dependency",),
    scope=Scope(("src/**", "tests/**"), ("Bash", "Edit"), ("local",)),
    budget=Budget("10.00", 100, 0, 0, 3600),
    contacts=("ana",),
)


def made(room: Room, brief: Brief, parent: str = "", repository: str = "/repo") -> str:
    new = NewTask(brief, repository, "main", "0" * 40, parent=parent)
    return cast("str", room.engine.tasks.create(OPERATOR, new)["task_id"])


def brief_of(room: Room, task_id: str) -> Brief:
    return room.engine.tasks.brief(room.engine.kernel.state(Task, task_id))


def test_a_part_of_a_task_takes_what_it_leaves_open_from_the_whole(room: Room) -> None:
    whole = made(room, WIDE)
    part = made(room, Brief("Cache the prices", ("it is fast",), ("no API change",)), whole)
    task = room.engine.kernel.state(Task, part)
    assert task.parent == whole
    found = brief_of(room, part)
    assert (found.scope, found.budget, found.contacts) == (WIDE.scope, WIDE.budget, ("ana",))
    assert found.non_goals == ("no new dependency", "no API change")
    assert found.acceptance == ("it is fast",)
    narrow = Brief("One file", scope=Scope(("src/price.py",)), budget=Budget("1", 5))
    deeper = brief_of(room, made(room, narrow, part))
    assert deeper.scope.paths == ("src/price.py",)
    assert deeper.budget == Budget("1", 5, 0, 0, 3600)
    assert deeper.non_goals == found.non_goals


@pytest.mark.parametrize(
    ("brief", "field"),
    [
        (Brief("x", scope=Scope(("docs/**",))), "scope.paths"),
        (Brief("x", scope=Scope(("src/a", "**"))), "scope.paths"),
        (Brief("x", scope=Scope(tools=("WebFetch",))), "scope.tools"),
        (Brief("x", scope=Scope(environments=("production",))), "scope.environments"),
        (Brief("x", budget=Budget("10.01")), "budget.cost_usd"),
        (Brief("x", budget=Budget(tool_calls=101)), "budget.tool_calls"),
        (Brief("x", budget=Budget(wall_s=3601)), "budget.wall_s"),
    ],
)
def test_a_wider_part_is_refused_with_the_field_named(room: Room, brief: Brief, field: str) -> None:
    whole = made(room, WIDE)
    before = room.types()
    with pytest.raises(UsageError, match=f"`{field}` is wider than the parent's") as refused:
        made(room, brief, whole)
    assert (refused.value.code, refused.value.details["field"]) == ("wider_than_parent", field)
    assert room.types() == before


def test_a_part_stays_in_the_repository_of_an_open_whole(room: Room) -> None:
    whole = made(room, WIDE)
    with pytest.raises(UsageError, match="`repository` is wider"):
        made(room, Brief("x"), whole, "/other")
    with pytest.raises(NotFound):
        made(room, Brief("x"), "task_nowhere")
    work = another_run(room, whole)
    room.engine.runs.ended(RUNNER, work.run_id, work.epoch, RunOutcome.FAILED)
    with pytest.raises(InvalidTransition, match="is closed"):
        made(room, Brief("x"), whole)


def proposed(work: Work, tool: str, effect: Effect, *paths: str) -> dict[str, object]:
    work.made += 1
    changes = tuple(ChangedFile(path) for path in paths)
    facts = Facts(effect, f"{tool} {paths}", paths=paths, changes=changes, reversible=True)
    call = Call(tool, {"file_path": " ".join(paths)})
    proposal = Proposal(work.run_id, f"k{work.made}", call, facts)
    return work.room.engine.actions.propose(RUNNER, proposal)


def test_the_scope_of_the_brief_is_a_gate(room: Room) -> None:
    work = another_run(room, made(room, WIDE))
    assert proposed(work, "Edit", Effect.WRITE, "src/a.py")["verdict"] == "allow"
    left = proposed(work, "Edit", Effect.WRITE, "src/a.py", "docs/b.md")
    assert left["verdict"] == "wait"
    h = room.engine.views.handoff(cast("str", left["handoff_id"]))
    assert cast("list[str]", h["rules"])[-1] == "outside-the-brief"
    assert "(`src/**`, `tests/**`): `docs/b.md`" in cast("str", h["why_now"])
    other = proposed(work, "Write", Effect.WRITE, "src/a.py")
    assert (other["verdict"], "other tools only" in str(other["reason"])) == ("wait", True)
    assert proposed(work, "WebFetch", Effect.READ)["verdict"] == "allow"


def test_without_a_scope_the_brief_gates_nothing(room: Room) -> None:
    assert proposed(begun(room), "Edit", Effect.WRITE, "anywhere")["verdict"] == "allow"


def tried(room: Room, task_id: str) -> list[tuple[str, str, str]]:
    found = cast("list[dict[str, str]]", room.engine.views.task(task_id)["attempts"])
    return [(a["tried"], a["outcome"], a["why"]) for a in found]


def test_what_was_tried_survives_a_second_delegation(room: Room) -> None:
    first = begun(room)
    task_id = first.handed("Done.").task_id
    (review,) = room.engine.views.handoffs(run_id=first.run_id).items
    room.decide(review["handoff_id"], DecisionKind.REQUEST_CHANGES, reason="the cache never ends")
    first.again()
    h = first.handed("Done again.", head="c")
    assert [a.why for a in first.package(h).attempts] == ["the cache never ends"]
    room.decide(h.handoff_id, DecisionKind.REJECT, reason="wrong approach")
    room.engine.runs.ended(RUNNER, first.run_id, None, RunOutcome.REJECTED)
    second = another_run(room, task_id)
    told = cast("list[dict[str, str]]", room.engine.views.run(second.run_id)["attempts"])
    assert [(a["outcome"], a["why"]) for a in told] == [
        ("changes requested", "the cache never ends"),
        ("refused", "wrong approach"),
    ]
    assert {a["run_id"] for a in told} == {first.run_id}
    again = second.handed("Another way.", head="d")
    assert [a.why for a in second.package(again).attempts][-1] == "wrong approach"
    part = made(room, Brief("A part"), task_id)
    assert tried(room, part) == tried(room, task_id)


def test_a_run_that_never_started_is_an_attempt(room: Room) -> None:
    work = begun(room)
    task_id = room.engine.views.run(work.run_id)["task_id"]
    room.engine.runs.never_started(RUNNER, work.run_id, work.epoch, "no such program", "")
    assert tried(room, cast("str", task_id)) == [
        ("A run by claude, 0 calls", "never started", "no such program")
    ]


def test_work_that_comes_again_says_what_differs_from_what_was_sent_back(room: Room) -> None:
    work = begun(room)
    first = work.handed("Done.")
    room.decide(first.handoff_id, DecisionKind.REQUEST_CHANGES, reason="bound the cache")
    work.again()
    second = work.handed("Done again.", head="c", since=("b", "+bounded"))
    since = work.package(second).since
    assert since is not None
    assert (since.handoff_id, since.reason, since.diff) == (
        first.handoff_id,
        "bound the cache",
        "+bounded",
    )
    room.decide(second.handoff_id, DecisionKind.REQUEST_CHANGES, reason="and test it")
    work.again()
    other = work.handed("And again.", head="d", since=("b", "not since the last one"))
    assert work.package(other).since is None
