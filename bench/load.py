"""Two servers on one PostgreSQL under mixed load from 64 clients: `python -m bench load --minutes 10`.

Agents propose calls, most allowed, some handed over; they wait, go on as decided, and report results, each
request to either server. People list, open and decide cases, often the same one at once. Others read pages,
follow the log, or hang on handoffs. At the end the independent checker reads the database.
"""

import asyncio
import random
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count

from bench.engine import Bench, open_bench
from bench.figures import Figure, Room, at_most, percentile
from bench.filler import Mix, fill
from bench.postgres import durable
from bench.served import Process, serving
from bench.wire import Answer, Wire
from tests.faults.checker import check, read_log

AGENTS, DECIDERS, READERS, FOLLOWERS, HANGERS = 30, 6, 12, 8, 8
GATED = 0.2
WAIT_S = 15
SAMPLED_S = 5.0
# What a request may be answered with and still be right: another was faster, or the case moved on.
EXPECTED = frozenset({200, 201, 303})
LOST_RACES = frozenset({409})


@dataclass
class Seen:
    """What the clients saw."""

    ends_at: float
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    lost_races: int = 0
    events: int = 0
    decided_at: dict[str, float] = field(default_factory=dict)
    woken: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    @property
    def going(self) -> bool:
        return time.monotonic() < self.ends_at

    async def ask(self, kind: str, request: Coroutine[None, None, Answer]) -> Answer | None:
        """The answer, timed; None when it failed, which is counted by kind."""
        start = time.perf_counter()
        try:
            answer = await request
        except (OSError, asyncio.IncompleteReadError) as e:
            self.errors[f"{kind}: {type(e).__name__}"] += 1
            return None
        self.took[kind].append((time.perf_counter() - start) * 1000)
        if answer.status in LOST_RACES:
            self.lost_races += 1
        elif answer.status not in EXPECTED:
            self.errors[f"{kind}: {answer.status} {answer.body[:160]!r}"] += 1
            return None
        return answer


class Servers:
    """Both of them, and a connection of its own to either for each client."""

    def __init__(self, processes: list[Process]) -> None:
        self.processes = processes

    def wires(self, headers: Callable[[Process], dict[str, str]]) -> list[Wire]:
        return [Wire(p.url, headers(p)) for p in self.processes]


def figures(room: Room) -> Iterator[Figure]:
    """Latencies by kind of request, errors, memory, and what the checker finds."""
    minutes = 0.1 if room.quick else room.minutes
    with ExitStack() as stack:
        database = stack.enter_context(durable())
        if database is None:
            return
        url, first, second = database.create(), room.new("first"), room.new("second")
        bench = open_bench(first, url)
        runs = [bench.session(f"agent-{n}") for n in range(AGENTS)]
        held = _held(bench)
        bench.engine.close()
        servers = Servers([stack.enter_context(serving(first, url))])
        # The same keys and tokens: one installation on two machines.
        leave = shutil.ignore_patterns("server.json")
        shutil.copytree(first, second, ignore=leave, dirs_exist_ok=True)
        servers.processes.append(stack.enter_context(serving(second, url)))
        seen = asyncio.run(_load(servers, runs, held, minutes * 60))
        yield from _said(seen, minutes)
        yield from _proved(url, room)


def _held(bench: Bench) -> list[str]:
    """Handoffs that nobody decides, for those who hang on them."""
    return fill(bench, Mix(waiting=HANGERS, approved=0, refused=0), runs=1)


async def _load(servers: Servers, runs: list[str], held: list[str], seconds: float) -> Seen:
    shared = servers.processes[0].cookie()  # a session is in the database: it holds for both
    seen = Seen(time.monotonic() + seconds)
    async with asyncio.TaskGroup() as group:
        for n, run in enumerate(runs):
            group.create_task(_agent(seen, servers, run, n))
        for n in range(DECIDERS):
            group.create_task(_decider(seen, servers, shared, set(held), n))
        for n in range(READERS):
            group.create_task(_reader(seen, servers, shared, n))
        for n in range(FOLLOWERS):
            group.create_task(_follower(seen, servers, n))
        for n in range(HANGERS):
            group.create_task(_hanger(seen, servers, held[n], n))
        group.create_task(_watch(seen, servers))
    return seen


