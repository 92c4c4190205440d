"""Snapshots, fold numbers and retention on the two databases, and the scrubbing of erased bytes."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from handfast.core.domain.errors import StorageError
from handfast.storage.api import Due, Snapshot, StateRow, TreeHead
from handfast.storage.sql import schema as s
from handfast.storage.sql.append_sql import LOOKUPS
from handfast.storage.sql.connect import Database, translated
from handfast.storage.sql.plan import lookups
from handfast.storage.sql.readers import Readers
from handfast.storage.sql.statements import Compile
from handfast.storage.sql.texts import check_texts
from handfast.storage.sql.times import from_micros, to_micros

_log = logging.getLogger(__name__)
# VACUUM of another role's table is skipped with no more than a notice.
_OWNED = (
    "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = 'body'::regclass"
)
_ONE: sa.ColumnElement[int] = sa.literal_column("1")


class SqlKeeping:
    """`handfast.storage.api.Keeping` on one database. Statements are compiled when first used."""

    def __init__(self, db: Database, readers: Readers, compiled: Compile, set_state: str) -> None:
        self._db = db
        self._readers = readers
        self._compile = compiled
        self._set_state = set_state
        self._texts: dict[str, str] = {}

    # -- snapshots and folds
    def snapshots(self, stream: str, *, after: int = 0, limit: int = 100) -> list[Snapshot]:
        t = s.snapshot
        text = self._text(
            "snapshots",
            sa.select(t)
            .where(t.c.stream == _text("stream"), t.c.version > _number("after"))
            .order_by(t.c.version)
            .limit(_number("limit"))
            .offset(sa.literal_column("0")),
        )
        return self._snapshots(text, {"stream": stream, "after": after, "limit": limit})

    def newest_snapshot(self, stream: str, *, at_most: int, fold: int) -> Snapshot | None:
        t = s.snapshot
        text = self._text(
            "newest_snapshot",
            sa.select(t)
            .where(t.c.stream == _text("stream"), t.c.version <= _number("at_most"))
            .where(t.c.fold == _number("fold"))
            .order_by(t.c.version.desc())
            .limit(_ONE)
            .offset(sa.literal_column("0")),
        )
        found = self._snapshots(text, {"stream": stream, "at_most": at_most, "fold": fold})
        return found[0] if found else None

    def _snapshots(self, text: str, params: Mapping[str, object]) -> list[Snapshot]:
        check_texts(cast("str", params["stream"]))
        return [
            Snapshot(
                cast("str", stream),
                cast("int", version),
                cast("int", fold),
                bytes(cast("bytes", doc)),
                bytes(cast("bytes", mac)),
            )
            for stream, version, fold, doc, mac in self._readers.all(text, params)
        ]

    def put_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        text = self._text(
            "put_snapshot",
            self._upsert(s.snapshot, "fold", "doc", "mac"),
        )
        names = ("stream", "version", "fold", "doc", "mac")
        self._readers.write([(text, {n: getattr(x, n) for n in names}) for x in snapshots])

    def put_state(self, row: StateRow) -> bool:
        found = dict(zip(LOOKUPS, lookups(row), strict=True))
        params = {"stream": row.stream, "version": row.version, "doc": row.doc, **found}
        params["expected"] = row.version
        return self._readers.write([(self._set_state, params)]) == 1

    def folds(self) -> dict[str, int]:
        rows = self._readers.all(self._text("folds", sa.select(s.fold)), {})
        return {cast("str", kind): cast("int", number) for kind, number in rows}

    def put_fold(self, kind: str, number: int) -> None:
        text = self._text("put_fold", self._upsert(s.fold, "number"))
        self._readers.write([(text, {"kind": kind, "number": number})])

    def streams(self, kind: str, *, after: int = 0, limit: int = 500) -> list[tuple[int, str]]:
        t = s.state
        text = self._text(
            "streams",
            sa.select(t.c.opened, t.c.stream)
            .where(t.c.kind == _text("kind"), t.c.opened > _number("after"))
            .order_by(t.c.opened)
            .limit(_number("limit"))
            .offset(sa.literal_column("0")),
        )
        rows = self._readers.all(text, {"kind": kind, "after": after, "limit": limit})
        return [(cast("int", opened), cast("str", stream)) for opened, stream in rows]

    def heads_after(self, size: int, limit: int = 500) -> list[TreeHead]:
        t = s.tree_head
        text = self._text(
            "heads_after",
            sa.select(t.c.size, t.c.note)
            .where(t.c.size > _number("after"))
            .order_by(t.c.size)
            .limit(_number("limit"))
            .offset(sa.literal_column("0")),
        )
        rows = self._readers.all(text, {"after": size, "limit": limit})
        return [TreeHead(cast("int", n), cast("str", note)) for n, note in rows]

    # -- retention
    def followed(self) -> int:
        text = self._text("followed", sa.select(s.retention_seen.c.position))
        row = self._readers.one(text, {})
        return cast("int", row[0]) if row else 0

    def follow(self, old: int, position: int, streams: Mapping[tuple[str, str], datetime]) -> bool:
        t = s.retention
        claim = self._text(
            "claim",
            sa.update(s.retention_seen)
            .where(s.retention_seen.c.position == _number("old"))
            .values(position=_number("position")),
        )
        note = self._text("note", self._upsert(t, "next_at", kept=True))
        rows = [
            (note, {"stream": stream, "kind": kind, "done": 0, "next_at": to_micros(at)})
            for (stream, kind), at in streams.items()
        ]
        # Noting a stream again is harmless: there is nothing to do for it. The claim's count is the answer.
        return self._readers.write([*rows, (claim, {"old": old, "position": position})]) == 1

    def due(
        self, kind: str, before: datetime, *, after: Due | None = None, limit: int = 100
    ) -> list[Due]:
        t = s.retention
        text = self._text(
            "due",
            sa.select(t.c.stream, t.c.done, t.c.next_at)
            .where(t.c.kind == _text("kind"), t.c.next_at < _number("before"))
            .where(
                sa.or_(
                    t.c.next_at > _number("after_at"),
                    sa.and_(t.c.next_at == _number("after_at"), t.c.stream > _text("after_stream")),
                )
            )
            .order_by(t.c.next_at, t.c.stream)
            .limit(_number("limit"))
            .offset(sa.literal_column("0")),
        )
        params = {
            "kind": kind,
            "before": to_micros(before),
            "after_at": to_micros(after.next_at) if after else -1,
            "after_stream": after.stream if after else "",
            "limit": limit,
        }
        return [
            Due(cast("str", stream), kind, cast("int", done), from_micros(cast("int", at)))
            for stream, done, at in self._readers.all(text, params)
        ]

    def handled(self, due: Due, done: int, next_at: datetime | None) -> None:
        t = s.retention
        text = self._text(
            "handled",
            sa.update(t)
            .where(t.c.stream == _text("of_stream"), t.c.kind == _text("of_kind"))
            .values(done=_number("done"), next_at=_number("next_at")),
        )
        params = {
            "of_stream": due.stream,
            "of_kind": due.kind,
            "done": done,
            "next_at": to_micros(next_at) if next_at else None,
        }
        self._readers.write([(text, params)])

    # -- bodies
    def sizes(self, body_ids: Sequence[str]) -> dict[str, int]:
        check_texts(*body_ids)
        t = s.body
        text = self._text(
            "size",
            sa.select(t.c.size).where(
                t.c.body_id == _text("body_id"), sa.func.length(t.c.nonce) > sa.literal_column("0")
            ),
        )
        found: dict[str, int] = {}
        with self._readers.connection() as c:
            for body_id in dict.fromkeys(body_ids):
                if row := c.execute(text, {"body_id": body_id}).fetchone():
                    found[body_id] = cast("int", row[0])
        return found

    def outbox_depth(self) -> int:
        text = self._text("depth", sa.select(sa.func.count()).select_from(s.outbox))
        row = self._readers.one(text, {})
        return cast("int", row[0]) if row else 0

    def scrub(self) -> bool:
        """SQLite overwrites what was erased (`secure_delete`); older copies of a page lie in the
        write-ahead log until it is emptied into the file. PostgreSQL keeps dead rows until VACUUM.
        """
        c = self._db.connect()
        try:
            with translated(self._db):
                if not self._db.server:
                    return c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
                ours = c.execute(_OWNED).fetchone() == (True,)
                if ours:
                    c.execute("VACUUM body")
                return ours
        except StorageError as e:
            _log.warning("erased bytes are not scrubbed yet: %s", e.message)
            return False
        finally:
            c.close()

    def _upsert(self, t: sa.Table, *changed: str, kept: bool = False) -> sa.ClauseElement:
        """Insert, or change these columns of the row there is; `kept` leaves what is not NULL."""
        insert = (postgresql if self._db.server else sqlite).insert(t)
        new = {n: insert.excluded[n] for n in changed}
        if kept:
            new = {n: sa.func.coalesce(t.c[n], value) for n, value in new.items()}
        keys = [c.name for c in t.primary_key.columns]
        return cast("sa.ClauseElement", insert.on_conflict_do_update(index_elements=keys, set_=new))

    def _text(self, name: str, construct: sa.ClauseElement) -> str:
        if name not in self._texts:
            self._texts[name] = self._compile(construct)
        return self._texts[name]


def _text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


def _number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)
