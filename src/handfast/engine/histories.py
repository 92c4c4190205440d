"""A run as it was: its events one by one, and the state that any of them led to."""

from dataclasses import dataclass
from typing import cast

from handfast.core.domain.errors import NotFound
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_work import StepJudged
from handfast.core.domain.run import Run
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result
from handfast.engine.projections import BY_NAME, load
from handfast.engine.trail import Trail

WINDOW = 40
_PAGE = 500
_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class RunThen:
    """`at` of `last` events; `state` is the run as `Views.run_summary` gives it, `entries` those around."""

    at: int
    last: int
    state: Result
    entries: list[Result]


def run_then(engine: Engine, run_id: str, at: int = 0) -> RunThen:
    """The run after its first `at` events (0, or more than there are: all of them), folded from the log.

    Raises NotFound, IntegrityError.
    """
    stream = f"run/{run_id}"
    row = engine.kernel.store.load(stream)
    if row is None:
        raise NotFound(f"there is no run `{run_id[:80]}`")
    last = row.version
    at = min(at, last) if at > 0 else last
    folded = engine.kernel.snapshots.state_at(stream, at)
    state = cast("Run", load(BY_NAME["run"], folded.doc))
    first = max(0, min(at - WINDOW // 2, last - WINDOW))
    rows = engine.kernel.store.events(stream=stream, after=first, limit=WINDOW)
    trail = Trail(engine.kernel, engine.people, engine.views)
    entries = [trail.entry(each) for each in rows]
    return RunThen(at, last, engine.views.run_summary(state), entries)


def version_of_step(engine: Engine, run_id: str, step_id: str) -> int:
    """The place of a step in its run, 0 when it is not among the first 20,000 calls."""
    after = 0
    stream = f"run/{run_id}"
    for _ in range(_LOOKED_AT // _PAGE):
        rows = engine.kernel.store.events(
            stream=stream, after=after, limit=_PAGE, types=("step.judged",)
        )
        for row in rows:
            event = from_bytes(row.data).event
            if isinstance(event, StepJudged) and event.step_id == step_id:
                return row.version
        if len(rows) < _PAGE:
            return 0
        after = rows[-1].version
    return 0
