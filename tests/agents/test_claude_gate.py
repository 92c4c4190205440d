"""The product's gate under the real Claude Code: what it lets run, and what happens when parts are away.

Effects are counted in a file that the agent's command appends to.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from handfast.client import Client
from handfast.engine.access import PrincipalKind
from handfast.runner.hook_proof import Outcome, prove_hook
from handfast.runner.hook_settings import with_hook
from handfast.runner.install import install
from handfast.testing.claude_binary import ClaudeProcess, ClaudeRun
from handfast.testing.fake_anthropic import FakeAnthropic, Turn, bash, script, subagent, tool
from tests.agents.bench import RUN_TIMEOUT_S, Bench
from tests.agents.interactive import interactive_claude
from tests.hook_bench import HookBench, hook_bench

pytestmark = pytest.mark.agents

# Gated for its push, which fails at once.
PUSH = "git push -q nowhere main 2> /dev/null; "
GATED = PUSH + "echo ran >> out.txt"
EDITED = PUSH + "echo edited >> out.txt"
HARMLESS = "echo ran >> out.txt"
MODES = ["default", "acceptEdits", "dontAsk", "bypassPermissions"]


class Gated:
    """The real binary in a repository, under the product's hook."""

    def __init__(self, product: HookBench, binary: Path) -> None:
        self.product = product
        self.claude = Bench(binary, product.root)
        self.claude.home.mkdir()
        self.hook(product.runner.hook_url)

    def hook(self, url: str, timeout_s: int = 60) -> None:
        self.claude.place("local", with_hook({}, url, self.product.token, timeout_s))

    @contextmanager
    def running(
        self, turns: list[Turn], mode: str = "bypassPermissions", **subagents: list[Turn]
    ) -> Iterator[tuple[FakeAnthropic, ClaudeProcess]]:
        with (
            FakeAnthropic(script(turns, subagents=subagents)) as model,
            self.claude.start(model, mode=mode) as process,
        ):
            yield model, process
            _finish(process)

    def run(self, turns: list[Turn], mode: str = "bypassPermissions") -> FakeAnthropic:
        with self.running(turns, mode) as (model, _):
            pass
        return model

    @property
    def wrote(self) -> list[str]:
        return (self.claude.wrote() or "").split()


def _finish(process: ClaudeProcess) -> ClaudeRun:
    ran = process.finish(RUN_TIMEOUT_S)
    assert not ran.timed_out, ran
    return ran


@pytest.fixture
def gated(claude: Path, tmp_path: Path) -> Iterator[Gated]:
    with hook_bench(tmp_path) as product:
        yield Gated(product, claude)


def said(model: FakeAnthropic) -> str:
    return "\n".join(each.content for each in model.tool_results())


# -- decisions


