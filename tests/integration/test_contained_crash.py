"""Contained agents whose runner is killed: nothing of them is left, and what they committed is not lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.core.domain.containment import Contained, Containment
from tests.contained_bench import needs_bwrap
from tests.integration.test_run_crash import LEASE_S, CrashBench
from tests.repositories import git, new_repository
from tests.run_bench import plain_environment

REQUIRED = Containment(Contained.REQUIRE)
# It commits, and leaves processes behind that nothing marks: no environment, sessions of their own.
RUNAWAY = """
echo a > a.txt && git add a.txt && git commit -qm 'add a'
env -i setsid sh -c 'sh -c "sleep {0} & sleep {0}" &' ; setsid sleep {0} &
echo > up.txt; sleep {0}
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CrashBench]:
    needs_bwrap()
    monkeypatch.setenv("HANDFAST_LEASE_S", LEASE_S)
    made = CrashBench(tmp_path, new_repository(tmp_path / "repo"), plain_environment())
    with made.serving(supervise=False):
        yield made


def _sleeping(seconds: str) -> list[int]:
    """Processes on this machine, in any namespace, that sleep so long."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", seconds.encode()]:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("keeper_too", [False, True])
def test_a_killed_runner_leaves_nothing_running(bench: CrashBench, keeper_too: bool) -> None:
    seconds = f"3{os.getpid()}"
    run_id = bench.order("bash", "-c", RUNAWAY.format(seconds), contain=REQUIRED)
    process = bench.runner()
    worktree = bench.home / "worktrees" / run_id
    bench.until("the agent's work", (worktree / "up.txt").exists)
    bench.until("the record of it", lambda: bench.run(run_id)["status"] == "running")
    bench.until("what it left running", lambda: len(_sleeping(seconds)) == 4)
    agent = int(bench.run(run_id)["process"]["pid"])
    keeper = int(Path(f"/proc/{agent}/stat").read_text().rpartition(")")[2].split()[1])
    process.kill()
    if keeper_too:
        os.kill(keeper, signal.SIGKILL)
    process.wait()
    bench.until("the end of all of it", lambda: not _sleeping(seconds))
    bench.until("the end of the sandbox", lambda: not Path(f"/proc/{agent}").exists())
    with bench.running():
        review = bench.waiting(run_id, "review")
        assert review["package"]["review"]["files"] == ["a.txt", "up.txt"]
        assert "add a" in [c["subject"] for c in review["package"]["review"]["commits"]]
        bench.decide(review, "approve")
        assert bench.ended(run_id)["outcome"] == "merged"
    git(bench.repository, "fsck", "--full", "--strict")


def test_a_start_nobody_recorded_leaves_nothing_running(bench: CrashBench) -> None:
    seconds = f"4{os.getpid()}"
    run_id = bench.order("bash", "-c", f"echo > up.txt; sleep {seconds}", contain=REQUIRED)
    bench.killed_by("run.after_start:kill")
    bench.until("the end of all of it", lambda: not _sleeping(seconds))
    with bench.running():
        bench.until("its end", lambda: bench.run(run_id)["status"] in ("paused", "ended"))


def test_a_call_that_waits_is_asked_again_by_the_next_runner(bench: CrashBench) -> None:
    hooked = ["python3", "-c", _HOOKED]
    run_id = bench.order(*hooked, contain=REQUIRED)
    process = bench.runner()
    asked = bench.waiting(run_id, "approval", paused=False)
    process.kill()
    process.wait()
    bench.decide(asked, "approve")
    with bench.running():
        review = bench.waiting(run_id, "review")
        assert review["package"]["review"]["files"] == ["README", "count"]
        bench.decide(review, "approve")
        assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "count").read_text() == "ran\n"


_HOOKED = """
import json, os, subprocess, sys, urllib.request
call = {"tool_name": "Bash", "tool_input": {"command": "git rm -q README && echo ran >> count"}}
def post(event, **more):
    body = {"session_id": os.environ["HANDFAST_SESSION_ID"], "cwd": os.getcwd(), "tool_use_id": "one",
            "hook_event_name": event, **call, **more}
    request = urllib.request.Request(os.environ["HANDFAST_HOOK_URL"], json.dumps(body).encode(), {
        "Content-Type": "application/json", "Authorization": "Bearer " + os.environ["HANDFAST_TOKEN"]})
    return json.load(urllib.request.urlopen(request))
answer = post("PreToolUse")["hookSpecificOutput"]["permissionDecision"]
if answer != "allow": sys.exit(4)
subprocess.run(call["tool_input"]["command"], shell=True, check=True)
post("PostToolUse", tool_response={"stdout": "", "stderr": ""})
"""
