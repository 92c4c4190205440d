"""What the default limits would have done on recorded runs: `python -m bench.limits RUNS.jsonl.gz`.

Each line of the file is a run: `{outcome: 0|1, steps: [{argh, oh, err, rc, cost, t}]}`, where `argh` names the
exact call, `oh` its exact result, `cost` is in dollars and `t` in seconds since the start. Every run goes
through the shipped fold and check, measured against the runs before it in the file as its agent's history.
Nothing is tuned here, and no run is shipped with the product.
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from handfast.core.domain import events_work as e
from handfast.core.domain.events_limits import RunMeasured, UsageReported
from handfast.core.domain.ids import AgentId, RunId, StepId
from handfast.core.domain.limit_facts import Level, Reported
from handfast.core.domain.run import Run
from handfast.core.domain.run_fold import evolve
from handfast.core.domain.track import Track, history
from handfast.core.domain.track import evolve as follow
from handfast.core.policy.limits import DEFAULTS, check
from handfast.core.policy.measures import for_history, measured
from handfast.testing.clock import START

AGENT = AgentId("ag_1")


@dataclass
class Found:
    """Runs that met a limit, by whether they failed."""

    failed: int = 0
    succeeded: int = 0
    at_step: list[float] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return self.failed + self.succeeded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="recorded runs, one JSON object a line, gzip")
    runs = list(_read(parser.parse_args().runs))
    found: dict[tuple[str, Level], Found] = defaultdict(Found)
    anything: dict[Level, Found] = defaultdict(Found)
    track: Track | None = None
    for number, record in enumerate(runs):
        run, met = _played(record, f"run_{number}", track)
        for key, share in met.items():
            _count(found[key], record, share)
        for level in {level for _, level in met}:
            _count(anything[level], record, min(s for (_, at), s in met.items() if at is level))
        kept = RunMeasured(AGENT, run.run_id, for_history(run, START))
        track = follow(track, kept, START)
    _print(runs, found, anything)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        for line in file:
            record = json.loads(line)
            if record.get("outcome") in (0, 1):
                yield record


def _played(
    record: dict[str, Any], name: str, track: Track | None
) -> tuple[Run, dict[tuple[str, Level], float]]:
    """The run at its end, and at which share of its steps it first met each limit."""
    run_id = RunId(name)
    created = e.RunCreated(
        run_id, AGENT, "none", e.Mode.ENFORCE, history=history(track.runs if track else ())
    )
    run = evolve(None, created, START)
    met: dict[tuple[str, Level], float] = {}
    failing: dict[str, tuple[str, int]] = {}
    cost = Decimal(0)
    steps, at = record["steps"], START
    for n, step in enumerate(steps):
        at = START + timedelta(seconds=step.get("t") or 0)
        step_id, call = StepId(f"st_{n}"), str(step["argh"])
        judged = e.StepJudged(run_id, step_id, f"k{n}", "Bash", "exec", call, "allow")
        run = evolve(run, judged, at)
        error, result = bool(step.get("err")), str(step.get("oh"))
        known = failing.get(call, ("", 0))
        times = known[1] + 1 if known[0] == result else 1
        if error:
            failing[call] = (result, times)
        else:
            failing.pop(call, None)
        done = e.StepFinished(
            run_id, step_id, step.get("rc"), failed=error, repeat=times if error else 0
        )
        run = evolve(run, done, at)
        cost += Decimal(str(step.get("cost") or 0))
        told = Reported(cost_usd=f"{cost:f}")
        run = evolve(run, UsageReported(run_id, told), at)
        for crossed in check(measured(run, at), DEFAULTS, run.history):
            met.setdefault((crossed.metric, crossed.level), (n + 1) / len(steps))
    return evolve(run, e.RunEnded(run_id, e.RunOutcome.NOTHING_CHANGED), at), met


def _count(found: Found, record: dict[str, Any], share: float) -> None:
    found.failed += record["outcome"] == 0
    found.succeeded += record["outcome"] == 1
    found.at_step.append(share)


def _print(
    runs: list[dict[str, Any]],
    found: dict[tuple[str, Level], Found],
    anything: dict[Level, Found],
) -> None:
    base = sum(r["outcome"] == 0 for r in runs) / len(runs)
    successes = sum(r["outcome"] == 1 for r in runs)
    print(f"{len(runs)} runs, {base:.1%} failed, {successes} succeeded")
    print(
        f"{'limit':<24}{'level':<11}{'runs':>5}{'failed':>8}{'lift':>7}{'successes':>11}  met at step"
    )
    rows = [(metric, level, f) for (metric, level), f in sorted(found.items())]
    rows += [("any of them", level, f) for level, f in sorted(anything.items())]
    for metric, level, f in rows:
        share = f.failed / f.runs
        middle = sorted(f.at_step)[len(f.at_step) // 2]
        print(
            f"{metric:<24}{level.value:<11}{f.runs:>5}{share:>8.0%}{share / base:>7.2f}{f.succeeded:>11}"
            f"  {middle:.0%}"
        )


if __name__ == "__main__":
    main()
