"""Pause, decide later, resume; and what a crash leaves behind. Seen with 2.1.330."""

import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from handfast.testing.fake_anthropic import FakeAnthropic, Turn, bash, script, subagent
from tests.agents.bench import Bench
from tests.agents.interactive import interactive_claude
from tests.agents.stub_hook import Payload, StubHook, allow, defer, deny

pytestmark = pytest.mark.agents

ONE_CALL: list[Turn] = [["I will.", bash("echo ran >> out.txt")], "finished"]
UNKNOWN_OUTCOME = "its outcome is unknown"


class Decider:
    """Defers at first; afterwards says what `later` holds."""

    def __init__(self, first: Callable[[Payload], Payload] = lambda _: defer()) -> None:
        self.first = first
        self.later: Payload | None = None

    def __call__(self, payload: Payload) -> Payload:
        return self.first(payload) if self.later is None else self.later


@pytest.mark.parametrize("mode", ["default", "plan", "acceptEdits", "dontAsk", "auto"])
def test_defer_stops_the_run_in_every_mode(bench: Bench, mode: str) -> None:
    with StubHook(lambda _: defer()) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        ran = bench.run(model, mode=mode)
    assert bench.wrote() is None
    assert ran.exit_code == 0
    assert ran.result["stop_reason"] == "tool_deferred"
    assert ran.result["deferred_tool_use"] == {
        "id": hook.asked[0]["tool_use_id"],
        "name": "Bash",
        "input": {"command": "echo ran >> out.txt", "description": "run"},
    }
    assert not hook.events("Stop")


@pytest.mark.parametrize(
    ("later", "left", "told"),
    [
        (allow(), "ran", None),
        (allow(updatedInput={"command": "echo edited >> out.txt"}), "edited", None),
        (deny("Ann rejected it"), None, "PreToolUse:Bash hook error: Ann rejected it"),
    ],
    ids=["approve", "edit", "reject"],
)
def test_resume_asks_again_for_the_same_call_and_obeys(
    bench: Bench, later: Payload, left: str | None, told: str | None
) -> None:
    decider = Decider()
    with StubHook(decider) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        session_id = bench.run(model).result["session_id"]
        decider.later = later
        resumed = bench.resume(model, session_id)
    first, second = hook.asked
    assert second["tool_use_id"] == first["tool_use_id"]
    assert second["tool_input"] == first["tool_input"]
    assert bench.wrote() == left
    assert resumed.result["session_id"] == session_id
    assert resumed.result["result"] == "finished"
    if told:
        assert model.tool_results()[0].content == told


def test_a_call_may_be_deferred_again(bench: Bench) -> None:
    with StubHook(lambda _: defer()) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        session_id = bench.run(model).result["session_id"]
        again = bench.resume(model, session_id)
    assert again.result["stop_reason"] == "tool_deferred"
    assert len({each["tool_use_id"] for each in hook.asked}) == 1
    assert bench.wrote() is None


TWO_CALLS: list[Turn] = [[bash("echo 1 >> one.txt"), bash("echo 2 >> two.txt")], "finished"]


def test_trap_of_two_deferred_calls_the_first_vanishes(bench: Bench) -> None:
    decider = Decider()
    with StubHook(decider) as hook, FakeAnthropic(script(TWO_CALLS)) as model:
        bench.hook(hook.url)
        session_id = bench.run(model).result["session_id"]
        decider.later = allow()
        bench.resume(model, session_id)
    assert (bench.wrote("one.txt"), bench.wrote("two.txt")) == (None, "2")
    assert len(model.agent_requests()[-1].tool_calls()) == 1


def test_one_deferred_and_the_next_denied_keeps_both(bench: Bench) -> None:
    decider = Decider(
        lambda payload: (
            defer() if "one" in payload["tool_input"]["command"] else deny("wait for `ho_1`")
        )
    )
    with StubHook(decider) as hook, FakeAnthropic(script(TWO_CALLS)) as model:
        bench.hook(hook.url)
        paused = bench.run(model).result
        decider.later = allow()
        bench.resume(model, paused["session_id"])
    assert paused["deferred_tool_use"]["input"]["command"] == "echo 1 >> one.txt"
    assert (bench.wrote("one.txt"), bench.wrote("two.txt")) == ("1", None)
    by_error = {each.is_error: each.content for each in model.tool_results()}
    assert by_error[True] == "PreToolUse:Bash hook error: wait for `ho_1`"


def test_trap_a_deferred_call_does_not_hold_its_neighbour(bench: Bench) -> None:
    decider = Decider(
        lambda payload: defer() if "one" in payload["tool_input"]["command"] else allow()
    )
    with StubHook(decider) as hook, FakeAnthropic(script(TWO_CALLS)) as model:
        bench.hook(hook.url)
        bench.run(model)
    assert (bench.wrote("one.txt"), bench.wrote("two.txt")) == (None, "2")


def test_trap_a_defer_in_a_sub_agent_is_lost(bench: Bench) -> None:
    decide = script(
        [[subagent("SUBWORK")], "finished"],
        subagents={"SUBWORK": [[bash("echo ran > out.txt")], "done"]},
    )

    def inner_only(payload: Payload) -> Payload:
        return defer() if "agent_id" in payload else allow()

    with StubHook(inner_only) as hook, FakeAnthropic(decide) as model:
        bench.hook(hook.url)
        ran = bench.run(model)
    assert ran.result["stop_reason"] == "end_turn"
    assert bench.wrote() is None


