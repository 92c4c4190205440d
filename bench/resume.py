"""Resuming a run of many recorded steps in a fresh engine, and the same state rebuilt from the log alone."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.engine import OPERATOR, RUNNER, open_bench
from bench.figures import Figure, Room, at_most
from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import AgentStarted, StepFinished, StepJudged
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import RunId, StepId
from handfast.core.domain.run import Run
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.handoffs import Decision
from handfast.engine.kernel import Result, Unit
from handfast.engine.runs import NewRun, Pause
from handfast.engine.tasks import NewTask

BATCH = 500
PUSH = Call("Bash", {"command": "git push origin main"})
PUSHES = Facts(Effect.NETWORK, "pushes main to origin", hazards=("git.push",))


LIMITS_MS = {1_000: 50.0, 100_000: 300.0}
MEANS = {
    "engine opened": "a process that has imported everything opens the engine: schema, keys, first reads",
    "loaded": "run, brief, decided handoff with its grant and the policies in force, read in a fresh engine",
    "loaded and taken": "the same, and the lease: one commit",
    "state rebuilt from its newest snapshot": "the state made again from the newest snapshot that fits the log and the events after it",
    "state rebuilt from the whole log": "every event of the run folded again, and compared with the stored state",
    "events folded": "the rate of that",
}


def figures(room: Room) -> Iterator[Figure]:
    """A run taken up again, and its state rebuilt, with many recorded steps behind it."""
    for steps, limit in LIMITS_MS.items():
        number = steps // 50 if room.quick else steps
        for name, value, unit in resume(room.new("resume"), number):
            what = name.partition(": ")[2]
            figure = Figure(name, value, unit, MEANS[what])
            aimed = what in ("loaded and taken", "state rebuilt from its newest snapshot")
            yield at_most(figure, limit) if aimed else figure


def resume(folder: Path, steps: int, url: str = "") -> Iterator[tuple[str, float, str]]:
    """Milliseconds from a decided pause to a run that is taken up again, `steps` recorded steps behind it.

    A step is two events, judged and finished, without contents: resuming reads none of them. *loaded* is
    every state and text that the next runner needs: run, brief, decided handoff with its grant, policies.
    *taken* adds the lease, one commit. *rebuilt* makes the state again as after the loss of its row: from the
    newest snapshot, and from all events. Opening the engine (schema check, keys, first reads) is a figure of its own.
    """
    run_id = _paused_run(folder, steps, url)
    start = time.perf_counter()
    engine = open_engine(url=url, home=folder)
    opened = time.perf_counter()
    handoff_id = _load(engine, run_id)
    loaded = time.perf_counter()
    taken = engine.runs.lease(RUNNER, "second", "elsewhere")
    leased = time.perf_counter()
    assert taken is not None
    assert (taken.run_id, taken.counts.steps) == (run_id, steps + 1), taken
    assert engine.kernel.state(Handoff, handoff_id).grant is not None
    again = time.perf_counter()
    doc = engine.kernel.snapshots.state_at(f"run/{run_id}").doc
    made = time.perf_counter()
    stored = engine.kernel.store.load(f"run/{run_id}")
    assert stored is not None
    assert stored.doc == doc
    folding = time.perf_counter()
    rebuilt = engine.audit.replay(f"run/{run_id}")
    folded = time.perf_counter()
    assert rebuilt.same, rebuilt
    engine.close()
    of = f"of {steps:,} steps"
    yield f"resume {of}: engine opened", (opened - start) * 1000, "ms"
    yield f"resume {of}: loaded", (loaded - opened) * 1000, "ms"
    yield f"resume {of}: loaded and taken", (leased - opened) * 1000, "ms"
    yield f"resume {of}: state rebuilt from its newest snapshot", (made - again) * 1000, "ms"
    yield f"resume {of}: state rebuilt from the whole log", (folded - folding) * 1000, "ms"
    yield f"resume {of}: events folded", rebuilt.events / (folded - folding), "/s"


def _load(engine: Engine, run_id: str) -> str:
    """What a runner asks for before it starts the agent again. Gives the handoff that was decided."""
    run = engine.kernel.state(Run, run_id)
    assert engine.views.run(run_id)
    assert engine.views.task(run.task_id)
    assert engine.views.handoff(run.ready_for)
    assert engine.policies.texts_in_force(run.root)["books"]
    return run.ready_for


def _paused_run(folder: Path, steps: int, url: str) -> str:
    """A run with its steps, paused at a gate that a person has answered."""
    bench = open_bench(folder, url)
    engine = bench.engine
    task = engine.tasks.create(OPERATOR, NewTask(Brief("Fix the build"), "/repo", "main", "0" * 40))
    new = NewRun(str(task["task_id"]), bench.agent_id, "claude-code", ("agent",))
    run_id = str(engine.runs.create(OPERATOR, new)["run_id"])
    taken = engine.runs.lease(RUNNER, "first", "here")
    assert taken is not None
    started = AgentStarted(RunId(run_id), taken.epoch, 1, 1, "boot", "/repo/tree")
    engine.runs.started(RUNNER, started)
    for first in range(0, steps, BATCH):
        numbers = range(first, min(first + BATCH, steps))
        engine.kernel.run(RUNNER, partial(_steps, run_id=RunId(run_id), numbers=numbers))
    waits = engine.actions.propose(RUNNER, Proposal(run_id, "gated", PUSH, PUSHES))
    handoff_id = str(waits["handoff_id"])
    pause = Pause("refs/x", "1" * 40, b"{}", (handoff_id,))
    engine.runs.paused(RUNNER, run_id, taken.epoch, pause)
    seen = engine.kernel.state(Handoff, handoff_id).presented_digest
    engine.handoffs.decide(bench.person, Decision(handoff_id, DecisionKind.APPROVE, seen, "good"))
    engine.close()
    return run_id


def _steps(unit: Unit, run_id: RunId, numbers: range) -> Result:
    events: list[StepJudged | StepFinished] = []
    for n in numbers:
        step_id = StepId(f"st_{n}")
        judged = StepJudged(run_id, step_id, f"k{n}", "Bash", "exec", f"sha256:{n:064x}", "allow")
        events += [judged, StepFinished(run_id, step_id, 0, duration_ms=40)]
    unit.record(Run, run_id, events)
    return {}
