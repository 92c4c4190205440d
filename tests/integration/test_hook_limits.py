"""Limits at the hook's endpoint: a scripted session of Claude Code with its transcript."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from handfast.core.domain.publication import ORGANISATION
from tests.hook_bench import HookBench, hook_bench

BROKEN = "make broken"
START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path) as made:
        yield made


class Script:
    """A transcript that grows as Claude Code writes it: each block of an answer on a line of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = START
        self.answers = 0

    def add(self, **entry: Any) -> None:
        line = {"timestamp": self.at.isoformat().replace("+00:00", "Z"), **entry}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def answer(self, tokens: int, after_s: int = 20, blocks: int = 2) -> None:
        self.answers += 1
        self.add(type="user", message={"role": "user", "content": "go on"})
        self.at += timedelta(seconds=after_s)
        usage = {
            "input_tokens": 1_000,
            "cache_read_input_tokens": tokens - 1_500,
            "cache_creation_input_tokens": 0,
            "output_tokens": 500,
        }
        for _ in range(blocks):
            message = {"id": f"msg_{self.answers}", "model": "claude-opus-4-8", "usage": usage}
            self.add(type="assistant", message=message)


def script(bench: HookBench, session_id: str = "s1") -> Script:
    return Script(bench.root / f"{session_id}.jsonl")


def fails(bench: HookBench, call_id: str, path: Path | None = None) -> None:
    """A call that fails with the same result each time, but for the time it took."""
    place = {"transcript_path": str(path)} if path else {}
    assert bench.bash(BROKEN, call_id, **place)["permissionDecision"] == "allow"
    event = bench.event(
        "PostToolUseFailure",
        tool_name="Bash",
        tool_input={"command": BROKEN},
        tool_use_id=call_id,
        error=f"Exit code 2\nmake: no rule. Stop. ({len(call_id)}.4 s)",
        **place,
    )
    assert bench.post(event).status_code == 200


def limits(bench: HookBench) -> Any:
    return bench.engine.views.run(str(bench.runs()[0]["run_id"]))["limits"]


def used(bench: HookBench) -> dict[str, str]:
    return {row["metric"]: row["used"] for row in limits(bench)["usage"]}


def test_a_failing_call_again_hands_the_session_over_and_an_answer_reaches_the_agent(
    bench: HookBench,
) -> None:
    fails(bench, "t1")
    fails(bench, "t22")
    with bench.asking(BROKEN, "t3") as answers:
        (handoff,) = bench.waiting()
        assert handoff["kind"] == "escalation"
        assert bench.asks("Read", {"file_path": str(bench.repo / "README.md")})[
            "permissionDecision"
        ] == ("allow")
        bench.decide(handoff["handoff_id"], "request_changes", "the target is `all`")
    assert answers[0]["permissionDecision"] == "deny"
    assert "lets it go on, and says:\nthe target is `all`" in answers[0]["permissionDecisionReason"]
    assert bench.bash("make all", "t4")["permissionDecision"] == "allow"
    tried = bench.engine.views.handoff(handoff["handoff_id"])["package"]["attempts"]  # type: ignore[index]  # JSON
    assert [a["outcome"] for a in tried] == ["exit code 2, 2 times"]


def test_a_person_who_stops_the_run_denies_every_later_call(bench: HookBench) -> None:
    fails(bench, "t1")
    fails(bench, "t22")
    with bench.asking(BROKEN, "t3") as answers:
        bench.decide_next("reject", "wrong track")
    assert answers[0]["permissionDecision"] == "deny"
    later = bench.bash("make other", "t4")
    assert later["permissionDecision"] == "deny"
    assert "wrong track" in later["permissionDecisionReason"]


def test_the_transcript_tells_context_tokens_and_the_models_time(bench: HookBench) -> None:
    told = script(bench)
    told.answer(50_000)
    place = {"transcript_path": str(told.path)}
    bench.bash("make", "t1", **place)
    bench.finished("make", "t1", **place)
    assert used(bench)["context_fill"] == "0.25"
    assert used(bench)["reasoning_s"] == "20 s"
    told.add(type="cost-state", totalCostUSD=0.1 + 0.2, hasUnknownModelCost=False)
    told.add(type="cost-state", totalCostUSD=99, hasUnknownModelCost=True)
    told.answer(160_000, after_s=40)
    bench.bash("make", "t2", **place)
    bench.finished("make", "t2", **place)
    assert used(bench)["context_fill"] == "0.80"
    assert used(bench)["reasoning_s"] == "60 s"
    assert limits(bench)["warnings"] == ["Share of the context in use 0.80 of 0.75 (the default)."]
    assert used(bench)["cost_usd"] == "$0.30"
    assert limits(bench)["not_watched"] == []


def test_compactions_are_heard_and_hand_over(bench: HookBench) -> None:
    told = script(bench)
    place = {"transcript_path": str(told.path)}
    bench.bash("make", "t1", **place)
    for _ in range(2):
        told.answer(150_000)
        assert bench.post(bench.event("PreCompact", trigger="auto", **place)).status_code == 200
        told.add(type="system", subtype="compact_boundary")
    told.answer(20_000)
    bench.finished("make", "t1", **place)
    assert used(bench)["compactions"] == "2"
    with bench.asking("make again", "t2", **place) as answers:
        assert bench.waiting()[0]["kind"] == "escalation"
        bench.decide_next("approve")
    assert answers[0]["permissionDecision"] == "allow"


def test_a_transcript_that_is_none_is_not_read(bench: HookBench) -> None:
    other = bench.root / "other.jsonl"
    told = Script(other)
    told.answer(160_000)
    fifo = bench.root / "fifo" / "s1.jsonl"
    fifo.parent.mkdir()
    os.mkfifo(fifo)
    for call_id, path in (("t1", other), ("t2", fifo), ("t3", bench.root / "gone" / "s1.jsonl")):
        bench.bash("make", call_id, transcript_path=str(path))
        bench.finished("make", call_id, transcript_path=str(path))
    assert "context_fill" not in used(bench)
    assert "context_fill" in limits(bench)["not_watched"]


def test_the_time_after_the_agents_turn_is_not_its_own(bench: HookBench) -> None:
    bench.bash("make", "t1")
    bench.finished("make", "t1")
    bench.post(bench.event("Stop", stop_hook_active=False, last_assistant_message="done"))
    run_id = str(bench.runs()[0]["run_id"])
    bench.until(lambda: "run.usage_reported" in _types(bench, run_id), "the end of the turn")


def _types(bench: HookBench, run_id: str) -> list[str]:
    return [row.type for row in bench.engine.kernel.store.events(stream=f"run/{run_id}")]


def test_a_hard_bound_denies_at_once_and_names_the_handoff(bench: HookBench) -> None:
    text = "version: 1\nlimits:\n  tool_calls: {stop: 1}\n"
    bench.engine.policies.propose(bench.person, ORGANISATION, text)
    assert bench.bash("make", "t1")["permissionDecision"] == "allow"
    answer = bench.bash("make", "t2")
    (handoff,) = bench.waiting()
    assert answer["permissionDecision"] == "deny"
    assert handoff["handoff_id"] in answer["permissionDecisionReason"]
    assert "only a person can let it go on" in answer["permissionDecisionReason"]
