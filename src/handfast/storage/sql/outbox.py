"""The outbox on both databases: which deliveries wait, are in somebody's hands, or are given up.

Every change of a row names the attempt that it ends, so that what a late server says of an earlier
attempt changes nothing. None of this is in the log: the events that matter are recorded by the engine.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from handfast.storage.outbox import OutboxCount, OutboxRow
from handfast.storage.sql.readers import Readers
from handfast.storage.sql.statements import Compile
from handfast.storage.sql.texts import check_texts
from handfast.storage.sql.times import from_micros, to_micros

_ROW = "SELECT id, topic, payload, attempts, state, not_before, spared, done, error FROM outbox"
_SQL = {
    "page": f"{_ROW} ORDER BY id LIMIT :limit",
    "row": f"{_ROW} WHERE id = :id",
    "due": f"{_ROW} WHERE state = 'waiting' AND (not_before <= :now OR not_before > :latest)",
    "in": f"{_ROW} WHERE state = :state AND id > :after ORDER BY id LIMIT :limit",
    "counts": "SELECT topic, state, COUNT(*), MIN(id) FROM outbox GROUP BY topic, state",
    "handed": (
        "UPDATE outbox SET state = 'handed' "
        "WHERE id = :id AND attempts = :attempt AND state <> 'dead'"
    ),
    "done": "DELETE FROM outbox WHERE id = :id",
    "failed": (
        "UPDATE outbox SET state = 'waiting', attempts = attempts + 1, not_before = :again_at, "
        "error = :error, done = :done "
        "WHERE id = :id AND attempts = :attempt AND state <> 'dead'"
    ),
    "dead": (
        "UPDATE outbox SET state = 'dead', attempts = attempts + 1, error = :error, done = :done "
        "WHERE id = :id AND attempts = :attempt AND state <> 'dead'"
    ),
    "again": (
        "UPDATE outbox SET state = 'waiting', spared = attempts, not_before = 0 "
        "WHERE id = :id AND attempts = :attempt AND state = 'dead'"
    ),
    "beat": (
        "INSERT INTO relay_worker (id, beats) VALUES (:id, 1) "
        "ON CONFLICT (id) DO UPDATE SET beats = relay_worker.beats + 1"
    ),
    "beats": "SELECT id, beats FROM relay_worker",
    "gone": "DELETE FROM relay_worker WHERE id = :id",
}


class OutboxTable:
    """The part of `handfast.storage.api.Store` that the relay works with."""

    _readers: Readers

    def _prepare_outbox(self, compile_: Compile) -> None:
        self._outbox_compile = compile_
        self._outbox_sql = {name: compile_(sa.text(sql)) for name, sql in _SQL.items()}

    def outbox(self, limit: int) -> list[OutboxRow]:
        return self._rows("page", {"limit": limit})

    def outbox_row(self, row_id: int) -> OutboxRow | None:
        return next(iter(self._rows("row", {"id": row_id})), None)

    def outbox_due(
        self, now: datetime, latest: datetime, limit: int, without: Sequence[str] = ()
    ) -> list[OutboxRow]:
        check_texts(*without)
        params: dict[str, object] = {
            "now": to_micros(now),
            "latest": to_micros(latest),
            "limit": limit,
        }
        params.update({f"topic_{i}": topic for i, topic in enumerate(without)})
        name = f"due {len(without)}"
        if name not in self._outbox_sql:
            others = "".join(f" AND topic <> :topic_{i}" for i in range(len(without)))
            text = f"{_SQL['due']}{others} ORDER BY id LIMIT :limit"
            self._outbox_sql[name] = self._outbox_compile(sa.text(text))
        return self._rows(name, params)

    def outbox_in(self, state: str, limit: int, after: int = 0) -> list[OutboxRow]:
        return self._rows("in", {"state": state, "limit": limit, "after": after})

    def outbox_counts(self) -> list[OutboxCount]:
        rows = self._readers.all(self._outbox_sql["counts"], {})
        return [OutboxCount(*cast("tuple[str, str, int, int]", row)) for row in rows]

    def outbox_handed(self, rows: Sequence[OutboxRow]) -> None:
        self._write("handed", [{"id": r.id, "attempt": r.attempts} for r in rows])

    def outbox_done(self, ids: Sequence[int]) -> None:
        self._write("done", [{"id": i} for i in ids])

    def outbox_failed(
        self, row: OutboxRow, again_at: datetime, error: str, done: Sequence[str] = ()
    ) -> bool:
        return self._end("failed", row, error, done, again_at=to_micros(again_at))

    def outbox_dead(self, row: OutboxRow, error: str, done: Sequence[str] = ()) -> bool:
        return self._end("dead", row, error, done)

    def outbox_again(self, row: OutboxRow) -> bool:
        return self._write("again", [{"id": row.id, "attempt": row.attempts}]) == 1

    def beat(self, worker: str) -> None:
        check_texts(worker)
        self._write("beat", [{"id": worker}])

    def beats(self) -> dict[str, int]:
        return dict(cast("list[tuple[str, int]]", self._readers.all(self._outbox_sql["beats"], {})))

    def forget_worker(self, worker: str) -> None:
        self._write("gone", [{"id": worker}])

    def _end(
        self, name: str, row: OutboxRow, error: str, done: Sequence[str], **more: object
    ) -> bool:
        check_texts(error, *done)
        params = {
            "id": row.id,
            "attempt": row.attempts,
            "error": error,
            "done": " ".join(done),
        }
        return self._write(name, [params | more]) == 1

    def _write(self, name: str, params: Sequence[Mapping[str, object]]) -> int:
        if not params:
            return 0
        return self._readers.write([(self._outbox_sql[name], each) for each in params])

    def _rows(self, name: str, params: Mapping[str, object]) -> list[OutboxRow]:
        return [_row(r) for r in self._readers.all(self._outbox_sql[name], params)]


def _row(r: tuple[object, ...]) -> OutboxRow:
    row_id, topic, payload, attempts, state, not_before, spared, done, error = r
    return OutboxRow(
        id=cast("int", row_id),
        topic=cast("str", topic),
        payload=bytes(cast("bytes", payload)),
        attempts=cast("int", attempts),
        state=cast("str", state),
        not_before=from_micros(cast("int", not_before)),
        spared=cast("int", spared),
        done=tuple(cast("str", done).split()),
        error=cast("str", error),
    )
