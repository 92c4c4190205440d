"""The real Claude Code, taken over by a person and handed back: it resumes its session and is told what changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.testing.fake_anthropic import bash
from tests.agents.test_claude_run import GATED, Player
from tests.repositories import git
from tests.run_bench import Json, RunBench

pytestmark = pytest.mark.agents


@pytest.fixture
def playing(claude: Path, tmp_path: Path) -> Iterator[Player]:
    player = Player(claude, tmp_path)
    yield player
    player.close()


def in_hands(bench: RunBench, run_id: str) -> Path:
    def look() -> Json | None:
        run = bench.run(run_id)
        found = run["takeovers"]
        return run if found and found[-1]["handed_over_at"] else None

    return Path(bench.until("the worktree is handed over", look)["worktree"])


def test_a_session_that_was_paused_goes_on_with_what_the_person_did(
    playing: Player, tmp_path: Path
) -> None:
    gated = GATED.format(count=tmp_path / "count")
    bench = playing(
        [[bash("echo a > a.txt")], [bash(gated)], [bash("echo b > b.txt")], "all is done"]
    )
    run_id = bench.start("write a file")
    asked = bench.waiting(run_id, "approval")
    session_id = bench.run(run_id)["session_id"]
    bench.engine.takeovers.take(bench.person, run_id)
    tree = in_hands(bench, run_id)
    assert bench.handoff(asked["handoff_id"])["status"] == "withdrawn"
    (tree / "a.txt").write_text("better\n")
    git(tree, "add", "a.txt")
    git(tree, "commit", "-q", "-m", "by hand")
    bench.engine.takeovers.hand_back(bench.person, run_id, "The file stays. Write b.txt.")
    review = bench.waiting(run_id, "review")
    assert bench.run(run_id)["session_id"] == session_id
    told = next(r.words() for r in bench.model.requests if "took this run over" in r.words())
    assert "write a file" in told, "the same session"
    assert "> The file stays. Write b.txt." in told
    assert "M a.txt +1 -1" in told
    assert "+better" in told
    assert "nobody decided" in told, "what it had asked is not approved by being handed back"
    assert bench.runs() == 0
    assert (tree / "README").exists()
    assert review["package"]["review"]["files"] == ["a.txt", "b.txt"]
    assert review["package"]["review"]["parts"][0]["files"] == ["a.txt"]
    assert review["package"]["agent_says"] == "all is done"


def test_a_working_session_is_ended_between_two_calls(playing: Player, tmp_path: Path) -> None:
    """The call that runs may finish; the next one is not made."""
    slow = f"touch {tmp_path}/slow; sleep 4; echo slow > slow.txt"
    bench = playing([[bash(slow)], [bash(f"touch {tmp_path}/next")], "it is done"])
    run_id = bench.start()
    bench.until("the slow call", (tmp_path / "slow").exists)
    bench.engine.takeovers.take(bench.person, run_id)
    tree = in_hands(bench, run_id)
    assert (tree / "slow.txt").exists()
    assert not (tmp_path / "next").exists()
    assert bench.engine.views.handoffs("waiting", run_id=run_id).items == []
    bench.engine.takeovers.hand_back(bench.person, run_id)
    bench.waiting(run_id, "review")
    assert bench.run(run_id)["takeovers"][-1]["changed"] == 0
