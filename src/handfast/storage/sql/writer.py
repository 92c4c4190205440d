"""The write path: leader/follower group commit.

Every caller hands in a write set and waits. Whoever gets the lock first is the leader and writes
all that is queued in one transaction, each write set behind its own savepoint, extends the tree
once, and commits once. The others find their answer ready. One fsync serves the whole group.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from handfast.core.audit.tree import Frontier
from handfast.core.domain.errors import (
    Concurrency,
    DiskFull,
    HandfastError,
    InvalidTransition,
    StorageError,
    Unavailable,
    UsageError,
)
from handfast.core.domain.faults import fault_point
from handfast.storage.api import Append, Committed, Credential, Lease, Seen, StateRow, WriteSet
from handfast.storage.sql.connect import Connection, Database, begin_write, moved_on, translated
from handfast.storage.sql.statements import Statements
from handfast.storage.sql.texts import check_texts
from handfast.storage.sql.times import to_micros

_MISFITS = (TypeError, ValueError, OverflowError)  # how drivers refuse a single value


@dataclass(slots=True)
class _Job:
    write: WriteSet
    done: bool = False
    committed: Committed | None = None
    error: Exception | None = None


@dataclass(slots=True)
class _Group:
    """What one transaction has written so far."""

    size: int
    leaves: list[bytes] = field(default_factory=list)


class Writer:
    """Serialises writes of this process. Thread-safe."""

    def __init__(self, db: Database, sql: Statements, notify: Callable[[int], None]) -> None:
        self._db = db
        self._sql = sql
        self._notify = notify
        self._connection: Connection | None = None
        self._queue: list[_Job] = []
        self._queue_lock = threading.Lock()
        self._leader = threading.Lock()

    def commit(self, write: WriteSet) -> Committed:
        """Durable when it returns. Raises what this write set alone caused, or StorageError."""
        check_write(write)
        job = _Job(write)
        with self._queue_lock:
            self._queue.append(job)
        with self._leader:
            if not job.done:
                with self._queue_lock:
                    jobs, self._queue = self._queue, []
                self._lead(jobs)
        if job.error is not None:
            raise job.error
        if job.committed is None:
            raise StorageError("a write was given no answer", hint="This is a fault of Handfast.")
        return job.committed

    def close(self) -> None:
        with self._leader:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _lead(self, jobs: list[_Job]) -> None:
        """Never raises for a job: every follower must get an answer, whatever happened."""
        try:
            with translated(self._db):
                size = self._transaction(jobs)
        except HandfastError as e:
            self._abandon(jobs, e)
        except BaseException as e:
            self._abandon(jobs, StorageError(f"a write failed: {type(e).__name__}: {e}"))
            if not isinstance(e, Exception):
                raise
        else:
            for job in jobs:
                job.done = True
            if size is not None:
                self._notify(size)

    def _abandon(self, jobs: list[_Job], error: HandfastError) -> None:
        """The transaction is gone. A fresh connection, because this one may be in any state."""
        try:
            self._drop()
        except self._db.errors:
            self._connection = None
        for job in jobs:
            job.done, job.error = True, error

    def _transaction(self, jobs: list[_Job]) -> int | None:
        c = self._begin()
        row = c.execute(self._sql.frontier_locked).fetchone()
        if row is None:
            raise moved_on()
        frontier = Frontier.from_bytes(bytes(row[0]))  # type: ignore[call-overload]
        group = _Group(frontier.size)
        for job in jobs:
            self._one(c, job, group, alone=len(jobs) == 1)
        if len(jobs) == 1 and jobs[0].error is not None:
            return None
        self._extend(c, frontier, group)
        fault_point("store.before_commit")
        c.execute("COMMIT")
        fault_point("store.after_commit")
        return group.size if group.leaves else None

    def _begin(self) -> Connection:
        """Open the transaction. A connection that died while it was idle is replaced: nothing is lost."""
        c = self._connection
        if c is not None:
            try:
                begin_write(self._db, c)
            except self._db.errors:
                if not self._db.server:
                    raise
                self._connection = None
            else:
                return c
        c = self._connection = self._db.connect()
        begin_write(self._db, c)
        return c

    def _one(self, c: Connection, job: _Job, group: _Group, *, alone: bool) -> None:
        """One write set behind a savepoint, so that its refusal leaves the others standing."""
        before, leaves = group.size, len(group.leaves)
        if not alone:
            c.execute("SAVEPOINT one")
        try:
            with translated(self._db):
                job.committed = self._apply(c, job.write, group)
        except (Unavailable, DiskFull):
            raise
        except (HandfastError, *_MISFITS) as e:
            c.execute("ROLLBACK" if alone else "ROLLBACK TO SAVEPOINT one")
            group.size = before
            del group.leaves[leaves:]
            known = isinstance(e, HandfastError)
            job.error = e if known else UsageError(f"a value cannot be stored: {e}")
        if not alone:
            c.execute("RELEASE SAVEPOINT one")

    def _apply(self, c: Connection, w: WriteSet, group: _Group) -> Committed:
        if w.key and (first := self._first_answer(c, w)) is not None:
            return Committed(group.size, replayed=first)
        for seen in w.seen:
            self._check_seen(c, seen)
        for append in w.appends:
            self._append(c, append, group)
        run, sql = c.execute, self._sql
        for b in w.bodies:
            run(sql.add_body, {name: getattr(b, name) for name in _BODY})
        for item in w.outbox:
            run(sql.add_outbox, {"topic": item.topic, "payload": item.payload})
        for credential in w.credentials:
            run(sql.put_credential, credential_params(credential))
        for body_id in w.erased:
            run(sql.erase_body, {"body_id": body_id, "empty": b""})
        if w.lease is not None and run(sql.set_lease, lease_params(w.lease)).rowcount != 1:
            raise Concurrency(
                f"the lease of `{w.lease.resource}` has a newer epoch", hint="Read it again."
            )
        return Committed(group.size)

    def _check_seen(self, c: Connection, seen: Seen) -> None:
        row = c.execute(self._sql.get_version, {"stream": seen.stream}).fetchone()
        if (row[0] if row else 0) != seen.version:
            raise Concurrency(f"stream `{seen.stream}` moved on", hint="Read it again.")

    def _first_answer(self, c: Connection, w: WriteSet) -> bytes | None:
        """The result of a key used before; None when this is its first use."""
        params = {"key": w.key, "fingerprint": w.fingerprint, "result": w.result}
        if c.execute(self._sql.add_key, params).rowcount == 1:
            return None
        row = c.execute(self._sql.get_key, {"key": w.key}).fetchone()
        if row is None or row[0] != w.fingerprint:
            raise InvalidTransition(
                f"the idempotency key `{w.key}` was used for another command",
                hint="Use a new key for a new command.",
            )
        return bytes(row[1])  # type: ignore[call-overload, no-any-return]

    def _append(self, c: Connection, a: Append, group: _Group) -> None:
        opened = group.size + 1
        for offset, e in enumerate(a.events, start=1):
            group.size += 1
            c.execute(
                self._sql.add_event,
                {
                    "position": group.size,
                    "stream": a.state.stream,
                    "version": a.expected_version + offset,
                    "type": e.type,
                    "data": e.data,
                    "leaf": e.leaf,
                },
            )
            group.leaves.append(e.leaf)
        params = state_params(a.state)
        if a.expected_version == 0:
            params["opened"] = opened
            c.execute(self._sql.add_state, params)
        else:
            params["expected"] = a.expected_version
            if c.execute(self._sql.set_state, params).rowcount != 1:
                raise Concurrency(f"stream `{a.state.stream}` moved on", hint="Read it again.")

    def _extend(self, c: Connection, frontier: Frontier, group: _Group) -> None:
        if not group.leaves:
            return
        grown, nodes = frontier.extend(group.leaves)
        for node in nodes:
            c.execute(
                self._sql.add_node, {"level": node.level, "idx": node.index, "hash": node.hash}
            )
        c.execute(self._sql.set_frontier, {"frontier": grown.to_bytes()})


def check_write(w: WriteSet) -> None:
    """Refuse what one of the databases could not hold, before it joins a group.

    Raises UsageError.
    """
    check_texts(w.key, w.fingerprint)
    for a in w.appends:
        s = a.state
        check_texts(s.stream, s.status, s.task_id, s.run_id, s.agent_id, s.match)
        if not a.events or s.version != a.expected_version + len(a.events):
            raise UsageError(
                f"stream `{s.stream}`: {len(a.events)} events do not lead to its state"
            )
    for b in w.bodies:
        check_texts(b.body_id, b.media)
    for c in w.credentials:
        check_texts(c.id, c.kind, c.subject, c.secret, *c.scopes)
    if w.lease is not None:
        check_texts(w.lease.resource, w.lease.holder)


_BODY = ("body_id", "salt", "nonce", "ciphertext", "digest", "media", "size")


def state_params(row: StateRow) -> dict[str, object]:
    return {
        "stream": row.stream,
        "kind": row.kind,
        "version": row.version,
        "status": row.status,
        "task_id": row.task_id,
        "run_id": row.run_id,
        "agent_id": row.agent_id,
        "match": row.match,
        "rank": row.rank,
        "due_at": to_micros(row.due_at) if row.due_at else None,
        "doc": row.doc,
    }


def lease_params(lease: Lease) -> dict[str, object]:
    return {
        "resource": lease.resource,
        "holder": lease.holder,
        "epoch": lease.epoch,
        "expires_at": to_micros(lease.expires_at),
    }


def credential_params(c: Credential) -> Mapping[str, object]:
    return {
        "id": c.id,
        "kind": c.kind,
        "subject": c.subject,
        "secret": c.secret,
        "scopes": " ".join(c.scopes),
        "expires_at": to_micros(c.expires_at) if c.expires_at else None,
        "revoked": int(c.revoked),
    }
