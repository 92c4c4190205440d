"""Several runners, each with a home and a data folder of its own: who holds a run, and what follows a kill -9,
a freeze, a stop. Real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import LEASE_S, Fleet, alive, fleet
from tests.repositories import git, new_repository

pytestmark = pytest.mark.slow

WORKS = 'echo $$ >> "$PLACE/pids"; echo start >> "$PLACE/starts"; echo a > a.txt; sleep 300'
GATED = "echo ran >> PLACE/count; git rm -q README"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HANDFAST_LEASE_S", str(LEASE_S))
    return new_repository(tmp_path / "repo")


@pytest.fixture
def shared(tmp_path: Path, repository: Path) -> Iterator[Fleet]:
    """One machine: a folder that both runners see."""
    with fleet(tmp_path, repository, shared=True) as made:
        yield made


@pytest.fixture
def apart(tmp_path: Path, repository: Path) -> Iterator[Fleet]:
    """Two machines: all they share is the origin and the server."""
    with fleet(tmp_path, repository, shared=False) as made:
        yield made


def test_a_run_of_a_killed_runner_goes_on_beside_it(shared: Fleet) -> None:
    run_id = shared.order("bash", "-c", WORKS)
    first = shared.machine("ada", host="one")
    shared.until("the work", (first.data / "worktrees" / run_id / "a.txt").exists)
    shared.until("its record", lambda: shared.run(run_id)["status"] == "running")
    second = shared.machine("bob", host="one")
    shared.known("bob")
    first.kill()
    review = shared.waiting(run_id, "review")
    assert review["package"]["review"]["files"] == ["a.txt"]
    assert shared.held(run_id) == [("one", 1), ("one", 2)]
    assert shared.lines("starts") == ["start"]
    assert not any(alive(int(pid)) for pid in shared.lines("pids"))
    assert shared.listed("ada")["state"] == "silent"
    shared.decide(review, "approve")
    assert shared.ended(run_id)["outcome"] == "merged", second.said
    assert (shared.repository / "a.txt").read_text() == "a\n"
