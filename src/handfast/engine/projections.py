"""How each aggregate is folded and looked up. A state row is its projection: the fold of a stream.

`replay` folds a stream's events again and compares: that is what `run replay --verify` runs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson

from handfast.core.domain import (
    agent,
    checkpoint,
    handoff,
    handoff_fold,
    handoff_votes,
    installation,
    notice,
    person,
    project,
    publication,
    reach,
    run,
    run_fold,
    runner,
    task,
    topic,
    track,
)
from handfast.core.domain.action import Risk
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.need import PLACES, need_of
from handfast.engine.encoding import compact
from handfast.engine.recent import Recent
from handfast.storage.api import EventRow, StateRow

OVERRIDE_REVIEWS = "override-review"
FINISHED_WORK = "finished-work"  # reviews of it, as long as they wait
HELD = "held"  # tasks under a legal hold
RANKS = {r.value: i for i, r in enumerate(reversed(Risk))}


@dataclass(frozen=True, slots=True)
class Kind:
    """An aggregate: its name in stream ids, its state, its fold, its look-up columns.

    `fold` numbers the fold. Raise it whenever the same events lead to another document: states are then
    made again at the next start, and older snapshots are left alone (`tests/replay` says when it is due).
    """

    name: str
    state: type
    evolve: Callable[[Any, Any, datetime], object]
    columns: Callable[[Any], dict[str, object]]
    fold: int = 1


# Behind every run that a runner may take: sessions of people are many, and some never say that they ended.
SESSION_RANK = 1


def match_of_form(run_id: str, form: str) -> str:
    """How the handoffs of a run about one call are found. `form` is the digest of the call without what it
    depends on, or of the whole action where a handoff names no form."""
    return f"{run_id}|{form}"


def _match_of(h: handoff.Handoff) -> str:
    if handoff_votes.is_override_review(h):
        return OVERRIDE_REVIEWS
    if h.kind is HandoffKind.REVIEW and h.waiting:
        return FINISHED_WORK
    return match_of_form(h.run_id, h.form_digest or h.action_digest)


def _handoff(h: handoff.Handoff) -> dict[str, object]:
    risk = RANKS.get(h.risk, 0)
    return {
        "status": h.status.value,
        "task_id": h.task_id,
        "run_id": h.run_id,
        "agent_id": h.agent_id,
        "match": _match_of(h),
        "rank": PLACES[need_of(h)] + risk if h.waiting else risk,
        "due_at": h.next_due,
    }


def _run(r: run.Run) -> dict[str, object]:
    return {
        "status": r.status.value,
        "task_id": r.task_id,
        "run_id": r.run_id,
        "agent_id": r.agent_id,
        "match": f"{r.agent_id}|{r.session_id}" if r.session_id and r.command is None else "",
        "rank": SESSION_RANK if r.command is None else 0,
    }


def _task(t: task.Task) -> dict[str, object]:
    status = t.outcome.value if t.outcome else "open"
    return {"status": status, "task_id": t.task_id, "match": HELD if t.hold else ""}


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


def _runner(r: runner.Runner) -> dict[str, object]:
    return {"status": "retired" if r.retired else "active", "match": r.name}


def _project(p: project.Project) -> dict[str, object]:
    return {"status": "active", "match": p.name}


def _checkpoint(_: checkpoint.Checkpoint) -> dict[str, object]:
    return {"status": "opened"}


def _topic(_: topic.Topic) -> dict[str, object]:
    return {"status": "kept"}


def _reach(_: reach.Reach) -> dict[str, object]:
    return {"status": "kept"}


def _notice(n: notice.Notice) -> dict[str, object]:
    """Found by what it is about; a test by who it is for."""
    return {"status": n.status.value, "match": n.handoff_id or n.person_id, "due_at": n.due_at}


_ALL = (
    Kind("handoff", handoff.Handoff, handoff_fold.evolve, _handoff),
    Kind("run", run.Run, run_fold.evolve, _run, fold=2),
    Kind("task", task.Task, task.evolve, _task),
    Kind("agent", agent.Agent, agent.evolve, _agent),
    Kind("track", track.Track, track.evolve, _track),
    Kind("person", person.Person, person.evolve, _person),
    Kind("installation", installation.Installation, installation.evolve, _installation),
    Kind("runner", runner.Runner, runner.evolve, _runner),
    Kind("project", project.Project, project.evolve, _project),
    Kind("checkpoint", checkpoint.Checkpoint, checkpoint.evolve, _checkpoint),
    Kind("topic", topic.Topic, topic.evolve, _topic),
    Kind("reach", reach.Reach, reach.evolve, _reach),
    Kind("notice", notice.Notice, notice.evolve, _notice),
    Kind("policy", publication.Publication, publication.evolve, _publication),
)
KINDS: dict[type, Kind] = {k.state: k for k in _ALL}
BY_NAME: dict[str, Kind] = {k.name: k for k in _ALL}


def dump(state: object) -> bytes:
    return compact(encode(state))


# States by the very bytes they were decoded from: an equal document is an equal state, whoever wrote it.
# The states of people, agents and policies are read by every command and hardly ever change.
_decoded: Recent[bytes, object] = Recent(1000)
# Larger ones are rare, and a thousand of them would be much.
MAX_KEPT = 20_000


def load(kind: Kind, doc: bytes) -> object:
    """The state in a document; the same object for equal bytes. Raises IntegrityError for a document that
    does not fit the state."""
    found = _decoded.get(doc)
    if type(found) is not kind.state:
        found = cast("object", decode(kind.state, orjson.loads(doc)))
        if len(doc) <= MAX_KEPT:
            _decoded.keep(doc, found)
    return found


def row_of(kind: Kind, stream: str, version: int, state: object) -> StateRow:
    columns = cast("dict[str, Any]", kind.columns(state))
    doc = dump(state)
    if len(doc) <= MAX_KEPT:
        _decoded.keep(doc, state)  # the next command will most likely read what this one wrote
    return StateRow(stream=stream, kind=kind.name, version=version, doc=doc, **columns)


def kind_of(stream: str) -> Kind:
    """Raises IntegrityError for a stream of no kind this version knows."""
    name = stream.partition("/")[0]
    if name not in BY_NAME:
        raise IntegrityError(f"stream `{stream}` is of no kind this version knows")
    return BY_NAME[name]


@dataclass(slots=True)
class Folding:
    """A fold in progress: the state that the events of one stream so far lead to."""

    stream: str
    version: int = 0
    state: object | None = None

    def take(self, row: EventRow) -> None:
        """The next event. Raises IntegrityError for a gap and for one of another stream."""
        recorded = from_bytes(row.data)
        if recorded.version != self.version + 1 or recorded.stream != self.stream:
            raise IntegrityError(
                f"stream `{self.stream}` has version {recorded.version} of `{recorded.stream}` "
                f"where {self.version + 1} belongs"
            )
        self.state = kind_of(self.stream).evolve(self.state, recorded.event, recorded.at)
        self.version = recorded.version

    def row(self) -> StateRow:
        if self.state is None:
            raise IntegrityError("a stream without events cannot be folded")
        return row_of(kind_of(self.stream), self.stream, self.version, self.state)


def fold(events: Iterable[EventRow]) -> StateRow:
    """The state row that these events of one stream lead to. Raises IntegrityError for a gap."""
    folding: Folding | None = None
    for row in events:
        folding = folding or Folding(row.stream)
        folding.take(row)
    if folding is None:
        raise IntegrityError("a stream without events cannot be folded")
    return folding.row()
