"""A doubt whose action declares a probe: the runner runs it in the worktree and the answer is a machine's."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import AgentStarted
from handfast.core.domain.ids import RunId
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.gating import Proposal
from handfast.runner.supervisor.held import Held
from handfast.runner.supervisor.probing import still_open
from handfast.runner.supervisor.settings import SupervisorSettings
from tests.repositories import new_repository
from tests.run_bench import RunBench, plain_environment

RUNNER = Actor("runner", "runner", "token")
POLICY = """\
version: 1
actions:
  - {id: push, when: 'call.command.startsWith("git push")', reconcile: [%s]}
"""
CALL = Call("Bash", {"command": "git push"})
FACTS = Facts(Effect.NETWORK, "pushes", ("git.push",))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RunBench]:
    repository = new_repository(tmp_path / "repo")
    with RunBench(tmp_path, repository, plain_environment()).serving(supervise=False) as bench:
        yield bench


def left_in_doubt(bench: RunBench, probe: str) -> tuple[Held, list[str]]:
    """A run whose agent was lost after it took the start of an approved push."""
    engine = bench.engine
    engine.policies.propose(bench.person, ORGANISATION, POLICY % probe)
    run_id = bench.order("true")
    lease = engine.runs.lease(RUNNER, "runner-1", "host")
    assert lease is not None
    started = AgentStarted(RunId(run_id), lease.epoch, 1, 1, "boot", str(bench.repository))
    engine.runs.started(RUNNER, started)
    asked: Any = engine.actions.propose(RUNNER, Proposal(run_id, "t1", CALL, FACTS))
    bench.decide(bench.handoff(asked["handoff_id"]), "approve")
    assert engine.actions.propose(RUNNER, Proposal(run_id, "t1", CALL, FACTS))["verdict"] == "allow"
    settings = SupervisorSettings(bench.home, bench.hooks.hook_url, bench.server.url)
    held = Held(bench.client, dict(engine.views.run(run_id)), settings, threading.Event())
    return held, held.settle()


@pytest.mark.parametrize(
    ("probe", "answer"),
    [("test, -f, README", "it_ran"), ("test, -f, nowhere", "it_did_not_run")],
)
def test_a_probe_that_knows_settles_it(bench: RunBench, probe: str, answer: str) -> None:
    held, doubts = left_in_doubt(bench, probe)
    assert len(doubts) == 1
    assert still_open(held, doubts, bench.repository) == []
    decision = bench.handoff(doubts[0])["decision"]
    assert (decision["answer"], decision["by"], decision["auth"]) == (answer, "probe", "probe")


def test_no_probe_runs_what_a_contained_agent_may_have_written(bench: RunBench) -> None:
    (bench.repository / "probe.sh").write_text("touch escaped\n")
    held, doubts = left_in_doubt(bench, "bash, probe.sh")
    held.contained = True
    assert still_open(held, doubts, bench.repository) == doubts
    assert not (bench.repository / "escaped").exists()


@pytest.mark.parametrize("probe", ["ls, nowhere", "git, push, nowhere", "no-such-program-x"])
def test_a_probe_that_does_not_know_leaves_it_to_people(bench: RunBench, probe: str) -> None:
    """It ended otherwise, would need an approval itself, or is not there."""
    held, doubts = left_in_doubt(bench, probe)
    assert still_open(held, doubts, bench.repository) == doubts
    assert bench.handoff(doubts[0])["waiting"]
