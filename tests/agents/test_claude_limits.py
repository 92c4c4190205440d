"""The real Claude Code at its limits: paused, resumed with the call or with a person's words, measured."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.runner.hooks.transcript import Tally, read_on
from handfast.testing.fake_anthropic import bash
from tests.agents.test_claude_run import COMMIT, Player

pytestmark = pytest.mark.agents
BROKEN = "ls /nowhere/at/all && make"


@pytest.fixture
def playing(claude: Path, tmp_path: Path) -> Iterator[Player]:
    player = Player(claude, tmp_path)
    yield player
    player.close()


def test_a_repeated_failing_call_pauses_it_and_letting_it_go_on_runs_the_call(
    playing: Player,
) -> None:
    bench = playing(
        [[bash(BROKEN)], [bash(BROKEN)], [bash("echo a > a.txt")], [bash(COMMIT)], "Done."]
    )
    run_id = bench.start()
    asked = bench.waiting(run_id, "escalation")
    assert asked["rules"] == ["limit.failing_call_repeats"]
    attempts = asked["package"]["attempts"]
    assert attempts[0]["outcome"].endswith("2 times")
    bench.decide(asked, "approve", reason="")
    review = bench.waiting(run_id, "review")
    assert review["package"]["review"]["files"] == ["a.txt"]
    limits = bench.run(run_id)["limits"]
    used = {row["metric"]: row["used"] for row in limits["usage"]}
    assert {"context_fill", "reasoning_s", "compactions", "cost_usd"} <= used.keys()
    file = next((bench.root / "home").rglob("*.jsonl"))
    read = Tally()
    read_on(read, file.stem, str(file))
    figures = read.figures()
    requests = len(bench.model.agent_requests())
    assert figures["tokens_in"] == 10 * requests
    assert figures["tokens_out"] == 5 * requests
    assert float(figures["cost_usd"]) > 0
    assert limits["not_watched"] == []


def test_requested_changes_reach_the_model_before_it_goes_on(playing: Player) -> None:
    bench = playing(
        [
            [bash(BROKEN)],
            [bash(BROKEN)],
            [bash("echo a > a.txt")],
            [bash("echo b > b.txt")],
            "Done.",
        ]
    )
    run_id = bench.start()
    asked = bench.waiting(run_id, "escalation")
    bench.decide(asked, "request_changes", reason="leave make alone")
    bench.waiting(run_id, "review")
    said = str([r.body for r in bench.model.agent_requests()][-1])
    assert "leave make alone" in said
