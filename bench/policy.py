"""Policy: 100 rules asked through the shipped judge, and a changed policy simulated over recorded actions."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.engine import RUNNER, Bench, open_bench
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.policy.builtin import judge as builtin_judge
from handfast.core.policy.judging import judge
from handfast.core.policy.subject import Moment, RunFacts, Subject, call_facts, change_facts
from handfast.engine.gating import Proposal
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
    """Calls as an agent makes them: mostly edits and tests, some pushes, each with a text of its own."""
    draw = random.Random(7)
    texts = itertools.count()
    runs = [bench.session(f"history-{i}") for i in range(50)]
    for i in range(number):
        n = next(texts)
        if draw.random() < 0.4:
            call = Call("Edit", {"file_path": f"src/m{n % 900}.py", "old": f"a{n}", "new": f"b{n}"})
            facts = Facts(
                Effect.WRITE,
                f"edits src/m{n % 900}.py",
                paths=(f"src/m{n % 900}.py",),
                reversible=True,
            )
        elif draw.random() < 0.98:
            call = Call("Bash", {"command": f"pytest -q tests/test_{n}.py"})
            facts = Facts(Effect.EXEC, f"runs tests {n}")
        else:
            call = Call("Bash", {"command": f"git push origin topic-{n % 50}"})
            facts = Facts(Effect.NETWORK, f"pushes topic-{n % 50}", ("git.push",))
        run = runs[i * len(runs) // number]
        bench.engine.actions.propose(RUNNER, Proposal(run, f"k{n}", call, facts))
