"""What a group of write sets puts into the tables, worked out before anything is written.

With the write lock held, one look at the streams and keys of a group says which of its write sets
hold. Those that do not are refused here, each with its own error, and cost the others nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from handfast.core.audit.tree import Frontier
from handfast.core.domain.errors import Concurrency, InvalidTransition
from handfast.storage.api import Append, Committed, Credential, Lease, StateRow, WriteSet
from handfast.storage.sql.times import to_micros

Row = tuple[object, ...]


@dataclass(slots=True)
class Known:
    """What the database holds of a group: the frontier, its streams' rows, its keys' answers.

    A stream's row is its version and the columns it is looked up by.
    """

    frontier: bytes
    states: dict[str, Row]
    keys: dict[str, tuple[str, bytes]]


@dataclass(slots=True)
class Rows:
    """Rows by statement, each a tuple in the order of the statement's parameters."""

    events: list[Row] = field(default_factory=list)
    opened: list[Row] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    keys: list[Row] = field(default_factory=list)
    bodies: list[Row] = field(default_factory=list)
    outbox: list[Row] = field(default_factory=list)
    credentials: list[Row] = field(default_factory=list)
    erased: list[Row] = field(default_factory=list)
    leases: list[Row] = field(default_factory=list)
    nodes: list[Row] = field(default_factory=list)
    frontier: bytes = b""


class Plan:
    """Takes write sets one after the other, each against what those before it lead to."""

    def __init__(self, known: Known, frontier: Frontier) -> None:
        self._known = known
        self._frontier = frontier
        self._keys = known.keys
        self._versions = {stream: row[0] for stream, row in known.states.items()}
        self._states: dict[str, tuple[StateRow, int]] = {}
        self._leaves: list[bytes] = []
        self._rows = Rows()
        self.size = frontier.size
        self.empty = True

    def add(self, w: WriteSet) -> Committed:
        """Raises Concurrency or InvalidTransition, and then nothing of it is in the plan."""
        if w.key and (first := self._first_answer(w)) is not None:
            return Committed(self.size, replayed=first)
        self._check(w)
        rows = self._rows
        if w.key:
            self._keys[w.key] = (w.fingerprint, w.result)
            rows.keys.append((w.key, w.fingerprint, w.result))
        for append in w.appends:
            self._append(append)
        for item in w.outbox:
            rows.outbox.append((item.topic, item.payload))
        for b in w.bodies:
            rows.bodies.append(
                (b.body_id, b.salt, b.nonce, b.ciphertext, b.digest, b.media, b.size)
            )
        rows.credentials.extend(map(_credential, w.credentials))
        rows.erased.extend([(b"", b"", b"", body_id) for body_id in w.erased])
        if w.lease is not None:
            rows.leases.append(_lease(w.lease))
        self.empty = False
        return Committed(self.size)

    def _first_answer(self, w: WriteSet) -> bytes | None:
        """The result of a key used before; None when this is its first use."""
        first = self._keys.get(w.key)
        if first is None:
            return None
        if first[0] != w.fingerprint:
            raise InvalidTransition(
                f"the idempotency key `{w.key}` was used for another command",
                hint="Use a new key for a new command.",
            )
        return first[1]

    def _check(self, w: WriteSet) -> None:
        versions = self._versions
        for seen in w.seen:
            if versions.get(seen.stream, 0) != seen.version:
                raise _moved_on(seen.stream)
        own: dict[str, int] = {}
        for a in w.appends:
            stream = a.state.stream
            if own.get(stream, versions.get(stream, 0)) != a.expected_version:
                raise _moved_on(stream)
            own[stream] = a.state.version
        versions.update(own)

    def _append(self, a: Append) -> None:
        state, version, position = a.state, a.expected_version, self.size
        stream = state.stream
        for e in a.events:
            position += 1
            version += 1
            self._rows.events.append((position, stream, version, e.type, e.data, e.leaf))
            self._leaves.append(e.leaf)
        before = self._states.get(stream)
        self._states[stream] = (state, before[1] if before else self.size + 1)
        self.size = position

    def rows(self) -> tuple[Rows, Frontier]:
        """Everything to write, and the tree it leads to. A stream's state is written once."""
        rows = self._rows
        for stream, (state, opened) in self._states.items():
            held = self._known.states.get(stream)
            columns = lookups(state)
            if held is None:
                rows.opened.append((stream, state.version, state.doc, *columns, opened, state.root))
            elif held[1:] == columns:
                rows.moved.append((state.version, state.doc, stream))
            else:
                rows.changed.append((state.version, state.doc, *columns, stream))
        if not self._leaves:
            return rows, self._frontier
        grown, nodes = self._frontier.extend(self._leaves)
        rows.nodes = [(n.level, n.index, n.hash) for n in nodes]
        rows.frontier = grown.to_bytes()
        return rows, grown


def streams_of(writes: Iterable[WriteSet]) -> list[str]:
    """The streams whose versions decide whether these hold."""
    found: dict[str, None] = {}
    for w in writes:
        for append in w.appends:
            found[append.state.stream] = None
        for seen in w.seen:
            found[seen.stream] = None
    return list(found)


def keys_of(writes: Iterable[WriteSet]) -> list[str]:
    return list(dict.fromkeys([w.key for w in writes if w.key]))


def lookups(s: StateRow) -> Row:
    """The columns a state is found by, in the order of `append_sql.LOOKUPS`."""
    due_at = to_micros(s.due_at) if s.due_at else None
    return (s.kind, s.status, s.task_id, s.run_id, s.agent_id, s.match, s.rank, due_at)


def _credential(c: Credential) -> Row:
    expires_at = to_micros(c.expires_at) if c.expires_at else None
    scopes = " ".join(c.scopes)
    return (c.id, c.kind, c.subject, c.secret, scopes, expires_at, int(c.revoked))


def _lease(lease: Lease) -> Row:
    return (lease.resource, lease.holder, lease.epoch, to_micros(lease.expires_at))


def _moved_on(stream: str) -> Concurrency:
    return Concurrency(f"stream `{stream}` moved on", hint="Read it again.")
