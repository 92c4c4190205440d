"""Facts from shell commands: how long they take, and what the built-in policy would stop.

`python -m bench.facts times`, `… runs FILE` and `… corpus FILE`. The files are not part of the package: runs
are JSON lines with `commands` and `task_id`, a corpus JSON lines with `cmd`, both optionally gzipped.
"""

import argparse
import gzip
import json
import random
import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from handfast.core.domain.action import Facts
from handfast.core.policy.builtin import ALLOWED
from handfast.observe import secondparser
from handfast.observe.scope import Scope
from handfast.observe.shell import shell_facts
from handfast.observe.textonly import Session, text_scope

# What an agent types in a day: weights as in real runs.
EVERYDAY = [
    "ls -la src",
    "cat README.md",
    "sed -n '1,80p' src/app.py",
    "grep -rn 'def main' src --include='*.py' | head -20",
    "find . -name '*.py' -type f | xargs grep -l TODO",
    "nl -ba src/app.py | sed -n '10,40p'",
    "python reproduce.py",
    "python -m pytest -q tests/test_app.py -k 'not slow' 2>&1 | tail -20",
    "git status --short && git diff --stat",
    "git add -A && git commit -q -m 'Fix it'",
    "rm -f reproduce.py test_tmp.py",
    "sed -i 's/old/new/' src/app.py",
    "cat <<'EOF' > reproduce.py\n" + "print('line')\n" * 20 + "EOF",
    "python - <<'EOF'\nfrom pathlib import Path\nprint(Path('a').read_text())\nEOF",
    "cd src && PYTHONPATH=. python -W error -c 'import app; print(app.f(3))'",
    'for f in *.py; do wc -l "$f"; done',
    "if [ -f x ]; then cat x; else echo none; fi",
    'X=$(git rev-parse HEAD); echo "$X"',
    "rm -rf build && make -j4 test",
    "git push --force origin main",
    "bash -c 'npm ci && npm test'",
    "psql -c 'SELECT count(*) FROM users'",
    "curl -s https://example.org/api | jq .items",
    "docker compose up -d && docker compose logs web",
]


def times(scope: Scope, commands: Sequence[str] = EVERYDAY, rounds: int = 7) -> list[float]:
    """Milliseconds for each command, each the fastest of `rounds`: what the work costs on a busy machine."""
    found = []
    for command in commands:
        took = []
        for _ in range(rounds):
            start = time.perf_counter()
            shell_facts(command, scope)
            took.append((time.perf_counter() - start) * 1000)
        found.append(min(took))
    return sorted(found)


def figures() -> Iterator[tuple[str, float, str]]:
    """Median and 99th percentile, without and with the second parser, for `python -m bench`."""
    for name, second in (("without", False), ("with", True)):
        took = times(replace(text_scope(), second_opinion=second))
        yield f"facts of a command, {name} second opinion, p50", statistics.median(took), "ms"
        yield f"facts of a command, {name} second opinion, p99", took[int(len(took) * 0.99)], "ms"


def stopped(facts: Facts) -> list[str]:
    """The classes for which the built-in policy stops a call."""
    return [h for h in facts.hazards if h not in ALLOWED] + [f"opaque: {o}" for o in facts.opaque]


# Recordings of runs hold the agents' prose between two fenced blocks as if it were a command.
_PROSE = re.compile(
    r"[A-Z][\w']*[ ,:.]|[A-Z]\w*\Z|[`*(\[<>'\"=+|\-)}]|I'|(to|with|and|becomes|in|by|or|of|is|from|works|fails|where"
    r"|before|after|at|but|should|forces|throws|raises|like|class|def|if [^;]*\Z|return|import|it|this|node|cls|for .*:)\b"
    r"|[\w./-]+\.(py|rst|html):\d*|[\w.\[\]]+\s*=\s|\.\.|[\w.]+\(|\d+\b|\w+\.\w+\.\w+"
)
_STARTS = re.compile(
    r"(if \[|for \w+ in [^:\n]*(;|\n)|while |\(cd|\[ |\[\[|[A-Z_]+=\S+ \S|node |import -|from -)"
)


def is_command(text: str) -> bool:
    """Whether a recorded text is a command at all, by its first line that is no comment."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return not lines or bool(_STARTS.match(lines[0])) or not _PROSE.match(lines[0])


def read(path: Path) -> Iterator[dict[str, object]]:
    packed = path.read_bytes()
    lines = gzip.decompress(packed) if path.suffix == ".gz" else packed
    yield from map(json.loads, lines.splitlines())


def stops_per_run(runs: Iterable[Sequence[str]], scope: Scope, *, session: bool) -> None:
    """Stops a run, by class, each with examples; a command with two reasons counts once as a stop."""
    classes: Counter[str] = Counter()
    examples: dict[str, list[str]] = defaultdict(list)
    commands = stops = prose = count = prose_stops = 0
    for run in runs:
        count += 1
        memory = Session() if session else None
        for command in run:
            reasons = stopped(shell_facts(command, scope, memory))
            if not is_command(command):
                prose += 1
                prose_stops += bool(reasons)
                continue
            commands += 1
            stops += bool(reasons)
            for reason in reasons:
                classes[reason] += 1
                examples[reason].append(command)
    print(f"{count} runs, {commands:,} commands: {stops} stops, {stops / count:.2f} a run")
    print(f"{prose:,} texts that are no commands, of which {prose_stops:,} would be stopped")
    for reason, number in classes.most_common():
        print(f"  {reason:<28} {number:>5}  {number / count:.3f} a run")
        for command in examples[reason][:: max(1, number // 3)][:3]:
            print(f"      {' '.join(command.split())[:110]}")


def flagged(commands: Sequence[str], scope: Scope, sample: int) -> None:
    """The share of a corpus that is stopped, by class; a random sample of it to be read by hand."""
    classes: Counter[str] = Counter()
    hit: list[tuple[str, list[str]]] = []
    start = time.perf_counter()
    for command in commands:
        reasons = stopped(shell_facts(command, scope))
        classes.update(set(reasons))
        if reasons:
            hit.append((command, reasons))
    took = time.perf_counter() - start
    print(f"{len(commands):,} commands in {took:.1f} s: {len(hit) / len(commands):.1%} stopped")
    for reason, number in classes.most_common():
        print(f"  {reason:<28} {number:>5}  {number / len(commands):.2%}")
    draw = random.Random(1)
    for command, reasons in draw.sample(hit, min(sample, len(hit))):
        print(json.dumps([reasons, command]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.facts", description=__doc__)
    parser.add_argument("what", choices=["times", "runs", "corpus"])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--session", action="store_true")
    parser.add_argument("--without", action="store_true", help="without the second parser")
    parser.add_argument("--sample", type=int, default=100)
    asked = parser.parse_args()
    scope = replace(text_scope(), second_opinion=not asked.without)
    if asked.what == "times" or asked.file is None:
        print(f"second parser: {secondparser.binary() or 'not installed'}")
        for name, value, unit in figures():
            print(f"{name:<58} {value:>10.2f} {unit}")
    elif asked.what == "runs":
        stops_per_run(
            (_texts(r["commands"]) for r in read(asked.file)), scope, session=asked.session
        )
    else:
        flagged([str(r["cmd"]) for r in read(asked.file)], scope, asked.sample)


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


if __name__ == "__main__":
    main()
