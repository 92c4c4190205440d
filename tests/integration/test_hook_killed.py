"""The kill switch as an agent meets it: in its hook, in `exec`, and where it waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.client import Client
from handfast.core.domain.errors import GateClosed
from handfast.core.domain.events_work import Mode
from handfast.runner.execute import execute_grant
from tests.hook_bench import HookBench, hook_bench

PUSH = "git push -q nowhere main 2> /dev/null; echo ran >> ran.txt"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path, hook_timeout_s=0.5) as made:
        yield made


def _release(bench: HookBench) -> None:
    for stage in ("review", "all"):
        bench.engine.switch.release(bench.person, "all", stage, "go on")


def test_an_observed_session_is_stopped_too_and_may_read(tmp_path: Path) -> None:
    with hook_bench(tmp_path, Mode.OBSERVE) as bench:
        assert bench.bash("echo 1 > a.txt")["permissionDecision"] == "allow"
        bench.engine.switch.kill(bench.person, "all", "it deletes data")
        refused = bench.bash("echo 2 > a.txt")
        assert refused["permissionDecision"] == "deny"
        assert "stopped by Ana: it deletes data" in refused["permissionDecisionReason"]
        assert bench.bash("git log")["permissionDecision"] == "allow"
        _release(bench)
        assert bench.bash("echo 3 > a.txt")["permissionDecision"] == "allow"


def test_exec_runs_nothing_while_stopped_and_the_approval_holds(bench: HookBench) -> None:
    assert bench.bash(PUSH)["permissionDecision"] == "deny"
    grant_id = bench.decide_next("approve").replace("ho_", "gr_")
    bench.engine.switch.kill(bench.person, "all", "stop")
    with Client(bench.server.url, bench.token) as client:
        with pytest.raises(GateClosed) as refused:
            execute_grant(client, grant_id, stream=lambda *_: None)
        assert refused.value.code == "kill_switch"
        assert not (bench.repo / "ran.txt").exists()
        _release(bench)
        bench.engine.sweep()
        assert execute_grant(client, grant_id, stream=lambda *_: None).exit_code == 0
    assert (bench.repo / "ran.txt").read_text() == "ran\n"


def test_a_call_that_waits_is_decided_after_the_release(tmp_path: Path) -> None:
    with hook_bench(tmp_path) as bench:
        with bench.asking(PUSH) as answers:
            (waiting,) = bench.waiting()
            bench.engine.switch.kill(bench.person, "all", "stop")
            bench.engine.sweep()
            assert bench.engine.views.handoff(waiting["handoff_id"])["status"] == "routed"
            _release(bench)
            bench.engine.sweep()
            bench.decide_next("approve")
        assert answers[0]["permissionDecision"] == "allow"
