"""How pages, the sweep, the log and memory behave when an installation is large.

`python -m bench scale` fills each database with 1,000,000 events and 100,000 handoffs, of which 10,000 wait;
`python -m bench huge` fills SQLite with 1,000,000 handoffs.
"""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx

from bench import waiting
from bench.engine import open_bench
from bench.figures import POSTGRES, SQLITE, Figure, Room, at_most, percentile
from bench.filler import Mix, fill
from bench.postgres import durable
from bench.served import Process, serving, timed
from handfast.app import open_engine
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.engine.facade import Engine

HUGE = Mix(waiting=10_000, approved=10_000, refused=980_000, light=True)
QUICK = Mix(waiting=300, approved=200, refused=200, step_events=1_000)
ROUNDS = 40
LIMIT_MS = 50.0


def _large(handoffs: int) -> Mix:
    """A tenth waits, ten entries a handoff."""
    waiting, refused = handoffs // 10, handoffs // 66
    return Mix(waiting, handoffs - waiting - refused, refused, step_events=handoffs // 20)


def figures(room: Room) -> Iterator[Figure]:
    """A million entries and a hundred thousand handoffs, on both databases."""
    mix = QUICK if room.quick else _large(room.handoffs)
    with durable() as server:
        places = [(SQLITE, room.new("home"), "")]
        if server is not None:
            places.append((POSTGRES, room.new("home"), server.create()))
        yield from _measured(room, mix, places)


def huge(room: Room) -> Iterator[Figure]:
    """A million handoffs, most of them refused calls that were asked for again."""
    mix = QUICK if room.quick else HUGE
    yield from _measured(room, mix, [(SQLITE, room.new("home"), "")])


def _measured(room: Room, mix: Mix, places: list[tuple[str, Path, str]]) -> Iterator[Figure]:
    """All are filled first, which takes long; then each is measured."""
    filled = [(name, home, url, _fill(home, url, mix)) for name, home, url in places]
    with room.quiet():
        for name, home, url, (ids, size, rate) in filled:
            where = f"{name}, {mix.handoffs:,} handoffs, {size:,} entries"
            means = "entries a second in groups of 400 handoffs, through the shipped write path"
            yield Figure(f"filling: {where}", rate, "/s", means)
            with closing(open_engine(url=url, home=home)) as engine:
                yield from _sweeps(engine, where)
                yield from _checked(engine, where)
            with serving(home, url) as server:
                yield from pages(server, ids, size, where, 5 if room.quick else ROUNDS)
                if not mix.light:
                    yield from waiting.figures(server, ids, where, quick=room.quick)


def _fill(home: Path, url: str, mix: Mix) -> tuple[list[str], int, float]:
    """The ids of what waits, the size of the log, and entries a second."""
    bench = open_bench(home, url)
    with closing(bench.engine):
        start = time.perf_counter()
        ids = fill(bench, mix)
        size = bench.engine.kernel.store.size()
        return ids, size, size / (time.perf_counter() - start)


def _sweeps(engine: Engine, where: str) -> Iterator[Figure]:
    took = []
    for _ in range(5):
        start = time.perf_counter()
        engine.sweep()
        took.append((time.perf_counter() - start) * 1000)
    means = "milliseconds of the deadlines and freezing sweep that every server makes once a second, nothing due"
    yield Figure(
        f"sweep, first: {where}",
        took[0],
        "ms",
        means + "; the first looks for frozen handoffs as well",
    )
    yield Figure(f"sweep: {where}", percentile(took[1:], 0.5), "ms", means)


def _checked(engine: Engine, where: str) -> Iterator[Figure]:
    """The filled log is a valid one: the tree over all entries, and a sample of streams folded again."""
    store = engine.kernel.store
    start, tree = time.perf_counter(), Frontier()
    page = 0
    while rows := store.events(after=page, limit=5_000):
        tree, _ = tree.extend([leaf_hash(row.data) for row in rows])
        page = rows[-1].position
    assert tree.to_bytes() == store.frontier(), "the tree does not fit the log"
    rate = page / (time.perf_counter() - start)
    yield Figure(
        f"log read and its tree built again: {where}",
        rate,
        "/s",
        "entries a second, read in pages of 5,000",
    )
    sample = engine.views.handoffs("all", limit=200).items
    same = [engine.audit.replay(f"handoff/{h['handoff_id']}").same for h in sample]
    assert all(same), "a filled handoff is not the fold of its events"


def pages(server: Process, ids: list[str], size: int, where: str, rounds: int) -> Iterator[Figure]:
    """Milliseconds of whole requests on loopback, one at a time, p50 and p99."""
    with httpx.Client(base_url=server.url, headers=server.cookie(), timeout=60) as browser:
        asked = [
            ("inbox, first page", "/"),
            ("inbox, rows alone", "/inbox/rows"),
            ("one case that waits", "/handoffs/{}"),
        ]
        for what, path in asked:
            yield from _page(
                server, browser, what, [path.format(h) for h in ids[: rounds + 1]], where
            )
    with httpx.Client(base_url=server.url, headers=server.token("operator"), timeout=60) as client:
        for what, path in _reads(size):
            yield from _page(
                server, client, what, [path.format(h) for h in ids[: rounds + 1]], where
            )


def _reads(size: int) -> list[tuple[str, str]]:
    return [
        ("API: first page of what waits", "/v1/handoffs?limit=50"),
        ("API: page of what is closed", "/v1/handoffs?status=closed&limit=50"),
        ("API: one case", "/v1/handoffs/{}"),
        ("API: 200 entries from the middle of the log", f"/v1/events?after={size // 2}&limit=200"),
    ]


def _page(
    server: Process, client: httpx.Client, what: str, paths: list[str], where: str
) -> Iterator[Figure]:
    """The first request warms up."""
    timed(client, paths[:1])
    before = server.busy_s()
    took = timed(client, paths[1:])
    busy = (server.busy_s() - before) / len(took) * 1000
    asked = re.sub(r"/ho_\w+", "/ID", paths[0].partition("?")[0])
    means = f"milliseconds of `GET {asked}` over loopback, one at a time, {{}} of {len(took)}"
    p50 = Figure(f"{what}, p50: {where}", percentile(took, 0.5), "ms", means.format("p50"))
    yield p50 if what.startswith("API") else at_most(p50, LIMIT_MS)
    yield Figure(f"{what}, p99: {where}", percentile(took, 0.99), "ms", means.format("p99"))
    means = (
        "processor time of the server for one such request: what it takes where nothing else runs"
    )
    cost = Figure(f"{what}, processor: {where}", busy, "ms", means)
    yield cost if what.startswith("API") else at_most(cost, LIMIT_MS)
