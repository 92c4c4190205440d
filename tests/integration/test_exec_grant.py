"""The mediated executor: exactly what was approved, once, with its end recorded."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handfast.client import Client, calls
from handfast.core.domain.errors import (
    GateClosed,
    NotFound,
    NotPermitted,
    StaleDecision,
    StaleEpoch,
)
from handfast.core.domain.run import Run
from handfast.runner import state
from handfast.runner.execute import client_for, execute_grant
from handfast.runner.state import InstalledHook
from tests.hook_bench import OPERATOR, HookBench, hook_bench

# Gated for its push, which fails at once; its effect is counted in a file.
GATED = "git push -q nowhere main 2> /dev/null; "
EFFECT = GATED + "echo ran >> ran.txt; echo out; echo err >&2"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path, hook_timeout_s=0.5) as made:
        yield made


def granted(bench: HookBench, command: str = EFFECT) -> str:
    """The id of a grant for a command that waits at the gate no more."""
    assert bench.bash(command)["permissionDecision"] == "deny"
    return bench.decide_next("approve").replace("ho_", "gr_")


def agent(bench: HookBench) -> Client:
    return Client(bench.server.url, bench.token)


def effects(bench: HookBench) -> int:
    path = bench.repo / "ran.txt"
    return path.read_text().count("ran") if path.exists() else 0


def view(bench: HookBench, grant_id: str) -> dict[str, Any]:
    return bench.engine.views.handoff(grant_id.replace("gr_", "ho_"))


def test_it_runs_what_was_approved_and_records_its_end(bench: HookBench) -> None:
    seen: list[tuple[int, bytes]] = []
    grant_id = granted(bench)
    with agent(bench) as client:
        done = execute_grant(client, grant_id, stream=lambda n, data: seen.append((n, data)))
    assert (done.exit_code, done.recorded, effects(bench)) == (0, True, 1)
    assert sorted(seen) == [(1, b"out\n"), (2, b"err\n")]
    effect = view(bench, grant_id)["effect"]
    assert (effect["outcome"], effect["exit_code"]) == ("verified", 0)
    assert "out" in effect["output"]


def test_a_grant_starts_at_most_one_execution(bench: HookBench) -> None:
    grant_id = granted(bench)
    with agent(bench) as client:
        execute_grant(client, grant_id, stream=lambda *_: None)
        with pytest.raises(GateClosed):
            execute_grant(client, grant_id, stream=lambda *_: None)
    assert effects(bench) == 1


def test_a_script_that_changed_after_the_approval_does_not_run(bench: HookBench) -> None:
    script = bench.repo / "work.sh"
    script.write_text("echo ran >> ran.txt\n")
    grant_id = granted(bench, "bash work.sh && git push origin main")
    script.write_text("echo ran ran ran >> ran.txt\n")
    with agent(bench) as client, pytest.raises(StaleDecision):
        execute_grant(client, grant_id, stream=lambda *_: None)
    assert effects(bench) == 0


def test_the_exit_code_is_the_commands(bench: HookBench) -> None:
    grant_id = granted(bench, GATED + "exit 7")
    with agent(bench) as client:
        assert execute_grant(client, grant_id, stream=lambda *_: None).exit_code == 7
    assert view(bench, grant_id)["effect"]["exit_code"] == 7


def test_what_nobody_approved_does_not_run(bench: HookBench) -> None:
    bench.bash(EFFECT)
    waiting = str(bench.waiting()[0]["handoff_id"]).replace("ho_", "gr_")
    with agent(bench) as client:
        with pytest.raises(GateClosed):
            execute_grant(client, waiting, stream=lambda *_: None)
        with pytest.raises(NotFound):
            execute_grant(client, "gr_00000000000000000000000000", stream=lambda *_: None)
    assert effects(bench) == 0


def test_another_agents_grant_is_refused(bench: HookBench) -> None:
    grant_id = granted(bench)
    other = str(bench.engine.agents.add(OPERATOR, "other", "none")["agent_id"])
    token = bench.engine.agents.issue(OPERATOR, other).token
    with Client(bench.server.url, token) as client, pytest.raises((NotFound, NotPermitted)):
        execute_grant(client, grant_id, stream=lambda *_: None)
    assert effects(bench) == 0


def test_the_command_does_not_get_our_token(bench: HookBench) -> None:
    grant_id = granted(bench, GATED + "printenv > env.txt")
    with agent(bench) as client:
        execute_grant(
            client,
            grant_id,
            stream=lambda *_: None,
            environment={"PATH": "/usr/bin:/bin", "HANDFAST_TOKEN": "hfa_x"},
        )
    given = (bench.repo / "env.txt").read_text()
    assert "PATH=" in given
    assert "HANDFAST_TOKEN" not in given


def test_nothing_in_the_environment_runs_in_its_place(bench: HookBench, tmp_path: Path) -> None:
    """What was approved is the command: a function, a start file or a trace of the shell is none of it."""
    other = "echo other >> ran.txt"
    (tmp_path / "first.sh").write_text(other)
    grant_id = granted(bench)
    steered = {
        "PATH": os.environ["PATH"],
        "BASH_ENV": str(tmp_path / "first.sh"),
        "BASH_FUNC_git%%": f"() {{ {other}; }}",
        "BASH_FUNC_echo%%": f"() {{ {other}; }}",
        "SHELLOPTS": "xtrace",
        "PS4": f"$({other})",
    }
    with agent(bench) as client:
        execute_grant(client, grant_id, stream=lambda *_: None, environment=steered)
    assert (bench.repo / "ran.txt").read_text() == "ran\n"


def test_an_agent_that_was_taken_over_starts_nothing(
    bench: HookBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process knows the lease it was started under; what it had approved is the next one's."""
    grant_id = granted(bench)
    run = bench.engine.kernel.state(Run, str(view(bench, grant_id)["run_id"]))
    monkeypatch.setenv("HANDFAST_RUN_ID", run.run_id)
    monkeypatch.setenv("HANDFAST_RUN_EPOCH", str(run.epoch + 1))
    with agent(bench) as client:
        with pytest.raises(StaleEpoch):
            execute_grant(client, grant_id, stream=lambda *_: None)
        assert effects(bench) == 0
        monkeypatch.setenv("HANDFAST_RUN_EPOCH", str(run.epoch))
        execute_grant(client, grant_id, stream=lambda *_: None)
    assert effects(bench) == 1