@pytest.mark.parametrize("mode", MODES)
def test_an_approved_command_runs_once(gated: Gated, mode: str) -> None:
    with gated.running([["I will.", bash(GATED)], "finished"], mode):
        waiting = gated.product.waiting()[0]
        assert gated.wrote == []
        gated.product.decide(waiting["handoff_id"], "approve")
    assert gated.wrote == ["ran"]
    effect: Any = gated.product.engine.views.handoff(waiting["handoff_id"])["effect"]
    assert (effect["outcome"], effect["exit_code"]) == ("reported", 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_rejected_command_never_runs(gated: Gated, mode: str) -> None:
    with gated.running([["I will.", bash(GATED)], "finished"], mode) as (model, _):
        gated.product.decide_next("reject", "not before the release")
    assert gated.wrote == []
    assert "not before the release" in said(model)


def test_in_plan_mode_nothing_runs_and_nobody_is_asked(gated: Gated) -> None:
    with FakeAnthropic(script([[bash(GATED)], "finished"])) as model:
        gated.claude.run(model, mode="plan")
    assert gated.wrote == []
    assert gated.product.engine.views.handoffs("all").items == []


def test_after_an_edit_only_the_edited_command_runs(gated: Gated) -> None:
    turns: list[Turn] = [[bash(GATED)], [bash(EDITED)], [bash(GATED)], "finished"]
    with gated.running(turns) as (model, _):
        gated.product.decide_next("approve_with_edits", edited=EDITED)
    assert gated.wrote == ["edited"]
    assert EDITED in said(model)


def test_of_two_calls_in_a_turn_each_has_its_own_decision(gated: Gated) -> None:
    one, two = PUSH + "echo one >> out.txt", PUSH + "echo two >> out.txt"
    with gated.running([[bash(one), bash(two)], "finished"]):
        gated.product.decide_next("reject")
        gated.product.until(lambda: len(gated.product.engine.views.handoffs("all").items) == 2)
        gated.product.decide_next("approve")
    assert gated.wrote == ["two"]


def test_an_agent_whose_call_waits_for_a_checkpoint_is_told_that_it_may_go_on(
    claude: Path, tmp_path: Path
) -> None:
    turns: list[Turn] = [[bash(GATED)], [bash("echo other >> out.txt")], "finished"]
    with hook_bench(tmp_path, hook_timeout_s=4.0) as product:
        budget = "version: 1\ninterruptions: {cost: 900, planned: []}\n"
        product.engine.policies.propose(product.person, "organisation", budget)
        gated = Gated(product, claude)
        model = gated.run(turns)
    assert gated.wrote == ["other"]
    for words in ("waits for the next checkpoint", "at the latest", "go on with work"):
        assert words in said(model)


@pytest.mark.parametrize(("kind", "left"), [("approve", ["ran"]), ("reject", [])])
def test_a_sub_agent_is_gated_alike(gated: Gated, kind: str, left: list[str]) -> None:
    turns: list[Turn] = [[subagent("do the zebra errand")], "finished"]
    with gated.running(turns, zebra=[[bash(GATED)], "errand done"]):
        handoff_id = gated.product.decide_next(kind)
    assert gated.wrote == left
    asked = [step for step in gated.product.steps() if step.get("handoff_id") == handoff_id]
    assert asked[0]["subagent"].startswith("general-purpose")


def test_tampering_is_denied_without_asking_anybody(gated: Gated) -> None:
    settings = gated.claude.repo / ".claude" / "settings.local.json"
    before = settings.read_text()
    attempts = [
        bash(f"echo {{}} > {settings}"),
        tool("Write", {"file_path": str(settings), "content": "{}"}),
        bash(f"cat {gated.product.home}/keys/signing.key"),
        bash(f"curl {gated.product.runner.url}/healthz"),
        bash(f"curl {gated.product.server.url}/healthz"),
        bash("handfast handoff approve ho_1"),
    ]
    model = gated.run([[each] for each in attempts])
    assert settings.read_text() == before
    assert [each.is_error for each in model.tool_results()] == [True] * len(attempts)
    assert gated.product.engine.views.handoffs("all").items == []


def test_what_another_hook_makes_of_an_allowed_call_is_recorded(gated: Gated) -> None:
    rewrite = (
        'echo \'{"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow", '
        '"updatedInput": {"command": "echo theirs >> out.txt"}}}\''
    )
    theirs = [{"matcher": "Bash", "hooks": [{"type": "command", "command": rewrite}]}]
    gated.claude.place("project", {"hooks": {"PreToolUse": theirs}})
    gated.run([[bash(HARMLESS)]])
    assert gated.wrote == ["theirs"]
    assert gated.product.runs()[0]["counts"]["gaps"] == 1


def test_a_session_on_a_terminal_waits_and_goes_on(gated: Gated) -> None:
    with (
        FakeAnthropic(script([["I will.", bash(GATED)], "finished"])) as model,
        interactive_claude(gated.claude, model, mode="default") as terminal,
    ):
        terminal.type("go")
        views = gated.product.engine.views
        terminal.wait_for(lambda: len(views.handoffs("waiting").items) == 1)
        gated.product.decide_next("approve")
        terminal.wait_for(lambda: gated.wrote == ["ran"])


# -- parts that are away or wrong


def turns_with_a_read(gated: Gated) -> list[Turn]:
    read = tool("Read", {"file_path": str(gated.claude.repo / "README.md")})
    return [[bash(HARMLESS)], [read], "finished"]


def check_only_reading(gated: Gated, model: FakeAnthropic) -> None:
    effect, read = model.tool_results()
    assert gated.wrote == []
    assert effect.is_error
    assert not read.is_error
    assert "hello" in read.content


@pytest.mark.parametrize("mode", MODES)
def test_without_a_runner_only_reading_goes_on(gated: Gated, mode: str) -> None:
    gated.product.runner.stop()
    check_only_reading(gated, gated.run(turns_with_a_read(gated), mode))


def test_without_a_server_only_reading_goes_on(gated: Gated) -> None:
    gated.product.server.stop()
    check_only_reading(gated, gated.run(turns_with_a_read(gated)))


Answer = Callable[[BaseHTTPRequestHandler], None]


def _say(status: int, body: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _silent(handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(4)


@pytest.mark.parametrize(
    "answer",
    [_say(500, b""), _say(401, b"{}"), _say(200, b"<html>"), _say(200, b"null"), _silent],
    ids=["500", "401", "html", "null", "silent"],
)
def test_a_runner_that_answers_wrongly_stops_effects(gated: Gated, answer: Answer) -> None:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep the test output quiet."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            answer(self)

    stub = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.daemon_threads = True
    threading.Thread(target=stub.serve_forever, args=(0.05,), daemon=True).start()
    try:
        gated.hook(f"http://127.0.0.1:{stub.server_address[1]}/hooks/claude-code", timeout_s=2)
        check_only_reading(gated, gated.run(turns_with_a_read(gated)))
    finally:
        stub.shutdown()
        stub.server_close()


def test_a_call_the_agent_gave_up_on_does_not_run_when_it_is_approved_later(gated: Gated) -> None:
    gated.hook(gated.product.runner.hook_url, timeout_s=2)
    gated.run([[bash(GATED)], "finished"])
    assert gated.wrote == []
    handoff_id = gated.product.decide_next("approve")
    time.sleep(0.5)  # long enough for a runner that did not notice to use the grant
    grant: Any = gated.product.engine.views.handoff(handoff_id)["grant"]
    assert grant["status"] == "minted"
    assert gated.wrote == []


# -- installed as a person does it


@pytest.mark.parametrize("scope", ["project", "user"])
def test_doctor_proves_what_install_wrote(
    gated: Gated, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = gated.product
    (gated.claude.repo / ".claude" / "settings.local.json").unlink()
    monkeypatch.setenv("HOME", str(gated.claude.home))
    operator = product.engine.access.ensure_file_token(product.home, PrincipalKind.OPERATOR)
    before = prove_hook(gated.claude.binary, gated.claude.repo, product.home)
    assert before.outcome is not Outcome.PROVEN
    with Client(product.server.url, operator) as client:
        install(client, product.home, product.runner.url, scope=scope, project=gated.claude.repo)
    after = prove_hook(gated.claude.binary, gated.claude.repo, product.home)
    assert after.outcome is Outcome.PROVEN, after
    product.runner.stop()
    assert prove_hook(gated.claude.binary, gated.claude.repo, product.home).outcome is (
        Outcome.UNKNOWN
    )
