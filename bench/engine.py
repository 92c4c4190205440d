"""Commands, gate checks and whole cycles in process, through the shipped engine."""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.floor import PAYLOAD, parallel
from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import CoverageGap, Mode
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import RunId
from handfast.core.domain.run import Run
from handfast.engine.actions import StepResult
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.handoffs import Decision
from handfast.engine.kernel import Result, Unit
from handfast.engine.people import NewPerson
from handfast.engine.runs import Session

OPERATOR = Actor("operator", "operator", "token")
RUNNER = Actor("runner", "runner", "token")
PASSWORD, PIN = "correct horse battery", "271828"


@dataclass(frozen=True, slots=True)
class Bench:
    """An installation with an agent, a person and a session run."""

    engine: Engine
    agent_id: str
    person: Actor

    def session(self, name: str) -> str:
        """A fresh run in enforce mode."""
        s = Session(self.agent_id, "claude-code", name, "/work", Mode.ENFORCE)
        return str(self.engine.runs.session(RUNNER, s)["run_id"])


def open_bench(folder: Path, url: str = "") -> Bench:
    engine = open_engine(url=url, home=folder)
    agent_id = str(engine.agents.add(OPERATOR, "bench", "claude-code")["agent_id"])
    invitation = engine.people.invite()
    engine.people.set_up(invitation, NewPerson("Bench", "bench", PASSWORD, PIN))
    return Bench(engine, agent_id, engine.people.with_pin("bench", PIN))


def commands(bench: Bench, threads: int, seconds: float) -> float:
    """Commands a second: one 1 KB event, its projection, its leaf and an outbox row, decided and committed."""
    counts = [0] * threads
    runs = [
        bench.session(f"commands-{threads}-{n}-{time.perf_counter_ns()}") for n in range(threads)
    ]
    deadline = time.perf_counter() + seconds

    def work(n: int) -> None:
        done = 0
        while time.perf_counter() < deadline:

            def handler(unit: Unit) -> Result:
                unit.get(Run, runs[n])
                gap = CoverageGap(RunId(runs[n]), "bench", PAYLOAD[:700])
                unit.record(Run, runs[n], [gap])
                unit.post("bench", {"run_id": runs[n]})
                return {}

            bench.engine.kernel.run(SYSTEM, handler)
            done += 1
        counts[n] = done

    return parallel(work, threads, counts)


ALLOWED = (Call("Bash", {"command": "pytest -q"}), Facts(Effect.EXEC, "runs the tests"))


def gate_checks(bench: Bench, count: int) -> list[float]:
    """Seconds of each allowed gate check in process: judged, recorded, committed, result recorded."""
    run = bench.session(f"gates-{time.perf_counter_ns()}")
    took = []
    for i in range(count):
        start = time.perf_counter()
        bench.engine.actions.propose(RUNNER, Proposal(run, f"g{i}", *ALLOWED))
        took.append(time.perf_counter() - start)
        bench.engine.actions.record_result(RUNNER, StepResult(run, f"g{i}", 0))
    return took


def cycle(bench: Bench, run: str, number: int) -> None:
    """Pause, decision, resume: hand over, decide and mint, redeem, record the effect."""
    call = Call("Bash", {"command": f"git push origin v{number}"})
    facts = Facts(Effect.NETWORK, f"pushes v{number} to origin", hazards=("git.push",))
    actions = bench.engine.actions
    waiting = actions.propose(RUNNER, Proposal(run, f"c{number}", call, facts))
    handoff = bench.engine.kernel.state(Handoff, str(waiting["handoff_id"]))
    decision = Decision(
        handoff.handoff_id, DecisionKind.APPROVE, handoff.presented_digest, "as planned"
    )
    bench.engine.handoffs.decide(bench.person, decision)
    allowed = actions.propose(RUNNER, Proposal(run, f"c{number}", call, facts))
    assert allowed["verdict"] == "allow", allowed
    actions.record_result(RUNNER, StepResult(run, f"c{number}", 0))


def cycles(bench: Bench, threads: int, seconds: float) -> float:
    """Whole cycles a second, each thread on a run of its own."""
    counts = [0] * threads
    runs = [bench.session(f"cycles-{threads}-{n}-{time.perf_counter_ns()}") for n in range(threads)]
    deadline = time.perf_counter() + seconds

    def work(n: int) -> None:
        done = 0
        while time.perf_counter() < deadline:
            cycle(bench, runs[n], done)
            done += 1
        counts[n] = done

    return parallel(work, threads, counts)
