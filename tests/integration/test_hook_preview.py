"""A dry run that policy declares, from the hook to the case; an undo from the receipt to the executor."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handfast.client import Client, calls, grant_calls
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.access import PrincipalKind
from handfast.runner.execute import execute_grant
from tests.hook_bench import HookBench, hook_bench

POLICY = """\
version: 1
actions:
  - id: push
    when: call.command.startsWith("git push")
    preview: [%s]
    undo: [touch, undone]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path, hook_timeout_s=2.0) as made:
        yield made


def previewed(bench: HookBench, preview: str) -> dict[str, Any]:
    bench.engine.policies.propose(bench.person, ORGANISATION, POLICY % preview)
    bench.bash("git push -q nowhere main")
    shown = bench.engine.views.handoff(str(bench.waiting()[0]["handoff_id"]))
    return shown["package"]["what_will_happen"]  # type: ignore[index,no-any-return]


def test_the_preview_is_run_in_the_worktree_and_shown(bench: HookBench) -> None:
    shown = previewed(bench, "git, status, --short, --branch")
    assert shown["preview"].startswith("## ")
    assert "`git status --short --branch`: exit 0" in shown["preview_about"]
    assert len(bench.steps()) == 1


def test_a_preview_that_is_gated_itself_is_not_run(bench: HookBench) -> None:
    shown = previewed(bench, "git, push, --force, nowhere")
    assert shown["preview"] == ""
    assert "was not run: it would need an approval" in shown["preview_about"]


def test_an_undo_is_asked_approved_and_run(bench: HookBench) -> None:
    previewed(bench, "git, status")
    grant_id = bench.decide_next("approve").replace("ho_", "gr_")
    token = bench.engine.access.ensure_file_token(bench.home, PrincipalKind.OPERATOR)
    with Client(bench.server.url, token) as client:
        execute_grant(client, grant_id, stream=lambda *_: None)
        undo = client.send(grant_calls.undo(grant_id.replace("gr_", "ho_")))["handoff_id"]
        assert not (bench.repo / "undone").exists()
        bench.decide(str(undo), "approve")
        execute_grant(client, str(undo).replace("ho_", "gr_"), stream=lambda *_: None)
        assert (bench.repo / "undone").exists()
        effect = client.send(calls.handoff(str(undo)))["effect"]
    assert (effect["outcome"], effect["exit_code"]) == ("verified", 0)


def test_edited_content_is_handed_to_the_agent_and_only_that_is_written(bench: HookBench) -> None:
    path = str(bench.repo / ".git" / "hooks" / "pre-commit")
    asked = {"file_path": path, "content": "one\n"}
    bench.asks("Write", asked)
    bench.decide_next("approve_with_edits", edited="two\n")
    told = bench.asks("Write", asked)
    assert told["permissionDecision"] == "deny"
    assert "with this `content`" in told["permissionDecisionReason"]
    assert "two\n" in told["permissionDecisionReason"]
    assert bench.asks("Write", {**asked, "content": "two\n"})["permissionDecision"] == "allow"