def test_what_a_command_leaves_running_does_not_hold_it_up(bench: HookBench) -> None:
    grant_id = granted(bench, GATED + "sleep 300 & echo $! > left.pid")
    with agent(bench) as client:
        execute_grant(client, grant_id, stream=lambda *_: None)
    os.kill(int((bench.repo / "left.pid").read_text()), signal.SIGKILL)  # it is still there


def test_a_crash_between_start_and_record_is_a_doubt_and_not_a_second_run(
    bench: HookBench,
) -> None:
    grant_id = granted(bench)
    code = (
        "import sys; from handfast.engine.faults import arm_from_environment; arm_from_environment();"
        "from handfast.client import Client; from handfast.runner.execute import execute_grant;"
        "execute_grant(Client(sys.argv[1], sys.argv[2]), sys.argv[3], stream=lambda *_: None)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, bench.server.url, bench.token, grant_id],
        env={"PATH": "/usr/bin:/bin", "HANDFAST_FAULT": "exec.after_run:kill"},
        check=False,
    )
    assert ran.returncode == -9
    assert effects(bench) == 1
    assert view(bench, grant_id)["effect"] is None
    with agent(bench) as client, pytest.raises(GateClosed):
        execute_grant(client, grant_id, stream=lambda *_: None)
    bench.engine.runs.settle(OPERATOR, str(bench.runs()[0]["run_id"]), None)
    assert bench.waiting()[0]["kind"] == "doubt"
    assert effects(bench) == 1


def test_an_equal_request_sent_twice_takes_one_start(bench: HookBench) -> None:
    """The answer to a redemption was lost: its repeat gets the same start."""
    grant_id = granted(bench)
    with agent(bench) as client:
        detail = client.send(calls.grant(grant_id))
        redeem = calls.redeem(grant_id, detail["grant"]["action_digest"], executor="mediated")
        assert client.send(redeem) == client.send(redeem)


def test_whose_credential_executes(bench: HookBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFAST_URL", bench.server.url)
    (bench.home / "operator.token").write_text("hfo_x\n")
    assert client_for(bench.home, bench.repo)._headers["Authorization"] == "Bearer hfo_x"
    state.remember_hook(
        bench.home,
        InstalledHook(
            "claude-code",
            "project",
            "s.json",
            str(bench.repo),
            "u",
            "ag_1",
            "a",
            "hfa_hook",
            "tok_1",
        ),
    )
    inner = bench.repo / "src"
    assert client_for(bench.home, inner)._headers["Authorization"] == "Bearer hfa_hook"
    assert client_for(bench.home, bench.root)._headers["Authorization"] == "Bearer hfo_x"
    monkeypatch.setenv("HANDFAST_TOKEN", "hfa_env")
    assert client_for(bench.home, inner)._headers["Authorization"] == "Bearer hfa_env"
