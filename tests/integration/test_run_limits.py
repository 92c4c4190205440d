"""A run whose agent repeats a failing command: paused with an escalation, resumed by an answer."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.repositories import new_repository
from tests.run_bench import Json, RunBench, plain_environment

AGENT = r"""
import json, os, subprocess, sys, urllib.request

def post(name, timeout, **fields):
    body = {"session_id": os.environ["HANDFAST_SESSION_ID"], "cwd": os.getcwd(), "transcript_path": "",
            "permission_mode": "default", "hook_event_name": name, **fields}
    headers = {"Authorization": "Bearer " + os.environ["HANDFAST_TOKEN"]}
    request = urllib.request.Request(os.environ["HANDFAST_HOOK_URL"], json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=timeout))

def call(command, number):
    about = {"tool_name": "Bash", "tool_input": {"command": command}, "tool_use_id": f"t{os.getpid()}-{number}"}
    try:
        said = post("PreToolUse", 2, **about)["hookSpecificOutput"]
    except OSError:
        print("I wait for a person.")
        sys.exit(0)
    if said["permissionDecision"] != "allow":
        print("stopped:", said["permissionDecisionReason"])
        sys.exit(0)
    ran = subprocess.run(command, shell=True, capture_output=True, text=True)
    if ran.returncode:
        post("PostToolUseFailure", 30, error=f"Exit code {ran.returncode}\n{ran.stderr}", **about)
    else:
        post("PostToolUse", 30, tool_response={"stdout": ran.stdout, "stderr": "", "interrupted": False}, **about)

note = os.environ.get("HANDFAST_RESUME_NOTE", "")
if "look in Makefile" in note:
    call("echo fixed > fixed.txt", 0)
    print("Fixed it.")
else:
    for number in range(5):
        call("make nothing-there", number)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RunBench]:
    repository = new_repository(tmp_path / "repo")
    with RunBench(tmp_path, repository, plain_environment()).serving() as bench:
        yield bench


def order(bench: RunBench, **brief: Any) -> str:
    return bench.order(sys.executable, "-c", AGENT, **brief)


def paused(bench: RunBench) -> tuple[str, Json]:
    run_id = order(bench)
    return run_id, bench.waiting(run_id, "escalation")


def test_the_run_pauses_and_the_answer_resumes_it(bench: RunBench) -> None:
    run_id, asked = paused(bench)
    assert asked["rules"] == ["limit.failing_call_repeats"]
    assert "2 of 2" in asked["why_now"]
    assert [a["outcome"] for a in asked["package"]["attempts"]] == ["exit code 2, 2 times"]
    bench.decide(asked, "answer", reason="", answer="look in Makefile first")
    review = bench.waiting(run_id, "review")
    assert review["package"]["review"]["files"] == ["fixed.txt"]
    assert "Fixed it." in bench.run(run_id)["output"]
    bench.decide(review, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"


def test_a_person_who_says_stop_ends_the_run(bench: RunBench) -> None:
    run_id, asked = paused(bench)
    bench.decide(asked, "reject", reason="not worth it")
    assert bench.ended(run_id)["outcome"] in ("nothing_changed", "rejected")
    assert bench.engine.views.handoffs("waiting", run_id=run_id).items == []


def test_taking_over_leaves_the_branch_to_the_person(bench: RunBench) -> None:
    run_id, asked = paused(bench)
    bench.decide(asked, "take_over", reason="I do it")
    bench.until("its worktree", lambda: bench.run(run_id)["takeovers"][-1]["handed_over_at"])
    assert bench.run(run_id)["held_by_name"] == "Ann"
    bench.engine.takeovers.hand_back(bench.person, run_id, "done without it", "end")
    assert bench.ended(run_id)["outcome"] == "withdrawn"


def test_the_budget_of_the_brief_stops_the_calls(bench: RunBench) -> None:
    run_id = order(bench, budget={"tool_calls": 1})
    asked = bench.waiting(run_id, "escalation")
    assert asked["risk"] == "high"
    assert "the budget of the brief" in asked["why_now"]
    assert "only a person can let it go on" in bench.run(run_id)["output"]
