"""Two people answer one question at the same moment: how often what was asked for then runs."""

import threading
from collections.abc import Iterator
from pathlib import Path

from bench.cycles import PEER, places
from bench.engine import RUNNER, Bench, open_bench
from bench.figures import Figure, Room, at_most
from bench.peers import environment
from bench.postgres import durable
from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import AlreadyDecided
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_handoff import DecisionKind, GrantRedeemed, HandoffDecided
from handfast.core.domain.handoff import Handoff
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.handoffs import Decision

ROUNDS = 5


def figures(room: Room) -> Iterator[Figure]:
    """Effects an answered question led to, the most of the rounds."""
    rounds = 2 if room.quick else ROUNDS
    with durable() as server:
        for place in places(room, server):
            theirs = [environment.run(PEER, "race", "--url", place.fresh()) for _ in range(rounds)]
            most = max(int(found["effects"]) for found in theirs)
            both = sum(int(found["effects"]) > 1 for found in theirs)
            means = (
                "two `Command(resume=…)` at once, each through a saver of its own as from two servers; how often the "
                "step behind the interrupt ran, the most of the rounds"
            )
            said = f"more than once in {both} of {rounds} rounds"
            yield Figure(f"effects of two deciders, LangGraph, {place.name}", most, "", means, said)
            yield _ours(place.name, room.new("home"), place.fresh(), rounds)


def _ours(name: str, home: Path, url: str, rounds: int) -> Figure:
    bench = open_bench(home, url)
    other = open_engine(url=url, home=home)
    run = bench.session("raced")
    most = 0
    for n in range(rounds):
        decided, started = _round(bench, other, run, n)
        assert decided == 1, f"{decided} decisions were taken"
        most = max(most, started)
    other.close()
    bench.engine.close()
    means = (
        "two decisions at once through two engines on one database, then two agents ask to run it; how often a grant "
        "was redeemed in the log; the other decider is told who was faster, the other agent waits or is refused"
    )
    said = f"one decision taken in each of {rounds} rounds"
    return at_most(Figure(f"effects of two deciders, {name}", most, "", means, said), 1)


def _round(bench: Bench, other: Engine, run: str, n: int) -> tuple[int, int]:
    """How many decisions and starts the log holds for one handoff."""
    call = Call("Bash", {"command": f"git push origin v{n}"})
    proposal = Proposal(run, f"c{n}", call, Facts(Effect.NETWORK, "pushes", hazards=("git.push",)))
    handoff_id = str(bench.engine.actions.propose(RUNNER, proposal)["handoff_id"])
    shown = bench.engine.kernel.state(Handoff, handoff_id)
    both = threading.Barrier(2)
    told: list[object] = []

    def decide(engine: Engine) -> None:
        decision = Decision(shown.handoff_id, DecisionKind.APPROVE, shown.presented_digest, "go")
        both.wait(10)
        try:
            engine.handoffs.decide(bench.person, decision)
        except AlreadyDecided as e:
            told.append(e.details["decided_by"])
        both.wait(30)
        engine.actions.propose(RUNNER, proposal)

    threads = [threading.Thread(target=decide, args=(e,)) for e in (bench.engine, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1, told
    rows = bench.engine.kernel.store.events(stream=f"handoff/{handoff_id}")
    events = [from_bytes(row.data).event for row in rows]
    return sum(isinstance(e, HandoffDecided) for e in events), sum(
        isinstance(e, GrantRedeemed) for e in events
    )
