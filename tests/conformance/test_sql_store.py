"""What the SQL store promises beyond the suite: its databases failing, locked, full, newer, tampered with."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

import handfast
from handfast.core.domain.errors import (
    DiskFull,
    HandfastError,
    SchemaVersion,
    StorageError,
    Unavailable,
    UsageError,
)
from handfast.storage.api import Query
from handfast.storage.sql import connect, statements
from handfast.storage.sql.migrate import HEAD
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import NOON, body, check_log, parts_of, refused, whole, write
from tests import needs, postgres, prepared

T = TypeVar("T")
SOURCE = str(Path(handfast.__file__).parents[1])


def _path(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _raw(url: str, *statements: str) -> None:
    """Run SQL behind the store's back."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(_path(url), isolation_level=None)) as c:
            for statement in statements:
                c.execute(statement)
    else:
        with psycopg.connect(url, autocommit=True) as server:
            for statement in statements:
                server.execute(statement.encode())


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE event SET type = type",
        "DELETE FROM event",
        "UPDATE tree_node SET hash = hash",
        "DELETE FROM tree_node",
        "UPDATE tree_head SET note = note",
        "DELETE FROM tree_head",
    ],
)
def test_the_log_is_append_only(ready_url: str, attempt: str) -> None:
    with closing(SqlStore(ready_url)) as store:
        store.commit(write("thing/1", 0, 300))
        _raw(ready_url, "INSERT INTO tree_head (size, note) VALUES (1, 'note')")
        with pytest.raises((sqlite3.IntegrityError, psycopg.Error), match="append-only"):
            _raw(ready_url, attempt)
        assert check_log(store) == 300


@pytest.mark.parametrize("table", ["event", "tree_node", "tree_head"])
@pytest.mark.postgres
def test_the_log_cannot_be_truncated(pg_database: str, table: str) -> None:
    with closing(SqlStore(pg_database)) as store:
        store.commit(write("thing/1"))
        with pytest.raises(psycopg.Error, match="append-only"):
            _raw(pg_database, f"TRUNCATE {table}")
        assert check_log(store) == 1


def test_a_newer_schema_is_refused_untouched(ready_url: str) -> None:
    with closing(SqlStore(ready_url)) as store:
        store.commit(write("thing/1"))
    _raw(ready_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaVersion, match="9999") as caught:
        SqlStore(ready_url)
    assert caught.value.hint
    _raw(ready_url, f"UPDATE alembic_version SET version_num = '{HEAD}'")  # noqa: S608
    with closing(SqlStore(ready_url)) as store:
        assert check_log(store) == 1


def test_a_database_of_something_else_is_refused(store_url: str) -> None:
    _raw(store_url, "CREATE TABLE event (mine TEXT)")
    with pytest.raises(StorageError, match="schema cannot be made"):
        SqlStore(store_url)
    _raw(store_url, "DROP TABLE event")
    with closing(SqlStore(store_url)) as store:
        assert check_log(store) == 0


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://x", "x", ""]
)
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        SqlStore(url)


def test_a_path_with_special_characters(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a %41?b#c/é.db"
    with closing(SqlStore(url)) as store:
        store.commit(write("thing/1"))
    assert (tmp_path / "a %41?b#c" / "é.db").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(StorageError, match="cannot be used"):
        SqlStore(f"sqlite:///{tmp_path}/x.db")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be made") as caught:
        SqlStore(f"sqlite:///{tmp_path}/file/store.db")
    assert not caught.value.retryable


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "LOCK_WAIT_S", 0.3)
    monkeypatch.setattr(connect, "_LOCK_WAIT_MS", 300)


@pytest.mark.usefixtures("short_wait")
def test_a_locked_database_is_unavailable_after_the_wait(ready_url: str) -> None:
    with closing(SqlStore(ready_url)) as store:
        store.commit(whole("one"))
        for hold in _held(ready_url):
            with pytest.raises(Unavailable) as caught:
                store.commit(whole("two"))
            assert caught.value.retryable
            with pytest.raises(Unavailable):
                store.commit(write("thing/three"))
            assert store.load("thing/one") is not None, "reads do not wait for a writer"
            hold()
        assert not any(parts_of(store, "two").values())
        store.commit(whole("two"))
        assert check_log(store) == 2


def _held(url: str) -> Iterator[Callable[[], object]]:
    """The write lock in another connection's hands, until the function is called."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(_path(url), isolation_level=None)) as c:
            c.execute("BEGIN IMMEDIATE")
            yield lambda: c.execute("ROLLBACK")
    else:
        with psycopg.connect(url) as server:
            server.execute("SELECT frontier FROM tree FOR UPDATE")
            yield server.rollback


def test_a_short_lock_is_waited_for(ready_url: str) -> None:
    with closing(SqlStore(ready_url)) as store:
        for hold in _held(ready_url):
            timer = threading.Timer(0.2, hold)
            done = threading.Thread(target=store.commit, args=(write("thing/1"),))
            done.start()
            timer.run()
            done.join(120)
            assert not done.is_alive()
        assert check_log(store) == 1


FILL = """
import resource, signal, sys
from handfast.core.domain.errors import DiskFull
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqlStore(sys.argv[1])
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
n = 0
try:
    while True:
        store.commit(write(f"thing/{n}", 0, 20, doc=bytes(20_000)))
        n += 1
        print(n, flush=True)
