"""Erasure of what a task left behind, on a person's request, and the legal hold that forbids it.

Content and salts are overwritten; entries and proofs stay. Every batch is an event with who, why and which
bodies, so that a verifier can say so. What a person could still decide on is not erased: a task with an
open handoff or a run that goes on is refused.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from handfast.core.domain import task as tasks
from handfast.core.domain.body_kinds import BodyKind, bodies_of
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import InvalidTransition, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_org import BodiesErased
from handfast.core.domain.events_work import TaskHeld, TaskReleased
from handfast.core.domain.handoff import FINAL, Status
from handfast.core.domain.ids import BodyId, TaskId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.run import RunStatus
from handfast.core.domain.task import Task
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.people import People, signed_in
from handfast.engine.projections import HELD
from handfast.storage.api import Query, Store

MAY_ERASE = frozenset({"operator", "admin"})
BATCH = 500
MAX_REASON = 200
MAX_HOLD_REASON = 2_000
_PAGE = 500
_OPEN = tuple(sorted(s.value for s in set(Status) - FINAL))
_GOING_ON = tuple(s.value for s in RunStatus if s is not RunStatus.ENDED)


@dataclass(slots=True)
class Tally:
    """Bodies and bytes by kind of body."""

    bodies: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def add(self, kind: BodyKind, size: int) -> None:
        self.bodies[kind.value] += 1
        self.bytes[kind.value] += size

    def to_json(self) -> list[Result]:
        return [
            {"kind": k.value, "bodies": self.bodies[k.value], "bytes": self.bytes[k.value]}
            for k in BodyKind
        ]


class Erasure:
    """Commands are a person's with the operator or admin role. Each batch is atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._people = People(kernel)

    def hold(self, actor: Actor, task_id: str, reason: str) -> Result:
        """Forbid every erasure of the task's bodies, by retention too. Idempotent.

        Raises NotFound, NotPermitted, UsageError without a reason.
        """
        why = _said(reason, MAX_HOLD_REASON)

        def work(unit: Unit) -> Result:
            person_id = signed_in(unit, actor, MAY_ERASE).person_id
            task = unit.get(Task, task_id)
            if task.hold is None:
                unit.record(Task, task_id, [TaskHeld(task.task_id, person_id, unit.put(why))])
            return {"task_id": task_id, "held": True}

        return self._kernel.run(actor, work)

    def release(self, actor: Actor, task_id: str, reason: str) -> Result:
        """End a legal hold. Idempotent. Raises as `hold` does."""
        why = _said(reason, MAX_HOLD_REASON)

        def work(unit: Unit) -> Result:
            person_id = signed_in(unit, actor, MAY_ERASE).person_id
            task = unit.get(Task, task_id)
            if task.hold is not None:
                unit.record(Task, task_id, [TaskReleased(task.task_id, person_id, unit.put(why))])
            return {"task_id": task_id, "held": False}

        return self._kernel.run(actor, work)

    def standing(self, task_id: str) -> Result:
        """What the task's bodies hold by kind, and why they may not be erased now ('' when they may).

        Raises NotFound.
        """
        task = self._kernel.state(Task, task_id)
        tally, seen = Tally(), 0
        for kind, body_id, size in self._present(task_id, frozenset(BodyKind)):
            tally.add(kind, size)
            seen += bool(body_id)
        hold = task.hold
        return {
            "task_id": task_id,
            "kinds": tally.to_json(),
            "bodies": seen,
            "hindered": self._hindered(task),
            "hold": {
                "by_name": self._people.name(hold.by),
                "at": format_time(hold.at),
                "reason": self._kernel.vault.open(hold.reason.body_id).text,
            }
            if hold
            else None,
        }

    def erase(self, actor: Actor, task_id: str, reason: str, kinds: Sequence[str] = ()) -> Result:
        """Erase the task's bodies: of these kinds, or all. May be repeated after a crash: what is erased
        already is passed over.

        Raises NotFound, NotPermitted, UsageError, InvalidTransition (`legal_hold`, `still_open`).
        """
        why, wanted = _said(reason, MAX_REASON), _kinds(kinds)
        tally = Tally()
        batch: list[str] = []
        self._commit(actor, task_id, why, [])  # refuses before anything is read
        for kind, body_id, size in self._present(task_id, wanted):
            batch.append(body_id)
            tally.add(kind, size)
            if len(batch) == BATCH:
                self._commit(actor, task_id, why, batch)
                batch = []
        self._commit(actor, task_id, why, batch)
        gone = self._kernel.store.keeping.scrub()
        return {
            "task_id": task_id,
            "kinds": tally.to_json(),
            "bodies": tally.bodies.total(),
            "scrubbed": gone,
        }

    def _commit(self, actor: Actor, task_id: str, why: str, batch: list[str]) -> None:
        def work(unit: Unit) -> Result:
            signed_in(unit, actor, MAY_ERASE)
            task = unit.get(Task, task_id)
            unit.rely_on(Task, task_id)
            tasks.check_not_held(task)
            if hindered := self._hindered(task):
                raise InvalidTransition(
                    f"the bodies of task `{task_id}` are still in use: {hindered}",
                    code="still_open",
                    hint="Decide what waits and end its runs first. Nothing was erased.",
                )
            if batch:
                record_erased(
                    unit, BodiesErased(_ids(batch), "request", why, task_id=TaskId(task_id))
                )
            return {}

        self._kernel.run(actor, work)

    def _hindered(self, task: Task) -> str:
        if task.hold is not None:
            return "a legal hold"
        return in_use(self._kernel.store, task_id=task.task_id)

    def _present(
        self, task_id: str, kinds: frozenset[BodyKind]
    ) -> Iterator[tuple[BodyKind, str, int]]:
        """Kind, id and size of each body that is still there, once; a page of events at a time."""
        done: set[str] = set()
        page: dict[str, BodyKind] = {}
        for kind, body_id in task_bodies(self._kernel.store, task_id):
            if kind in kinds and body_id not in done:
                done.add(body_id)
                page[body_id] = kind
            if len(page) == _PAGE:
                yield from self._sized(page)
                page = {}
        yield from self._sized(page)

    def _sized(self, page: dict[str, BodyKind]) -> Iterator[tuple[BodyKind, str, int]]:
        for body_id, size in self._kernel.store.keeping.sizes(list(page)).items():
            yield page[body_id], body_id, size


