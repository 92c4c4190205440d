"""Whole runs of the real Claude Code: gated, decided, resumed, reviewed, merged."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from handfast.testing.claude_binary import claude_env
from handfast.testing.fake_anthropic import FakeAnthropic, Turn, bash, script
from tests.repositories import commit, git, new_repository, state_of
from tests.run_bench import Json, RunBench, plain_environment

pytestmark = pytest.mark.agents

GATED = "git rm -q README && echo ran >> {count}"
COMMIT = "git add -A && git commit -q -m 'work of the model'"


class ClaudeBench(RunBench):
    """`count` is counted outside the product: the gated command appends a line each time it runs."""

    def __init__(self, claude: Path, root: Path, model: FakeAnthropic) -> None:
        home = root / "home"
        home.mkdir()
        environment = {**plain_environment(), **claude_env(home, model.url)}
        super().__init__(root, new_repository(root / "repo"), environment)
        self.claude = str(claude)
        self.model = model

    @property
    def count(self) -> Path:
        return self.root / "count"

    def runs(self) -> int:
        return len(self.count.read_text().splitlines()) if self.count.exists() else 0

    def start(self, *options: str) -> str:
        return self.order(
            self.claude, "-p", *options, harness="claude-code", acceptance=["a person likes it"]
        )

    def another_review(self, than: Json) -> Json:
        def look() -> Json | None:
            found = self.waiting(str(than["run_id"]), "review")
            return found if found["handoff_id"] != than["handoff_id"] else None

        return dict(self.until("another review", look))


@pytest.fixture
def playing(claude: Path, tmp_path: Path) -> Iterator["Player"]:
    player = Player(claude, tmp_path)
    yield player
    player.close()


class Player:
    """Starts an installation whose model plays the given turns."""

    def __init__(self, claude: Path, root: Path) -> None:
        self._claude, self._root = claude, root
        self._open: list[object] = []

    def __call__(self, turns: Sequence[Turn]) -> ClaudeBench:
        from contextlib import ExitStack

        stack = ExitStack()
        self._open.append(stack)
        model = stack.enter_context(FakeAnthropic(script(turns)))
        bench = ClaudeBench(self._claude, self._root, model)
        stack.enter_context(bench.serving())
        return bench

    def close(self) -> None:
        for stack in self._open:
            stack.close()  # type: ignore[attr-defined]  # an ExitStack


def test_a_gated_command_runs_once_after_the_decision_and_the_work_is_merged(
    playing: Player, tmp_path: Path
) -> None:
    gated = GATED.format(count=tmp_path / "count")
    bench = playing(
        [
            ["I look first.", bash("ls")],
            ["Now I remove it.", bash(gated)],
            [bash(COMMIT)],
            "The file is gone.",
        ]
    )
    run_id = bench.start()
    asked = bench.waiting(run_id, "approval")
    run = bench.run(run_id)
    assert run["snapshot_commit"]
    assert run["session_body_id"]
    assert bench.runs() == 0
    bench.decide(asked, "approve")
    review = bench.waiting(run_id, "review")
    assert bench.runs() == 1
    package = review["package"]
    assert package["review"]["files"] == ["README"]
    assert package["agent_says"] == "The file is gone."
    assert [c["subject"] for c in package["review"]["commits"]] == ["work of the model"]
    print(package["review"]["commands"])
    assert [c["exit_code"] for c in package["review"]["commands"]] == [0, 0]
    assert package["not_seen"] == []
    assert bench.handoff(asked["handoff_id"])["effect"]["outcome"] == "reported"
    bench.decide(review, "approve")
    done = bench.ended(run_id)
    assert done["outcome"] == "merged"
    assert done["turns"] >= 3
    assert git(bench.repository, "rev-parse", "main") == package["review"]["head_commit"]
    assert not (bench.repository / "README").exists()
    assert bench.runs() == 1


def test_requested_changes_go_on_in_the_same_session(playing: Player) -> None:
    bench = playing(
        [[bash("echo a > a.txt")], "first version", [bash("echo b > b.txt")], "second version"]
    )
    run_id = bench.start("write a file")
    first = bench.waiting(run_id, "review")
    session_id = bench.run(run_id)["session_id"]
    bench.decide(first, "request_changes", reason="write another one too")
    second = bench.another_review(first)
    assert bench.run(run_id)["session_id"] == session_id
    assert second["package"]["review"]["files"] == ["a.txt", "b.txt"]
    assert second["package"]["agent_says"] == "second version"
    last = bench.model.requests[-1].words()
    assert "write another one too" in last
    assert "first version" in last
    bench.decide(second, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"


def test_a_rejected_review_leaves_the_repository_as_it_was(playing: Player) -> None:
    bench = playing([[bash(f"rm link; echo a > a.txt; {COMMIT}")], "done"])
    before = state_of(bench.repository)
    run_id = bench.start()
    asked = bench.engine.views.handoffs
    review = bench.until("something to decide", lambda: asked("waiting", run_id=run_id).items)
    if review[0]["kind"] == "approval":
        bench.decide(bench.waiting(run_id, "approval"), "approve")
    bench.decide(bench.waiting(run_id, "review"), "reject")
    assert bench.ended(run_id)["outcome"] == "rejected"
    assert state_of(bench.repository) == before


def test_a_rejected_command_never_runs_and_the_agent_is_told(
    playing: Player, tmp_path: Path
) -> None:
    gated = GATED.format(count=tmp_path / "count")
    bench = playing([[bash(gated)], "then not"])
    run_id = bench.start()
    bench.decide(bench.waiting(run_id, "approval"), "reject", reason="we need the file")
    assert bench.ended(run_id)["outcome"] == "nothing_changed"
    assert bench.runs() == 0
    assert "we need the file" in bench.model.requests[-1].words()
    assert (bench.repository / "README").exists()


def test_a_killed_session_is_told_what_never_ran_and_what_was_approved(
    playing: Player, tmp_path: Path
) -> None:
    """The agent's process is lost while one call runs and after another was decided."""
    gated = GATED.format(count=tmp_path / "count")
    slow = "echo slow > slow.txt; sleep 60"
    bench = playing([[bash(slow)], [bash(gated)], "it is done"])
    run_id = bench.start()
    bench.until("the slow call", (bench.home / "worktrees" / run_id / "slow.txt").exists)
    bench.supervisor.stop()
    assert bench.run(run_id)["exit_reason"] == "runner_stopped"
    with bench.supervising():
        asked = bench.waiting(run_id, "approval")
        told = next(r.words() for r in reversed(bench.model.requests) if "was lost" in r.words())
        assert "outcome is not known" in told
        bench.decide(asked, "approve")
        bench.decide(bench.waiting(run_id, "review"), "approve")
        assert bench.ended(run_id)["outcome"] == "merged"
    assert bench.runs() == 1


