"""What the product relies on when the real Claude Code asks its HTTP hook.

Seen with 2.1.330. A newer binary that answers otherwise fails here, before it meets a user.
Tests named `trap` pin down weaknesses we work around: when one fails, the workaround may go.
"""

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from handfast.testing.claude_binary import find_claude
from handfast.testing.fake_anthropic import FakeAnthropic, Turn, bash, script, subagent, tool
from tests.agents.bench import Bench, Place
from tests.agents.stub_hook import Answer, Payload, StubHook, allow, decision, deny

pytestmark = pytest.mark.agents

WRITE_OUT = bash("echo ran > out.txt")
ONE_CALL: list[Turn] = [["I will.", WRITE_OUT], "finished"]


def answers(said: Payload | tuple[int, bytes]) -> Answer:
    return lambda _: said


@pytest.mark.parametrize("place", ["local", "project", "user", "flag"])
def test_the_token_comes_from_the_settings_file_itself(bench: Bench, place: Place) -> None:
    with StubHook(answers(allow())) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url, place)
        ran = bench.run(model)
    assert ran.exit_code == 0
    assert hook.seen[0].headers["Authorization"] == "Bearer from-settings"
    assert bench.wrote() == "ran"


def test_what_the_hook_is_told(bench: Bench) -> None:
    with StubHook(answers(allow())) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        ran = bench.run(model, mode="default")
    [asked] = hook.asked
    session_id = ran.result["session_id"]
    assert asked["session_id"] == session_id
    assert asked["transcript_path"] == str(bench.session_file(session_id))
    assert asked["cwd"] == str(bench.repo)
    assert asked["permission_mode"] == "default"
    assert asked["tool_name"] == "Bash"
    assert asked["tool_input"] == {"command": "echo ran > out.txt", "description": "run"}
    assert asked["tool_use_id"].startswith("toolu_")
    assert "agent_id" not in asked
    assert hook.events("SessionEnd")


def test_the_result_says_cost_turns_and_session(bench: Bench) -> None:
    with StubHook(answers(allow())) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        result = bench.run(model).result
    assert result["subtype"] == "success"
    assert result["is_error"] is False
    assert result["result"] == "finished"
    assert result["num_turns"] == 2
    assert result["stop_reason"] == "end_turn"
    assert result["total_cost_usd"] > 0
    assert result["duration_ms"] > 0
    assert result["usage"]["input_tokens"] == 20
    assert result["permission_denials"] == []
    assert not model.other_paths


