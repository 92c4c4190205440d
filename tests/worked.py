"""A run of a task whose calls a test records one by one, and hands over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.package import Evidence, Package, ReviewedWork
from handfast.engine.actions import StepResult
from handfast.engine.effects import open_package
from handfast.engine.gating import Proposal
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import NewRun, Pause
from handfast.engine.tasks import NewTask
from tests.engine_room import OPERATOR, RUNNER, Room

PASSED = "3 passed in 0.10s"
SOURCE, TEST = ChangedFile("src/a.py", status="M"), ChangedFile("tests/test_a.py", status="M")


@dataclass
class Work:
    """A run of a task with a brief, whose calls a test records one by one."""

    room: Room
    run_id: str
    epoch: int
    made: int = 0
    by: Actor = field(default_factory=lambda: RUNNER)

    def call(self, tool: str, effect: Effect, arguments: dict[str, str], cwd: str = ".") -> str:
        self.made += 1
        key, call = f"k{self.made}", Call(tool, dict(arguments), cwd)
        facts = Facts(effect, f"{tool} {next(iter(arguments.values()))}"[:100])
        self.room.engine.actions.propose(self.by, Proposal(self.run_id, key, call, facts))
        return key

    def bash(
        self, command: str, code: int | None = 0, output: str = PASSED, cwd: str = ".", ms: int = 0
    ) -> None:
        output = "" if code and output == PASSED else output
        key = self.call("Bash", Effect.EXEC, {"command": command}, cwd)
        self.room.engine.actions.record_result(
            self.by,
            StepResult(self.run_id, key, code, failed=bool(code), duration_ms=ms, output=output),
        )
        self.room.clock.move(1)

    def edit(self, path: str = "src/a.py") -> None:
        key = self.call("Edit", Effect.WRITE, {"file_path": path})
        self.room.engine.actions.record_result(self.by, StepResult(self.run_id, key))
        self.room.clock.move(1)

    def hand_over(self, says: str = "", *given: Any, **more: Any) -> tuple[Evidence, ...]:
        return self.package(self.handed(says, *given, **more)).evidence

    def handed(
        self,
        says: str = "",
        changes: Sequence[ChangedFile] = (SOURCE,),
        written_at: datetime | None = None,
        *,
        returns: bool = False,
        head: str = "b",
        since: tuple[str, str] = ("", ""),
    ) -> Handoff:
        """The review of what was done so far."""
        work = ReviewedWork("a" * 40, head * 40, "main", files=tuple(c.path for c in changes))
        facts = ReviewFacts(
            work,
            "diff",
            1,
            0,
            agent_says=says,
            changes=tuple(changes),
            written_at=written_at,
            since_commit=since[0] * 40,
            since_diff=since[1],
        )
        done = FinishedWork(self.run_id, self.epoch, facts, Pause(), returns=returns)
        return self.room.handoff(self.room.engine.reviews.open(RUNNER, done)["handoff_id"])

    def package(self, handoff: Handoff) -> Package:
        return open_package(self.room.engine.kernel, handoff)

    def again(self) -> None:
        """The run goes on under a new lease."""
        run = self.room.engine.runs.lease(RUNNER, "runner-1", "host")
        assert run is not None
        assert run.run_id == self.run_id
        self.epoch = run.epoch


def begun(room: Room, *acceptance: str) -> Work:
    """A run of a new task with these criteria, leased."""
    brief = Brief("Fix the build", acceptance)
    task = room.engine.tasks.create(OPERATOR, NewTask(brief, "/repo", "main", "0" * 40))
    return another_run(room, cast("str", task["task_id"]))


def another_run(room: Room, task_id: str) -> Work:
    """One more run of a task, leased."""
    new = NewRun(task_id, room.agent_id, "none", ("agent", "go"))
    run_id = cast("str", room.engine.runs.create(OPERATOR, new)["run_id"])
    run = room.engine.runs.lease(RUNNER, "runner-1", "host")
    assert run is not None
    assert run.run_id == run_id
    return Work(room, run_id, run.epoch)
