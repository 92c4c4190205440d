"""The supervisor's parts that need no server: command lines, results, what an agent is told, when files were written."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handfast.core.domain.errors import UsageError
from handfast.runner.supervisor import claude, finished, prompts
from tests.repositories import new_repository
from tests.run_bench import Json


@pytest.mark.parametrize(
    ("command", "options", "prompt"),
    [
        (["claude"], (), ""),
        (["claude", "-p", "do it"], (), "do it"),
        (["claude", "-p", "--model", "x", "do it"], ("--model", "x"), "do it"),
        (["claude", "do it", "--print"], (), "do it"),
        (
            ["claude", "-p", "go", "--allowedTools", "Bash", "Edit", "--verbose"],
            ("--allowedTools", "Bash", "Edit", "--verbose"),
            "go",
        ),
        (["claude", "-p", "--tools", "Bash", "--", "-x"], ("--tools", "Bash"), "-x"),
        (["claude", "-p", "--model=x", "a", "b"], ("--model=x",), "a\n\nb"),
    ],
)
def test_a_command_line_is_taken_apart(
    command: list[str], options: tuple[str, ...], prompt: str
) -> None:
    found = claude.parse(command)
    assert (found.options, found.prompt) == (options, prompt)


@pytest.mark.parametrize(
    "option",
    ["--bare", "--safe-mode", "--settings=x", "--resume", "-c", "--no-session-persistence"],
)
def test_options_that_would_weaken_the_hook_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match=option.partition("=")[0]):
        claude.parse(["claude", "-p", "go", option])


def test_the_prompt_stands_before_options_that_swallow_words() -> None:
    words = claude.parse(["claude", "--tools", "Bash", "Edit", "-p"]).words("go", "--resume", "s")
    assert words == [
        "claude",
        "-p",
        "go",
        "--resume",
        "s",
        "--output-format",
        "json",
        "--tools",
        "Bash",
        "Edit",
    ]
    assert claude.parse(["claude"]).words(None)[:2] == ["claude", "-p"]


def test_a_session_id_must_be_a_uuid() -> None:
    with pytest.raises(UsageError, match="UUID"):
        claude.parse(["claude", "--session-id", "../../x"])


def test_the_last_result_counts() -> None:
    out = '{"type":"system"}\nnoise\n{"type":"result","result":"hi","stop_reason":"tool_deferred","total_cost_usd":0.25,"num_turns":2}\n'
    found = claude.result_in(out)
    assert found.deferred
    assert (found.text, found.cost_usd, found.turns) == ("hi", "0.25", 2)
    assert claude.result_in("{broken") == claude.Result()


@pytest.mark.parametrize(
    ("total", "before", "cost"),
    [("0.5", "0.2", "0.3"), ("0.1", "0.2", "0"), ("", "0", "0"), ("x", "0", "")],
)
def test_a_resumed_session_counts_its_cost_from_the_beginning(
    total: str, before: str, cost: str
) -> None:
    assert claude.cost_since(total, before) == cost


def handoff(kind: str = "approval", **more: object) -> Json:
    return {
        "handoff_id": "ho_1",
        "kind": kind,
        "package": {"what_will_happen": {"text": "rm x"}},
        **more,
    }


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (handoff(effect={"outcome": "reported"}), "Ran, do not repeat it"),
        (handoff(waiting=True), "waits for a person"),
        (handoff(decision={"kind": "approve"}), "approved now"),
        (handoff(decision={"kind": "reject", "reason": "no"}), "said no (no)"),
        (
            handoff(
                decision={
                    "kind": "approve_with_edits",
                    "edited_call": {"arguments": {"command": "rm y"}},
                }
            ),
            "exactly this instead: rm y",
        ),
        (handoff("doubt", decision={"answer": "it_ran"}), "this did run"),
        (handoff("doubt", decision={"answer": "it_did_not_run"}), "this did not run"),
        (handoff("review", decision={"kind": "request_changes", "reason": "shorter"}), "shorter"),
        (handoff(status="expired"), "nobody decided"),
    ],
)
def test_an_agent_is_told_what_became_of_each_call(case: Json, words: str) -> None:
    assert words in prompts.story("Hello.", [case], [])


def test_a_doubtful_effect_is_told_by_its_doubt_alone() -> None:
    told = prompts.story("Hello.", [handoff(effect={"outcome": "unknown"})], [])
    assert "rm x" not in told


def step(command: str, **more: object) -> Json:
    return {
        "step_id": command,
        "tool": "Bash",
        "effect": "exec",
        "verdict": "allow",
        "command": command,
        "finished": True,
        "exit_code": 0,
        **more,
    }


def test_when_a_file_was_last_written_is_the_time_of_its_inode(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repo")
    before = datetime.now(UTC) - timedelta(seconds=1)
    (repository / "README").write_text("changed")
    os.utime(repository / "README", (0, 0))  # a file may lie about its age, its inode does not
    (repository / "loose.txt").write_text("nobody tracks this")
    told = datetime.fromisoformat(finished.last_written(repository))
    assert before <= told <= datetime.now(UTC) + timedelta(seconds=1)
    (repository / "README").unlink()
    (repository / "README").symlink_to("nowhere")
    assert datetime.fromisoformat(finished.last_written(repository)) >= told


def test_a_command_that_was_stopped_or_only_read_is_not_listed() -> None:
    steps = [step("ls", effect="read"), step("rm x", verdict="wait"), step("make")]
    assert [c["command"] for c in finished.recorded_commands(steps)] == ["make"]
