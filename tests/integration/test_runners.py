"""Several runners, each with a home and a data folder of its own: who holds a run, and what follows a kill -9,
a freeze, a stop. Real processes."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from handfast.core.domain.events import SYSTEM
from tests.commands import Command
from tests.fleet import LEASE_S, Fleet, Wire, alive, fleet
from tests.repositories import git, new_repository
from tests.stillness import state_of_process

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


def test_a_paused_run_goes_on_on_another_machine_when_its_own_is_gone(
    apart: Fleet, tmp_path: Path
) -> None:
    command = f"echo ran >> {tmp_path}/count; git rm -q README"
    run_id = apart.order(*apart.claude(), harness="claude-code", repository=apart.origin)
    first = apart.machine("ada", STUB_COMMAND=command)
    asked = apart.waiting(run_id, "approval")
    first.kill()
    shutil.rmtree(first.home)
    second = apart.machine("bob", STUB_COMMAND=command)
    apart.decide(asked, "approve")
    review = apart.waiting(run_id, "review")
    assert "starts of this session: 2" in review["package"]["agent_says"], second.said
    assert apart.held(run_id) == [("ada", 1), ("bob", 2)]
    assert apart.lines("count") == ["ran"]
    apart.decide(review, "approve")
    assert apart.ended(run_id)["outcome"] == "merged", second.said
    listed = git(tmp_path / "origin.git", "ls-tree", "--name-only", "main").split()
    assert "README" not in listed
    assert apart.handoff(review["handoff_id"])["effect"]["outcome"] == "verified"


def test_a_call_that_ran_when_its_machine_died_is_in_doubt_and_not_repeated(apart: Fleet) -> None:
    run_id = apart.order(
        *apart.hooked("echo ran >> PLACE/count; sleep 60; git rm -q README"),
        repository=apart.origin,
    )
    first = apart.machine("ada")
    asked = apart.waiting(run_id, "approval", paused=False)
    apart.decide(asked, "approve")
    apart.until("the command", lambda: apart.lines("count"))
    first.kill()
    apart.machine("bob")
    doubt = apart.waiting(run_id, "doubt")
    assert apart.handoff(asked["handoff_id"])["effect"]["outcome"] == "unknown"
    apart.decide(doubt, "answer", answer="it_ran")
    run = apart.ended(run_id)
    assert "already ran" in run["output"]
    assert apart.lines("count") == ["ran"]
    assert len(apart.lines("starts")) == 2


def test_a_runner_that_was_frozen_is_refused_and_ends_its_agent_itself(apart: Fleet) -> None:
    run_id = apart.order(*apart.hooked(GATED), repository=apart.origin)
    first = apart.machine("ada")
    asked = apart.waiting(run_id, "approval", paused=False)
    agent = int(apart.run(run_id)["process"]["pid"])
    first.freeze()
    apart.machine("bob")
    apart.until("the pause", lambda: apart.run(run_id)["status"] == "paused")
    assert apart.held(run_id) == [("ada", 1), ("bob", 2)]
    assert alive(agent), "on another machine it cannot be ended from here"
    first.thaw()
    apart.until("the end of the old agent", lambda: not alive(agent))
    (told,) = apart.until("its word", lambda: apart.gaps(run_id, "lease-lost"))
    assert told == "epoch 1 is over on ada: its agent was ended here"
    apart.known("ada")
    apart.decide(apart.handoff(asked["handoff_id"]), "approve")
    apart.waiting(run_id, "review")
    assert apart.lines("count") == ["ran"]
    assert first.process.poll() is None


def test_an_agent_stands_still_while_its_lease_is_in_doubt(apart: Fleet, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    agent = 'while true; do echo . >> "$PLACE/beats"; sleep 0.1; done'
    run_id = apart.order("bash", "-c", agent, repository=apart.origin)
    apart.add("ada")
    with closing(Wire(apart.server.url)) as wire:
        apart.start("ada", "--server", wire.url)
        apart.until("its work", lambda: beats.exists() and apart.run(run_id).get("process"))
        agent_id = int(apart.run(run_id)["process"]["pid"])
        wire.cut()
        apart.until("its rest", lambda: state_of_process(agent_id) == "T")
        size = beats.stat().st_size
        wire.mend()
        apart.until("its going on", lambda: beats.stat().st_size > size)
        apart.until("the record of it", lambda: apart.gaps(run_id, "held-still"))
        wire.cut()
        apart.until("its rest", lambda: state_of_process(agent_id) == "T")
        size = beats.stat().st_size
        apart.machine("bob")
        apart.until("the take-over", lambda: ("bob", 2) in apart.held(run_id))
        assert beats.stat().st_size == size
        wire.mend()
        apart.until("its end", lambda: not alive(agent_id))
        apart.until("its word", lambda: apart.gaps(run_id, "lease-lost"))
    assert beats.stat().st_size == size


def test_a_runner_told_to_stop_finishes_the_call_and_gives_the_run_back_at_once(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFAST_LEASE_S", "300")
    command = (
        f"echo began >> {tmp_path}/count; sleep 2; echo ran >> {tmp_path}/count; git rm -q README"
    )
    more = {"STUB_COMMAND": command, "STUB_REST": "sleep 300"}
    with fleet(tmp_path, repository, shared=False) as apart:
        run_id = apart.order(*apart.claude(), harness="claude-code", repository=apart.origin)
        first = apart.machine("ada", **more)
        asked = apart.waiting(run_id, "approval")
        apart.decide(asked, "approve")
        apart.until("the command", lambda: apart.lines("count"))
        first.told_to_stop()
        apart.machine("bob", **more)
        assert first.ends() == 0, first.said
        assert apart.released(run_id) == ["runner_stopped"]
        assert apart.listed("ada")["state"] == "stopped"
        review = apart.waiting(run_id, "review")
        assert [host for host, _ in apart.held(run_id)] == ["ada", "ada", "bob"]
        assert apart.handoff(asked["handoff_id"])["effect"]["outcome"] == "reported"
    assert apart.lines("count") == ["began", "ran"]
    assert "README" in review["package"]["review"]["files"]


def test_a_runner_takes_as_many_runs_as_it_has_room_for(shared: Fleet) -> None:
    agent = 'until [ -e "$PLACE/go" ]; do sleep 0.1; done; echo x > x.txt'
    runs = [shared.order("bash", "-c", agent) for _ in range(3)]
    shared.machine("ada", "--capacity", 2)

    def statuses() -> list[str]:
        return sorted(shared.run(run)["status"] for run in runs)

    shared.until("two at work", lambda: statuses() == ["queued", "running", "running"])
    assert len(shared.listed("ada")["runs"]) == 2
    shared.machine("bob", "--capacity", 4)
    shared.until("the third elsewhere", lambda: statuses() == ["running"] * 3)
    assert sorted(host for run in runs for host, _ in shared.held(run)) == ["ada", "ada", "bob"]
    (shared.root / "go").touch()
    for run in runs:
        shared.waiting(run, "review")


def test_a_run_goes_to_a_runner_that_may_and_can_take_it(shared: Fleet) -> None:
    wants = shared.order("bash", "-c", "echo x > x.txt", labels=("gpu",))
    away = shared.order("bash", "-c", "true", repository=str(shared.root / "nowhere"))
    shared.machine("ada")
    shared.until("its word", lambda: shared.released(away))
    assert "is not on this machine" in shared.released(away)[0]
    assert shared.run(away)["status"] == "queued"
    assert shared.held(wants) == []
    shared.add("bob", labels=("gpu",), repositories=(str(shared.repository),))
    shared.start("bob")
    shared.waiting(wants, "review")
    assert shared.held(wants) == [("bob", 1)]
    assert shared.held(away) == [("ada", 1)]


def test_a_retired_runner_ends_and_its_run_is_taken_at_once(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFAST_LEASE_S", "9")
    with fleet(tmp_path, repository, shared=True) as made:
        run_id = made.order("bash", "-c", WORKS)
        first = made.machine("ada", host="one")
        made.until("the work", lambda: made.run(run_id).get("process") and made.lines("pids"))
        made.engine.runners.retire(SYSTEM, str(made.listed("ada")["runner_id"]), "the machine goes")
        made.machine("bob", host="one")
        assert first.ends() == 4
        assert "not valid" in first.said
        made.waiting(run_id, "review")
        assert not any(alive(int(pid)) for pid in made.lines("pids"))


def test_a_second_process_with_the_same_token_takes_the_place_of_the_first(shared: Fleet) -> None:
    first = shared.machine("ada", host="one")
    shared.known("ada")
    run_id = shared.order("bash", "-c", WORKS)
    shared.until("the work", lambda: shared.run(run_id).get("process") and shared.lines("pids"))
    shared.start("ada", host="one")
    assert first.ends() == 4
    assert "runner of its own" in first.said
    shared.waiting(run_id, "review")
    assert shared.lines("starts") == ["start"]


@pytest.mark.postgres
def test_a_runner_turns_to_the_other_server_when_one_is_killed(
    tmp_path: Path, repository: Path, pg_database: str
) -> None:
    with fleet(tmp_path, repository, shared=True, database=pg_database) as made:
        second = tmp_path / "second"
        shutil.copytree(made.home / "keys", second / "keys")
        command = Command(second, tmp_path, {"HANDFAST_DATABASE_URL": pg_database})
        other = command.start("serve", "--no-runner", "--port", "0", "--json")
        try:
            assert other.stdout is not None
            url = json.loads(other.stdout.readline())["url"]
            run_id = made.order(*made.hooked(GATED))
            made.add("ada")
            made.start("ada", "--server", url, "--server", made.server.url)
            asked = made.waiting(run_id, "approval", paused=False)
        finally:
            other.kill()
            other.communicate()
        made.decide(asked, "approve")
        made.waiting(run_id, "review")
        assert made.held(run_id) == [("ada", 1)], "nothing was taken over"
        assert made.lines("count") == ["ran"]


@pytest.mark.parametrize("kind", ["shared", "apart"])
def test_a_merge_that_froze_half_way_is_not_made_when_it_thaws(
    kind: str, tmp_path: Path, repository: Path
) -> None:
    with fleet(tmp_path, repository, shared=kind == "shared") as made:
        run_id = made.order("bash", "-c", "echo a > a.txt", repository=made.origin)
        fault = "merge.before_update:stop" if kind == "shared" else "merge.before_push:stop"
        first = made.machine("ada", host="one", fault=fault)
        review = made.waiting(run_id, "review")
        made.decide(review, "approve")
        made.until("its frost", lambda: state_of_process(first.process.pid) == "T")
        made.machine("bob", host="one")
        made.until("another review", lambda: len(made.engine.views.handoffs("all").items) == 2)
        again = made.waiting(run_id, "review")
        assert made.handoff(review["handoff_id"])["effect"]["outcome"] == "none"
        first.thaw()
        made.until("its word", lambda: made.gaps(run_id, "lease-lost"))
        place = repository if kind == "shared" else tmp_path / "origin.git"
        assert "a.txt" not in git(place, "ls-tree", "--name-only", "main").split(), first.said
        made.decide(again, "approve")
        assert made.ended(run_id)["outcome"] == "merged"
        assert "a.txt" in git(place, "ls-tree", "--name-only", "main").split()
        assert git(repository, "status", "--porcelain") == ""
