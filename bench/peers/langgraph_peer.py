"""LangGraph beside us: pause, decide, resume; what its channels store; two people who answer at once.

Runs in a Python of its own (`bench/peers/environment.py` makes it) and prints one JSON line:
`langgraph_peer.py cycles|steps|race --url URL --channel list|delta|last [--flight N] [--seconds S] [--steps N]`.

Durability is what our own side has: every step is on disk before the next one runs (`durability="sync"`;
SQLite with WAL and `synchronous=FULL`, which is LangGraph's own default; PostgreSQL with `fsync` and
`synchronous_commit` on).
"""

import argparse
import json
import operator
import os
import sqlite3
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypedDict

import psycopg
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

Payload = dict[str, Any]
DISTRIBUTIONS = (
    "langgraph",
    "langgraph-checkpoint",
    "langgraph-checkpoint-sqlite",
    "langgraph-checkpoint-postgres",
)
TEXT_BYTES = 488  # random bytes, in hex: with its members a payload is 1 KB of JSON that does not compress away


def payload() -> Payload:
    return {"kind": "tool_result", "text": os.urandom(TEXT_BYTES).hex()}


def _joined(before: Sequence[Payload] | None, writes: Sequence[Sequence[Payload]]) -> list[Payload]:
    return [*(before or ()), *(item for batch in writes for item in batch)]


class Listed(TypedDict):
    """A list that grows by one a step: what the tutorials of LangGraph show."""

    left: int
    decision: Any
    log: Annotated[list[Payload], operator.add]


class Delta(TypedDict):
    """The same list, of which only what was added is stored."""

    left: int
    decision: Any
    log: Annotated[list[Payload], DeltaChannel(_joined)]


class Last(TypedDict):
    """Only the last payload is kept: no history, the least it can store."""

    left: int
    decision: Any
    log: list[Payload]


CHANNELS: dict[str, Any] = {"list": Listed, "delta": Delta, "last": Last}


def graph(saver: BaseCheckpointSaver[Any], channel: str) -> Any:
    """Steps of 1 KB, a pause for a person, one more step of 1 KB."""

    def work(state: Any) -> dict[str, Any]:
        return {"log": [payload()], "left": state["left"] - 1}

    def gate(_: Any) -> dict[str, Any]:
        return {"decision": interrupt({"ask": "deploy?"})}

    def effect(_: Any) -> dict[str, Any]:
        return {"log": [payload()]}

    made: Any = StateGraph(CHANNELS[channel])
    made.add_node("work", work)
    made.add_node("gate", gate)
    made.add_node("effect", effect)
    made.add_edge(START, "work")
    made.add_conditional_edges(
        "work", lambda s: "work" if s["left"] > 0 else "gate", ["work", "gate"]
    )
    made.add_edge("gate", "effect")
    made.add_edge("effect", END)
    return made.compile(checkpointer=saver)


def begin(app: Any, thread: str, steps: int = 1) -> None:
    found = app.invoke({"left": steps}, _config(thread), durability="sync")
    assert "__interrupt__" in found


def decide(app: Any, thread: str) -> None:
    found = app.invoke(Command(resume={"approve": True}), _config(thread), durability="sync")
    assert found["decision"]["approve"]


def _config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 1_000_000}


@contextmanager
def saver_of(url: str, connections: int) -> Iterator[BaseCheckpointSaver[Any]]:
    """The shipped saver for the URL, with a connection each where it can have them."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), check_same_thread=False)
        sqlite = SqliteSaver(connection)
        sqlite.setup()
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "not as durable as ours"
        yield sqlite
        connection.close()
        return
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    with ConnectionPool(url, min_size=1, max_size=connections, kwargs=settings, open=True) as pool:
        postgres = PostgresSaver(pool)
        postgres.setup()
        yield postgres


def cycles(url: str, channel: str, flight: int, seconds: float) -> dict[str, object]:
    """Pause, decide, resume, each on a thread of its own, this many at a time."""
    took: list[float] = []
    with saver_of(url, flight) as saver:
        app = graph(saver, channel)
        begin(app, "warm")
        decide(app, "warm")
        start = time.perf_counter()

        def worker(_: int) -> None:
            while time.perf_counter() < start + seconds:
                thread = uuid.uuid4().hex
                at = time.perf_counter()
                begin(app, thread)
                decide(app, thread)
                took.append(time.perf_counter() - at)

        _together(worker, flight)
        elapsed = time.perf_counter() - start
    return {"per_s": len(took) / elapsed, "p50_ms": statistics.median(took) * 1000}


def _together(work: Callable[[int], None], number: int) -> None:
    running = [threading.Thread(target=work, args=(n,)) for n in range(number)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def steps(url: str, channel: str, number: int) -> dict[str, object]:
    """Bytes on disk for one thread of this many steps, and the time of a step."""
    with saver_of(url, 1) as saver:
        app = graph(saver, channel)
        begin(app, "warm")
        before = stored_bytes(url)
        start = time.perf_counter()
        begin(app, "measured", number)
        elapsed = time.perf_counter() - start
    return {
        "bytes_per_step": (stored_bytes(url) - before) / number,
        "ms_per_step": elapsed * 1000 / number,
    }


def stored_bytes(url: str) -> int:
    """Tables with their indexes; for SQLite the file after a checkpoint of its log."""
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path, timeout=30)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return Path(path).stat().st_size
    asked = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    with psycopg.connect(url, autocommit=True) as c:
        row = c.execute(asked).fetchone()
    return int(row[0]) if row else 0


def race(url: str) -> dict[str, object]:
    """Two people answer one pause at the same moment, each through a saver of their own, as from two servers."""
    effects: list[str] = []
    both = threading.Barrier(2)

    def gate(_: Any) -> dict[str, Any]:
        return {"decision": interrupt("deploy?")}

    def effect(state: Any) -> dict[str, Any]:
        effects.append(state["decision"])
        return {"log": [payload()]}

    def app(saver: BaseCheckpointSaver[Any]) -> Any:
        made: Any = StateGraph(Listed)
        made.add_node("gate", gate)
        made.add_node("effect", effect)
        made.add_edge(START, "gate")
        made.add_edge("gate", "effect")
        made.add_edge("effect", END)
        return made.compile(checkpointer=saver)

    with saver_of(url, 2) as saver:
        app(saver).invoke({"left": 0}, _config("raced"), durability="sync")
    answers: dict[str, str] = {}

    def person(n: int) -> None:
        who = ("ann", "bob")[n]
        with saver_of(url, 1) as saver:
            made = app(saver)
            both.wait(10)
            try:
                made.invoke(Command(resume=who), _config("raced"), durability="sync")
                answers[who] = "accepted"
            except Exception as e:  # noqa: BLE001 - whatever it says is the measurement
                answers[who] = f"{type(e).__name__}: {e}"[:200]

    _together(person, 2)
    return {"effects": len(effects), "answers": answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cycles", "steps", "race"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--channel", choices=list(CHANNELS), default="list")
    parser.add_argument("--flight", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    if args.what == "cycles":
        found = cycles(args.url, args.channel, args.flight, args.seconds)
    elif args.what == "steps":
        found = steps(args.url, args.channel, args.steps)
    else:
        found = race(args.url)
    print(json.dumps(found | {"versions": {name: version(name) for name in DISTRIBUTIONS}}))


if __name__ == "__main__":
    main()
