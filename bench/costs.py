"""Where the processor time of a command, a gate check and a cycle goes: what the missed figures rest on.

Figures are processor time, so that other work on the machine shows less. The shares come from the
interpreter's profiler, which makes Python code look dearer than C code; what C functions take is put down to
the code that called them.
"""

import asyncio
import cProfile
import multiprocessing
import pstats
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from bench import http
from bench.engine import ALLOWED, RUNNER, Bench, cycle, open_bench
from bench.figures import Figure, Room, times
from bench.served import serving
from handfast.engine.gating import Proposal

# The first part of a path that fits names the layer.
LAYERS = (
    ("policy: judging, limits", ("core/policy/", "policyfile/", "engine/policies", "engine/limits")),
    ("encoding: codec, canonical forms, digests", ("domain/codec", "domain/canonical", "engine/encoding", "/json/")),
    ("sealing of bodies", ("engine/vault", "engine/keys")),
    ("tree", ("core/audit/",)),
    ("events folded into states", ("core/domain/",)),
    ("database", ("storage/",)),
    ("engine: everything else", ("handfast/engine/",)),
)  # fmt: skip
RATE = 40
ROUNDS = 8


def figures(room: Room) -> Iterator[Figure]:
    """In process by layer, then over HTTP beside a bare route."""
    bench = open_bench(room.new("home"))
    checks, cycles = int(60 * room.seconds), int(20 * room.seconds)
    yield from _shares("gate check", bench, checks, _check)
    yield from _shares("cycle", bench, cycles, cycle)
    bench.engine.close()
    yield from _served(room)


def _check(bench: Bench, run: str, number: int) -> None:
    bench.engine.actions.propose(RUNNER, Proposal(run, f"g{number}", *ALLOWED))


def _shares(
    what: str, bench: Bench, number: int, work: Callable[[Bench, str, int], None]
) -> Iterator[Figure]:
    took = []
    for _ in range(ROUNDS):
        run = bench.session(f"{what}-{time.perf_counter_ns()}")
        start = time.thread_time()
        for i in range(number // ROUNDS):
            work(bench, run, i)
        took.append((time.thread_time() - start) / (number // ROUNDS) * 1000)
    means = f"processor time of one {what} in process on SQLite, the best of {ROUNDS} rounds"
    yield Figure(f"{what}, processor", min(took), "ms", means)
    profiler = cProfile.Profile(time.thread_time)
    run = bench.session(f"{what}-{time.perf_counter_ns()}")
    profiler.enable()
    for i in range(number):
        work(bench, run, i)
    profiler.disable()
    spent = _by_layer(profiler)
    calls = spent.pop("calls") / number
    means = f"calls of functions in one {what}"
    yield Figure(f"{what}, function calls", calls, "", means)
    for layer, seconds in spent.most_common():
        share = seconds / spent.total() * 100
        means = f"of the processor time of a {what}, as the profiler sees it"
        yield Figure(f"{what}: {layer}", share, "%", means)


def _by_layer(profiler: cProfile.Profile) -> Counter[str]:
    stats: dict[Any, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    spent: Counter[str] = Counter()
    for (path, _, _), (_, calls, own, _, callers) in stats.items():
        spent["calls"] += calls
        layer = _layer(path)
        if layer or not callers:
            spent[layer or "elsewhere"] += own
            continue
        for (caller, _, _), (_, _, part, _) in callers.items():
            spent[_layer(caller) or "elsewhere"] += part
    return spent


def _layer(path: str) -> str:
    return next((name for name, parts in LAYERS if any(p in path for p in parts)), "")


def _served(room: Room) -> Iterator[Figure]:
    """A gate check over HTTP beside the least that its web framework takes for such a request."""
    home, seconds = room.new("home"), room.seconds
    with serving(home) as server:
        runs = http.prepare(server.url, home)
        asyncio.run(http.load(server.url, home, runs, 1.0, 0, RATE))
        before = server.busy_s()
        number = len(asyncio.run(http.load(server.url, home, runs, seconds, 1, RATE)))
        each = (server.busy_s() - before) / number * 1000
    floor = _bare(home, seconds)
    yield floor
    means = f"processor time of the server for one allowed gate check, at {RATE} a second"
    yield times(Figure("gate check over HTTP, processor", each, "ms", means), floor)


class _Asked(BaseModel):
    call: dict[str, object]
    facts: dict[str, object]
    key: str
    executor: str


def _app() -> FastAPI:
    app = FastAPI()

    def caller(request: Request) -> str:
        return request.headers["authorization"]

    @app.post("/v1/runs/{run_id}/actions")
    def check(
        run_id: str, asked: _Asked, who: Annotated[str, Depends(caller)]
    ) -> dict[str, object]:
        return {"run_id": run_id, "key": asked.key, "who": len(who)}

    return app


def _bare(home: Path, seconds: float) -> Figure:
    ready, port, spent = (
        multiprocessing.Event(),
        multiprocessing.Value("i"),
        multiprocessing.Value("d"),
    )
    stop = multiprocessing.Event()
    process = multiprocessing.Process(target=_serve, args=(ready, port, stop, spent), daemon=True)
    process.start()
    assert ready.wait(60)
    url, runs = f"http://127.0.0.1:{port.value}", [f"r{n}" for n in range(http.CONNECTIONS)]
    number = len(asyncio.run(http.load(url, home, runs, seconds, 1, RATE)))
    stop.set()
    process.join(60)
    means = (
        "processor time of a FastAPI application that reads the same request, checks its types, takes one "
        f"dependency, and answers, at {RATE} a second"
    )
    return Figure("bare FastAPI route, processor", spent.value / number * 1000, "ms", means)


def _serve(ready: Any, port: Any, stop: Any, spent: Any) -> None:
    server = uvicorn.Server(uvicorn.Config(_app(), port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port.value = server.servers[0].sockets[0].getsockname()[1]
    ready.set()
    before = time.process_time()
    stop.wait()
    spent.value = time.process_time() - before
    server.should_exit = True
    thread.join()
