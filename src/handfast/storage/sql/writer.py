"""The write path: leader/follower group commit.

Whoever leads writes the write sets of all who wait in one transaction: one look at what they rest
on, bulk statements, the tree extended once, one commit. A group that the database refuses as a
whole is written again one by one, each behind its own savepoint, so that only the culprit fails.
"""

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

from handfast.core.audit.tree import Frontier
from handfast.core.domain.errors import (
    DiskFull,
    HandfastError,
    StorageError,
    Unavailable,
    UsageError,
)
from handfast.storage.api import Committed, WriteSet
from handfast.storage.sql.connect import Database, translated
from handfast.storage.sql.line import Job, Line
from handfast.storage.sql.plan import Known, Plan, Rows, keys_of, streams_of
from handfast.storage.sql.session import Session
from handfast.storage.sql.session_postgres import PostgresSession
from handfast.storage.sql.session_sqlite import SqliteSession
from handfast.storage.sql.texts import check_texts

# Called around each transaction with the number of its write sets; for measuring.
Around: TypeAlias = Callable[[int], AbstractContextManager[None]]
_NOTHING = nullcontext()
_MISFITS = (TypeError, ValueError, OverflowError)  # how drivers refuse a single value


def unwatched(_: int) -> AbstractContextManager[None]:
    return _NOTHING


class Writer:
    """Serialises writes of this process. Thread-safe."""

    def __init__(
        self, db: Database, notify: Callable[[int], None], around: Around = unwatched
    ) -> None:
        self._around = around
        self._db = db
        self._notify = notify
        self._session: Session = PostgresSession(db) if db.server else SqliteSession(db)
        self._line = Line(self._lead)
        self._busy = threading.Lock()
        self._frontier = Frontier()
        self._frontier_bytes = b""

    def commit(self, write: WriteSet) -> Committed:
        """Durable when it returns. Raises what this write set alone caused, or StorageError."""
        check_write(write)
        job = Job(write)
        self._line.submit(job)
        if job.error is not None:
            raise job.error
        if job.committed is None:
            raise StorageError("a write was given no answer", hint="This is a fault of Handfast.")
        return job.committed

    def close(self) -> None:
        with self._busy:
            self._session.drop()

    def _lead(self, jobs: list[Job]) -> None:
        """Never raises for a job: every follower must get an answer, whatever happened."""
        try:
            with self._busy, self._around(len(jobs)), translated(self._db):
                size = self._transaction(jobs)
        except HandfastError as e:
            self._abandon(jobs, e)
        except BaseException as e:
            self._abandon(jobs, StorageError(f"a write failed: {type(e).__name__}: {e}"))
            if not isinstance(e, Exception):
                raise
        else:
            if size is not None:
                self._notify(size)

    def _abandon(self, jobs: list[Job], error: HandfastError) -> None:
        """The transaction is gone. A fresh connection, because this one may be in any state."""
        with contextlib.suppress(*self._db.errors):
            self._session.drop()
        for job in jobs:
            job.error = error

    def _transaction(self, jobs: list[Job]) -> int | None:
        """The log's size when it has grown."""
        writes = [job.write for job in jobs]
        known = self._session.begin(streams_of(writes), keys_of(writes))
        try:
            with translated(self._db):
                return self._together(jobs, known)
        except (Unavailable, DiskFull):
            raise
        except (HandfastError, *_MISFITS) as e:
            self._session.run("ROLLBACK")
            taken = [job for job in jobs if job.error is None]
            if len(taken) == 1:
                taken[0].error = _named(e)
                return None
            return self._one_by_one(taken)

    def _together(self, jobs: list[Job], known: Known) -> int | None:
        plan = self._plan(known)
        for job in jobs:
            try:
                job.committed = plan.add(job.write)
            except HandfastError as e:
                job.error = e
        if plan.empty:
            self._session.run("ROLLBACK")
            return None
        rows, frontier = plan.rows()
        self._session.commit(rows)
        if rows.frontier:
            self._frontier, self._frontier_bytes = frontier, rows.frontier
        return plan.size if rows.events else None

    def _plan(self, known: Known) -> Plan:
        if known.frontier != self._frontier_bytes:
            self._frontier = Frontier.from_bytes(known.frontier)
            self._frontier_bytes = known.frontier
        return Plan(known, self._frontier)

    def _one_by_one(self, jobs: list[Job]) -> int | None:
        """Each write set behind a savepoint, so that its refusal leaves the others standing."""
        session = self._session
        session.begin((), ())
        size: int | None = None
        for job in jobs:
            session.run("SAVEPOINT one")
            try:
                with translated(self._db):
                    write = (job.write,)
                    plan = self._plan(session.read(streams_of(write), keys_of(write)))
                    job.committed = plan.add(job.write)
                    rows, _ = plan.rows()
                    session.write(rows)
            except (Unavailable, DiskFull):
                raise
            except (HandfastError, *_MISFITS) as e:
                job.error = _named(e)
                session.run("ROLLBACK TO SAVEPOINT one")
            else:
                size = plan.size if rows.events else size
            session.run("RELEASE SAVEPOINT one")
        session.commit(Rows())
        return size


def _named(e: Exception) -> Exception:
    return e if isinstance(e, HandfastError) else UsageError(f"a value cannot be stored: {e}")


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
