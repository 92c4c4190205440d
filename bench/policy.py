"""Policy: 100 rules asked through the shipped judge, and a changed policy simulated over recorded actions."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench.engine import RUNNER, Bench, open_bench
from handfast.core.domain.action import Call, Effect, Facts, Verdict
from handfast.core.domain.events_work import StepJudged
from handfast.core.domain.ids import RunId, StepId
from handfast.core.domain.run import Run
from handfast.core.policy.builtin import judge as builtin_judge
from handfast.core.policy.judging import judge
from handfast.core.policy.subject import Moment, RunFacts, Subject, call_facts, change_facts
from handfast.engine.actions import seen_facts
from handfast.engine.kernel import Unit
from handfast.engine.simulation import simulate
from handfast.policyfile.load import load

HAZARDS = ("git.push", "fs.delete-tracked", "deploy", "publish", "net.send")
# What an organisation of some size writes: a tenth for every tool, the rest for the tool they are about.
TOOLS = (
    "",
    "Bash",
    "Bash",
    "Bash",
    "Write",
    "Edit",
    "deploy",
    "terraform",
    "Bash",
    "mcp__db__query",
)
CONDITIONS = (
    'call.hazards.exists(h, h == "{hazard}") && run.repository.startsWith("/srv/team{i}/")',
    'call.command.startsWith("tool{i} ") && run.cost_usd > {i}.5',
    'change.files.exists(f, f.path.startsWith("service{i}/migrations/"))',
    'has(run.confidence) && run.confidence < 0.{i} && call.effect == "network"',
    '"release-{i}" in call.branches && "{hazard}" in call.hazards',
)


def rules(number: int) -> str:
    """A policy of `number` gates; a few of them match the benchmark's calls."""
    lines = ["version: 1", "gates:"]
    for i in range(number):
        condition = CONDITIONS[i % 5].format(i=i, hazard=HAZARDS[i % 5])
        tool = TOOLS[i % len(TOOLS)]
        lines += [f"  - id: rule-{i}", f"    when: '{condition}'"]
        lines += [f"    tools: {tool}"] if tool else []
        lines.append(f"    require: {{approvals: {i % 2 + 1}, from: 'team:t{i % 7}', within: 4h}}")
    lines += ["  - id: pushes", "    when: '\"git.push\" in call.hazards'", "    require: {}"]
    return "\n".join(lines) + "\n"


def _subject(call: Call, facts: Facts) -> Subject:
    return Subject(
        call_facts(call, facts),
        Moment(datetime(2026, 3, 4, tzinfo=UTC)),
        change_facts(facts),
        run=RunFacts("run", "/srv/team3/app", "main", 1.25, 40, 2, 1),
    )


def judging(number: int = 100, rounds: int = 4000) -> Iterator[tuple[str, float, str]]:
    """Microseconds of one judgement with the facts known, beside the built-in policy alone."""
    book = load(rules(number))
    facts = Facts(Effect.NETWORK, "pushes", ("git.push",), paths=("src/app.py", "service2/a.py"))
    call = Call("Bash", {"command": "git push origin main"})
    subject = _subject(call, facts)
    every = load("\n".join(x for x in rules(number).splitlines() if "tools:" not in x))
    named: list[tuple[str, Callable[[], object]]] = [
        (f"{number} rules, facts known, asked of Bash", lambda: judge(facts, subject, [book])),
        (f"{number} rules, none bound to a tool", lambda: judge(facts, subject, [every])),
        ("the built-in policy alone", lambda: builtin_judge(facts)),
    ]
    for name, work in named:
        took = []
        for _ in range(rounds):
            start = time.perf_counter_ns()
            work()
            took.append((time.perf_counter_ns() - start) / 1000)
        took.sort()
        for percentile, at in (("p50", 0.5), ("p99", 0.99)):
            yield f"judge: {name}, {percentile}", took[int(rounds * at)], "us"


def simulation(folder: Path, number: int = 100_000) -> Iterator[tuple[str, float, str]]:
    """Seconds to judge `number` recorded actions by a changed policy of 20 rules."""
    bench = open_bench(folder)
    _record(bench, number)
    changed = load(
        rules(20).replace("version: 1", "version: 1\nbuiltin: {off: [push]}")
        + "  - {id: core, when: 'call.paths.exists(p, p.startsWith(\"src/m10\"))', require: {}}\n"
    )
    start = time.perf_counter()
    done = simulate(bench.engine.kernel, lambda _: [], lambda _: [changed], lambda _a, _b: None)
    took = time.perf_counter() - start
    assert done.judged == number, done.judged
    assert done.changes
    bench.engine.close()
    yield f"simulate a changed policy over {number:,} recorded actions", took, "s"
    yield "simulated actions", number / took, "/s"


def _record(bench: Bench, number: int) -> None:
    """Calls as an agent makes them: mostly edits and tests, some pushes, each with a text of its own.

    Written as the gate check writes them, but many to a commit.
    """
    draw = random.Random(7)
    runs = [bench.session(f"history-{i}") for i in range(50)]
    for start in range(0, number, 250):
        run_id = runs[start * len(runs) // number]
        calls = [_call(draw, n) for n in range(start, min(start + 250, number))]
        bench.engine.kernel.run(RUNNER, partial(_steps, run_id=run_id, calls=calls, start=start))


def _call(draw: random.Random, n: int) -> tuple[Call, Facts]:
    if draw.random() < 0.4:
        path = f"src/m{n % 900}.py"
        call = Call("Edit", {"file_path": path, "old_string": f"a{n}", "new_string": f"b{n}"})
        return call, Facts(Effect.WRITE, f"edits {path}", paths=(path,), reversible=True)
    if draw.random() < 0.98:
        call = Call("Bash", {"command": f"pytest -q tests/test_{n}.py"})
        return call, Facts(Effect.EXEC, f"runs tests {n}")
    call = Call("Bash", {"command": f"git push origin topic-{n % 50}"})
    branch = f"topic-{n % 50}"
    return call, Facts(Effect.NETWORK, f"pushes {branch}", ("git.push",), branches=(branch,))


def _steps(
    unit: Unit, run_id: str, calls: list[tuple[Call, Facts]], start: int
) -> dict[str, object]:
    for n, (call, facts) in enumerate(calls, start):
        verdict = builtin_judge(facts).verdict
        seen = seen_facts(facts)
        step = StepJudged(
            run_id=RunId(run_id),
            step_id=StepId(f"st_{n}"),
            key=f"k{n}",
            tool=call.tool,
            effect=facts.effect.value,
            action_digest=call.digest,
            verdict="allow" if verdict is Verdict.ALLOW else "observed",
            hazards=facts.hazards,
            call=unit.put_json(call.canonical()),
            summary=unit.put(facts.summary),
            facts=unit.put_json(seen) if seen else None,
        )
        unit.record(Run, run_id, [step])
    return {}
