"""Whole cycles beside LangGraph's, on both databases, with one and with sixteen in flight."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.engine import RUNNER, Bench, open_bench
from bench.figures import POSTGRES, SQLITE, Figure, Room, times
from bench.peers import environment
from bench.postgres import durable
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Handoff
from handfast.engine.actions import StepResult
from handfast.engine.gating import Proposal
from handfast.engine.handoffs import Decision
from tests.postgres import Postgres

PEER = "langgraph_peer.py"
CHANNELS = ("list", "delta", "last")
TEXT_BYTES = 488
TARGETS = {(SQLITE, 1): 4.0, (SQLITE, 16): 8.0, (POSTGRES, 1): 2.0, (POSTGRES, 16): 5.0}
OURS = (
    "whole cycles a second through the shipped engine, in process, with policy: a call with 1 KB of arguments is "
    "proposed and handed over, a person approves it and the grant is minted, the grant is redeemed, a result of "
    "1 KB is recorded and the handoff closed; every commit is on disk before the next step; a run for each in flight"
)
THEIRS = (
    "cycles a second in process: a step that stores 1 KB, interrupt, resume with the decision, another step that "
    "stores 1 KB, a thread of its own each; durability `sync`; the best of the channels {channels}"
)


def text() -> str:
    """As much as LangGraph's side stores with each step."""
    return os.urandom(TEXT_BYTES).hex()


def cycle(bench: Bench, run: str, number: int) -> None:
    """Handed over, approved, redeemed, recorded: what a peer calls interrupt and resume."""
    call = Call("Bash", {"command": f"git push origin v{number} # {text()}"})
    facts = Facts(Effect.NETWORK, f"pushes v{number} to origin", hazards=("git.push",))
    actions = bench.engine.actions
    waiting = actions.propose(RUNNER, Proposal(run, f"c{number}", call, facts))
    handoff = bench.engine.kernel.state(Handoff, str(waiting["handoff_id"]))
    shown = handoff.presented_digest
    decision = Decision(handoff.handoff_id, DecisionKind.APPROVE, shown, "as planned")
    bench.engine.handoffs.decide(bench.person, decision)
    allowed = actions.propose(RUNNER, Proposal(run, f"c{number}", call, facts))
    assert allowed["verdict"] == "allow", allowed
    actions.record_result(RUNNER, StepResult(run, f"c{number}", 0, output=text()))


def at_once(bench: Bench, flight: int, seconds: float) -> float:
    """Cycles a second with this many threads, each with a run of its own."""
    counts = [0] * flight
    failed: list[BaseException] = []
    runs = [bench.session(f"cycles-{n}-{time.perf_counter_ns()}") for n in range(flight)]
    deadline = time.perf_counter() + seconds

    def work(n: int) -> None:
        try:
            while time.perf_counter() < deadline:
                cycle(bench, runs[n], counts[n])
                counts[n] += 1
        except BaseException as e:
            failed.append(e)
            raise

    start = time.perf_counter()
    _together(work, flight)
    assert not failed, failed[0]
    return sum(counts) / (time.perf_counter() - start)


def _together(work: Callable[[int], None], number: int) -> None:
    running = [threading.Thread(target=work, args=(n,)) for n in range(number)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


@dataclass(frozen=True, slots=True)
class Place:
    """A database for one measurement, as a URL for either side."""

    name: str
    fresh: Callable[[], str]


def places(room: Room, server: Postgres | None) -> Iterator[Place]:
    """SQLite, and PostgreSQL where the machine has it."""
    yield Place(SQLITE, lambda: f"sqlite:///{room.new('sqlite') / 'bench.db'}")
    if server is not None:
        yield Place(POSTGRES, server.create)


def figures(room: Room) -> Iterator[Figure]:
    """Both sides take turns, twice, and the best of each counts: others may use this machine."""
    with ExitStack() as stack:
        server = stack.enter_context(durable())
        for place in places(room, server):
            home = room.new("home")
            bench = open_bench(home, place.fresh())
            for flight in (1, 16):
                yield from _beside(room, place, bench, flight)
            bench.engine.close()


def _beside(room: Room, place: Place, bench: Bench, flight: int) -> Iterator[Figure]:
    ours, theirs = 0.0, dict.fromkeys(CHANNELS, 0.0)
    for _ in range(1 if room.quick else 2):
        for channel in CHANNELS:
            rate = _peer(place.fresh(), channel, flight, room.seconds)
            theirs[channel] = max(theirs[channel], rate)
        ours = max(ours, at_once(bench, flight, room.seconds))
    best = max(theirs, key=lambda channel: theirs[channel])
    where = f"{place.name}, {flight} in flight"
    each = ", ".join(f"{channel} {rate:.1f}/s" for channel, rate in theirs.items())
    means = THEIRS.format(channels=each)
    peer = Figure(f"LangGraph cycles, {best} channel, {where}", theirs[best], "/s", means)
    yield peer
    yield times(Figure(f"cycles, {where}", ours, "/s", OURS), peer, TARGETS[place.name, flight])


def _peer(url: str, channel: str, flight: int, seconds: float) -> float:
    words = ("--url", url, "--channel", channel, "--flight", flight, "--seconds", seconds)
    return float(environment.run(PEER, "cycles", *words)["per_s"])


def versions() -> dict[str, str]:
    """Which releases the peers are, from their lock file."""
    lines = Path(environment.LOCK).read_text().splitlines()
    pinned = (line.split()[0].split("==") for line in lines if line[:1].isalpha())
    return {name: number for name, number in pinned if name.startswith("langgraph")}