except DiskFull as e:
    print("full", store.size(), flush=True)
    assert e.hint
"""


@pytest.mark.faults
@pytest.mark.parametrize("limit_kib", [600, 601, 640, 1000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, limit_kib: int) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert hard == resource.RLIM_INFINITY or hard > limit_kib * 1024, soft
    done = subprocess.run(
        [sys.executable, "-c", FILL, url, str(limit_kib * 1024)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    written = int(lines[-3])
    assert lines[-2:] == ["full", str(written * 20)]
    with closing(SqlStore(url)) as store:
        assert check_log(store) == written * 20
        assert store.load(f"thing/{written}") is None
        store.commit(write(f"thing/{written}"))


def test_a_full_disk_of_postgresql_has_its_own_error(pg_url: str) -> None:
    db = connect.open_database(pg_url)
    assert isinstance(db.translate(psycopg.errors.DiskFull("no space left")), DiskFull)


def test_a_full_database_recovers_when_there_is_room(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(SqlStore(url)) as store:
        store.commit(whole("one"))
        store._writer._session.run("PRAGMA max_page_count = 1")  # clamps to the present size
        with pytest.raises(DiskFull):
            store.commit(write("thing/large", 0, 1, doc=bytes(500_000)))
        assert store.load("thing/large") is None
        check_log(store)
        store.commit(whole("two"))
        assert all(parts_of(store, "two").values())


@pytest.fixture
def own_server() -> Iterator[postgres.Postgres]:
    binaries = postgres.binaries()
    if binaries is None:
        needs.missing("postgres", "no initdb here: apt-get install postgresql")
    with postgres.running(binaries) as server:
        yield server


@pytest.mark.postgres
@pytest.mark.faults
def test_a_restart_of_postgresql_is_survived(own_server: postgres.Postgres) -> None:
    """A killed backend makes the server end every session and go through crash recovery."""
    with closing(SqlStore(own_server.url)) as store:
        store.commit(whole("one"))
        assert store.size() == 1
        with psycopg.connect(own_server.url, autocommit=True) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
        # The server notices in its own time, so any of these may be the one that it cuts off.
        _eventually(lambda: store.commit(whole("two")))
        assert _eventually(store.size) == 2
        _eventually(lambda: store.commit(whole("three")))
        assert _eventually(lambda: check_log(store)) == 3


@pytest.mark.postgres
def test_sessions_cut_by_the_server_are_replaced_unnoticed(pg_database: str) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with closing(SqlStore(pg_database)) as store:
        store.commit(whole("one"))
        assert store.size() == 1
        _raw(pg_database, cut)
        assert store.size() == 1
        _raw(pg_database, cut)
        store.commit(whole("two"))
        assert check_log(store) == 2


def _eventually(act: Callable[[], T], within_s: float = 120) -> T:
    """`act`, again while it raises Unavailable: no other error may come of a restart."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return act()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot connect") as caught:
        SqlStore(f"postgresql://postgres@/none?host={tmp_path}")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query("thing", match="x"), "state_match"),
        (Query("thing", match="x", newest_first=True, limit=1), "state_match"),
        (Query("thing", run_id="x"), "state_run"),
        (Query("thing", run_id="x", statuses=("a",)), "state_run"),
        (Query("thing", run_id="x", statuses=("a", "b")), "state_run"),
        (Query("thing", task_id="x"), "state_task"),
        (Query("thing", task_id="x", statuses=("a",)), "state_task"),
        (Query("thing", statuses=("a",)), "state_queue"),
        (Query("thing", newest_first=True), "state_opened"),
        (Query("thing", due_before=NOON), "state_due"),
    ],
)
def test_lookups_use_their_index(tmp_path: Path, query: Query, index: str) -> None:
    """Without it every gate check would walk all handoffs there ever were."""
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(SqlStore(url)) as store:
        sql, params = store._find(query)
    with closing(sqlite3.connect(_path(url))) as c:
        plan = " ".join(str(r[-1]) for r in c.execute(f"EXPLAIN QUERY PLAN {sql}", params))
    assert f"INDEX {index} " in plan


def test_an_erased_body_is_not_in_the_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(SqlStore(url)) as store:
        store.commit(whole("one"))
        assert store.body("bo_one") == body("bo_one")
        store.erase_body("bo_one")
    assert b"sealed bo_one" not in (tmp_path / "store.db").read_bytes()


def test_errors_of_the_store_are_ours(ready_url: str) -> None:
    """A database whose tables vanished answers with our error on every path."""
    with closing(SqlStore(ready_url)) as store:
        store.commit(whole("one"))
        _raw(ready_url, "DROP TABLE body")
        calls: list[Callable[[], object]] = [
            lambda: store.commit(whole("two")),
            lambda: store.body("bo_one"),
            lambda: store.erase_body("bo_one"),
        ]
        for call in calls:
            with refused(HandfastError):
                call()
        assert store.load("thing/two") is None
        store.commit(write("thing/three"))


def test_statements_are_compiled_once_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqlStore(f"sqlite:///{prepared.migrated(tmp_path / 'one.db')}").close()
    monkeypatch.setattr(statements, "_lookups", None)  # whoever compiles again fails
    monkeypatch.setattr(statements, "_reads", None)
    SqlStore(f"sqlite:///{prepared.migrated(tmp_path / 'two.db')}").close()
