"""A command-line agent without a hook, from its order to its end."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repositories import commit, git, new_repository, state_of
from tests.run_bench import Json, RunBench, plain_environment

SRC = Path(__file__).parents[2] / "src"
WORK = "echo new > new.txt && git add new.txt && git commit -q -m 'add new'"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RunBench]:
    repository = new_repository(tmp_path / "repo")
    environment = {**plain_environment(), "PYTHONPATH": str(SRC), "AWS_SECRET_ACCESS_KEY": "x"}
    with RunBench(tmp_path, repository, environment).serving() as bench:
        yield bench


def head_of(review: Json) -> str:
    return str(review["package"]["review"]["head_commit"])


def nothing_left(bench: RunBench) -> bool:
    """No worktree and no branch of a run."""
    branches = git(bench.repository, "for-each-ref", "refs/heads/handfast")
    return not branches and not list((bench.home / "worktrees").iterdir())


def test_an_approved_review_merges_exactly_the_commit(bench: RunBench) -> None:
    run_id = bench.order("bash", "-c", f"{WORK}; echo more >> README; echo all done")
    review = bench.waiting(run_id, "review")
    package = review["package"]
    assert package["review"]["files"] == ["README", "new.txt"]
    assert any("did not come through the hook" in line for line in package["not_seen"])
    assert package["evidence"] == []
    bench.decide(review, "approve")
    run = bench.ended(run_id)
    assert run["outcome"] == "merged"
    assert "all done" in run["output"]
    assert git(bench.repository, "rev-parse", "main") == head_of(review)
    assert (bench.repository / "new.txt").read_text() == "new\n"
    assert git(bench.repository, "log", "-1", "--format=%an", "main") == "agent-none (agent)"
    effect = bench.handoff(review["handoff_id"])["effect"]
    assert effect["outcome"] == "verified"
    assert effect["executed_digest"] == review["action_digest"]
    assert nothing_left(bench)


def test_a_rejected_review_leaves_the_repository_as_it_was(bench: RunBench) -> None:
    before = state_of(bench.repository)
    run_id = bench.order("bash", "-c", f"{WORK}; rm README; echo loose > loose.txt")
    bench.decide(bench.waiting(run_id, "review"), "reject")
    assert bench.ended(run_id)["outcome"] == "rejected"
    assert state_of(bench.repository) == before
    assert nothing_left(bench)


def test_requested_changes_start_the_same_command_with_the_feedback(bench: RunBench) -> None:
    agent = (
        'if [ -n "$HANDFAST_RESUME" ]; then cat "$HANDFAST_FEEDBACK_FILE" > b.txt;'
        ' echo "$HANDFAST_FEEDBACK" > c.txt; else echo a > a.txt; fi'
    )
    run_id = bench.order("bash", "-c", agent)
    first = bench.waiting(run_id, "review")
    bench.decide(first, "request_changes", reason="say it better")
    second = bench.until(
        "another review",
        lambda: (h := bench.waiting(run_id, "review"))["handoff_id"] != first["handoff_id"] and h,
    )
    assert second["package"]["review"]["files"] == ["a.txt", "b.txt", "c.txt"]
    bench.decide(second, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "b.txt").read_text() == "say it better"
    assert (bench.repository / "c.txt").read_text() == "say it better\n"


def test_an_agent_whose_program_is_missing_never_started(bench: RunBench) -> None:
    before = state_of(bench.repository)
    run = bench.ended(bench.order("no-such-agent-here", "--now"))
    assert run["outcome"] == "never_started"
    assert "no-such-agent-here" in run["exit_reason"]
    assert state_of(bench.repository) == before
    assert nothing_left(bench)


def test_a_shell_that_finds_no_agent_never_started_it(bench: RunBench) -> None:
    run = bench.ended(bench.order("bash", "-c", "no-such-agent-here"))
    assert run["outcome"] == "never_started"
    assert "no-such-agent-here" in run["output"]


@pytest.mark.parametrize(
    ("command", "outcome"),
    [("echo looked around", "nothing_changed"), ("echo no; exit 3", "failed")],
)
def test_without_a_change_there_is_nothing_to_review(
    bench: RunBench, command: str, outcome: str
) -> None:
    before = state_of(bench.repository)
    run = bench.ended(bench.order("bash", "-c", command))
    assert run["outcome"] == outcome
    assert run["exit_code"] == (3 if outcome == "failed" else 0)
    assert state_of(bench.repository) == before
    assert nothing_left(bench)


def test_what_a_failing_agent_leaves_is_reviewed_and_said_so(bench: RunBench) -> None:
    run_id = bench.order("bash", "-c", f"{WORK}; exit 3")
    review = bench.waiting(run_id, "review")
    details = review["package"]["what_will_happen"]["details"]
    assert any("exited with code 3" in line for line in details)


def test_a_merge_that_meets_uncommitted_changes_is_refused_and_reviewed_again(
    bench: RunBench,
) -> None:
    run_id = bench.order("bash", "-c", "echo better > README")
    first = bench.waiting(run_id, "review")
    (bench.repository / "README").write_text("mine\n")
    before = state_of(bench.repository)
    bench.decide(first, "approve")
    second = bench.until(
        "another review",
        lambda: (h := bench.waiting(run_id, "review"))["handoff_id"] != first["handoff_id"] and h,
    )
    assert state_of(bench.repository)["files"] == before["files"]
    assert git(bench.repository, "rev-parse", "main") != head_of(first)
    assert bench.handoff(first["handoff_id"])["effect"]["outcome"] == "none"
    assert any("not committed" in d for d in second["package"]["what_will_happen"]["details"])
    git(bench.repository, "checkout", "-q", "README")
    bench.decide(second, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "README").read_text() == "better\n"


def test_a_target_that_moved_on_gets_a_merge_commit(bench: RunBench) -> None:
    run_id = bench.order("bash", "-c", WORK)
    review = bench.waiting(run_id, "review")
    moved = commit(bench.repository, {"other.txt": "other\n"}, "somebody else")
    bench.decide(review, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    parents = git(bench.repository, "log", "-1", "--format=%P", "main").split()
    assert parents == [moved, head_of(review)]


def test_a_criterion_is_unverified_where_no_recorded_command_shows_it(bench: RunBench) -> None:
    run_id = bench.order("bash", "-c", WORK, acceptance=["`make test` passes", "it is pretty"])
    review = bench.waiting(run_id, "review")
    found = {e["claim"]: e["status"] for e in review["package"]["evidence"]}
    assert found == {"`make test` passes": "unverified", "it is pretty": "unverified"}


def test_an_agent_gets_no_credentials_of_the_person(bench: RunBench) -> None:
    run_id = bench.order("bash", "-c", "env | cut -d= -f1 | sort > names.txt")
    bench.decide(bench.waiting(run_id, "review"), "approve")
    bench.ended(run_id)
    names = (bench.repository / "names.txt").read_text().split()
    assert "AWS_SECRET_ACCESS_KEY" not in names
    assert {"HANDFAST_HOOK_URL", "HANDFAST_RUN_ID", "HANDFAST_RUN_EPOCH"} <= set(names)
    assert {"HANDFAST_TOKEN", "NO_PROXY"} <= set(names)


def test_a_runner_takes_no_run_over_that_it_works_on(bench: RunBench) -> None:
    """Asked for work many times while the lease is over: the next heartbeat keeps it, and the agent goes on."""
    go, store = bench.root / "go", bench.engine.kernel.store
    run_id = bench.order("bash", "-c", f"{WORK}; while [ ! -e {go} ]; do sleep 0.05; done")
    bench.until("its start", lambda: bench.run(run_id)["status"] == "running")
    bench.lapse(run_id)
    lapsed = store.lease(f"run/{run_id}")
    bench.until("a heartbeat", lambda: store.lease(f"run/{run_id}") != lapsed)
    go.touch()
    review = bench.waiting(run_id, "review")
    assert review["package"]["review"]["files"] == ["new.txt"]
    assert bench.run(run_id)["epoch"] == 1


def test_losing_the_lease_ends_the_agent_at_once(bench: RunBench) -> None:
    run_id = bench.order("bash", "-c", "echo $$ > pid; sleep 300")
    pid = bench.home / "worktrees" / run_id / "pid"
    bench.until("the agent", lambda: bench.run(run_id)["status"] == "running" and pid.exists())
    agent = int(pid.read_text())
    bench.steal(run_id)
    bench.until("the agent's end", lambda: not Path(f"/proc/{agent}").exists())


def test_several_runs_work_at_once(bench: RunBench) -> None:
    runs = [
        bench.order(
            "bash", "-c", f"echo {n} > {n}.txt; until [ -f {bench.root}/go ]; do sleep 0.1; done"
        )
        for n in range(3)
    ]
    bench.until("all three", lambda: all(bench.run(r)["status"] == "running" for r in runs))
    (bench.root / "go").touch()
    for run_id in runs:
        bench.decide(bench.waiting(run_id, "review"), "approve")
        assert bench.ended(run_id)["outcome"] == "merged"
    assert all((bench.repository / f"{n}.txt").exists() for n in range(3))


def test_a_hooked_agent_is_stopped_at_the_gate_and_goes_on_by_itself(bench: RunBench) -> None:
    """It holds its call until the decision is made: the process stays."""
    agent = bench.root / "agent.py"
    agent.write_text(
        "from handfast.cli.demo_agent import Session\n"
        "s = Session()\n"
        "s.run('python3 --version')\n"
        "s.run('git rm -q README')\n"
    )
    run_id = bench.order(sys.executable, str(agent), acceptance=["`python3 --version` works"])
    asked = bench.waiting(run_id, "approval", paused=False)
    assert bench.run(run_id)["status"] == "running"
    bench.decide(asked, "approve")
    review = bench.waiting(run_id, "review")
    assert review["package"]["not_seen"] == []
    assert len(review["package"]["review"]["commands"]) == 1
    bench.decide(review, "reject")
    assert bench.ended(run_id)["outcome"] == "rejected"
