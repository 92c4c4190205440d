"""An agent whose call waits for a checkpoint is told so, whichever way it asked: nobody was asked yet, and it may go on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handfast.adapters.python import Waiting, gate
from handfast.client import Client
from handfast.core.domain.errors import GateClosed
from handfast.runner.execute import execute_grant
from tests.gate_bench import GateBench
from tests.hook_bench import HookBench, hook_bench
from tests.served import Served

BUDGET = "version: 1\ninterruptions: {cost: 900, planned: []}\n"
TOLD = ("next checkpoint", "UTC on 20", "at the latest", "go on with work that does not need this")
DELETE = "git rm README.md"


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path, hook_timeout_s=2.0) as made:
        made.engine.policies.propose(made.person, "organisation", BUDGET)
        yield made


def test_the_hook_says_so(hook: HookBench) -> None:
    answer = hook.bash(DELETE)
    reason = str(answer["permissionDecisionReason"])
    assert answer["permissionDecision"] == "deny"
    assert [words for words in TOLD if words not in reason] == []
    assert "Nobody was asked yet" in reason
    assert "Stop here" not in reason


def test_once_people_are_asked_it_says_that_instead(hook: HookBench) -> None:
    hook.bash(DELETE, "one")
    (found,) = hook.engine.views.handoffs("waiting").items
    hook.engine.checkpoints.open_now(hook.person, [str(found["handoff_id"])])
    reason = str(hook.bash(DELETE, "two")["permissionDecisionReason"])
    assert "Nobody has decided yet" in reason
    assert "checkpoint" not in reason


def test_without_a_budget_nothing_is_said_of_checkpoints(tmp_path: Path) -> None:
    with hook_bench(tmp_path, hook_timeout_s=2.0) as made:
        reason = str(made.bash(DELETE)["permissionDecisionReason"])
    assert "checkpoint" not in reason
    assert "Stop here" in reason


@pytest.fixture
def bench(served: Served, monkeypatch: pytest.MonkeyPatch) -> GateBench:
    monkeypatch.setenv("HANDFAST_URL", served.url)
    monkeypatch.setenv("HANDFAST_TOKEN", served.tokens["agent"])
    made = GateBench(served)
    served.engine.policies.propose(made.person, "organisation", BUDGET)
    return made


@pytest.mark.parametrize("how", [{"on_wait": "raise"}, {"timeout_s": 0.1}])
def test_a_gated_function_says_so(bench: GateBench, how: dict[str, Any]) -> None:
    @gate(tool="tidy", **how)
    def tidy(folder: str) -> str:
        return folder

    with pytest.raises(Waiting) as waits:
        tidy("build")
    assert [words for words in TOLD if words not in str(waits.value)] == []


def test_running_a_grant_that_is_not_given_yet_says_so(
    hook: HookBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.bash(DELETE)
    (found,) = hook.engine.views.handoffs("waiting").items
    grant_id = str(found["handoff_id"]).replace("ho_", "gr_")
    with Client(hook.server.url, hook.token) as client, pytest.raises(GateClosed) as refused:
        execute_grant(client, grant_id, stream=lambda *_: None)
    assert [words for words in TOLD if words not in refused.value.hint] == []