def _call(command: str, *, gated: bool) -> dict[str, object]:
    facts = {"effect": "network", "summary": command, "hazards": ["git.push"]}
    allowed = {"effect": "exec", "summary": command}
    call = {"tool": "Bash", "arguments": {"command": command}, "cwd": "."}
    return {"call": call, "facts": facts if gated else allowed, "executor": "hooked"}


async def _agent(seen: Seen, servers: Servers, run: str, n: int) -> None:
    """Call after call, each request to either server."""
    draw = random.Random(n)
    wires = servers.wires(lambda p: p.token("runner"))
    path = f"/v1/runs/{run}"
    for number in count():
        if not seen.going:
            break
        await asyncio.sleep(draw.uniform(0.2, 1.2))
        gated = draw.random() < GATED
        command = f"git push origin v{n}-{number}" if gated else f"pytest -q tests/test_{number}.py"
        asked = _call(command, gated=gated) | {"key": f"k{number}"}
        answer = await seen.ask("propose", draw.choice(wires).post(f"{path}/actions", asked))
        if answer is not None and answer.json["verdict"] == "wait":
            handoff = answer.json["handoff_id"]
            if not await _waited(seen, draw.choice(wires), handoff):
                continue
            answer = await seen.ask(
                "propose again", draw.choice(wires).post(f"{path}/actions", asked)
            )
        if answer is not None and answer.json["verdict"] == "allow":
            done = {"key": f"k{number}", "exit_code": 0, "output": "fine"}
            await seen.ask("result", draw.choice(wires).post(f"{path}/results", done))
    for wire in wires:
        wire.close()


async def _waited(seen: Seen, wire: Wire, handoff: str) -> bool:
    """Until it is decided; False when the time is over before."""
    for _ in range(40):
        answer = await seen.ask(
            "long poll", wire.get(f"/v1/handoffs/{handoff}/wait?timeout_s={WAIT_S}")
        )
        if answer is not None and answer.json["decided"]:
            if handoff in seen.decided_at:
                seen.woken.append((time.perf_counter() - seen.decided_at[handoff]) * 1000)
            return True
        if not seen.going:
            return False
    return False


async def _decider(
    seen: Seen, servers: Servers, cookie: dict[str, str], held: set[str], n: int
) -> None:
    """Lists what waits and decides one of the first, so that two often decide the same."""
    draw = random.Random(1000 + n)
    wires = servers.wires(lambda p: cookie | {"Origin": p.url})
    while seen.going:
        await asyncio.sleep(draw.uniform(0.2, 0.8))
        listed = await seen.ask("list", draw.choice(wires).get("/v1/handoffs?limit=50"))
        open_ones = [h["handoff_id"] for h in listed.json["items"]] if listed else []
        open_ones = [h for h in open_ones if h not in held]
        if not open_ones:
            continue
        chosen = draw.choice(open_ones[:6])
        shown = await seen.ask("case, API", draw.choice(wires).get(f"/v1/handoffs/{chosen}"))
        if shown is None or shown.json["decision"]:
            continue
        kind = "approve" if draw.random() < 0.8 else "reject"
        body = {
            "kind": kind,
            "presented_digest": shown.json["presented_digest"],
            "reason": "looked at it",
        }
        at = time.perf_counter()
        done = await seen.ask(
            "decide", draw.choice(wires).post(f"/v1/handoffs/{chosen}/decisions", body)
        )
        if done is not None and done.status == 201:
            seen.decided_at.setdefault(chosen, at)
    for wire in wires:
        wire.close()


async def _reader(seen: Seen, servers: Servers, cookie: dict[str, str], n: int) -> None:
    draw = random.Random(2000 + n)
    wires = servers.wires(lambda _: cookie)
    known: list[str] = []
    while seen.going:
        await asyncio.sleep(draw.uniform(0.5, 2.5))
        page = await seen.ask("inbox page", draw.choice(wires).get("/"))
        if page is not None:
            found = page.body.split(b'href="/handoffs/')[1:]
            known = [part.partition(b'"')[0].decode() for part in found] or known
        if known:
            await seen.ask("case page", draw.choice(wires).get(f"/handoffs/{draw.choice(known)}"))
    for wire in wires:
        wire.close()


