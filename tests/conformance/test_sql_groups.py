"""Groups of write sets: what one of them does to the others, and what the database is asked."""

import signal
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime

import pytest

from handfast.core.domain.errors import (
    Concurrency,
    HandfastError,
    InvalidTransition,
    Unavailable,
    UsageError,
)
from handfast.storage.api import Lease, Query, Seen, WriteSet
from handfast.storage.sql import readers
from handfast.storage.sql.line import Job, Line
from handfast.storage.sql.session_postgres import PostgresSession
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import (
    NOON,
    append,
    body,
    check_log,
    parts_of,
    refused,
    whole,
    write,
)


def _grouped(store: SqlStore, *writes: WriteSet) -> list[Job]:
    """Write them as one group, which threads would form by chance only."""
    jobs = [Job(w) for w in writes]
    store._writer._lead(jobs)
    return jobs


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of groups that had to be written one by one."""
    sizes: list[int] = []
    original = SqlStore.__init__

    def spied(self: SqlStore, url: str) -> None:
        original(self, url)
        one_by_one = self._writer._one_by_one

        def counted(jobs: list[Job]) -> int | None:
            sizes.append(len(jobs))
            return one_by_one(jobs)

        monkeypatch.setattr(self._writer, "_one_by_one", counted)

    monkeypatch.setattr(SqlStore, "__init__", spied)
    return sizes


def test_each_write_set_of_a_group_rests_on_those_before_it(
    ready_url: str, alone: list[int]
) -> None:
    first = replace(write("thing/1", 0, 2, status="new"), key="k", result=b"first")
    with closing(SqlStore(ready_url)) as store:
        jobs = _grouped(
            store,
            first,
            write("thing/1", 2, 1, status="done", rank=7),
            write("thing/1", 2),
            replace(first, result=b"again"),
            replace(first, fingerprint="other"),
            replace(write("thing/2"), seen=(Seen("thing/1", 3),)),
            replace(write("thing/3"), seen=(Seen("thing/1", 2),)),
            WriteSet(appends=(append("thing/4"), append("thing/4", 1, 2))),
        )
        kinds = [type(job.error) for job in jobs]
        nothing = type(None)
        assert kinds == [
            *(nothing, nothing, Concurrency, nothing),
            *(InvalidTransition, nothing, Concurrency, nothing),
        ]
        positions = [job.committed.position for job in jobs if job.committed]
        assert positions == [2, 3, 3, 4, 7]
        assert jobs[3].committed is not None
        assert jobs[3].committed.replayed == b"first"
        assert check_log(store) == 7
        found = store.load("thing/1")
        assert found is not None
        assert (found.version, found.status, found.rank, found.opened) == (3, "done", 7, 1)
        assert store.load("thing/3") is None
        assert [row.stream for row in store.find(Query("thing", statuses=("done",)))] == ["thing/1"]
        assert store.find(Query("thing", statuses=("new",))) == []
    assert alone == [], "a refusal that was foreseen must not cost the group a second time"


def test_a_poisoned_write_set_leaves_the_others_of_its_group(
    ready_url: str, alone: list[int]
) -> None:
    """What only the database finds: the group is written again, each behind a savepoint."""
    taken = replace(whole("taken"), bodies=(body("bo_first"),))
    overflow = write("thing/overflow", 0, 1, rank=2**70)
    naive = write("thing/naive", due_at=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    overtaken = replace(whole("late"), lease=Lease("run/one", "other", 1, NOON))
    with closing(SqlStore(ready_url)) as store:
        store.commit(replace(write("thing/first"), bodies=(body("bo_first"),)))
        store.commit(whole("one"))
        jobs = _grouped(
            store,
            whole("two"),
            taken,
            overflow,
            naive,
            write("thing/0", 3),
            overtaken,
            whole("six"),
        )
        kinds = [type(job.error) for job in jobs]
        nothing = type(None)
        assert kinds == [
            *(nothing, Concurrency, UsageError, UsageError, Concurrency, Concurrency, nothing)
        ]
        for name, there in (("two", True), ("taken", False), ("late", False), ("six", True)):
            assert set(parts_of(store, name).values()) == {there}, name
        assert store.load("thing/overflow") is None
        assert store.load("thing/naive") is None
        lease = store.lease("run/one")
        assert lease is not None
        assert lease.holder == "runner"
        assert check_log(store) == 4
        assert alone == [6], "all but the one whose version was seen to be stale"
        assert all(job.error is None for job in _grouped(store, whole("seven"), whole("eight")))
        assert check_log(store) == 6


def test_a_group_without_a_good_one_writes_nothing(ready_url: str) -> None:
    with closing(SqlStore(ready_url)) as store:
        store.commit(whole("one"))
        heard: list[int] = []
        store.subscribe(heard.append)
        jobs = _grouped(store, write("thing/1", 5), whole("one"), write("thing/2", 1))
        assert [type(job.error) for job in jobs] == [Concurrency, type(None), Concurrency]
        taken = (replace(write(f"thing/{n}"), bodies=(body("bo_one"),)) for n in (1, 2))
        assert all(isinstance(job.error, Concurrency) for job in _grouped(store, *taken))
        assert heard == []
        assert check_log(store) == 1


def test_a_large_group_is_one_transaction(ready_url: str, alone: list[int]) -> None:
    """More rows than one statement takes on SQLite, and more streams than one list."""
    with closing(SqlStore(ready_url)) as store:
        jobs = _grouped(store, *[write(f"thing/{n}") for n in range(600)])
        assert [job.committed.position for job in jobs if job.committed] == list(range(1, 601))
        jobs = _grouped(store, *[write(f"thing/{n}", 1, rank=n % 2) for n in range(600)])
        assert all(job.error is None for job in jobs)
        assert check_log(store) == 1200
        assert len(store.find(Query("thing", limit=1000))) == 600
    assert alone == []


@pytest.mark.postgres
def test_a_refusal_keeps_the_session_of_postgresql(pg_database: str) -> None:
    """The statements of an aborted round trip must not be taken for prepared ones afterwards."""
    with closing(SqlStore(pg_database)) as store:
        store.commit(whole("one"))
        session = store._writer._session
        assert isinstance(session, PostgresSession)
        wire = session._wire
        for n in range(4):
            with refused(Concurrency):
                store.commit(replace(whole(f"bad.{n}"), bodies=(body("bo_one"),)))
            store.commit(whole(f"good.{n}"))
        assert session._wire is wire
        assert check_log(store) == 5


@pytest.mark.postgres
def test_a_lease_is_decided_before_its_group_is_committed(pg_database: str) -> None:
    """Rows and COMMIT go out together, except where a row's guard has the last word."""
    with closing(SqlStore(pg_database)) as store, closing(SqlStore(pg_database)) as other:
        store.commit(WriteSet(lease=Lease("run/1", "first", 2, NOON)))
        with refused(Concurrency):
            other.commit(replace(whole("late"), lease=Lease("run/1", "second", 2, NOON)))
        assert not any(parts_of(store, "late").values())


