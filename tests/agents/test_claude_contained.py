"""The real Claude Code in a sandbox: its hook still gates, its session is resumed, its model is all it reaches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.core.domain.containment import Contained, Containment
from handfast.testing.fake_anthropic import FakeAnthropic, Turn, bash, script
from tests.agents.test_claude_run import ClaudeBench
from tests.contained_bench import needs_bwrap

pytestmark = pytest.mark.agents

GATED = "git rm -q README && echo ran >> count.txt"
COMMIT = "git add -A && git commit -q -m 'work of the model'"


@pytest.fixture
def bench(claude: Path, tmp_path: Path) -> Iterator[ClaudeBench]:
    needs_bwrap()
    turns: list[Turn] = [
        [bash("echo hi > hi.txt")],
        [bash(GATED)],
        [bash(COMMIT)],
        "The file is gone.",
    ]
    with FakeAnthropic(script(turns)) as model:
        bench = ClaudeBench(claude, tmp_path, model)
        secret = tmp_path / "home" / ".ssh" / "id_ed25519"
        secret.parent.mkdir()
        secret.write_text("secret")
        settings = tmp_path / "home" / ".claude" / "settings.json"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text('{"includeCoAuthoredBy": false}')
        with bench.serving():
            yield bench


def test_its_hook_gates_and_it_goes_on_in_its_session(bench: ClaudeBench, tmp_path: Path) -> None:
    run_id = bench.order(
        bench.claude, "-p", harness="claude-code", contain=Containment(Contained.REQUIRE)
    )
    asked = bench.waiting(run_id, "approval")
    run = bench.run(run_id)
    model = bench.model.url.removeprefix("http://")
    assert run["containment"].endswith(f"network: 127.0.0.1 hook + {model}")
    assert run["session_body_id"]
    worktree = bench.home / "worktrees" / run_id
    assert (worktree / "hi.txt").exists()
    assert not (worktree / "count.txt").exists()
    bench.decide(asked, "approve")
    review = bench.waiting(run_id, "review")
    package = review["package"]
    assert package["agent_says"] == "The file is gone."
    assert package["review"]["files"] == ["README", "count.txt", "hi.txt"]
    assert package["not_seen"] == []
    assert bench.run(run_id)["session_id"] == run["session_id"]
    bench.decide(review, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "count.txt").read_text() == "ran\n"
    # Nothing was written to the person's own configuration.
    assert [p.name for p in (tmp_path / "home" / ".claude").iterdir()] == ["settings.json"]
    assert not (tmp_path / "home" / ".claude.json").exists()
