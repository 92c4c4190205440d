"""Folds a run's log again, step by step or to compare it with what is stored."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from handfast.cli.local import existing_engine
from handfast.cli.output import say, say_json, say_json_list, short_time

if TYPE_CHECKING:
    from handfast.engine.facade import Engine
    from handfast.engine.snapshots import Replayed

WRONG = 6
MAX_LISTED = 100
_PAGE = 500


def verify(run_id: str, *, rebuild: bool = False, as_json: bool) -> int:
    """Compare the run's stream and those of its task, agent and handoffs; every stream without a run.

    `rebuild` writes what differs again. Results are counted as they come; only what is wrong is kept.
    """
    seen = _Seen()
    with existing_engine() as engine:
        for stream in _of_run(engine, run_id) if run_id else _all(engine):
            result = engine.audit.replay(stream)
            seen.note(result)
            if rebuild and not result.same:
                engine.kernel.snapshots.rebuild(stream)
                seen.rebuilt += engine.audit.replay(stream).same
        if not run_id:
            for stream in _lost(engine, seen.events):
                seen.note(_no_state(stream))
    if as_json:
        say_json(seen.to_json())
    else:
        for line in seen.lines():
            say(line)
    return WRONG if seen.wrong_count > seen.rebuilt else 0


@dataclass(slots=True)
class _Seen:
    """What was compared. Named are the first `MAX_LISTED` streams, and the first so many wrong ones."""

    streams: int = 0
    events: int = 0
    snapshots: int = 0
    wrong_count: int = 0
    rebuilt: int = 0
    wrong: "list[Replayed]" = field(default_factory=list)
    right: "list[Replayed]" = field(default_factory=list)

    def note(self, r: "Replayed") -> None:
        self.streams += 1
        self.events += r.events
        self.snapshots += r.snapshots
        self.wrong_count += not r.same
        named = self.right if r.same else self.wrong
        if len(named) < MAX_LISTED:
            named.append(r)

    def to_json(self) -> dict[str, object]:
        return {
            "ok": self.wrong_count == self.rebuilt,
            "streams": self.streams,
            "events": self.events,
            "snapshots": self.snapshots,
            "wrong": self.wrong_count,
            "rebuilt": self.rebuilt,
            "items": [asdict(r) for r in (*self.right, *self.wrong)],
        }

    def lines(self) -> Iterator[str]:
        for r in self.wrong:
            yield f"WRONG  {r.stream}: {r.why}"
        if self.wrong_count > len(self.wrong):
            yield f"and {self.wrong_count - len(self.wrong):,} more"
        if self.rebuilt:
            yield f"{self.rebuilt:,} of {self.wrong_count:,} were folded again and written."
        if not self.wrong_count:
            yield (
                f"OK: {self.streams:,} streams, {self.events:,} events; "
                "each state is the fold of its events."
            )


def state(run_id: str, version: int) -> int:
    """The run's state after `version` events, as JSON. Raises NotFound."""
    with existing_engine() as engine:
        row = engine.kernel.snapshots.state_at(f"run/{run_id}", version)
    say_json({"stream": row.stream, "version": row.version, "state": json.loads(row.doc)})
    return 0


def _of_run(engine: "Engine", run_id: str) -> Iterator[str]:
    run = engine.views.run(run_id)
    yield f"run/{run_id}"
    if run.get("task_id"):
        yield f"task/{run['task_id']}"
    yield f"agent/{run['agent_id']}"
    after = ""
    while True:
        page = engine.views.handoffs("all", run_id=run_id, after=after, limit=_PAGE)
        yield from (f"handoff/{h['handoff_id']}" for h in page.items)
        after = page.next
        if not after:
            return


def _all(engine: "Engine") -> Iterator[str]:
    """Every stream that has a state, kind by kind."""
    from handfast.engine.projections import BY_NAME

    for kind in BY_NAME:
        after = 0
        while page := engine.kernel.store.keeping.streams(kind, after=after):
            yield from (stream for _, stream in page)
            after = page[-1][0]


def _lost(engine: "Engine", accounted: int) -> Iterator[str]:
    """Streams of the log without a state. Looked for only where the states do not account for all events."""
    store = engine.kernel.store
    if accounted >= store.size():
        return
    for row in store.scan():
        if row.version == 1 and store.load(row.stream) is None:
            yield row.stream


def _no_state(stream: str) -> "Replayed":
    from handfast.engine.snapshots import Replayed

    return Replayed(stream, 0, same=False, why="it has events and no stored state")


def story(run_id: str, *, as_json: bool) -> int:
    """The run's events in order, as the log tells them."""
    with existing_engine() as engine:
        engine.views.run(run_id)  # raises NotFound
        lines = _timeline(engine, f"run/{run_id}")
        if as_json:
            say_json_list({"run_id": run_id}, "events", lines)
            return 0
        for line in lines:
            text = f"  {line['text']}" if line["text"] else ""
            say(f"{short_time(line['at'])}  {line['type']:<22} {line['who']}{text}")
    return 0


def _timeline(engine: "Engine", stream: str) -> Iterator[dict[str, Any]]:
    after = 0
    while page := engine.views.timeline(stream, after=after, limit=_PAGE):
        yield from page
        after += len(page)
