"""When the server is away or wrong: nothing with an effect runs, reads go on, and no record is lost."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from handfast.client import Client
from handfast.engine.clock import SystemClock
from handfast.runner.hooks.endpoint import HookEndpoint
from handfast.runner.hooks.sessions import token_hash
from handfast.runner.hooks.settings import HookSettings
from handfast.runner.serving import RunnerServer
from handfast.server.serving import ServerThread
from tests.hook_bench import HookBench, hook_bench
from tests.served import _TLS

PUSH = "git push origin main"
EFFECT = "echo hi > out.txt"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path) as made:
        yield made


def restart(bench: HookBench) -> ServerThread:
    port = int(bench.server.url.rsplit(":", 1)[1])
    bench.server = ServerThread(bench.engine, port=port)
    return bench.server


def test_without_a_server_effects_are_denied_and_reads_go_on(bench: HookBench) -> None:
    bench.server.stop()
    effect = bench.bash(EFFECT, "t1")
    assert effect["permissionDecision"] == "deny"
    assert "no server answers" in effect["permissionDecisionReason"]
    for number in range(3):
        read = bench.asks("Read", {"file_path": str(bench.repo / "README.md")}, f"r{number}")
        assert read["permissionDecision"] == "allow"
    with restart(bench):
        bench.until(lambda: len(bench.steps()) == 3, "the record of the reads")
        assert bench.bash(EFFECT, "t2")["permissionDecision"] == "allow"


def test_reads_survive_a_runner_that_ends_while_the_server_is_away(bench: HookBench) -> None:
    bench.server.stop()
    bench.asks("Read", {"file_path": str(bench.repo / "README.md")}, "r1")
    bench.runner.stop()
    with restart(bench):
        client = Client(
            bench.server.url, (bench.home / "runner.token").read_text().strip(), timeout_s=5
        )
        settings = HookSettings(bench.home, bench.server.url)
        known = {token_hash(bench.token): bench.agent_id}
        endpoint = HookEndpoint(client, settings, SystemClock().now, installed=lambda: known)
        with RunnerServer(endpoint, port=0):
            bench.until(lambda: len(bench.steps()) == 1, "the record of the read")


def test_a_result_that_cannot_be_delivered_is_delivered_later(bench: HookBench) -> None:
    assert bench.bash(EFFECT, "t1")["permissionDecision"] == "allow"
    bench.server.stop()
    assert bench.finished(EFFECT, "t1").status_code == 200
    with restart(bench):
        bench.until(lambda: bench.steps()[0]["finished"], "the result")


def test_a_server_that_restarts_while_a_call_waits_is_waited_for(bench: HookBench) -> None:
    with bench.asking(PUSH, "t1") as answers:
        handoff_id = bench.waiting()[0]["handoff_id"]
        bench.server.stop()
        restart(bench).start()
        bench.decide(handoff_id, "approve")
    assert answers[0]["permissionDecision"] == "allow"
    bench.server.stop()


def test_a_call_in_the_background_is_not_called_finished(bench: HookBench) -> None:
    bench.bash(EFFECT, "t1")
    bench.finished(EFFECT, "t1", tool_response={"stdout": "", "backgroundTaskId": "b1"})
    assert bench.steps()[0]["finished"] is False
    assert bench.runs()[0]["counts"]["gaps"] == 1


def test_a_call_that_ran_with_another_input_is_recorded_as_a_gap(bench: HookBench) -> None:
    bench.bash(EFFECT, "t1")
    bench.finished("echo THEIRS > out.txt", "t1")
    assert bench.runs()[0]["counts"]["gaps"] == 1


def test_the_end_of_a_session_puts_a_start_without_a_result_into_doubt(bench: HookBench) -> None:
    with bench.asking(PUSH, "t1"):
        bench.decide_next("approve")
    bench.post(bench.event("SessionEnd", reason="other"))
    doubt = bench.waiting()[0]
    assert doubt["kind"] == "doubt"


def test_a_failed_command_is_recorded_with_its_exit_code(bench: HookBench) -> None:
    bench.bash(EFFECT, "t1")
    event = bench.event(
        "PostToolUseFailure",
        tool_name="Bash",
        tool_input={"command": EFFECT},
        tool_use_id="t1",
        error="Exit code 3\nbad",
    )
    bench.post(event)
    step = bench.steps()[0]
    assert (step["failed"], step["exit_code"], step["output"]) == (True, 3, "bad")


# -- a server that answers nonsense


Answer = Callable[[BaseHTTPRequestHandler], None]


def _say(status: int, body: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _silent(handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(3)


@pytest.mark.parametrize(
    "answer",
    [
        _say(500, b"oops"),
        _say(503, b'{"code": "unavailable", "retryable": true, "detail": "busy"}'),
        _say(200, b""),
        _say(200, b"<html>"),
        _say(200, b"{}"),
        _say(200, b'{"verdict": "maybe", "run_id": "r", "mode": "enforce"}'),
        _say(302, b""),
        _say(204, b""),
        _silent,
    ],
    ids=[
        "500",
        "503",
        "empty",
        "html",
        "no fields",
        "unknown verdict",
        "redirect",
        "204",
        "silent",
    ],
)
def test_a_wrong_answer_of_the_server_denies_effects(tmp_path: Path, answer: Answer) -> None:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            return

        def do_POST(self) -> None:
            answer(self)

        do_GET = do_POST

    stub = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.daemon_threads = True
    threading.Thread(target=stub.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{stub.server_address[1]}"
    client = Client(url, "hfr_x", timeout_s=0.5, tries=2)
    known = {token_hash("hfa_x"): "ag_x"}
    settings = HookSettings(tmp_path / "data", url)
    endpoint = HookEndpoint(client, settings, SystemClock().now, installed=lambda: known)
    try:
        with RunnerServer(endpoint, port=0) as runner:
            assert _ask(runner, tmp_path, "Bash", {"command": EFFECT}) == "deny"
            assert _ask(runner, tmp_path, "Read", {"file_path": str(tmp_path / "x")}) == "allow"
    finally:
        stub.shutdown()
        stub.server_close()


def _ask(runner: RunnerServer, folder: Path, tool: str, tool_input: dict[str, Any]) -> str:
    import httpx

    event = {
        "session_id": "s",
        "cwd": str(folder),
        "hook_event_name": "PreToolUse",
        "tool_name": tool,
        "tool_input": tool_input,
        "tool_use_id": "t1",
    }
    headers = {"Authorization": "Bearer hfa_x"}
    answer = httpx.post(
        runner.hook_url,
        content=json.dumps(event),
        headers=headers,
        timeout=120,
        trust_env=False,
        verify=_TLS,
    )
    return str(answer.json()["hookSpecificOutput"]["permissionDecision"])