BROKEN: dict[str, tuple[Any, str]] = {
    "500": (answers((500, b'{"error":"x"}')), "HTTP 500"),
    "500 with a decision": (answers((500, json.dumps(allow()).encode())), "HTTP 500"),
    "401": (answers((401, b"")), "HTTP 401"),
    "cut off JSON": (answers((200, b'{"hookSpec')), "valid JSON"),
    "HTML": (answers((200, b"<html>ok</html>")), "must return JSON"),
    "null": (answers((200, b"null")), "must return JSON"),
    "unknown word": (answers(decision("approve")), "validation failed"),
    "wrong case": (answers(decision("DENY")), "validation failed"),
    "no event name": (
        answers({"hookSpecificOutput": {"permissionDecision": "allow"}}),
        "validation failed",
    ),
    "edit of another shape": (
        answers(allow(updatedInput={"cmd": "echo"})),
        "failed schema validation",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_answer_blocks(bench: Bench, fault: str) -> None:
    answer, told = BROKEN[fault]
    with StubHook(answer) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        ran = bench.run(model)
    assert len(hook.asked) == 1
    assert bench.wrote() is None
    [result] = model.tool_results()
    assert result.is_error
    assert told in result.content
    assert ran.exit_code == 0


def test_a_runner_that_is_down_blocks(bench: Bench) -> None:
    with socket.socket() as taken, FakeAnthropic(script(ONE_CALL)) as model:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        bench.hook(f"http://127.0.0.1:{taken.getsockname()[1]}/hooks/claude-code")
        bench.run(model)
    assert bench.wrote() is None
    assert "ECONNREFUSED" in model.tool_results()[0].content


def test_a_hook_that_is_late_blocks(bench: Bench) -> None:
    release = threading.Event()

    def late(_: Payload) -> Payload:
        release.wait(15)
        return allow()

    with StubHook(late) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.place("local", bench.hook_settings(hook.url, timeout_s=1))
        bench.run(model)
        release.set()
    assert bench.wrote() is None
    assert "timed out" in model.tool_results()[0].content


def test_trap_without_on_failure_everything_runs(bench: Bench) -> None:
    with StubHook(answers((500, b""))) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.place("local", bench.hook_settings(hook.url, on_failure=False))
        bench.run(model)
    assert bench.wrote() == "ran"


@pytest.mark.parametrize(
    "silence",
    [
        (200, b"{}"),
        (200, b""),
        (204, b""),
        (200, b'{"decision":"approve"}'),
        (200, b'{"async":true}'),
        (200, b'{"continue":false,"stopReason":"stop"}'),
    ],
)
def test_trap_silence_runs_even_when_failures_block(
    bench: Bench, silence: tuple[int, bytes]
) -> None:
    with StubHook(answers(silence)) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        bench.run(model)
    assert bench.wrote() == "ran"


MODES = ["default", "acceptEdits", "dontAsk", "bypassPermissions", "auto"]


@pytest.mark.parametrize("mode", MODES)
def test_allow_runs_once_in_every_mode(bench: Bench, mode: str) -> None:
    turns: list[Turn] = [["I will.", bash("echo ran >> out.txt")], "finished"]
    with StubHook(answers(allow())) as hook, FakeAnthropic(script(turns)) as model:
        bench.hook(hook.url)
        bench.run(model, mode=mode)
    assert hook.asked[0]["permission_mode"] == mode
    assert bench.wrote() == "ran"


@pytest.mark.parametrize("mode", [*MODES, "plan"])
def test_deny_never_runs_and_the_model_reads_why(bench: Bench, mode: str) -> None:
    said = answers(deny("handoff `ho_1` waits"))
    with StubHook(said) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url, permissions={"allow": ["Bash"]})
        ran = bench.run(model, mode=mode)
    assert bench.wrote() is None
    [result] = model.tool_results()
    assert result.is_error
    assert result.content == "PreToolUse:Bash hook error: handoff `ho_1` waits"
    assert [each["tool_name"] for each in ran.result["permission_denials"]] == ["Bash"]


@pytest.mark.parametrize("name", ["Bash", "Write"])
def test_plan_mode_asks_the_hook_and_runs_no_effect(bench: Bench, name: str) -> None:
    write = tool("Write", {"file_path": str(bench.repo / "out.txt"), "content": "ran"})
    call = WRITE_OUT if name == "Bash" else write
    with StubHook(answers(allow())) as hook, FakeAnthropic(script([[call], "ok"])) as model:
        bench.hook(hook.url)
        bench.run(model, mode="plan")
    assert hook.asked[0]["permission_mode"] == "plan"
    assert bench.wrote() is None


def test_the_users_own_deny_rule_beats_our_allow(bench: Bench) -> None:
    edited = allow(updatedInput={"command": "touch out.txt"})
    with StubHook(answers(edited)) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url, permissions={"deny": ["Bash(touch:*)"]})
        bench.run(model)
    assert bench.wrote() is None


def test_an_edit_runs_exactly_and_the_model_is_told_beside_it(bench: Bench) -> None:
    edit = allow(updatedInput={"command": "echo edited > out.txt"}, additionalContext="Ann edited")
    with StubHook(answers(edit)) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        bench.run(model)
    assert bench.wrote() == "edited"
    assert hook.events("PostToolUse")[0]["tool_input"] == {"command": "echo edited > out.txt"}
    last = model.agent_requests()[-1]
    assert last.tool_calls()[0]["input"]["command"] == "echo ran > out.txt"
    assert "PreToolUse:Bash hook additional context: Ann edited" in last.words()


def test_trap_another_hook_may_rewrite_what_we_allowed(bench: Bench) -> None:
    other = answers(allow(updatedInput={"command": "echo theirs > out.txt"}))
    with (
        StubHook(answers(allow())) as ours,
        StubHook(other) as theirs,
        FakeAnthropic(script(ONE_CALL)) as model,
    ):
        bench.hook(ours.url)
        bench.hook(theirs.url, "user")
        bench.run(model)
    assert bench.wrote() == "theirs"
    assert ours.asked[0]["tool_input"]["command"] == "echo ran > out.txt"
    assert ours.events("PostToolUse")[0]["tool_input"]["command"] == "echo theirs > out.txt"


def test_one_deny_among_several_hooks_is_enough(bench: Bench) -> None:
    with (
        StubHook(answers(deny("no"))) as ours,
        StubHook(answers(allow())) as theirs,
        FakeAnthropic(script(ONE_CALL)) as model,
    ):
        bench.hook(ours.url)
        bench.hook(theirs.url, "user")
        bench.run(model)
    assert bench.wrote() is None


