"""A run as it was after any of its events: where that is, what the state was, and what stood around it."""

from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.reading import (
    Record,
    flag,
    mapping,
    number,
    read_time,
    records,
    text,
    texts,
)
from handfast.server.web.wording import RUN_STATUSES

_TYPES = {
    "run.created": "Ordered",
    "run.leased": "Taken by a runner",
    "run.agent_started": "Agent started",
    "run.paused": "Paused",
    "run.ready": "Ready to go on",
    "run.released": "Given back by its runner",
    "run.agent_exited": "Agent ended",
    "run.agent_never_started": "Agent never started",
    "run.ended": "Ended",
    "run.usage_reported": "Use reported",
    "run.limit_warned": "Limit near",
    "run.limit_reached": "Limit reached",
    "run.limit_raised": "Limit raised by a person",
    "run.limit_upheld": "Limit upheld by a person",
    "run.taken_over": "Taken over",
    "run.handed_over": "Worktree handed to the person",
    "run.handed_back": "Handed back to the agent",
    "run.persons_work_recorded": "Work of the person recorded",
    "step.judged": "Call",
    "step.finished": "Result",
    "coverage.gap": "Not watched",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One event of the run. `version` is its place, from 1."""

    version: int
    at: datetime | None
    title: str
    words: str
    who: str
    here: bool


@dataclass(frozen=True, slots=True)
class ThenView:
    """`asked`: the page shows the past, not now. `earlier` and `later` are places, 0 where there is none."""

    at: int
    last: int
    asked: bool
    moments: tuple[Moment, ...]
    earlier: int
    later: int
    state: tuple[tuple[str, str], ...]
    moment: datetime | None


def then_view(then: Record | None) -> ThenView | None:
    """From what `run_then` gives."""
    if not then:
        return None
    at, last = number(then, "at") or 0, number(then, "last") or 0
    asked = flag(then, "asked") is True
    moments = tuple(_moment(entry, at if asked else 0) for entry in records(then, "entries", 100))
    return ThenView(
        at=at,
        last=last,
        asked=asked,
        moments=moments,
        earlier=at - 1 if at > 1 else 0,
        later=at + 1 if at < last else 0,
        state=_state(mapping(then, "state")),
        moment=next((m.at for m in moments if m.here), None),
    )


def _moment(entry: Record, here: int) -> Moment:
    version = number(entry, "version") or 0
    name = text(entry, "type")
    who = "" if text(entry, "who_type") == "runner" else text(entry, "who")
    return Moment(
        version=version,
        at=read_time(entry.get("at")),
        title=_TYPES.get(name, name.replace(".", " ").replace("_", " ")),
        words=text(entry, "text"),
        who=who,
        here=version == here,
    )


def _state(run: Record) -> tuple[tuple[str, str], ...]:
    """What the run was, in the words of its page; empty values are left out."""
    counts = mapping(run, "counts")
    cost = text(run, "cost_usd", "0")
    rows = (
        ("State", RUN_STATUSES.get(text(run, "status"), text(run, "status"))),
        ("Waited for", ", ".join(texts(run, "waiting_on"))),
        ("Calls so far", text(counts, "steps")),
        ("Stopped for a person", text(counts, "stopped")),
        ("Blocked by policy", text(counts, "denied")),
        ("Failed", text(counts, "failed")),
        ("Cost so far", f"${cost}" if cost not in ("0", "") else ""),
        ("Turns", text(run, "turns") if number(run, "turns") else ""),
        ("Runner", text(run, "runner_id")),
        ("Branch", text(run, "branch")),
        ("Outcome", text(run, "outcome").replace("_", " ")),
    )
    return tuple((name, value) for name, value in rows if value)