def test_trap_an_interactive_session_ignores_defer(bench: Bench) -> None:
    """Never answer `defer` to a session that our runner did not start with `-p`."""
    with StubHook(lambda _: defer()) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        with interactive_claude(bench, model, mode="acceptEdits") as terminal:
            terminal.type("go")
            terminal.wait_for(lambda: bool(hook.events("Stop")))
    assert bench.wrote() == "ran"


def test_an_interactive_session_obeys_deny(bench: Bench) -> None:
    with (
        StubHook(lambda _: deny("handoff `ho_1`")) as hook,
        FakeAnthropic(script(ONE_CALL)) as model,
    ):
        bench.hook(hook.url)
        with interactive_claude(bench, model, mode="acceptEdits") as terminal:
            terminal.type("go")
            terminal.wait_for(lambda: bool(hook.events("Stop")))
    assert bench.wrote() is None
    assert model.tool_results()[0].content == "PreToolUse:Bash hook error: handoff `ho_1`"


@pytest.mark.parametrize("where", ["other home", "other worktree", "file named"])
def test_the_session_file_alone_is_enough_to_resume(bench: Bench, where: str) -> None:
    decider = Decider()
    session_id = str(uuid.uuid4())
    with StubHook(decider) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url, "flag")
        paused = bench.run(model, "--session-id", session_id)
        assert paused.result["session_id"] == session_id
        transcript = bench.session_file(session_id)
        decider.later = allow()
        home, cwd, named = bench.root / "home2", bench.repo, session_id
        match where:
            case "other home":
                folder = home / ".claude" / "projects" / transcript.parent.name
                folder.mkdir(parents=True)
                shutil.copy(transcript, folder)
            case "other worktree":
                home, cwd = bench.home, bench.root / "tree2"
                command = ["git", "worktree", "add", "-q", "-b", "task2", str(cwd)]
                subprocess.run(command, cwd=bench.repo, check=True)
            case _:
                home.mkdir()
                named = str(shutil.copy(transcript, bench.root / "kept.jsonl"))
        resumed = bench.resume(model, named, home=home, cwd=cwd)
    assert resumed.result["session_id"] == session_id
    assert (cwd / "out.txt").read_text() == "ran\n"
    assert [each["cwd"] for each in hook.asked] == [str(bench.repo), str(cwd)]
    assert hook.asked[0]["tool_use_id"] == hook.asked[1]["tool_use_id"]


def test_nothing_deferred_means_resume_needs_a_prompt(bench: Bench) -> None:
    with StubHook(lambda _: allow()) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        session_id = bench.run(model).result["session_id"]
        refused = bench.resume(model, session_id)
    assert refused.exit_code == 1
    assert "No deferred tool marker" in refused.stderr


def test_killed_while_it_waits_the_call_neither_runs_nor_comes_back(bench: Bench) -> None:
    release = threading.Event()
    session_id = str(uuid.uuid4())

    def held(_: Payload) -> Payload:
        release.wait(30)
        return allow()

    with StubHook(held) as hook, FakeAnthropic(script(ONE_CALL)) as model:
        bench.hook(hook.url)
        with bench.start(model, "--session-id", session_id) as process:
            hook.wait_asked()
            # The file is written a moment after the hook is asked; killed before that, nothing is resumed.
            bench.wait_written(session_id, hook.asked[0]["tool_use_id"])
            process.kill()
            assert process.finish().exit_code == -signal.SIGKILL
        release.set()
        bench.run(model, "--resume", session_id, prompt="carry on")
    assert len(hook.asked) == 1
    assert bench.wrote() is None
    [result] = model.tool_results()
    assert UNKNOWN_OUTCOME in result.content


MARKED = "HANDFAST_TEST_MARK"


def marked_processes(mark: str) -> list[int]:
    """Live processes that inherited `mark`, as a runner finds what a crash left."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"{MARKED}={mark}".encode() in environment.split(b"\0"):
            found.append(int(folder.name))
    return found


def wait_until(holds: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["TERM", "KILL"])
def test_what_a_signal_leaves_of_a_running_command(bench: Bench, how: str) -> None:
    """SIGTERM ends the shell too; after SIGKILL it lives on, in a session of its own."""
    mark = uuid.uuid4().hex
    turns: list[Turn] = [[bash("touch started.txt; sleep 20; echo ran > out.txt")], "finished"]
    with StubHook(lambda _: allow()) as hook, FakeAnthropic(script(turns)) as model:
        bench.hook(hook.url)
        with bench.start(model, env={MARKED: mark}) as process:
            wait_until((bench.repo / "started.txt").exists)
            assert len(marked_processes(mark)) > 1
            os.kill(process.pid, signal.SIGTERM if how == "TERM" else signal.SIGKILL)
            ended = process.finish()
            process.kill_group()
    left = marked_processes(mark)
    for pid in left:
        assert os.getsid(pid) != process.pid
        os.kill(pid, signal.SIGKILL)
    if how == "TERM":
        assert ended.exit_code == 128 + signal.SIGTERM
        assert not left
    else:
        assert left
    assert bench.wrote() is None
