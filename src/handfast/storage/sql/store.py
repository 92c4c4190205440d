"""The store on SQLite and PostgreSQL: reads here, writes in `writer`."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import cast

from handfast.core.domain.errors import UsageError
from handfast.core.domain.project import Sight
from handfast.storage.api import (
    Committed,
    Credential,
    EventRow,
    Keeping,
    Lease,
    Query,
    SealedBody,
    StateRow,
    TreeHead,
    WriteSet,
)
from handfast.storage.sql import points
from handfast.storage.sql.connect import open_database
from handfast.storage.sql.keeping import SqlKeeping
from handfast.storage.sql.known import outermost, parameters, picked
from handfast.storage.sql.listening import Listener
from handfast.storage.sql.migrate import ready
from handfast.storage.sql.outbox import OutboxTable
from handfast.storage.sql.queries import EQUAL, begun, ranks, select
from handfast.storage.sql.readers import Readers
from handfast.storage.sql.statements import TOGETHER, build, compiler, events_of_types
from handfast.storage.sql.texts import check_texts
from handfast.storage.sql.times import from_micros, to_micros
from handfast.storage.sql.writer import Around, Writer, unwatched

Row = tuple[object, ...]
_log = logging.getLogger(__name__)


class SqlStore(OutboxTable):
    """`handfast.storage.api.Store` on one database. Thread-safe; several processes may share it."""

    def __init__(self, url: str, around: Around = unwatched) -> None:
        """Sets an empty database up. Raises SchemaVersion: see `migrate.ready`."""
        self._db = open_database(url)
        ready(self._db)
        self._compile = compiler(self._db.name)
        self._sql = build(self._compile)
        self._readers = Readers(self._db, self._sql.ours)
        self._prepare_outbox(self._compile)
        self._writer = Writer(self._db, self._notify, around)
        self.keeping: Keeping = SqlKeeping(
            self._db, self._readers, self._compile, self._sql.set_state
        )
        self._listeners: list[Callable[[int], None]] = []
        self._listeners_lock = threading.Lock()
        self._told = 0
        self._hearing: Listener | None = None
        self._find_sql = self._compile.queries

    # -- log
    def commit(self, write: WriteSet) -> Committed:
        return self._writer.commit(write)

    def answer(self, key: str) -> tuple[str, bytes] | None:
        check_texts(key)
        row = self._readers.point(points.ANSWER, key)
        return (cast("str", row[0]), bytes(cast("bytes", row[1]))) if row else None

    def size(self) -> int:
        return int.from_bytes(self.frontier()[:8], "big")

    def events(
        self, *, stream: str = "", after: int = 0, limit: int = 500, types: Sequence[str] = ()
    ) -> list[EventRow]:
        params: dict[str, object] = {"after": after, "limit": limit}
        sql = self._sql.events_after
        if stream:
            check_texts(stream)
            params["stream"] = stream
            sql = self._sql.events_of_stream
        if types:
            check_texts(*types)
            params.update({f"type_{i}": v for i, v in enumerate(types)})
            sql = self._events_of_types(len(types), of_stream=bool(stream))
        return [_event(r) for r in self._readers.all(sql, params)]

    def _events_of_types(self, number: int, *, of_stream: bool) -> str:
        shape = ("events", number, of_stream)
        if shape not in self._find_sql:
            self._find_sql[shape] = self._compile(events_of_types(number, of_stream=of_stream))
        return self._find_sql[shape]

    def scan(self, after: int = 0) -> Iterator[EventRow]:
        while page := self.events(after=after, limit=1000):
            yield from page
            after = page[-1].position

    # -- tree
    def frontier(self) -> bytes:
        row = self._readers.one(self._sql.frontier, {})
        return bytes(cast("bytes", row[0])) if row else bytes(8)

    def leaf_hashes(self, start: int, stop: int) -> Sequence[bytes]:
        rows = self._readers.all(self._sql.leaves, {"start": start, "stop": stop})
        return [bytes(cast("bytes", r[0])) for r in rows]

    def node_hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        params = {"level": level, "start": start, "stop": stop}
        return [bytes(cast("bytes", r[0])) for r in self._readers.all(self._sql.nodes, params)]

    def heads(self, limit: int = 0) -> list[TreeHead]:
        rows = self._readers.all(self._sql.heads, {"limit": limit or 1_000_000})
        return [TreeHead(cast("int", r[0]), cast("str", r[1])) for r in reversed(rows)]

    def add_head(self, head: TreeHead) -> None:
        self._readers.write([(self._sql.add_head, {"size": head.size, "note": head.note})])

    # -- states
    def load(self, stream: str) -> StateRow | None:
        check_texts(stream)
        row = self._readers.point(points.STATE, stream)
        return _state(row) if row else None

    def find(self, query: Query) -> list[StateRow]:
        check_texts(query.task_id, query.run_id, query.agent_id, query.match)
        sql, params = self._find(query)
        return [_state(r) for r in self._readers.all(sql, params)]

    def _find(self, q: Query) -> tuple[str, dict[str, object]]:
        """The statement for this shape of query, compiled once a shape."""
        params: dict[str, object] = {"kind": q.kind, "limit": q.limit}
        params.update({n: value for n in EQUAL if (value := getattr(q, n))})
        params.update({f"status_{i}": v for i, v in enumerate(q.statuses)})
        if q.due_before is not None:
            if q.after is not None:
                raise UsageError(
                    "`due_before` has no pages", hint="Handle the rows, then ask again."
                )
            params["due_before"] = to_micros(q.due_before)
        if q.after is not None:
            rank, params["after_opened"] = q.after
            if not q.newest_first:
                params["after_rank"] = rank
        params.update(parameters(q.within))
        knows = _knows(q.kind, q.within)
        shape = (frozenset(params), q.newest_first, q.undated, knows)
        if shape not in self._find_sql:
            self._find_sql[shape] = self._compile(select(q))
        return self._find_sql[shape], params

    def count(self, kind: str, statuses: Sequence[str], within: Sight | None = None) -> int:
        return sum(self.ranks(kind, statuses, within).values())

    def ranks(
        self, kind: str, statuses: Sequence[str], within: Sight | None = None
    ) -> dict[int, int]:
        params: dict[str, object] = {"kind": kind, **parameters(within)}
        shape = ("ranks", frozenset(params), _knows(kind, within))
        if shape not in self._find_sql:
            self._find_sql[shape] = self._compile(ranks(within, kind))
        found: Counter[int] = Counter()
        for status in statuses:
            for row in self._readers.all(self._find_sql[shape], {**params, "status_0": status}):
                found[cast("int", row[0])] += cast("int", row[1])
        return dict(found)

    def begun(self, kind: str, match: str) -> list[int]:
        check_texts(match)
        if "begun" not in self._find_sql:
            self._find_sql["begun"] = self._compile(begun())
        rows = self._readers.all(self._find_sql["begun"], {"kind": kind, "match": match})
        return [cast("int", row[0]) for row in rows]

    # -- bodies
    def body(self, body_id: str) -> SealedBody | None:
        check_texts(body_id)
        row = self._readers.one(self._sql.get_body, {"body_id": body_id})
        return _body(row) if row else None

    def bodies(self, body_ids: Sequence[str]) -> dict[str, SealedBody]:
        check_texts(*body_ids)
        wanted = list(dict.fromkeys(body_ids))
        rows: list[Row] = []
        for at in range(0, len(wanted), TOGETHER):
            some = wanted[at : at + TOGETHER]
            some += some[-1:] * (TOGETHER - len(some))  # one statement for any number
            params = {f"id_{i}": body_id for i, body_id in enumerate(some)}
            rows += self._readers.all(self._sql.get_bodies, params)
        return {body.body_id: body for body in map(_body, rows)}

    def erase_body(self, body_id: str) -> None:
        self._readers.write([(self._sql.erase_body, {"body_id": body_id, "empty": b""})])

    # -- credentials, leases (the outbox is in `outbox.py`)
    def credential(self, credential_id: str) -> Credential | None:
        check_texts(credential_id)
        row = self._readers.one(self._sql.get_credential, {"id": credential_id})
        return _credential(row) if row else None

    def credentials_of(self, subject: str, kind: str) -> list[Credential]:
        check_texts(subject, kind)
        rows = self._readers.all(self._sql.credentials_of, {"subject": subject, "kind": kind})
        return [_credential(r) for r in rows]

    def revoke_credential(self, credential_id: str) -> None:
        self._readers.write([(self._sql.revoke_credential, {"id": credential_id})])

    def lease(self, resource: str) -> Lease | None:
        check_texts(resource)
        row = self._readers.one(self._sql.get_lease, {"resource": resource})
        if row is None:
            return None
        name, holder, epoch, expires = row
        return Lease(
            cast("str", name),
            cast("str", holder),
            cast("int", epoch),
            from_micros(cast("int", expires)),
        )

    def renew_lease(self, resource: str, epoch: int, expires_at: datetime) -> bool:
        params = {
            "resource": resource,
            "of_epoch": epoch,
            "expires_at": to_micros(expires_at),
        }
        return self._readers.write([(self._sql.renew_lease, params)]) == 1

    # -- process
    def subscribe(self, listener: Callable[[int], None]) -> Callable[[], None]:
        with self._listeners_lock:
            self._listeners = [*self._listeners, listener]
            if self._db.server and self._hearing is None:
                self._hearing = Listener(
                    self._db.url, self._notify, lambda: self._notify(self.size())
                )
                self._hearing.start()

        def undo() -> None:
            with self._listeners_lock:
                self._listeners = [x for x in self._listeners if x is not listener]

        return undo

    def _notify(self, size: int) -> None:
        """Tell the listeners, of each size once: the word of a commit of our own comes back from PostgreSQL.

        One that fails is logged: the write is durable and must be answered.
        """
        with self._listeners_lock:
            if size <= self._told:
                return
            self._told = size
        for listener in self._listeners:
            try:
                listener(size)
            except Exception:  # noqa: BLE001 - a stranger's code, after the commit
                _log.exception("a listener of the store failed")

    def close(self) -> None:
        if self._hearing is not None:
            self._hearing.stop()
        self._writer.close()
        self._readers.close()


def _event(r: Row) -> EventRow:
    position, stream, version, kind, data, leaf = r
    return EventRow(
        cast("int", position),
        cast("str", stream),
        cast("int", version),
        cast("str", kind),
        bytes(cast("bytes", data)),
        bytes(cast("bytes", leaf)),
    )


def _knows(kind: str, sight: Sight | None) -> object:
    """What a condition of `known` depends on beside the names of its parameters."""
    if sight is None:
        return None
    return kind, sight.beyond is None, picked(sight), len(outermost(sight))


def _state(r: Row) -> StateRow:
    (
        stream,
        kind,
        version,
        status,
        task_id,
        run_id,
        agent_id,
        match,
        rank,
        due,
        opened,
        doc,
        root,
    ) = r
    return StateRow(
        cast("str", stream),
        cast("str", kind),
        cast("int", version),
        cast("str", status),
        bytes(cast("bytes", doc)),
        cast("str", task_id),
        cast("str", run_id),
        cast("str", agent_id),
        cast("str", match),
        cast("int", rank),
        from_micros(cast("int", due)) if due is not None else None,
        cast("int", opened),
        cast("str | None", root),
    )


def _body(r: Row) -> SealedBody:
    body_id, salt, nonce, ciphertext, digest, media, size = r
    return SealedBody(
        cast("str", body_id),
        bytes(cast("bytes", salt)),
        bytes(cast("bytes", nonce)),
        bytes(cast("bytes", ciphertext)),
        cast("str", digest),
        cast("str", media),
        cast("int", size),
    )


def _credential(r: Row) -> Credential:
    cid, kind, subject, secret, scopes, expires, revoked = r
    return Credential(
        cast("str", cid),
        cast("str", kind),
        cast("str", subject),
        cast("str", secret),
        tuple(cast("str", scopes).split()),
        from_micros(cast("int", expires)) if expires is not None else None,
        bool(revoked),
    )
