"""Snapshots, fold numbers and retention in the store: the same on SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from handfast.storage.api import Due, Snapshot, TreeHead
from handfast.storage.outbox import OutboxItem
from handfast.storage.sql.connect import open_database
from handfast.storage.sql.migrate import upgrade
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import NOON, body, write
from tests.old_database import make


@pytest.fixture
def store(ready_url: str) -> Iterator[SqlStore]:
    with closing(SqlStore(ready_url)) as opened:
        yield opened


def test_snapshots_are_found_by_stream_version_and_fold(store: SqlStore) -> None:
    keeping = store.keeping
    made = [Snapshot("run/1", v, fold, b"doc", b"mac") for v, fold in ((10, 1), (20, 1), (30, 2))]
    keeping.put_snapshots([*made, Snapshot("run/2", 10, 1, b"other", b"mac")])
    assert keeping.snapshots("run/1") == made
    assert keeping.snapshots("run/1", after=10, limit=1) == made[1:2]
    assert keeping.newest_snapshot("run/1", at_most=25, fold=1) == made[1]
    assert keeping.newest_snapshot("run/1", at_most=99, fold=1) == made[1]
    assert keeping.newest_snapshot("run/1", at_most=9, fold=1) is None
    again = replace(made[0], fold=2, doc=b"new")
    keeping.put_snapshots([again])
    assert keeping.snapshots("run/1")[0] == again


def test_a_state_is_written_again_only_at_its_version(store: SqlStore) -> None:
    store.commit(write("thing/1", 0, 3))
    row = store.load("thing/1")
    assert row is not None
    assert store.keeping.put_state(replace(row, status="mended", due_at=NOON))
    mended = store.load("thing/1")
    assert mended is not None
    assert (mended.status, mended.due_at, mended.opened) == ("mended", NOON, row.opened)
    assert not store.keeping.put_state(replace(row, version=2))
    assert not store.keeping.put_state(replace(row, stream="thing/none"))
    assert store.load("thing/1") == mended


def test_fold_numbers_are_kept(store: SqlStore) -> None:
    assert store.keeping.folds() == {}
    store.keeping.put_fold("run", 2)
    store.keeping.put_fold("run", 3)
    assert store.keeping.folds() == {"run": 3}


def test_streams_are_paged_by_when_they_began(store: SqlStore) -> None:
    for n in range(5):
        store.commit(write(f"thing/{n}", 0, 2))
    first = store.keeping.streams("thing", limit=3)
    assert [stream for _, stream in first] == ["thing/0", "thing/1", "thing/2"]
    rest = store.keeping.streams("thing", after=first[-1][0], limit=3)
    assert [stream for _, stream in rest] == ["thing/3", "thing/4"]
    assert store.keeping.streams("other") == []


def test_heads_are_paged_and_the_outbox_is_counted(store: SqlStore) -> None:
    for size in (3, 7, 9):
        store.add_head(TreeHead(size, f"note {size}"))
    assert [h.size for h in store.keeping.heads_after(0, 2)] == [3, 7]
    assert [h.note for h in store.keeping.heads_after(7)] == ["note 9"]
    assert store.keeping.outbox_depth() == 0
    store.commit(replace(write("thing/1"), outbox=(OutboxItem("a", b"1"), OutboxItem("b", b"2"))))
    assert store.keeping.outbox_depth() == 2


def _later(hours: int) -> timedelta:
    return timedelta(hours=hours)


def test_what_is_due_is_paged_and_forgotten_when_handled(store: SqlStore) -> None:
    keeping = store.keeping
    assert keeping.followed() == 0
    noted = {
        ("run/1", "steps"): NOON,
        ("run/2", "steps"): NOON,
        ("run/3", "steps"): NOON + _later(2),
    }
    assert keeping.follow(0, 7, {**noted, ("run/1", "sessions"): NOON})
    assert keeping.followed() == 7
    found = keeping.due("steps", NOON + _later(1))
    assert found == [Due("run/1", "steps", 0, NOON), Due("run/2", "steps", 0, NOON)]
    assert keeping.due("steps", NOON + _later(3), after=found[0], limit=1) == found[1:]
    keeping.handled(found[0], 12, None)
    keeping.handled(found[1], 4, NOON + _later(5))
    assert keeping.due("steps", NOON + _later(1)) == []
    assert keeping.due("steps", NOON + _later(9))[-1] == Due("run/2", "steps", 4, NOON + _later(5))
    # The oldest one that is left counts; a stream that was done begins anew.
    new = {("run/1", "steps"): NOON + _later(6), ("run/2", "steps"): NOON + _later(7)}
    assert keeping.follow(7, 9, new)
    assert {d.stream: d.next_at for d in keeping.due("steps", NOON + _later(9))} == {
        "run/1": NOON + _later(6),
        "run/2": NOON + _later(5),
        "run/3": NOON + _later(2),
    }
    assert [d.stream for d in keeping.due("sessions", NOON + _later(9))] == ["run/1"]


def test_a_second_follower_is_told_that_it_is_behind(store: SqlStore) -> None:
    assert store.keeping.follow(0, 5, {})
    assert not store.keeping.follow(0, 3, {})
    assert store.keeping.followed() == 5


def test_an_older_database_gets_the_tables_and_keeps_its_log(store_url: str) -> None:
    """As 0.2.0 left it: without any of them."""
    entries = len(make(store_url)["event"])
    upgrade(open_database(store_url))
    with closing(SqlStore(store_url)) as store:
        assert store.size() == entries
        assert store.keeping.followed() == 0
        assert store.keeping.follow(0, 1, {("thing/1", "steps"): NOON})
        assert store.keeping.folds() == {}


def test_sizes_are_of_bodies_that_are_still_there(store: SqlStore) -> None:
    kept, gone = body("bo_kept"), body("bo_gone")
    store.commit(replace(write("thing/1"), bodies=(kept, gone)))
    store.erase_body("bo_gone")
    assert store.keeping.sizes(["bo_kept", "bo_gone", "bo_none"]) == {"bo_kept": kept.size}
    assert store.keeping.scrub()