def test_writers_of_two_stores_on_one_database_see_each_other(ready_url: str) -> None:
    """The cached frontier is given up when another process has written."""
    with closing(SqlStore(ready_url)) as store, closing(SqlStore(ready_url)) as other:
        for n in range(10):
            store.commit(write("thing/1", 2 * n))
            other.commit(write("thing/1", 2 * n + 1))
            with refused(Concurrency):
                store.commit(write("thing/1", 2 * n + 1))
        assert check_log(store) == check_log(other) == 20


def test_connections_for_reads_are_bounded(ready_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MOST", 2)
    monkeypatch.setattr(readers, "WAIT_S", 0.05)
    with closing(SqlStore(ready_url)) as store:
        with store._readers.connection(), store._readers.connection(), pytest.raises(Unavailable):
            store.size()
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), store._readers.connection():
                raise ZeroDivisionError
            assert store.size() == 0


# -- the line alone


def test_all_who_came_while_one_wrote_are_one_group() -> None:
    groups: list[int] = []
    writing, go_on = threading.Event(), threading.Event()

    def lead(jobs: list[Job]) -> None:
        groups.append(len(jobs))
        writing.set()
        assert go_on.wait(120)

    line = Line(lead)
    threads = [threading.Thread(target=line.submit, args=(Job(WriteSet()),)) for _ in range(9)]
    threads[0].start()
    assert writing.wait(120)
    for thread in threads[1:]:
        thread.start()
    _until(lambda: len(line._waiting) == 8)
    go_on.set()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert groups == [1, 8]


def test_a_leader_that_fails_does_not_keep_the_others_waiting() -> None:
    def lead(jobs: list[Job]) -> None:
        raise KeyboardInterrupt

    line = Line(lead)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            line.submit(Job(WriteSet()))


class _Interrupted(BaseException):
    pass


def test_a_caller_that_is_interrupted_while_it_waits_is_left_out() -> None:
    led: list[list[Job]] = []
    writing, go_on = threading.Event(), threading.Event()

    def lead(jobs: list[Job]) -> None:
        led.append(jobs)
        writing.set()
        assert go_on.wait(120)

    def interrupt(_: int, frame: object) -> None:
        raise _Interrupted

    line = Line(lead)
    first = threading.Thread(target=line.submit, args=(Job(WriteSet()),))
    first.start()
    assert writing.wait(120)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(_Interrupted):
            line.submit(Job(WriteSet()))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    go_on.set()
    first.join(120)
    line.submit(Job(WriteSet()))
    assert [len(jobs) for jobs in led] == [1, 1]


def test_a_caller_that_is_interrupted_when_it_was_to_lead_hands_the_lead_on() -> None:
    led: list[Job] = []
    line = Line(led.extend)
    gone = Job(WriteSet(), leads=True)
    line._led = True
    waiting = threading.Thread(target=line.submit, args=(Job(WriteSet()),))
    waiting.start()
    _until(lambda: len(line._waiting) == 1)
    line._leave(gone)
    waiting.join(120)
    assert not waiting.is_alive()
    assert len(led) == 1
    assert not line._led


def _until(true: object) -> None:
    deadline = time.monotonic() + 120
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_an_error_of_a_group_is_everybodys(ready_url: str) -> None:
    """The database itself fails: nobody is told that its write is there."""
    with closing(SqlStore(ready_url)) as store:
        session = store._writer._session

        def fail(rows: object) -> None:
            raise Unavailable("gone", hint="wait")

        session.commit = fail  # type: ignore[method-assign]
        jobs = _grouped(store, whole("one"), whole("two"))
        assert all(isinstance(job.error, HandfastError) for job in jobs)
        del session.commit
        assert not any(parts_of(store, "one").values())
        store.commit(whole("one"))
        assert check_log(store) == 1
