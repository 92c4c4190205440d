"""How each aggregate is folded and looked up. A state row is its projection: the fold of a stream.

`replay` folds a stream's events again and compares: that is what `run replay --verify` runs.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from handfast.core.domain import (
    agent,
    handoff,
    handoff_fold,
    handoff_votes,
    installation,
    person,
    publication,
    run,
    task,
    topic,
    track,
)
from handfast.core.domain.action import Risk
from handfast.core.domain.canonical import compact_json
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events import from_bytes
from handfast.storage.api import EventRow, StateRow

OVERRIDE_REVIEWS = "override-review"
RANKS = {r.value: i for i, r in enumerate(reversed(Risk))}


@dataclass(frozen=True, slots=True)
class Kind:
    """An aggregate: its name in stream ids, its state, its fold, its look-up columns."""

    name: str
    state: type
    evolve: Callable[[Any, Any, datetime], object]
    columns: Callable[[Any], dict[str, object]]


def _handoff(h: handoff.Handoff) -> dict[str, object]:
    reviewed = handoff_votes.is_override_review(h)
    return {
        "status": h.status.value,
        "task_id": h.task_id,
        "run_id": h.run_id,
        "agent_id": h.agent_id,
        "match": OVERRIDE_REVIEWS if reviewed else f"{h.run_id}|{h.action_digest}",
        "rank": RANKS.get(h.risk, 0),
        "due_at": h.next_due,
    }


def _run(r: run.Run) -> dict[str, object]:
    return {
        "status": r.status.value,
        "task_id": r.task_id,
        "run_id": r.run_id,
        "agent_id": r.agent_id,
        "match": f"{r.agent_id}|{r.session_id}" if r.session_id and r.command is None else "",
    }


def _task(t: task.Task) -> dict[str, object]:
    return {"status": t.outcome.value if t.outcome else "open", "task_id": t.task_id}


def _agent(a: agent.Agent) -> dict[str, object]:
    status = "suspended" if a.suspended else "active"
    return {"status": status, "agent_id": a.agent_id, "match": a.name}


def _track(t: track.Track) -> dict[str, object]:
    return {"status": "kept", "agent_id": t.agent_id}


def _person(p: person.Person) -> dict[str, object]:
    return {"status": "active", "match": p.login_digest}


def _installation(_: installation.Installation) -> dict[str, object]:
    return {"status": "active"}


def _publication(p: publication.Publication) -> dict[str, object]:
    return {"status": "proposed" if p.proposed else "in_force", "match": p.scope}


def _topic(_: topic.Topic) -> dict[str, object]:
    return {"status": "kept"}


_ALL = (
    Kind("handoff", handoff.Handoff, handoff_fold.evolve, _handoff),
    Kind("run", run.Run, run.evolve, _run),
    Kind("task", task.Task, task.evolve, _task),
    Kind("agent", agent.Agent, agent.evolve, _agent),
    Kind("track", track.Track, track.evolve, _track),
    Kind("person", person.Person, person.evolve, _person),
    Kind("installation", installation.Installation, installation.evolve, _installation),
    Kind("topic", topic.Topic, topic.evolve, _topic),
    Kind("policy", publication.Publication, publication.evolve, _publication),
)
KINDS: dict[type, Kind] = {k.state: k for k in _ALL}
BY_NAME: dict[str, Kind] = {k.name: k for k in _ALL}


def dump(state: object) -> bytes:
    return compact_json(encode(state))


def load(kind: Kind, doc: bytes) -> object:
    """Raises IntegrityError for a document that does not fit the state."""
    return cast("object", decode(kind.state, json.loads(doc)))


def row_of(kind: Kind, stream: str, version: int, state: object) -> StateRow:
    columns = cast("dict[str, Any]", kind.columns(state))
    return StateRow(stream=stream, kind=kind.name, version=version, doc=dump(state), **columns)


def fold(events: Iterable[EventRow]) -> StateRow:
    """The state row that these events of one stream lead to. Raises IntegrityError for a gap."""
    state: object | None = None
    kind: Kind | None = None
    stream, version = "", 0
    for row in events:
        recorded = from_bytes(row.data)
        if recorded.version != version + 1 or recorded.stream != row.stream:
            raise IntegrityError(
                f"stream `{row.stream}` has version {recorded.version} where {version + 1} belongs"
            )
        stream, version = row.stream, recorded.version
        kind = BY_NAME[stream.partition("/")[0]]
        state = kind.evolve(state, recorded.event, recorded.at)
    if kind is None:
        raise IntegrityError("a stream without events cannot be folded")
    return row_of(kind, stream, version, state)