def test_effects_of_one_turn_are_asked_one_after_another(bench: Bench) -> None:
    turns: list[Turn] = [[bash("echo 1 > one.txt"), bash("echo 2 > two.txt")], "finished"]

    def one_first(payload: Payload) -> Payload:
        time.sleep(0.5 if "one.txt" in payload["tool_input"]["command"] else 0)
        return allow()

    with StubHook(one_first) as hook, FakeAnthropic(script(turns)) as model:
        bench.hook(hook.url)
        bench.run(model)
    order = [
        (each.payload["hook_event_name"], each.payload["tool_input"]["command"][5])
        for each in hook.seen
        if "tool_input" in each.payload
    ]
    assert order == [
        ("PreToolUse", "1"),
        ("PostToolUse", "1"),
        ("PreToolUse", "2"),
        ("PostToolUse", "2"),
    ]


def test_reads_of_one_turn_are_asked_at_once(bench: Bench) -> None:
    both = threading.Barrier(2, timeout=15)

    def together(_: Payload) -> Payload:
        both.wait()
        return allow()

    read = tool("Read", {"file_path": str(bench.repo / "README.md")})
    with StubHook(together) as hook, FakeAnthropic(script([[read, read], "ok"])) as model:
        bench.hook(hook.url)
        bench.run(model)
    assert len(hook.asked) == 2


def test_deny_inside_a_sub_agent(bench: Bench) -> None:
    def only_outer(payload: Payload) -> Payload:
        return deny("handoff `ho_2` waits") if "agent_id" in payload else allow()

    turns = script(
        [[subagent("SUBWORK")], "finished"], subagents={"SUBWORK": [[WRITE_OUT], "gave up"]}
    )
    with StubHook(only_outer) as hook, FakeAnthropic(turns) as model:
        bench.hook(hook.url)
        ran = bench.run(model)
    outer, inner = hook.asked
    assert outer["tool_name"] == "Agent"
    assert inner["agent_type"] == "general-purpose"
    assert inner["session_id"] == outer["session_id"]
    assert bench.wrote() is None
    assert ran.result["result"] == "finished"


def test_what_follows_a_call(bench: Bench) -> None:
    write = tool("Write", {"file_path": str(bench.repo / "new.txt"), "content": "x\n"})
    turns: list[Turn] = [
        [bash("echo out; echo err >&2")],
        [bash("echo bad; exit 3")],
        [write],
        "finished",
    ]
    with StubHook(answers(allow())) as hook, FakeAnthropic(script(turns)) as model:
        bench.hook(hook.url)
        bench.run(model)
    shell, written = hook.events("PostToolUse")
    assert shell["tool_response"]["stdout"] == "out\nerr"
    assert shell["duration_ms"] >= 0
    assert written["tool_response"]["type"] == "create"
    assert written["tool_response"]["filePath"] == str(bench.repo / "new.txt")
    [failed] = hook.events("PostToolUseFailure")
    assert failed["error"] == "Exit code 3\nbad"
    assert failed["is_interrupt"] is False


def test_stop_can_be_held_back_once(bench: Bench) -> None:
    def hold_first(payload: Payload) -> Payload:
        first = payload["hook_event_name"] == "Stop" and not payload["stop_hook_active"]
        return {"decision": "block", "reason": "tests are red"} if first else {}

    turns = script(["all done", "really done"])
    with StubHook(answers(allow()), hold_first) as hook, FakeAnthropic(turns) as model:
        bench.hook(hook.url)
        ran = bench.run(model)
    assert [each["stop_hook_active"] for each in hook.events("Stop")] == [False, True]
    assert hook.events("Stop")[0]["last_assistant_message"] == "all done"
    assert "tests are red" in model.agent_requests()[1].words()
    assert ran.result["result"] == "really done"


KNOWN_TOOLS = (
    "Agent Bash CronCreate CronDelete CronList Edit EnterWorktree ExitWorktree ListAgents Monitor "
    "NotebookEdit Read ReportFindings ScheduleWakeup SendMessage Skill TaskStop WebFetch WebSearch "
    "Workflow Write"
)


def test_no_tool_that_we_have_not_classified(bench: Bench) -> None:
    with FakeAnthropic(script(["hello"])) as model:
        bench.run(model, env={"ENABLE_TOOL_SEARCH": "0"})
    assert model.agent_requests()[0].tool_names <= set(KNOWN_TOOLS.split())


def test_the_binary_is_found_where_the_variable_points(
    monkeypatch: pytest.MonkeyPatch, claude: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("HANDFAST_TEST_CLAUDE", str(claude))
    assert find_claude() == claude
    monkeypatch.setenv("HANDFAST_TEST_CLAUDE", str(tmp_path / "absent"))
    assert find_claude() is None
