"""A database as Handfast 0.2.0 left it: its schema, its golden log, and rows in every table, by plain SQL."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.core.domain.events import from_bytes
from handfast.engine.encoding import compact
from handfast.engine.projections import fold
from handfast.storage.api import EventRow
from handfast.storage.sql.connect import open_database
from handfast.storage.sql.migrate import SHIPPED, Revisions, migration
from handfast.storage.sql.times import to_micros
from tests.replay import history

Rows = dict[str, list[tuple[object, ...]]]
FIRST = Revisions("0001", SHIPPED.folder)
COLUMNS = {
    "event": "position, stream, version, type, data, leaf",
    "state": "stream, kind, version, status, task_id, run_id, agent_id, match, rank, due_at, opened, doc",
    "tree_node": "level, idx, hash",
    "tree_head": "size, note",
    "body": "body_id, salt, nonce, ciphertext, digest, media, size",
    "idempotency": "key, fingerprint, result",
    "outbox": "id, topic, payload, attempts",
    "lease": "resource, holder, epoch, expires_at",
    "credential": "id, kind, subject, secret, scopes, expires_at, revoked",
}


@contextmanager
def plain(url: str) -> Iterator[Any]:
    """A driver's own connection in autocommit."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as c:
            yield c
    else:
        with psycopg.connect(url, autocommit=True) as server:
            yield server


def make(url: str, log: Path = history.LOGS / "0.2.0.jsonl") -> Rows:
    """Fill an empty database. Gives what is in it."""
    with migration(open_database(url), FIRST) as work:
        work.to(FIRST.head)
    entries = log.read_bytes().splitlines()
    leaves = [leaf_hash(entry) for entry in entries]
    frontier, nodes = Frontier().extend(leaves)
    given: Rows = {
        "event": _events(entries),
        "state": _states(entries, log),
        "tree_node": [(n.level, n.index, n.hash) for n in nodes],
        "tree_head": [(len(entries), "a note")],
        "body": [
            (f"bo_{n}", b"salt", b"nonce", b"\x00sealed", "hmac", "text", 6) for n in range(3)
        ],
        "idempotency": [("key-1", "same", b"{}")],
        "outbox": [(7, "handoff.requested", b'{"handoff_id":"ho_1"}', 2)],
        "lease": [("run/run_1", "runner", 3, 1_767_268_800_000_001)],
        "credential": [("tok_1", "token", "ag_1", "hash", "act read", 1_767_268_800_000_000, 0)],
    }
    with plain(url) as c:
        mark = "?" if url.startswith("sqlite") else "%s"
        for table, rows in given.items():
            marks = ", ".join([mark] * len(rows[0])) if rows else ""
            for row in rows:
                c.execute(f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({marks})", row)  # noqa: S608
        c.execute(f"UPDATE tree SET frontier = {mark}", (frontier.to_bytes(),))  # noqa: S608
        if mark == "%s":
            c.execute("SELECT setval(pg_get_serial_sequence('outbox', 'id'), 7)")
    return contents(url)


def contents(url: str) -> Rows:
    """The rows of every table of 0.2.0, in the columns it had then, and the tree."""
    with plain(url) as c:
        found = {
            table: sorted(
                tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
                for row in c.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608
            )
            for table, columns in COLUMNS.items()
        }
        found["tree"] = [
            (bytes(row[0]),) for row in c.execute("SELECT frontier FROM tree").fetchall()
        ]
    return found


def _events(entries: list[bytes]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for position, data in enumerate(entries, start=1):
        record = from_bytes(data)
        rows.append((position, record.stream, record.version, record.type, data, leaf_hash(data)))
    return rows


def _states(entries: list[bytes], log: Path) -> list[tuple[object, ...]]:
    """With the documents that 0.2.0 itself recorded."""
    then = json.loads(log.with_suffix(".states.json").read_text())["states"]
    streams: dict[str, list[EventRow]] = defaultdict(list)
    for row in _events(entries):
        streams[str(row[1])].append(EventRow(*row))  # type: ignore[arg-type]
    rows: list[tuple[object, ...]] = []
    for stream, events in streams.items():
        s = fold(events)
        due = to_micros(s.due_at) if s.due_at else None
        columns = (s.status, s.task_id, s.run_id, s.agent_id, s.match, s.rank, due)
        doc = compact(then[stream]["doc"])
        rows.append((stream, s.kind, s.version, *columns, events[0].position, doc))
    return rows
