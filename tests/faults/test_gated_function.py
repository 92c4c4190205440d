"""kill -9 and Ctrl-C of a program with a gated function: the next process of it settles what is in doubt.

The processes know each other by nothing but their folder and their name.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gate_bench import GateBench
from tests.served import Served
from tests.served import prepared as prepared
from tests.served import served as served

pytestmark = pytest.mark.faults
SRC = Path(__file__).parents[2] / "src"
PROGRAM = """
import sys, time
from pathlib import Path
from handfast import gate
from handfast.adapters.python import AlreadyRan, Ran, Waiting
from handfast.core.domain.errors import GateClosed
from handfast.engine.faults import arm_from_environment

arm_from_environment()
done = Path("done")

def look(start):
    return Ran("found it done") if done.exists() else "did_not_run"

options = {"reconcile": look} if "look" in sys.argv else {}

@gate(tool="deploy", on_wait="raise", **options)
def deploy(service):
    with done.open("a") as file:
        file.write(service + "\\n")
    if "slowly" in sys.argv:
        print("running", flush=True)
        time.sleep(60)
    return "done now"

try:
    print(deploy("web"))
except (Waiting, AlreadyRan, GateClosed) as error:
    print(type(error).__name__)
"""


@dataclass
class Program:
    """Runs the program in processes of their own."""

    bench: GateBench
    folder: Path

    def start(self, *arguments: str, fault: str = "") -> "subprocess.Popen[str]":
        served = self.bench.served
        return subprocess.Popen(
            [sys.executable, "program.py", *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(SRC),
                "HANDFAST_URL": served.url,
                "HANDFAST_TOKEN": served.tokens["agent"],
                "HANDFAST_FAULT": fault,
            },
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, fault: str = "") -> str:
        with self.start(*arguments, fault=fault) as process:
            out, _ = process.communicate(timeout=60)
        return out.strip() or f"exit {process.returncode}"

    def approve(self) -> None:
        assert self.run() == "Waiting"
        self.bench.decide_next()

    @property
    def done(self) -> int:
        path = self.folder / "done"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def program(served: Served, tmp_path: Path) -> Program:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM)
    return Program(GateBench(served), folder)


def test_killed_after_it_ran_the_probe_finds_what_it_did(program: Program) -> None:
    program.approve()
    assert program.run(fault="exec.after_run:kill") == "exit -9"
    assert program.run("look") == "found it done"
    assert program.done == 1
    closed = program.bench.all()
    assert [(h["effect"] or {}).get("outcome") for h in closed] == ["verified"]


def test_killed_before_it_ran_it_is_asked_for_anew(program: Program) -> None:
    program.approve()
    assert program.run(fault="exec.before_run:kill") == "exit -9"
    assert program.run("look") == "Waiting"
    assert program.done == 0
    assert [h["kind"] for h in program.bench.waiting()] == ["approval"]
    program.bench.decide_next()
    assert program.run("look") == "done now"
    assert program.done == 1


def test_without_a_probe_a_person_is_asked_and_nothing_is_repeated(program: Program) -> None:
    program.approve()
    assert program.run(fault="exec.after_run:kill") == "exit -9"
    assert program.run() == "Waiting"
    doubt = program.bench.waiting()[0]
    assert doubt["kind"] == "doubt"
    program.bench.decide(doubt["handoff_id"], "answer", answer="it_ran")
    assert program.run() == "AlreadyRan"
    assert program.done == 1


def test_killed_while_it_waits_the_case_stays_and_the_next_process_runs_it(
    program: Program,
) -> None:
    assert program.run(fault="handoff.before_wait:kill") == "exit -9"
    program.bench.decide_next()
    assert program.run() == "done now"
    assert program.done == 1


def test_interrupted_while_it_runs_it_is_in_doubt(program: Program) -> None:
    program.approve()
    with program.start("slowly") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    until = time.monotonic() + 60
    while not (waiting := program.bench.waiting(0)) and time.monotonic() < until:
        time.sleep(0.02)
    assert [h["kind"] for h in waiting] == ["doubt"]
    about = program.bench.handoff(program.bench.handoff(waiting[0]["handoff_id"])["about"])
    assert about["effect"]["note"] == "cut off while it ran (KeyboardInterrupt)"
    assert program.run() == "Waiting"
    assert program.done == 1
