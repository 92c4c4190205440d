"""kill -9 of a runner while it keeps, gives back, restores or publishes a run; another one, on a machine of its
own, finishes it. Real processes: what they share is the server and the origin."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checker import Witness, check, read_log
from tests.fleet import LEASE_S, Fleet, Machine, alive, fleet
from tests.repositories import git, new_repository

pytestmark = [pytest.mark.faults, pytest.mark.slow]

WORKS = 'echo $$ >> "$PLACE/pids"; echo start >> "$PLACE/starts"; echo a > a.txt'


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("HANDFAST_LEASE_S", str(LEASE_S))
    with fleet(tmp_path, new_repository(tmp_path / "repo"), shared=False) as made:
        yield made


def gated(apart: Fleet) -> str:
    return f"echo ran >> {apart.root}/count; git rm -q README"


def struck(machine: Machine, fault: str) -> None:
    assert machine.ends() == -signal.SIGKILL, machine.said
    assert f"fault point struck: {fault}" in machine.said


def merged(apart: Fleet, run_id: str) -> list[str]:
    """The run ends merged, once, and the log is right. Gives the files of the target at the origin."""
    assert apart.ended(run_id)["outcome"] == "merged", apart.machines[-1].said
    origin = apart.root / "origin.git"
    assert git(origin, "log", "--format=%s", "main").count("make it better") == 1
    asked = apart.engine.views.handoffs("all", run_id=run_id).items
    counted = {
        str(apart.handoff(str(h["handoff_id"]))["action_digest"]): apart.root / "count"
        for h in asked
        if h["kind"] == "approval"
    }
    assert check(read_log(apart.database), counted, Witness()) == []
    return git(origin, "ls-tree", "--name-only", "main").split()


@pytest.mark.parametrize("fault", ["snapshot.before_push:kill", "snapshot.after_push:kill"])
def test_around_the_push_of_a_snapshot(apart: Fleet, fault: str) -> None:
    """Its agent waits for a person; what is decided is done, once, whatever is left of its session."""
    run_id = apart.order(*apart.claude(), harness="claude-code", repository=apart.origin)
    first = apart.machine("ada", fault=fault, STUB_COMMAND=gated(apart))
    struck(first, fault)
    second = apart.machine("bob", STUB_COMMAND=gated(apart))
    asked = apart.waiting(run_id, "approval")
    assert apart.lines("count") == []
    assert len(apart.gaps(run_id, "work-lost")) == (fault == "snapshot.before_push:kill")
    apart.decide(asked, "approve")
    review = apart.waiting(run_id, "review")
    assert apart.lines("count") == ["ran"], second.said
    apart.decide(review, "approve")
    assert "README" not in merged(apart, run_id)
    assert apart.held(run_id) == [("ada", 1), *[("bob", epoch) for epoch in (2, 3, 4)]]


def test_work_that_never_left_its_machine_is_said_to_be_lost(apart: Fleet) -> None:
    """Its program is not one that is started twice, and had ended well."""
    run_id = apart.order("bash", "-c", WORKS, repository=apart.origin)
    fault = "snapshot.before_push:kill"
    first = apart.machine("ada", fault=fault)
    struck(first, fault)
    apart.machine("bob")
    assert apart.ended(run_id)["outcome"] == "failed"
    (said,) = apart.gaps(run_id, "work-lost")
    assert "before a snapshot of its work left that machine" in said
    assert apart.lines("starts") == ["start"]
    assert (first.data / "worktrees" / run_id / "a.txt").exists(), "a person finds it there"


def test_a_heartbeat_that_fails_by_itself_ends_the_agent_and_the_run_goes_on(apart: Fleet) -> None:
    """Nobody keeps the lease then: the runner, which has room for one, is free again."""
    run_id = apart.order("bash", "-c", f"{WORKS}; sleep 300", repository=apart.origin)
    first = apart.machine("ada", "--capacity", 1, fault="runner.before_heartbeat:raise:5")
    apart.decide(apart.waiting(run_id, "review"), "approve")
    assert "a.txt" in merged(apart, run_id)
    assert "is not kept" in first.said
    assert apart.lines("starts") == ["start"]
    assert not any(alive(int(pid)) for pid in apart.lines("pids"))
    assert apart.held(run_id) == [("ada", 1), ("ada", 2), ("ada", 3)]


def test_while_a_stopped_runner_gives_the_run_back(apart: Fleet) -> None:
    """Its agent has ended, its work is kept, and nobody was told that the run is free."""
    run_id = apart.order("bash", "-c", f"{WORKS}; sleep 300", repository=apart.origin)
    fault = "run.before_release:kill"
    first = apart.machine("ada", fault=fault)
    apart.until("its work", (first.data / "worktrees" / run_id / "a.txt").exists)
    apart.until("its record", lambda: apart.run(run_id)["status"] == "running")
    first.told_to_stop()
    struck(first, fault)
    assert apart.released(run_id) == []
    assert not any(alive(int(pid)) for pid in apart.lines("pids"))
    apart.machine("bob")
    apart.decide(apart.waiting(run_id, "review"), "approve")
    assert "a.txt" in merged(apart, run_id)
    assert apart.lines("starts") == ["start"]
    assert apart.held(run_id) == [("ada", 1), ("bob", 2), ("bob", 3)]


def test_before_the_snapshot_of_another_runner_is_restored(apart: Fleet) -> None:
    """The first comes back to a worktree of its own that is as new, and goes on from the snapshot."""
    more = {"STUB_COMMAND": gated(apart)}
    run_id = apart.order(*apart.claude(), harness="claude-code", repository=apart.origin)
    first = apart.machine("ada", **more)
    asked = apart.waiting(run_id, "approval")
    first.kill()
    fault = "runner.before_restore:kill"
    second = apart.machine("bob", fault=fault, **more)
    apart.decide(asked, "approve")
    struck(second, fault)
    assert apart.lines("count") == []
    apart.start("ada", **more)
    review = apart.waiting(run_id, "review")
    assert "starts of this session: 2" in review["package"]["agent_says"]
    assert apart.lines("count") == ["ran"]
    apart.decide(review, "approve")
    assert "README" not in merged(apart, run_id)
    assert apart.held(run_id) == [("ada", 1), ("bob", 2), ("ada", 3), ("ada", 4)]


@pytest.mark.parametrize("fault", ["merge.before_push:kill", "merge.after_push:kill"])
def test_around_the_push_of_a_merge(apart: Fleet, fault: str) -> None:
    """What the origin says is what became of it: merged, or reviewed and merged again."""
    run_id = apart.order("bash", "-c", WORKS, repository=apart.origin)
    first = apart.machine("ada", fault=fault)
    review = apart.waiting(run_id, "review")
    apart.decide(review, "approve")
    struck(first, fault)
    published = fault == "merge.after_push:kill"
    there = git(apart.root / "origin.git", "ls-tree", "--name-only", "main").split()
    assert ("a.txt" in there) is published
    apart.machine("bob")
    if not published:
        apart.decide(apart.waiting(run_id, "review"), "approve")
    assert "a.txt" in merged(apart, run_id)
    outcome = apart.handoff(review["handoff_id"])["effect"]["outcome"]
    assert outcome == ("verified" if published else "none")
    assert apart.lines("starts") == ["start"]
    epochs = [3] if published else [3, 4]
    assert apart.held(run_id) == [("ada", 1), ("ada", 2), *[("bob", epoch) for epoch in epochs]]
