"""Finished work whose change is as large as one likes, waiting for review."""

from typing import cast

from handfast.core.domain.brief import Brief
from handfast.core.domain.events import Actor
from handfast.core.domain.package import ReviewedWork
from handfast.engine.facade import Engine
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import NewRun, Pause
from handfast.engine.tasks import NewTask

OPERATOR, RUNNER = Actor("operator", "operator", "token"), Actor("runner", "runner", "token")
LINES_OF_FILE = 100


def large_diff(lines: int) -> str:
    """A well-formed diff that adds and removes so many lines of Python, 100 in each file."""
    parts = []
    for number in range(lines // LINES_OF_FILE):
        half = LINES_OF_FILE // 2
        old = [f"-    total_{n} = sum(line.amount for line in lines_{n})" for n in range(half)]
        new = [
            f"+    total_{n} = sum(round(line.amount, 2) for line in lines_{n})"
            for n in range(half)
        ]
        name = f"src/shop/module_{number}.py"
        head = [
            f"diff --git a/{name} b/{name}",
            f"--- a/{name}",
            f"+++ b/{name}",
            f"@@ -1,{half} +1,{half} @@",
        ]
        parts += [*head, *old, *new]
    return "\n".join(parts) + "\n"


def reviewed(engine: Engine, lines: int) -> str:
    """The id of the case."""
    agents = engine.views.agents()
    task = engine.tasks.create(
        OPERATOR, NewTask(Brief("Round totals"), "/srv/shop", "main", "0" * 40)
    )
    new = NewRun(cast("str", task["task_id"]), str(agents[0]["agent_id"]), "none", ("agent", "go"))
    run_id = cast("str", engine.runs.create(OPERATOR, new)["run_id"])
    # Another run may be queued, or have lost its runner.
    while (run := engine.runs.lease(RUNNER, "runner-1", "host")) and run.run_id != run_id:
        pass
    assert run is not None
    files = tuple(f"src/shop/module_{n}.py" for n in range(lines // LINES_OF_FILE))
    work = ReviewedWork("a" * 40, "b" * 40, "main", files=files)
    facts = ReviewFacts(work, large_diff(lines), lines // 2, lines // 2)
    opened = engine.reviews.open(RUNNER, FinishedWork(run_id, run.epoch, facts, Pause()))
    return cast("str", opened["handoff_id"])
