"""The fake model server by itself, without an agent."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from handfast.testing.fake_anthropic import FakeAnthropic, Turn, bash, main, script, subagent

BASH_TOOL = [{"name": "Bash"}]


def ask(fake: FakeAnthropic, words: str = "go", **fields: Any) -> httpx.Response:
    body = {
        "model": "m",
        "tools": BASH_TOOL,
        "messages": [{"role": "user", "content": words}],
        **fields,
    }
    return httpx.post(f"{fake.url}/v1/messages", json=body, trust_env=False)


def test_turns_come_in_order_and_calls_get_ids_of_their_own() -> None:
    turns: list[Turn] = [["I will.", bash("true"), bash("true")], "finished"]
    with FakeAnthropic(script(turns)) as fake:
        first, second, third = (ask(fake).json() for _ in range(3))
    assert [each["type"] for each in first["content"]] == ["text", "tool_use", "tool_use"]
    assert first["stop_reason"] == "tool_use"
    assert first["content"][1]["id"] != first["content"][2]["id"]
    assert second["content"] == [{"type": "text", "text": "finished"}]
    assert second["stop_reason"] == "end_turn"
    assert third["content"][0]["text"] == "done"


def test_a_stream_carries_the_same_blocks() -> None:
    with FakeAnthropic(script([["I will.", bash("true")]])) as fake:
        streamed = ask(fake, stream=True)
    events = [json.loads(each[6:]) for each in streamed.text.splitlines() if each[:6] == "data: "]
    assert events[0]["type"] == "message_start"
    deltas = [each["delta"] for each in events if each["type"] == "content_block_delta"]
    assert deltas[0] == {"type": "text_delta", "text": "I will."}
    assert json.loads(deltas[1]["partial_json"])["command"] == "true"
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-1]["type"] == "message_stop"


def test_side_requests_and_sub_agents_do_not_use_up_the_script() -> None:
    decide = script([[subagent("PART one")], "end"], subagents={"PART": ["part done"]})
    with FakeAnthropic(decide) as fake:
        assert ask(fake, tools=[]).json()["content"][0]["text"] == "ok"
        assert ask(fake).json()["content"][0]["name"] == "Agent"
        assert ask(fake, "PART one").json()["content"][0]["text"] == "part done"
        assert ask(fake).json()["content"][0]["text"] == "end"
        assert len(fake.agent_requests()) == 3


def test_results_are_read_from_the_conversation(tmp_path: Path) -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}
    with FakeAnthropic(script(["a", "b"]), log_path=tmp_path / "log") as fake:
        for _ in range(2):
            ask(fake, messages=[{"role": "user", "content": [result]}])
        [only] = fake.tool_results()
    assert (only.call_id, only.content, only.is_error) == ("t1", "no", True)
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_what_is_not_a_message_is_recorded_and_broken_bodies_refused() -> None:
    with FakeAnthropic(script([])) as fake:
        assert httpx.get(f"{fake.url}/v1/models", trust_env=False).status_code == 200
        broken = httpx.post(f"{fake.url}/v1/messages", content=b"{", trust_env=False)
    assert fake.other_paths == ["GET /v1/models"]
    assert broken.status_code == 400


def test_a_failing_script_is_an_error_the_agent_can_read() -> None:
    def broken(_: object) -> str:
        raise LookupError("no such turn")

    with FakeAnthropic(broken) as fake:
        answer = ask(fake)
    assert answer.status_code == 400
    assert "no such turn" in answer.json()["error"]["message"]
    assert isinstance(fake.script_errors[0], LookupError)


def test_it_stops_by_itself() -> None:
    fake = FakeAnthropic(script([]), lifetime_s=0.2).start()
    assert fake.wait(10)
    with pytest.raises(httpx.ConnectError):
        ask(fake)


def test_from_a_shell(tmp_path: Path) -> None:
    turns = tmp_path / "turns.json"
    turns.write_text(json.dumps(["hello"]))
    command = [sys.executable, "-m", "handfast.testing.fake_anthropic", "--lifetime-s", "60"]
    with subprocess.Popen(
        [*command, "--script", str(turns)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        body = {"messages": [], "tools": BASH_TOOL}
        said = httpx.post(f"{url}/v1/messages", json=body, trust_env=False).json()
        server.terminate()
    assert said["content"][0]["text"] == "hello"


def test_a_script_that_is_no_list_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "turns.json"
    path.write_text("{}")
    with pytest.raises(SystemExit):
        main(["--script", str(path)])
    assert "JSON list of turns" in capsys.readouterr().err
