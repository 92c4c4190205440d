"""kill -9 of the runner while it starts, watches and merges a run: taken over, finished, nothing twice."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.installation import Installation, gated
from tests.faults.matrix import spread
from tests.faults.stories import Run, agent_of, there
from tests.repositories import git

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def installed(install: Callable[..., Installation]) -> Installation:
    return install(LEASE_S="2")


@pytest.mark.parametrize(
    ("kind", "fault"),
    spread(["lease.before_take:kill", "lease.after_take:kill", "runner.after_lease:kill"]),
    indirect=["kind"],
)
def test_around_the_lease(install: Callable[..., Installation], fault: str) -> None:
    """Whether the lease of a runner that never heard of it counts or not: nothing is started twice."""
    place = installed(install)
    on_server = fault.startswith("lease.")
    place.start(server=fault if on_server else "", runner="" if on_server else fault)
    run = Run(place, "echo work > work.txt\n")
    run.merged()
    place.prove()
    assert place.restarts == [fault]
    assert run.lines("starts") == ["start"]
    # One to work and one to merge; one more where it was on record, and nobody worked under it.
    epochs = [event["epoch"] for event in place.events("run.leased")]
    assert epochs == ([1, 2] if fault == "lease.before_take:kill" else [1, 2, 3])


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_before_a_heartbeat(install: Callable[..., Installation]) -> None:
    """The agent ends with its runner, as at any other time, and what it had done is reviewed."""
    place = installed(install)
    place.start(runner="runner.before_heartbeat:kill:4")
    run = Run(place, "echo work > work.txt\nsleep 300\n")
    run.merged()
    place.prove()
    assert place.restarts == ["runner.before_heartbeat:kill:4"]
    assert run.lines("starts") == ["start"]
    assert [pid for pid in run.pids if there(pid)] == []
    assert [event["epoch"] for event in place.events("run.leased")] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_before_the_start(install: Callable[..., Installation]) -> None:
    place = installed(install)
    place.start(runner="run.before_start:kill")
    run = Run(place, "echo work > work.txt\n")
    run.merged()
    place.prove()
    assert place.restarts == ["run.before_start:kill"]
    assert run.lines("starts") == ["start"]
    assert [pid for pid in run.pids if there(pid)] == []


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_after_a_start_that_was_not_recorded(install: Callable[..., Installation]) -> None:
    """The agent dies with its runner and is not started again; what it had done by then is reviewed."""
    place = installed(install)
    place.start(runner="run.after_start:kill")
    run = Run(place, "echo work > work.txt\nsleep 300\n")
    outcome = run.ended()
    place.prove()
    assert place.restarts == ["run.after_start:kill"]
    assert len(run.lines("starts")) <= 1
    assert outcome in ("merged", "failed")
    merged = "work.txt" in git(place.repo, "ls-tree", "--name-only", "main").split()
    assert merged == (outcome == "merged")
    assert [pid for pid in run.pids if there(pid)] == []


@pytest.mark.parametrize(
    ("kind", "fault"),
    spread(["merge.before_update:kill", "merge.after_update:kill"]),
    indirect=["kind"],
)
def test_around_the_merge(install: Callable[..., Installation], fault: str) -> None:
    place = installed(install)
    place.start(runner=fault)
    run = Run(place, "echo work > work.txt\n")
    run.merged()
    place.prove()
    assert place.restarts == [fault]
    assert run.lines("starts") == ["start"]
    found = [effect["outcome"] for effect in place.events("effect.recorded")]
    before = fault == "merge.before_update:kill"
    assert found == (["none", "verified"] if before else ["verified"])
    assert git(place.repo, "log", "--format=%s", "main").count("make it better") == 1


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_while_the_agent_waits_at_a_gate(install: Callable[..., Installation]) -> None:
    place = installed(install)
    place.start()
    effects = place.root / "effects"
    run = Run(place, agent_of(place, gated(effects)))
    run.waiting("approval")
    place.expect(effects)
    before = run.pids
    assert all(there(pid) for pid in before)
    place.kill("runner")
    place.run_runner()
    place.until(lambda: run.state["status"] == "paused", "the take-over")
    assert [pid for pid in before if there(pid)] == []
    assert run.lines("starts") == ["start"], "nothing goes on before the decision"
    place.decide(run.waiting("approval"))
    run.merged()
    place.prove()
    assert effects.read_text() == "ran\n"
    assert run.lines("earlier") == ["gone", "gone"]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_while_the_approved_command_runs(install: Callable[..., Installation]) -> None:
    place = installed(install)
    place.start()
    effects = place.root / "effects"
    run = Run(place, agent_of(place, f"{gated(effects)}; sleep 300"))
    place.decide(run.waiting("approval"))
    place.expect(effects)
    place.until(effects.exists, "the effect")
    before = [*run.pids, *sleeping(place)]
    place.kill("runner")
    place.run_runner()
    doubt = run.waiting("doubt")
    assert [pid for pid in before if there(pid)] == []
    assert run.lines("starts") == ["start"], "nothing goes on before the doubt is settled"
    place.decide(doubt, "answer", answer="it_ran")
    run.merged()
    place.prove()
    assert effects.read_text() == "ran\n"
    assert run.lines("earlier") == ["gone", "gone"]
    assert [e["outcome"] for e in place.events("effect.recorded")] == ["unknown", "verified"]


def sleeping(place: Installation) -> list[int]:
    """The processes of the agent's command, which has a session of its own."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if entry.name.isdigit() and os.fsencode(place.root / "effects") in words:
            found.append(int(entry.name))
    return found
