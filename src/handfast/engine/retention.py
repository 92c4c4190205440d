"""Retention: bodies of a kind are erased when they are older than an operator keeps them.

The log is followed once for streams that have bodies of a kind; from then on a stream comes up when its
oldest body is due. Passed over until later are bodies of a task under a legal hold, of a run or task with
an open handoff, and of an ordered run that has not ended: somebody still needs them. Every batch is an
event that names its bodies.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from handfast.core.domain.body_kinds import RETAINED, RETAINED_TYPES, BodyKind, bodies_of, body_ids
from handfast.core.domain.codec import parse_time
from handfast.core.domain.errors import Concurrency, UsageError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_org import BodiesErased
from handfast.core.domain.handoff import FINAL
from handfast.core.domain.ids import BodyId
from handfast.core.domain.run import Run, RunStatus
from handfast.core.domain.task import Task
from handfast.engine.erasure import BATCH, in_use, record_erased
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.projections import HELD, kind_of, load
from handfast.storage.api import Due, EventRow, Lease, Query, StateRow, WriteSet

LEASE_S = 120
_RESOURCE = "retention"
_PAGE = 500
_FINAL = frozenset(s.value for s in FINAL)


@dataclass(frozen=True, slots=True)
class Retain:
    """For how many days bodies are kept, by kind. 0 keeps them for ever. Each is set by
    `HANDFAST_RETAIN_` and its name in capitals."""

    steps_days: int = 0
    packages_days: int = 0
    sessions_days: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Retain":
        """Raises UsageError naming the variable that is not a whole number of days."""
        values: dict[str, int] = {}
        for f in fields(cls):
            name = "HANDFAST_RETAIN_" + f.name.upper()
            text = environment.get(name, "0")
            if not (text.isascii() and text.isdigit()) or int(text) > 36_500:
                raise UsageError(
                    f"{name} is `{text}`", hint="Give whole days; 0 or nothing keeps for ever."
                )
            values[f.name] = int(text)
        return cls(**values)

    def days(self, kind: BodyKind) -> int:
        found = {
            BodyKind.STEPS: self.steps_days,
            BodyKind.PACKAGES: self.packages_days,
            BodyKind.SESSIONS: self.sessions_days,
        }
        return found.get(kind, 0)

    @property
    def any(self) -> bool:
        return any(self.days(kind) for kind in RETAINED)


@dataclass(slots=True)
class _Batch:
    """Bodies to erase together, and how far each stream is done then."""

    body_ids: list[str] = field(default_factory=list)
    done: list[tuple[Due, int, datetime | None]] = field(default_factory=list)
    rows: list[StateRow] = field(default_factory=list)


class Retention:
    """One of several servers does it at a time: whoever holds the lease."""

    def __init__(self, kernel: Kernel, retain: Retain) -> None:
        self._kernel = kernel
        self._keeping = kernel.store.keeping
        self._retain = retain
        self._holder = new_id("rt")

    @property
    def on(self) -> bool:
        return self._retain.any

    def run(self, batches: int = 20) -> int:
        """Follow the log, then erase what is due: at most so many batches of each kind, about 500 bodies
        each. Gives how many bodies were erased; 0 while another server does it."""
        if not self.on or not self._mine():
            return 0
        self._follow()
        erased = sum(self._of_kind(k, batches) for k in RETAINED if self._retain.days(k))
        if erased:
            self._keeping.scrub()
        return erased

    def _mine(self) -> bool:
        """Take the lease, or keep it. False while another server has it."""
        store, now = self._kernel.store, self._kernel.clock.now()
        lease = store.lease(_RESOURCE)
        if lease is not None and lease.holder != self._holder and lease.expires_at > now:
            return False
        epoch = lease.epoch + 1 if lease else 1
        until = now + timedelta(seconds=LEASE_S)
        try:
            store.commit(WriteSet(lease=Lease(_RESOURCE, self._holder, epoch, until)))
        except Concurrency:
            return False
        return True

    def _follow(self) -> None:
        """Note which streams have bodies that were not looked at yet, and since when."""
        store = self._kernel.store
        while True:
            # The size first: whatever is committed meanwhile is for the next round.
            old, size = self._keeping.followed(), store.size()
            rows = store.events(after=old, limit=_PAGE, types=RETAINED_TYPES)
            more = len(rows) == _PAGE
            last = rows[-1].position if rows else old
            position = last if more else max(size, last)
            if not self._keeping.follow(old, position, _first(rows)) or not more:
                return

    def _of_kind(self, kind: BodyKind, batches: int) -> int:
        before = self._kernel.clock.now() - timedelta(days=self._retain.days(kind))
        batch, erased, after = _Batch(), 0, None
        while page := self._keeping.due(kind.value, before, after=after, limit=100):
            for due in page:
                rest: Due | None = due
                while rest is not None:
                    rest = self._collect(rest, before, batch)
                    if len(batch.body_ids) < BATCH and rest is None:
                        break
                    done, batch, batches = self._commit(kind, batch), _Batch(), batches - 1
                    erased += max(done, 0)
                    if batches <= 0:
                        return erased
                    if done < 0:
                        break
            after = page[-1]
        return erased + max(self._commit(kind, batch), 0)

    def _collect(self, due: Due, before: datetime, batch: _Batch) -> Due | None:
        """Add what is due of one stream to `batch`. Gives what is left of it when the batch is full."""
        row = self._kernel.store.load(due.stream)
        if row is None or self._needed(row):
            return None
        kind = BodyKind(due.kind)
        kept = self._shown_elsewhere(row, kind)
        done = version = due.done
        batch.rows.append(row)
        while rows := self._kernel.store.events(stream=due.stream, after=version, limit=_PAGE):
            for event in rows:
                version = event.version
                at, bodies = _read(event)
                ids = [b for k, b in bodies if k is kind and b not in kept]
                if not ids:
                    continue
                full = batch.body_ids and len(batch.body_ids) + len(ids) > BATCH
                if at >= before or full:
                    batch.done.append((due, done, at))
                    return Due(due.stream, due.kind, done, at) if full and at < before else None
                batch.body_ids += ids
                done = version
        batch.done.append((due, version, None))
        return None

    def _commit(self, kind: BodyKind, batch: _Batch) -> int:
        """Erase. -1 where a hold or a handoff came in between: then all of it is for the next round."""
        there = self._keeping.sizes(batch.body_ids)
        days = self._retain.days(kind)

        def work(unit: Unit) -> Result:
            for task_id in {row.task_id for row in batch.rows} - {""}:
                unit.rely_on(Task, task_id)
            if any(self._needed(row) for row in batch.rows):
                return {"erased": -1}
            if there:
                ids = tuple(BodyId(b) for b in there)
                why = f"{kind.value} are kept for {days} days"
                record_erased(unit, BodiesErased(ids, "retention", why, kind.value))
            return {"erased": len(there)}

        done = self._kernel.run(SYSTEM, work)["erased"]
        if not isinstance(done, int) or done < 0:
            return -1
        for due, version, next_at in batch.done:
            self._keeping.handled(due, version, next_at)
        return done

    def _needed(self, row: StateRow) -> bool:
        """Whether somebody still needs what this stream holds."""
        store, kind = self._kernel.store, kind_of(row.stream).name
        if kind == "handoff" and row.status not in _FINAL:
            return True
        if row.task_id:
            task = store.find(Query("task", task_id=row.task_id, match=HELD, limit=1))
            if task or in_use(store, task_id=row.task_id):
                return True
        if row.run_id and in_use(store, run_id=row.run_id):
            return True
        if kind == "run" and row.status != RunStatus.ENDED.value:
            run = load(kind_of(row.stream), row.doc)
            return isinstance(run, Run) and run.command is not None
        return False

    def _shown_elsewhere(self, row: StateRow, kind: BodyKind) -> frozenset[str]:
        """Bodies of a run's steps that its handoffs have, too: those go with the handoff."""
        if kind is not BodyKind.STEPS or not row.run_id:
            return frozenset()
        found: set[str] = set()
        after: tuple[int, int] | None = None
        while rows := self._kernel.store.find(
            Query("handoff", run_id=row.run_id, after=after, limit=_PAGE)
        ):
            for handoff in rows:
                found.update(body_ids(json.loads(handoff.doc)))
            after = (rows[-1].rank, rows[-1].opened)
        return frozenset(found)


def _read(event: EventRow) -> tuple[datetime, list[tuple[BodyKind, str]]]:
    """When it was recorded, and the bodies it names."""
    envelope = json.loads(event.data)
    return parse_time(envelope["at"]), list(bodies_of(event.type, envelope["data"]))


def _first(rows: list[EventRow]) -> dict[tuple[str, str], datetime]:
    """By (stream, kind), when the oldest body of these events was recorded."""
    found: dict[tuple[str, str], datetime] = {}
    for row in rows:
        at, bodies = _read(row)
        for kind, _ in bodies:
            if kind in RETAINED:
                found.setdefault((row.stream, kind.value), at)
    return found
