"""Schemas: old databases reach the newest one with all they hold, at once or not at all, and nobody writes
to a schema that is not his own."""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

import handfast
from handfast.core.domain.errors import DiskFull, SchemaVersion
from handfast.storage.api import TreeHead
from handfast.storage.sql import migrate
from handfast.storage.sql.connect import open_database
from handfast.storage.sql.copying import filling, snapshot
from handfast.storage.sql.migrate import (
    HEAD,
    SHIPPED,
    Revisions,
    current,
    migration,
    ready,
    upgrade,
)
from handfast.storage.sql.schema_check import differences, reading, tables_at
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import check_log, whole, write
from tests import old_database
from tests.old_database import plain

SOURCE = str(Path(handfast.__file__).parents[1])
NEXT = "9001"
REVISION = f'''
"""For tests: a column, a table filled from the log, an index."""
from alembic import op
import sqlalchemy as sa
revision, down_revision = "{NEXT}", "{HEAD}"
def upgrade():
    op.add_column("credential", sa.Column("note", sa.Text, nullable=False, server_default="none"))
    op.create_table("kinds", sa.Column("type", sa.Text, primary_key=True), sa.Column("number", sa.BigInteger))
    op.execute("INSERT INTO kinds SELECT type, count(*) FROM event GROUP BY type")
    op.create_index("kinds_number", "kinds", ["number"])
'''  # noqa: S608 - a module


@pytest.fixture
def later(tmp_path: Path) -> Revisions:
    """The shipped revisions and one more."""
    folder = tmp_path / "migrations"
    shutil.copytree(SHIPPED.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "r9001_test.py").write_text(REVISION)
    return Revisions(NEXT, folder)


def _reopened(url: str) -> SqlStore:
    """As the operator does it: PostgreSQL is upgraded by hand, SQLite by itself."""
    if not url.startswith("sqlite"):
        upgrade(open_database(url))
    return SqlStore(url)


def test_a_database_of_020_is_kept_whole(store_url: str) -> None:
    before = old_database.make(store_url)
    with closing(_reopened(store_url)) as store:
        assert current(open_database(store_url)) == HEAD
        assert old_database.contents(store_url) == before
        assert check_log(store) == len(before["event"])
        store.commit(whole("new"))
        assert check_log(store) == len(before["event"]) + 1
        assert [row.id for row in store.outbox(10)] == [7, 8]


def test_a_revision_keeps_what_is_there(store_url: str, later: Revisions) -> None:
    before = old_database.make(store_url)
    with closing(_reopened(store_url)):
        pass
    steps: list[str] = []
    done = upgrade(open_database(store_url), later, steps.append)
    assert (done.before, done.after, steps) == (HEAD, NEXT, [NEXT])
    assert old_database.contents(store_url) == before
    with plain(store_url) as c:
        assert c.execute("SELECT sum(number) FROM kinds").fetchone()[0] == len(before["event"])
        assert c.execute("SELECT DISTINCT note FROM credential").fetchall() == [("none",)]
    again = upgrade(open_database(store_url), later)
    assert (again.before, again.after, again.copy) == (NEXT, NEXT, "")
    assert tables_at(NEXT, later) > tables_at(HEAD)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("", ""),
        ("DROP INDEX state_due", "state_due"),
        ("ALTER TABLE body DROP COLUMN media", "media"),
        ("ALTER TABLE lease ADD COLUMN mine TEXT", "mine"),
        ("DROP TABLE idempotency", "idempotency"),
        ("CREATE TABLE of_somebody_else (x TEXT PRIMARY KEY)", ""),
    ],
)
def test_the_migrated_schema_is_the_one_of_the_code(store_url: str, damage: str, said: str) -> None:
    with closing(SqlStore(store_url)):
        pass
    if damage:
        with plain(store_url) as c:
            c.execute(damage)
    db = open_database(store_url)
    with reading(db) as connection:
        found = differences(db, connection)
    assert (len(found), said in " ".join(found)) == (1 if said else 0, True), found


def test_a_log_that_can_be_changed_is_told(store_url: str) -> None:
    with closing(SqlStore(store_url)):
        pass
    with plain(store_url) as c:
        if store_url.startswith("sqlite"):
            c.execute("DROP TRIGGER event_no_update")
        else:
            c.execute("ALTER TABLE event DISABLE TRIGGER ALL")
    db = open_database(store_url)
    with reading(db) as connection:
        assert differences(db, connection) == ["`event` can be changed: its triggers are missing"]


UPGRADE = """
import json, sys
from pathlib import Path
from handfast.engine.faults import arm_from_environment
from handfast.storage.sql.connect import open_database
from handfast.storage.sql.copying import filling, snapshot
from handfast.storage.sql.migrate import Revisions, upgrade
arm_from_environment()
print("ready", flush=True)
sys.stdin.readline()
done = upgrade(open_database(sys.argv[1]), Revisions(sys.argv[2], Path(sys.argv[3])))
print(json.dumps([done.before, done.after]), flush=True)
"""


