"""Runners that are killed or stopped, and what the next one makes of their runs. Real processes."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nursery import SRC, Born, nursery
from tests.repositories import git, new_repository, state_of
from tests.run_bench import Json, RunBench, edit_review, plain_environment

LEASE_S = "2"
# Says whether the process of an earlier start is still there, then works.
WITNESS = """
if [ -f "$DIR/pid" ]; then
  if kill -0 "$(cat "$DIR/pid")" 2>/dev/null; then echo alive; else echo gone; fi >> "$DIR/earlier"
fi
echo $$ > "$DIR/pid"; echo start >> "$DIR/starts"
"""
# Speaks the hook's protocol: one gated command, then the end.
HOOKED = """
import sys
from handfast.cli.demo_agent import Session
ran = Session().run(sys.argv[1])
sys.exit(0 if ran else 4)
"""


class CrashBench(RunBench):
    """Server here, runners in processes of their own."""

    def runner(self, fault: str = "") -> Born:
        environment = {
            **self.environment,
            "HANDFAST_HOME": str(self.home),
            "HANDFAST_LEASE_S": LEASE_S,
            "HANDFAST_AGENT_ENV": "DIR",
            "DIR": str(self.root),
            "PYTHONPATH": str(SRC),
            **({"HANDFAST_FAULT": fault} if fault else {}),
        }
        words = ["runner", "--server", self.server.url, "--port", "0"]
        words += ["--token-file", str(self.home / "runner.token")]
        with (self.root / "runner.log").open("ab") as log:
            return nursery().start(words, environment, self.root, stdout=log, stderr=log)

    @contextlib.contextmanager
    def running(self, fault: str = "") -> Iterator[Born]:
        process = self.runner(fault)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)

    def killed_by(self, fault: str) -> None:
        """A runner that ends at the fault point."""
        process = self.runner(fault)
        try:
            assert process.wait(60) == -signal.SIGKILL, self.log
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    @property
    def log(self) -> str:
        return (self.root / "runner.log").read_text("utf-8", "replace")

    def lines(self, name: str) -> list[str]:
        path = self.root / name
        return path.read_text().split() if path.exists() else []

    def hooked(self, command: str = "git rm -q README && echo ran >> COUNT") -> list[str]:
        path = self.root / "agent.py"
        path.write_text(HOOKED)
        return [sys.executable, str(path), command.replace("COUNT", str(self.root / "count"))]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CrashBench]:
    monkeypatch.setenv("HANDFAST_LEASE_S", LEASE_S)
    made = CrashBench(tmp_path, new_repository(tmp_path / "repo"), plain_environment())
    with made.serving(supervise=False):
        yield made


def test_a_runner_killed_before_the_start_starts_it_once(bench: CrashBench) -> None:
    run_id = bench.order("bash", "-c", WITNESS + "echo a > a.txt")
    bench.killed_by("run.before_start:kill")
    assert bench.lines("starts") == []
    with bench.running():
        review = bench.waiting(run_id, "review")
    assert bench.lines("starts") == ["start"]
    assert review["package"]["review"]["files"] == ["a.txt"]


def test_a_lost_agent_is_ended_and_what_it_did_is_reviewed(bench: CrashBench) -> None:
    # Waits for what it started: as the last command, `setsid` would take bash's place, leave its child and
    # end the agent with code 0 before it could be lost.
    works = 'echo a > a.txt; setsid sleep 300 & echo $! > "$DIR/escaped"; wait'
    run_id = bench.order("bash", "-c", WITNESS + works)
    process = bench.runner()
    bench.until("the agent's work", lambda: bench.lines("escaped"))
    bench.until("the record of it", lambda: bench.run(run_id)["status"] == "running")
    process.kill()
    process.wait()
    started = [int(bench.lines(name)[0]) for name in ("pid", "escaped")]
    with bench.running():
        review = bench.waiting(run_id, "review")
        assert not any(_there(pid) for pid in started)
    assert any("lost" in line for line in review["package"]["not_seen"])
    assert bench.lines("starts") == ["start"]


def test_a_start_nobody_recorded_is_not_repeated(bench: CrashBench) -> None:
    run_id = bench.order("bash", "-c", WITNESS + "echo a > a.txt; sleep 300")
    bench.killed_by("run.after_start:kill")
    with bench.running():
        bench.until("its end", lambda: bench.run(run_id)["status"] in ("paused", "ended"))
    assert len(bench.lines("starts")) <= 1


@pytest.mark.parametrize(
    ("fault", "merged"), [("merge.before_update:kill", False), ("merge.after_update:kill", True)]
)
def test_a_merge_is_found_or_not_after_a_kill(bench: CrashBench, fault: str, merged: bool) -> None:
    run_id = bench.order("bash", "-c", "echo a > a.txt")
    with bench.running():
        first = bench.waiting(run_id, "review")
    bench.decide(first, "approve")
    bench.killed_by(fault)
    with bench.running():
        if not merged:
            second = bench.until("another review", lambda: _other(bench, first))
            assert bench.handoff(first["handoff_id"])["effect"]["outcome"] == "none"
            bench.decide(second, "approve")
        assert bench.ended(run_id)["outcome"] == "merged"
    if merged:
        effect = bench.handoff(first["handoff_id"])["effect"]
        assert effect["outcome"] == "verified"
        assert "found merged after a restart" in effect["note"]
    assert git(bench.repository, "log", "--format=%s", "main").count("\n") == 1
    assert (bench.repository / "a.txt").read_text() == "a\n"
    assert not git(bench.repository, "status", "--porcelain")


@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        ("merge.edited:kill", ["verified"]),
        ("merge.before_update:kill", ["none", "verified"]),
        ("merge.after_update:kill", ["verified"]),
    ],
)
def test_an_edited_merge_settles_once_after_a_kill(
    bench: CrashBench, fault: str, outcomes: list[str]
) -> None:
    run_id = bench.order("bash", "-c", "echo a > a.txt")
    with bench.running():
        cases = [bench.waiting(run_id, "review")]
    edit_review(bench, cases[0], {"a.txt": "edited\n"})
    bench.killed_by(fault)
    with bench.running():
        if outcomes[0] == "none":
            cases.append(bench.until("another review", lambda: _other(bench, cases[0])))
            assert cases[1]["package"]["review"]["head_commit"] == _head(cases[0])
            edit_review(bench, cases[1], {"a.txt": "edited\n"})
        assert bench.ended(run_id)["outcome"] == "merged"
    effects = [bench.handoff(case["handoff_id"])["effect"] for case in cases]
    assert [effect["outcome"] for effect in effects] == outcomes
    tip = git(bench.repository, "rev-parse", "main")
    assert f"with the edit of Ann as commit {tip}" in effects[-1]["note"]
    assert git(bench.repository, "rev-parse", "main~1") == _head(cases[0])
    assert git(bench.repository, "log", "--format=%s", "main").count("Edit of a reviewer") == 1
    assert (bench.repository / "a.txt").read_text() == "edited\n"
    assert not git(bench.repository, "status", "--porcelain")


def _head(review: Json) -> str:
    return str(review["package"]["review"]["head_commit"])


def test_a_broken_off_merge_that_is_then_rejected_leaves_nothing(bench: CrashBench) -> None:
    run_id = bench.order("bash", "-c", "echo a > a.txt; echo better > README")
    before = state_of(bench.repository)
    with bench.running():
        first = bench.waiting(run_id, "review")
    bench.decide(first, "approve")
    bench.killed_by("merge.before_update:kill")
    with bench.running():
        bench.decide(bench.until("another review", lambda: _other(bench, first)), "reject")
        assert bench.ended(run_id)["outcome"] == "rejected"
    assert state_of(bench.repository) == before


def _other(bench: CrashBench, first: Json) -> Json | None:
    found = bench.engine.views.handoffs("waiting", run_id=str(first["run_id"])).items
    if not found or bench.run(str(first["run_id"]))["status"] != "paused":
        return None
    return bench.handoff(str(found[0]["handoff_id"]))


def test_a_call_decided_while_no_runner_lives_runs_once(bench: CrashBench) -> None:
    run_id = bench.order(*bench.hooked())
    process = bench.runner()
    asked = bench.waiting(run_id, "approval", paused=False)
    process.kill()
    process.wait()
    bench.decide(asked, "approve")
    with bench.running():
        review = bench.waiting(run_id, "review")
        bench.decide(review, "approve")
        assert bench.ended(run_id)["outcome"] == "merged"
    assert bench.lines("count") == ["ran"]
    assert bench.handoff(asked["handoff_id"])["effect"]["outcome"] == "reported"


def test_a_call_that_still_waits_when_the_runner_dies_pauses_the_run(bench: CrashBench) -> None:
    run_id = bench.order(*bench.hooked())
    process = bench.runner()
    asked = bench.waiting(run_id, "approval", paused=False)
    process.kill()
    process.wait()
    with bench.running():
        bench.until("the pause", lambda: bench.run(run_id)["status"] == "paused")
        assert bench.lines("count") == []
        bench.decide(bench.handoff(asked["handoff_id"]), "approve")
        bench.decide(bench.waiting(run_id, "review"), "reject")
        assert bench.ended(run_id)["outcome"] == "rejected"
    assert bench.lines("count") == ["ran"]


def test_an_approved_call_lost_while_it_ran_is_doubted_and_never_repeated(
    bench: CrashBench,
) -> None:
    sends = "echo ran >> COUNT; sleep 60; curl -s -d x http://example.invalid/"
    run_id = bench.order(*bench.hooked(sends))
    process = bench.runner()
    asked = bench.waiting(run_id, "approval", paused=False)
    bench.decide(asked, "approve")
    bench.until("the command", lambda: bench.lines("count"))
    process.kill()
    process.wait()
    with bench.running():
        doubt = bench.waiting(run_id, "doubt")
        assert bench.handoff(asked["handoff_id"])["effect"]["outcome"] == "unknown"
        bench.decide(doubt, "answer", answer="it_ran")
        # The agent asks for the equal call again, is told that it ran, and has nothing else to do.
        run = bench.ended(run_id)
    assert (run["outcome"], run["exit_code"]) == ("failed", 4)
    assert "already ran" in run["output"]
    assert bench.lines("count") == ["ran"]


def test_a_runner_told_to_stop_ends_its_agents_and_the_next_one_goes_on(bench: CrashBench) -> None:
    before = state_of(bench.repository)
    run_id = bench.order("bash", "-c", WITNESS + "echo a > a.txt; sleep 300")
    with bench.running() as process:
        bench.until(
            "the agent", lambda: bench.run(run_id)["status"] == "running" and bench.lines("pid")
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, bench.log
    assert not _there(int(bench.lines("pid")[0]))
    with bench.running():
        bench.decide(bench.waiting(run_id, "review"), "reject")
        assert bench.ended(run_id)["outcome"] == "rejected"
    assert state_of(bench.repository) == before


def _there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
