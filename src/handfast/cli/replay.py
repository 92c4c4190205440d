"""Folds a run's log again, step by step or to compare it with what is stored."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from handfast.cli.local import existing_engine
from handfast.cli.output import say, say_json, short_time

if TYPE_CHECKING:
    from handfast.engine.audit import Replayed
    from handfast.engine.facade import Engine

WRONG = 6
_PAGE = 500


def verify(run_id: str, *, as_json: bool) -> int:
    """Compare the run's stream and those of its task, agent and handoffs; every stream without a run."""
    with existing_engine() as engine:
        streams = _of_run(engine, run_id) if run_id else _all(engine)
        results = [engine.audit.replay(stream) for stream in streams]
    wrong = [r for r in results if not r.same]
    events = sum(r.events for r in results)
    if as_json:
        items = [asdict(r) for r in results]
        say_json({"ok": not wrong, "streams": len(results), "events": events, "items": items})
    else:
        _print(results, wrong, events)
    return WRONG if wrong else 0


def _print(results: "list[Replayed]", wrong: "Iterable[Replayed]", events: int) -> None:
    for r in wrong:
        say(f"WRONG  {r.stream}: {r.why}")
    if not wrong:
        say(
            f"OK: {len(results):,} streams, {events:,} events; each state is the fold of its events."
        )


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


def _all(engine: "Engine") -> list[str]:
    """Every stream the log has, by first appearance."""
    return list(dict.fromkeys(row.stream for row in engine.kernel.store.scan()))


def story(run_id: str, *, as_json: bool) -> int:
    """The run's events in order, as the log tells them."""
    with existing_engine() as engine:
        engine.views.run(run_id)  # raises NotFound
        lines = list(_timeline(engine, f"run/{run_id}"))
    if as_json:
        say_json({"run_id": run_id, "events": lines})
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
