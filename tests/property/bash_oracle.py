"""Real bash as the judge of what ran: texts run where every program is a stand-in that logs its arguments.

`python -m tests.property.bash_oracle 2000` measures; `--without` leaves the second parser out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.property.shell_generator import DESTRUCTIVE, Generator, is_destructive

# Programs that only pass something on are the real ones.
REAL = ("bash", "sh", "cat", "env", "timeout", "xargs", "find", "nice", "nohup", "setsid", "stdbuf", "base64", "rev", "tr", "tee")  # fmt: skip
STAND_IN = """#!/bin/sh
{ printf '%s\\037' "${0##*/}" "$@"; printf '\\036'; } >> "$LOG"
"""
NETWORK = """#!/bin/sh
echo 'from-network ran'
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A sample, what bash ran of it that is destructive, and what the analyser said."""

    text: str
    ran: tuple[str, ...]
    seen: bool


def prepare(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    for name in DESTRUCTIVE:
        (programs / name).write_text(STAND_IN)
    for name in ("ls", "curl"):
        (programs / name).write_text(NETWORK if name == "curl" else STAND_IN)
    for file in programs.iterdir():
        file.chmod(0o755)
    for name in REAL:
        found = next(p for p in ("/bin", "/usr/bin") if Path(p, name).exists())
        (programs / name).symlink_to(Path(found, name))


def destructive_runs(text: str, folder: Path, number: int) -> tuple[str, ...]:
    """What bash really ran of `text`, as far as it destroys."""
    work = folder / f"w{number}"
    work.mkdir()
    (work / "file").write_text("x\n")
    (work / "bin").symlink_to(folder / "bin")
    log = folder / f"log{number}"
    log.touch()
    shell = subprocess.Popen(
        ["/bin/bash", "-c", text],
        cwd=work,
        env={"PATH": str(folder / "bin"), "LOG": str(log), "HOME": str(work)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        shell.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, 9)
        shell.wait()
    calls = [entry.split("\x1f")[:-1] for entry in log.read_text().split("\x1e") if entry]
    return tuple(" ".join(call) for call in calls if is_destructive(call))


def explore(samples: int, seed: int, *options: str) -> list[Outcome]:
    """`samples` texts from `seed`, run by bash and judged by one process of `handfast policy facts`."""
    from tests.property.test_policy_facts_corpus import facts_of

    generator = Generator(seed)
    texts = [generator.sample() for _ in range(samples)]
    answers = facts_of(texts, *options)
    with tempfile.TemporaryDirectory(prefix="oracle-") as name:
        folder = Path(name)
        prepare(folder)
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            ran = list(pool.map(lambda i: destructive_runs(texts[i], folder, i), range(samples)))
    return [
        Outcome(text, calls, bool(answer["hazards"] or answer["opaque"]))
        for text, calls, answer in zip(texts, ran, answers, strict=True)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", action="store_true")
    asked = parser.parse_args()
    start = time.monotonic()
    options = ("--no-second-opinion",) if asked.without else ()
    outcomes = explore(asked.samples, asked.seed, *options)
    destroyed = [each for each in outcomes if each.ran]
    missed = [each for each in destroyed if not each.seen]
    for each in missed:
        print("MISSED", repr(each.text), each.ran[:2])
    print(
        f"{len(outcomes)} samples, {len(destroyed)} ran something destructive,"
        f" {len(missed)} silent misses, {time.monotonic() - start:.1f} s"
    )
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
