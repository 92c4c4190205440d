"""kill -9 of the runner while it starts, watches and merges a run: taken over, finished, nothing twice."""

import os
from collections.abc import Callable
from pathlib import Path
from shlex import quote

import pytest

from tests.faults.checker import Json
from tests.faults.installation import AGENT, Installation, gated
from tests.repositories import git

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# Each start notes whether the processes of the one before are still there, and leaves one behind in a
# session of its own, as agents' shells do.
WITNESS = """
for pid in $(cat {root}/pids 2> /dev/null); do
  if kill -0 $pid 2> /dev/null; then echo alive; else echo gone; fi >> {root}/earlier
done
echo start >> {root}/starts
setsid sleep 300 < /dev/null > /dev/null 2>&1 &
echo $$ $! > {root}/pids
"""


class Run:
    """A run of a scripted agent in a worktree of its own, without a harness that the runner knows."""

    def __init__(self, place: Installation, script: str) -> None:
        self.place = place
        task = {
            "brief": {"intent": "make it better", "risk": "low"},
            "repository": str(place.repo),
            "target_branch": "main",
        }
        made = place.sure(lambda: place.call("POST", "/v1/tasks", task, key="task"))
        command = ["bash", "-c", WITNESS.format(root=place.root) + script]
        run = {
            "task_id": made.json()["task_id"],
            "agent_id": place.names["agent_id"],
            "command": command,
            "harness": "none",
            "contained": "off",  # the script leaves its traces beside the worktree
        }
        queued = place.sure(lambda: place.call("POST", "/v1/runs", run, key="run"))
        assert queued.status_code == 201, queued.text
        self.run_id = queued.json()["run_id"]

    @property
    def state(self) -> Json:
        return self.place.get(f"/v1/runs/{self.run_id}")

    @property
    def pids(self) -> list[int]:
        return [int(word) for word in self.lines("pids")]

    def lines(self, name: str) -> list[str]:
        path = self.place.root / name
        return path.read_text().split() if path.exists() else []

    def waiting(self, kind: str) -> Json:
        return self.place.until(lambda: self.place.waiting(kind), f"a waiting {kind}")[0]

    def merged(self) -> None:
        """The review is approved, once or after a broken-off merge again, and the run ends merged."""
        assert self.ended() == "merged"
        assert git(self.place.repo, "show", "main:work.txt") == "work"

    def ended(self) -> str:
        """The run's outcome, with every review of it approved. Nothing half-done is left."""

        def done() -> bool:
            for review in self.place.waiting("review"):
                self.place.decide(review)
            return str(self.state["status"]) == "ended"

        self.place.until(done, "the run's end", within_s=60)
        assert git(self.place.repo, "status", "--porcelain") == ""
        return str(self.state["outcome"])


def agent_of(place: Installation, command: str) -> str:
    """A script that does its work through the hook."""
    order = f'{{"journal": "{place.root}/run.journal", "command": "{command}"}}'
    return f"python3 -I {AGENT} {quote(order)}\necho work > work.txt\n"


def there(pid: int) -> bool:
    """Whether the process is alive; one that only waits to be reaped is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def installed(install: Callable[..., Installation]) -> Installation:
    return install(LEASE_S="2")


def test_before_the_start(install: Callable[..., Installation]) -> None:
    place = installed(install)
    place.start(runner="run.before_start:kill")
    run = Run(place, "echo work > work.txt\n")
    run.merged()
    place.prove()
    assert place.restarts == ["run.before_start:kill"]
    assert run.lines("starts") == ["start"]
    assert [pid for pid in run.pids if there(pid)] == []


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


@pytest.mark.parametrize("fault", ["merge.before_update:kill", "merge.after_update:kill"])
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