def record_erased(unit: Unit, event: BodiesErased) -> None:
    """Erase the bodies of the event with it."""
    unit.record(Installation, INSTALLATION_ID, [event])
    for body_id in event.body_ids:
        unit.erase(body_id)


def in_use(store: Store, *, task_id: str = "", run_id: str = "") -> str:
    """What still needs the bodies of a task or run, in words; '' when nothing does."""
    open_ones = store.find(
        Query("handoff", task_id=task_id, run_id=run_id, statuses=_OPEN, limit=1)
    )
    if open_ones:
        return f"handoff `{open_ones[0].stream.partition('/')[2]}` is {open_ones[0].status}"
    if task_id:
        going_on = store.find(Query("run", task_id=task_id, statuses=_GOING_ON, limit=1))
        if going_on:
            return f"run `{going_on[0].stream.partition('/')[2]}` is {going_on[0].status}"
    return ""


def held_tasks(store: Store) -> Iterator[str]:
    """Ids of the tasks under a legal hold."""
    after: tuple[int, int] | None = None
    while rows := store.find(Query("task", match=HELD, after=after, limit=_PAGE)):
        yield from (row.stream.partition("/")[2] for row in rows)
        after = (rows[-1].rank, rows[-1].opened)


def check_no_hold(store: Store, body_id: str) -> None:
    """Raises InvalidTransition (`legal_hold`) for a body of a task under a hold."""
    for task_id in held_tasks(store):
        if any(found == body_id for _, found in task_bodies(store, task_id)):
            raise InvalidTransition(
                f"body `{body_id}` belongs to task `{task_id}`, which is under a legal hold",
                code="legal_hold",
                hint="`handfast task release` ends it. Nothing was erased.",
            )


def check_not_open(store: Store, body_id: str) -> None:
    """Raises InvalidTransition (`still_open`) for a body of a handoff that is not over: a person may still decide
    on it, or it may still run."""
    after: tuple[int, int] | None = None
    while rows := store.find(Query("handoff", statuses=_OPEN, after=after, limit=_PAGE)):
        for row in rows:
            if any(found == body_id for _, found in _named_in(store, row.stream)):
                raise InvalidTransition(
                    f"body `{body_id}` is still in use: handoff `{row.stream.partition('/')[2]}` is {row.status}",
                    code="still_open",
                    hint="Decide what waits first. Nothing was erased.",
                )
        after = (rows[-1].rank, rows[-1].opened)


def task_bodies(store: Store, task_id: str) -> Iterator[tuple[BodyKind, str]]:
    """Kind and id of every body that the task's streams name, in bounded memory; may name one twice."""
    for stream in _streams(store, task_id):
        yield from _named_in(store, stream)


def _named_in(store: Store, stream: str) -> Iterator[tuple[BodyKind, str]]:
    after = 0
    while rows := store.events(stream=stream, after=after, limit=_PAGE):
        for row in rows:
            if b'"body_id"' in row.data:
                yield from bodies_of(row.type, json.loads(row.data)["data"])
        after = rows[-1].version


def _streams(store: Store, task_id: str) -> Iterator[str]:
    yield f"task/{task_id}"
    for kind in ("run", "handoff"):
        after: tuple[int, int] | None = None
        while rows := store.find(Query(kind, task_id=task_id, after=after, limit=_PAGE)):
            yield from (row.stream for row in rows)
            after = (rows[-1].rank, rows[-1].opened)


def _ids(batch: Sequence[str]) -> tuple[BodyId, ...]:
    return tuple(BodyId(b) for b in batch)


def _kinds(kinds: Sequence[str]) -> frozenset[BodyKind]:
    known = [k.value for k in BodyKind]
    for kind in kinds:
        if kind not in known:
            raise UsageError(f"`kinds` has `{kind[:40]}`", hint=f"Known: {', '.join(known)}.")
    return frozenset(map(BodyKind, kinds)) or frozenset(BodyKind)


def _said(reason: str, most: int) -> str:
    said = " ".join(reason.split())
    if not said or len(said) > most:
        raise UsageError(
            f"`reason` has {len(said)} characters", hint=f"Say why, in 1 to {most} characters."
        )
    return said
