"""What counting requests costs, and how much room the defaults leave above what one runner and its callers do."""

import asyncio
import time
from collections.abc import Iterator

import httpx

from bench import http, waiting
from bench.figures import Figure, Room, at_most
from bench.served import Process, serving
from handfast.engine.access import Principal, PrincipalKind
from handfast.engine.settings import Settings
from handfast.server.rates import BURST_S, Rates

TAKES, ROUNDS = 20_000, 7
HARD_RATE = 1_000  # more than a server answers: it shows how much that is


def figures(room: Room) -> Iterator[Figure]:
    """One count in process, then a server with 500 callers that hang and one runner at its rate, then flat out."""
    yield _counting(TAKES // (10 if room.quick else 1))
    home = room.new("home")
    with serving(home, f"sqlite:///{room.new('sqlite') / 'bench.db'}") as server:
        runs = http.prepare(server.url, home)
        yield asyncio.run(_beside_callers(server, runs, room))
        yield asyncio.run(_flat_out(server, runs, room))


def _counting(number: int) -> Figure:
    rates, one = Rates(Settings(rate_runner=10**9)), Principal(PrincipalKind.RUNNER, "runner")
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(number):
            rates.take(one, read=False)
        took.append((time.perf_counter() - start) / number * 1e6)
    means = f"mean of {number:,} on one thread, the best of {ROUNDS} rounds"
    return at_most(Figure("counting one request", min(took), "µs", means), 20)


async def _beside_callers(server: Process, runs: list[str], room: Room) -> Figure:
    """Any answer but 200 ends it with an error; a long poll that was refused is counted."""
    polls, number = waiting.Polls(), 50 if room.quick else waiting.POLLS
    handoff = await asyncio.to_thread(_waits, server, runs[0])
    await polls.start(server, [handoff], number)
    took = await http.load(server.url, server.home, runs, room.seconds * 2, 1)
    await polls.stop()
    means = (
        f"refused of {len(took):,} gate checks at {http.RATE} a second with one runner's token and of {number} "
        "long polls with one token, at the default rates"
    )
    return at_most(Figure("refused beside hanging callers", len(polls.failed), "", means), 0)


async def _flat_out(server: Process, runs: list[str], room: Room) -> Figure:
    """Every request that is refused would end it with an error."""
    took = await http.load(server.url, server.home, runs, room.seconds, 2, rate=HARD_RATE)
    per_s, limit = len(took) / max(sum(took[-1:]) + room.seconds, 0.001), Settings().rate_runner
    means = (
        f"gate checks answered a second when {HARD_RATE:,} are due, one runner's token; none was refused; "
        f"the default takes {limit:,} a second and {limit * BURST_S:,} at once"
    )
    figure = Figure("one runner flat out", per_s, "/s", means)
    return at_most(figure, limit)


def _waits(server: Process, run: str) -> str:
    """The id of a handoff that nobody decides."""
    call = {"tool": "Bash", "arguments": {"command": "git push origin main"}}
    facts = {"effect": "network", "summary": "pushes", "hazards": ["git.push"]}
    body = {"key": "waits", "call": call, "facts": facts}
    with httpx.Client(base_url=server.url, headers=server.token("runner"), timeout=60) as client:
        asked = client.post(f"/v1/runs/{run}/actions", json=body)
        assert asked.json()["verdict"] == "wait", asked.text
        return str(asked.json()["handoff_id"])
