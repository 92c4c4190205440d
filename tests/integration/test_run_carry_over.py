"""The approval of a merge, bound to where its target stood: carried over by policy with a proof, or asked again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.core.domain.publication import ORGANISATION
from tests.integration.test_run_plain import WORK, head_of
from tests.repositories import commit, git, new_repository
from tests.run_bench import RunBench, plain_environment

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RunBench]:
    repository = new_repository(tmp_path / "repo")
    environment = {**plain_environment(), "PYTHONPATH": str(SRC)}
    with RunBench(tmp_path, repository, environment).serving() as bench:
        yield bench


def policy(bench: RunBench, carry_over: str) -> None:
    text = f"version: 1\ncarry_over: {carry_over}\n"
    bench.engine.policies.propose(bench.person, ORGANISATION, text)


def types(bench: RunBench, handoff_id: object) -> list[str]:
    rows = bench.engine.kernel.store.events(stream=f"handoff/{handoff_id}")
    return [row.type for row in rows]


def test_a_harmless_move_is_carried_over_with_its_proof(bench: RunBench) -> None:
    policy(bench, "[trivial-rebase]")
    run_id = bench.order("bash", "-c", WORK)
    review = bench.waiting(run_id, "review")
    old = git(bench.repository, "rev-parse", "main")
    moved = commit(bench.repository, {"other.txt": "other\n"}, "somebody else")
    bench.decide(review, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    parents = git(bench.repository, "log", "-1", "--format=%P", "main").split()
    assert parents == [moved, head_of(review)]
    done = bench.handoff(review["handoff_id"])
    (line,) = [x["text"] for x in done["timeline"] if x["type"] == "handoff.carried_over"]
    assert f"trivial-rebase: the target went from {old[:12]} to {moved[:12]}, patch " in line
    assert done["effect"]["executed_digest"] == done["grant"]["action_digest"]
    assert done["grant"]["action_digest"] != review["action_digest"]


@pytest.mark.parametrize(
    ("carry_over", "files"),
    [
        ("[]", {"other.txt": "x\n"}),
        ("[no-code-change]", {"other.txt": "x\n"}),
        ("[trivial-rebase]", {"new.txt": "mine\n"}),
    ],
)
def test_anything_else_is_asked_again_and_nothing_is_merged(
    bench: RunBench, carry_over: str, files: dict[str, str]
) -> None:
    policy(bench, carry_over)
    run_id = bench.order("bash", "-c", WORK)
    first = bench.waiting(run_id, "review")
    moved = commit(bench.repository, files, "somebody else")
    bench.decide(first, "approve")
    second = bench.until(
        "another review",
        lambda: (h := bench.waiting(run_id, "review"))["handoff_id"] != first["handoff_id"] and h,
    )
    assert git(bench.repository, "rev-parse", "main") == moved
    assert bench.handoff(first["handoff_id"])["outcome"] == "stale"
    assert "grant.redeemed" not in types(bench, first["handoff_id"])
    details = second["package"]["what_will_happen"]["details"]
    assert any("moved since this was approved" in line for line in details)
    if "new.txt" not in files:
        bench.decide(second, "approve")
        assert bench.ended(run_id)["outcome"] == "merged"


def test_a_target_that_stands_still_merges_as_approved(bench: RunBench) -> None:
    policy(bench, "[]")
    run_id = bench.order("bash", "-c", WORK)
    review = bench.waiting(run_id, "review")
    bench.decide(review, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    assert "handoff.carried_over" not in types(bench, review["handoff_id"])