def _upgrading(url: str, to: Revisions, fault: str = "") -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": SOURCE, "HANDFAST_FAULT": fault}
    command = [sys.executable, "-c", UPGRADE, url, to.head, str(to.folder)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.faults
def test_a_kill_in_the_middle_leaves_the_old_schema(store_url: str, later: Revisions) -> None:
    before = old_database.make(store_url)
    with closing(_reopened(store_url)) as store:
        process = _upgrading(store_url, later, "upgrade.before_commit:kill")
        process.communicate("\n", timeout=120)
        assert process.returncode == -9
        assert current(open_database(store_url)) == HEAD
        assert old_database.contents(store_url) == before
        store.commit(write("thing/goes-on"))
        assert upgrade(open_database(store_url), later).after == NEXT


@pytest.mark.faults
def test_two_processes_upgrade_once(store_url: str, later: Revisions) -> None:
    with closing(SqlStore(store_url)) as store:
        store.commit(write("thing/1", 0, 300))
    both = [_upgrading(store_url, later) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [json.loads(process.communicate(timeout=120)[0]) for process in both]
    assert sorted(said) == [[HEAD, NEXT], [NEXT, NEXT]]
    with plain(store_url) as c:
        assert c.execute("SELECT number FROM kinds").fetchall() == [(300,)]


def test_an_older_sqlite_file_is_copied_and_upgraded(tmp_path: Path, later: Revisions) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(SqlStore(url)) as store:
        store.commit(whole("one"))
        ready(open_database(url), later)
        copy = tmp_path / f"store.db.schema-{HEAD}"
        assert copy.stat().st_mode & 0o077 == 0
        assert not (tmp_path / f"{copy.name}.part").exists()
        with closing(SqlStore(f"sqlite:///{copy}")) as old:
            assert check_log(old) == 1
            assert old.body("bo_one") == store.body("bo_one")


COPY_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from handfast.core.domain.errors import StorageError
from handfast.storage.sql.connect import open_database
from handfast.storage.sql.copying import filling, snapshot
from handfast.storage.sql.migrate import Revisions, upgrade
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    upgrade(open_database(sys.argv[1]), Revisions(sys.argv[2], Path(sys.argv[3])))
except StorageError as e:
    print(type(e).__name__, e.hint)
"""


@pytest.mark.faults
def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path, later: Revisions) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(SqlStore(url)) as store:
        store.commit(write("thing/1", 0, 1, doc=bytes(200_000)))
    done = subprocess.run(
        [sys.executable, "-c", COPY_ON_A_FULL_DISK, url, later.head, str(later.folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    assert DiskFull.__name__ in done.stdout, done.stdout + done.stderr
    assert current(open_database(url)) == HEAD
    assert [p.name for p in tmp_path.glob("store.db.schema*")] == []


@pytest.mark.postgres
def test_an_older_postgresql_is_refused_and_not_touched(pg_database: str, later: Revisions) -> None:
    """Else a new server of a rolling deployment would change the schema under the old ones."""
    with closing(SqlStore(pg_database)) as store:
        store.commit(whole("one"))
        with pytest.raises(SchemaVersion, match=f"schema {HEAD}") as caught:
            ready(open_database(pg_database), later)
        assert "handfast db upgrade" in caught.value.hint
        store.commit(whole("two"))
        assert check_log(store) == 2


def test_a_server_whose_database_was_upgraded_writes_no_more(
    store_url: str, later: Revisions
) -> None:
    with closing(SqlStore(store_url)) as store:
        store.commit(whole("one"))
        upgrade(open_database(store_url), later)
        writes = (
            lambda: store.commit(whole("two")),
            lambda: store.add_head(TreeHead(1, "note")),
            lambda: store.revoke_credential("tok_one"),
            lambda: store.outbox_done([1]),
        )
        for attempt in writes:
            with pytest.raises(SchemaVersion, match="while this process was running"):
                attempt()
        assert check_log(store) == 1
        assert store.heads() == []


def test_a_write_that_waits_for_the_upgrade_is_refused(store_url: str, later: Revisions) -> None:
    caught: list[Exception] = []

    def commit() -> None:
        try:
            store.commit(whole("two"))
        except SchemaVersion as e:
            caught.append(e)

    with closing(SqlStore(store_url)) as store:
        store.commit(whole("one"))
        writer = threading.Thread(target=commit)
        with migration(open_database(store_url), later) as work:
            writer.start()
            work.to(NEXT)
            writer.join(0.5)
            assert writer.is_alive(), "it did not wait for the lock"
        writer.join(120)
        assert len(caught) == 1
        assert check_log(store) == 1


def test_what_is_copied_from_an_older_schema_is_upgraded_on_its_way(
    store_url: str, tmp_path: Path, later: Revisions
) -> None:
    source = f"sqlite:///{tmp_path}/old.db"
    before = old_database.make(source)
    with (
        snapshot(source, revisions=later) as view,
        filling(store_url, view.schema, revisions=later) as into,
    ):
        for shape in view.shapes:
            into.load(shape, view.rows(shape.name))
        into.upgrade()
        into.commit()
    assert current(open_database(store_url)) == NEXT
    assert old_database.contents(store_url) == before
    assert current(open_database(source)) == "0001"
    with plain(store_url) as c:
        assert c.execute("SELECT DISTINCT note FROM credential").fetchall() == [("none",)]


def test_a_schema_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaVersion, match="0000"):
        tables_at("0000")
    assert SHIPPED.head == migrate.HEAD


# Of each handoff that waits under 0005: what its document says, and the rank it must get.
NEEDS: tuple[tuple[dict[str, object], int], ...] = (
    ({"risk": "critical"}, 0),
    ({"risk": "low"}, 3),
    ({"risk": "low", "may_proceed": True}, 13),
    ({"risk": "low", "may_proceed": True, "edit": {"person_id": "pe_1"}}, 3),
    ({"risk": "low", "may_proceed": True, "kind": "question"}, 3),
    ({"risk": "high", "kind": "takeover"}, 21),
    ({"risk": "medium", "deferral": {"since": "now"}}, 32),
    ({"risk": "medium", "frozen_at": "now", "deferral": {"since": "now"}}, 42),
    ({"risk": "medium", "offered": []}, 42),
)


def test_what_waited_under_0005_is_grouped_and_belongs_to_its_repository(store_url: str) -> None:
    with migration(open_database(store_url)) as work:
        work.to("0005")
    kept: dict[str, object] = {"kind": "approval", "offered": ["approve"]}
    rows = [
        ("run/r", "run", "running", "", "", "m", 0, {"repository": "/repo", "cwd": "/w"}),
        ("run/s", "run", "running", "", "", "m", 0, {"cwd": "/folder"}),
        ("run/d", "run", "running", "", "", "", 0, {"cwd": "/d", "command": {"body_id": "bo_1"}}),
        ("task/t", "task", "open", "", "", "", 0, {"repository": "/of-task"}),
        ("person/p", "person", "active", "", "", "", 0, {}),
        ("handoff/of-s", "handoff", "closed", "s", "", "m", 2, kept | {"risk": "medium"}),
        ("handoff/of-t", "handoff", "closed", "", "t", "m", 2, kept | {"risk": "medium"}),
        ("handoff/about", "handoff", "routed", "", "", "override-review", 1,
         kept | {"risk": "high", "kind": "review", "about": "of-s"}),
        ("handoff/work", "handoff", "routed", "r", "t", "m", 1, kept | {"risk": "high", "kind": "review"}),
        *((f"handoff/{n}", "handoff", "routed", "r", "", "m", 9, kept | doc) for n, (doc, _) in enumerate(NEEDS)),
    ]  # fmt: skip
    mark = "?" if store_url.startswith("sqlite") else "%s"
    insert = (
        "INSERT INTO state (stream, kind, version, status, run_id, task_id, agent_id, match, rank, opened, doc) "  # noqa: S608
        f"VALUES ({mark}, {mark}, 1, {mark}, {mark}, {mark}, 'a', {mark}, {mark}, {mark}, {mark})"
    )
    with plain(store_url) as c:
        for opened, (*columns, doc) in enumerate(rows, start=1):
            c.execute(insert, (*columns, opened, json.dumps(doc).encode()))
    upgrade(open_database(store_url))
    with plain(store_url) as c:
        found = {
            row[0].partition("/")[2]: row[1:]
            for row in c.execute("SELECT stream, rank, match, root FROM state").fetchall()
        }
    assert {name: found[name][2] for name in ("r", "s", "t", "p", "of-s", "of-t", "about", "work")} == {
        "r": "/repo", "s": "/folder", "t": "/of-task", "p": None,
        "of-s": "/folder", "of-t": "/of-task", "about": "/folder", "work": "/repo",
    }  # fmt: skip
    assert [found[str(n)][0] for n in range(len(NEEDS))] == [rank for _, rank in NEEDS]
    assert (found["work"][:2], found["about"][:2]) == ((1, "finished-work"), (1, "override-review"))
    assert found["of-s"][:2] == (2, "m")
    assert [found[name][0] for name in ("r", "s", "d")] == [1, 1, 0], "sessions come last"