def test_a_paused_run_goes_on_where_neither_worktree_nor_session_file_is(
    playing: Player, tmp_path: Path
) -> None:
    """As on another machine that reaches the repository."""
    gated = GATED.format(count=tmp_path / "count")
    bench = playing([[bash("echo loose > loose.txt")], [bash(gated)], "it is done"])
    run_id = bench.start()
    asked = bench.waiting(run_id, "approval")
    bench.supervisor.stop()
    shutil.rmtree(bench.home / "worktrees")
    shutil.rmtree(bench.root / "home")
    (bench.root / "home").mkdir()
    bench.decide(asked, "approve")
    with bench.supervising():
        review = bench.waiting(run_id, "review")
        assert review["package"]["review"]["files"] == ["README", "loose.txt"]
    assert bench.runs() == 1


def test_a_command_line_under_which_the_hook_would_not_hold_is_refused(playing: Player) -> None:
    bench = playing([])
    run = bench.ended(bench.start("go", "--bare"))
    assert run["outcome"] == "never_started"
    assert "--bare" in run["exit_reason"]
    assert not bench.model.requests


def test_an_agent_that_overwrites_hook_settings_stays_gated(
    playing: Player, tmp_path: Path
) -> None:
    gated = GATED.format(count=tmp_path / "count")
    off = """mkdir -p .claude && echo '{"disableAllHooks":true}' > .claude/settings.json"""
    bench = playing([[bash(off)], [bash(gated)], "done"])
    (bench.repository / ".claude").mkdir()
    commit(bench.repository, {".claude/settings.json": '{"disableAllHooks": true}'})
    run_id = bench.start("go", "--permission-mode", "bypassPermissions")
    bench.waiting(run_id, "approval")
    assert bench.runs() == 0