async def _follower(seen: Seen, servers: Servers, n: int) -> None:
    """The log as it grows, from its end on."""
    process = servers.processes[n % 2]
    wire = Wire(process.url, process.token("operator"))
    with suppress(TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(max(0.0, seen.ends_at - time.monotonic())):
            async for line in wire.lines("/v1/events"):
                seen.events += line.startswith(b"id:")
    if seen.going:
        seen.errors["event stream: ended"] += 1
    wire.close()


async def _hanger(seen: Seen, servers: Servers, handoff: str, n: int) -> None:
    process = servers.processes[n % 2]
    wire = Wire(process.url, process.token("runner"))
    while seen.going:
        left = max(1, min(WAIT_S, int(seen.ends_at - time.monotonic())))
        answer = await seen.ask("hang", wire.get(f"/v1/handoffs/{handoff}/wait?timeout_s={left}"))
        if answer is not None and answer.json["decided"]:
            seen.errors["hang: answered though nobody decided"] += 1
    wire.close()


async def _watch(seen: Seen, servers: Servers) -> None:
    while seen.going:
        a, b = (p.memory_mb() for p in servers.processes)
        seen.memory.append((a, b))
        await asyncio.sleep(min(SAMPLED_S, max(0.1, seen.ends_at - time.monotonic())))


def _said(seen: Seen, minutes: float) -> Iterator[Figure]:
    where = f"two servers, 64 clients, {minutes:g} min"
    total = sum(len(took) for took in seen.took.values())
    means = "requests a second that were answered, of all kinds"
    yield Figure(f"load: {where}", total / (minutes * 60), "/s", means)
    for kind, took in sorted(seen.took.items()):
        if kind in ("long poll", "hang"):
            continue
        for share in (0.5, 0.95, 0.99):
            name = f"{kind}, p{share * 100:g}: {where}"
            yield Figure(
                name,
                percentile(took, share),
                "ms",
                f"latency as the client saw it, {len(took):,} requests",
            )
    if seen.woken:
        means = "from sending a decision to the answer of a long poll on either server"
        for share in (0.5, 0.99):
            name = f"decision to waiting agent, p{share * 100:g}: {where}"
            yield Figure(
                name, percentile(seen.woken, share), "ms", f"{means}, {len(seen.woken):,} times"
            )
    said = "; ".join(f"{kind} ({n})" for kind, n in seen.errors.most_common(8)) or "none"
    means = "answers that are no right ones, by kind"
    errors = Figure(f"errors: {where}", sum(seen.errors.values()), "", means, said)
    yield at_most(errors, 0)
    means = "409: another was faster, or an equal request had been taken; the right answer to a lost race"
    yield Figure(f"lost races: {where}", seen.lost_races, "", means)
    yield Figure(
        f"entries streamed: {where}", seen.events, "", f"to {FOLLOWERS} followers of the log"
    )
    yield from _memory(seen, where)


def _memory(seen: Seen, where: str) -> Iterator[Figure]:
    """Warm after a fifth of the time; flat from there."""
    for i, name in enumerate(("first", "second")):
        values = [sample[i] for sample in seen.memory]
        warm = values[len(values) // 5]
        said = ", ".join(f"{v:.0f}" for v in values[:: max(1, len(values) // 10)])
        yield Figure(
            f"resident memory at the end, {name} server: {where}",
            values[-1],
            "MB",
            f"over time: {said} MB",
        )
        grown = Figure(
            f"memory grown, {name} server: {where}",
            values[-1] - warm,
            "MB",
            "from a fifth of the time to the end",
        )
        yield grown


def _proved(url: str, room: Room) -> Iterator[Figure]:
    log = read_log(url)
    wrong = check(log, {}, settled=False)
    (room.folder / "violations.txt").write_text("\n".join(wrong))
    means = f"found by the independent checker in {len(log.rows):,} entries: {'; '.join(wrong[:5]) or 'none'}"
    yield at_most(Figure("violations after the load", len(wrong), "", means), 0)
    kinds = Counter(row.type for row in log.rows)
    for kind in ("handoff.requested", "handoff.decided", "grant.redeemed", "effect.recorded"):
        yield Figure(f"entries `{kind}` after the load", kinds[kind], "", "in the log")
