"""The store in the words of the domain. No SQL crosses this line.

Guarantees every implementation gives (the conformance suite in `handfast.testing.store` holds them):

- `commit` is atomic: events, state rows, bodies, outbox rows, lease and tree commit together or
  not at all. It returns only after the database says the transaction is durable.
- A stale `expected_version` leaves nothing behind and raises Concurrency.
- A `Seen` stream that moved on does the same: what a command only read is as guarded as what it wrote.
- A text with a NUL or half a surrogate pair is refused with UsageError, on every database alike.
- An idempotency key that was used before returns the first result again and writes nothing;
  with another fingerprint it raises InvalidTransition.
- Positions are dense, start at 1 and are visible in order: a reader that has seen position n
  has seen everything before it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from handfast.core.domain.project import Sight
from handfast.storage.outbox import Outbox, OutboxItem


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event as stored. `data` is its canonical bytes, `leaf` their RFC 6962 leaf hash."""

    position: int
    stream: str
    version: int
    type: str
    data: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class NewEvent:
    type: str
    data: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class StateRow:
    """The fold of one stream, with the columns it is looked up by.

    `doc` is canonical JSON of the state. `match` finds an equal thing (an open handoff about the
    same action, a session's run); `rank` orders a queue, smallest first. `root` is the repository it belongs to,
    None where it belongs to none: it stays what it was when the stream began.
    """

    stream: str
    kind: str
    version: int
    status: str
    doc: bytes
    task_id: str = ""
    run_id: str = ""
    agent_id: str = ""
    match: str = ""
    rank: int = 0
    due_at: datetime | None = None
    opened: int = 0
    root: str | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """Events for one stream and the state they lead to. `expected_version` 0 means a new stream."""

    expected_version: int
    events: tuple[NewEvent, ...]
    state: StateRow


@dataclass(frozen=True, slots=True)
class Seen:
    """A stream that a command read and relies on, at the version it had. 0 means it is not there."""

    stream: str
    version: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fold of a stream's first `version` events, under the fold numbered `fold`. A cache: `mac` is
    what its maker put on it, and the log is what counts."""

    stream: str
    version: int
    fold: int
    doc: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Due:
    """A stream whose events after version `done` may have bodies of this kind to erase, the oldest of
    them recorded at `next_at`."""

    stream: str
    kind: str
    done: int
    next_at: datetime


@dataclass(frozen=True, slots=True)
class SealedBody:
    body_id: str
    salt: bytes
    nonce: bytes
    ciphertext: bytes
    digest: str
    media: str
    size: int


@dataclass(frozen=True, slots=True)
class Lease:
    resource: str
    holder: str
    epoch: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret's hash and what it opens. `kind` is token, password, pin, session or setup."""

    id: str
    kind: str
    subject: str
    secret: str
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class WriteSet:
    """Everything one command writes. `result` is what a repeat of `key` gets back.

    `seen` must still hold when it commits. `erased` names bodies whose content and salt are overwritten.
    """

    appends: tuple[Append, ...] = ()
    seen: tuple[Seen, ...] = ()
    erased: tuple[str, ...] = ()
    bodies: tuple[SealedBody, ...] = ()
    outbox: tuple[OutboxItem, ...] = ()
    credentials: tuple[Credential, ...] = ()
    lease: Lease | None = None
    key: str = ""
    fingerprint: str = ""
    result: bytes = b""


@dataclass(frozen=True, slots=True)
class Committed:
    """`position` is the log's size after this write; `replayed` the first result of a used key."""

    position: int
    replayed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Which state rows. Empty fields do not filter. `after` pages by (rank, opened) of a row.

    Rows come by (rank, opened); with `newest_first` by `opened` downwards; with `due_before` the
    longest due first, and then there is no paging: handled rows are due no more. `undated` takes only
    rows without a due time. `within` takes only tasks, runs and handoffs of repositories that somebody may
    know of.
    """

    kind: str
    statuses: tuple[str, ...] = ()
    task_id: str = ""
    run_id: str = ""
    agent_id: str = ""
    match: str = ""
    due_before: datetime | None = None
    undated: bool = False
    newest_first: bool = False
    after: tuple[int, int] | None = None
    limit: int = 100
    within: Sight | None = None


@dataclass(frozen=True, slots=True)
class TreeHead:
    size: int
    note: str


class EventLog(Protocol):
    def commit(self, write: WriteSet) -> Committed:
        """Raises Concurrency, Unavailable, DiskFull, InvalidTransition (a key reused differently),
        UsageError for a write set that cannot be stored.
        """
        ...

    def answer(self, key: str) -> tuple[str, bytes] | None:
        """Fingerprint and result of an idempotency key that was used, or None."""
        ...

    def size(self) -> int:
        """Number of events, which is the last position."""
        ...

    def events(
        self, *, stream: str = "", after: int = 0, limit: int = 500, types: Sequence[str] = ()
    ) -> list[EventRow]:
        """A page in order: of one stream after a version, else of the log after a position.

        With `types` only those; the page is full as long as there are more of them.
        """
        ...

    def scan(self, after: int = 0) -> Iterator[EventRow]:
        """The whole log in order, in bounded memory."""
        ...


class Tree(Protocol):
    def frontier(self) -> bytes: ...

    def leaf_hashes(self, start: int, stop: int) -> Sequence[bytes]: ...

    def node_hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]: ...

    def heads(self, limit: int = 0) -> list[TreeHead]:
        """Signed heads, oldest first; the newest `limit` of them when it is set."""
        ...

    def add_head(self, head: TreeHead) -> None:
        """Idempotent for a size."""
        ...


class States(Protocol):
    def load(self, stream: str) -> StateRow | None: ...

    def find(self, query: Query) -> list[StateRow]: ...

    def count(self, kind: str, statuses: Sequence[str], within: Sight | None = None) -> int: ...

    def ranks(
        self, kind: str, statuses: Sequence[str], within: Sight | None = None
    ) -> dict[int, int]:
        """How many rows of these statuses there are of each rank."""
        ...

    def begun(self, kind: str, match: str) -> list[int]:
        """`opened` of every row with this match, oldest first."""
        ...


class Bodies(Protocol):
    def body(self, body_id: str) -> SealedBody | None:
        """None when it never existed. An erased body has empty salt, nonce and ciphertext."""
        ...

    def bodies(self, body_ids: Sequence[str]) -> dict[str, SealedBody]: ...

    def erase_body(self, body_id: str) -> None:
        """Idempotent. Overwrites content and salt."""
        ...


class Credentials(Protocol):
    def credential(self, credential_id: str) -> Credential | None: ...

    def credentials_of(self, subject: str, kind: str) -> list[Credential]: ...

    def revoke_credential(self, credential_id: str) -> None: ...


class Leases(Protocol):
    def lease(self, resource: str) -> Lease | None:
        """Taken in a write set; one with the epoch of the stored lease, or less, is refused there."""
        ...

    def renew_lease(self, resource: str, epoch: int, expires_at: datetime) -> bool:
        """False when the lease has another epoch by now."""
        ...


class Keeping(Protocol):
    """What makes a long log bearable: snapshots, folds, retention. All of it can be made from the log
    again, and each call is a transaction of its own.
    """

    def snapshots(self, stream: str, *, after: int = 0, limit: int = 100) -> list[Snapshot]:
        """Of any fold, by version."""
        ...

    def newest_snapshot(self, stream: str, *, at_most: int, fold: int) -> Snapshot | None: ...

    def put_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """One with the same stream and version is replaced."""
        ...

    def put_state(self, row: StateRow) -> bool:
        """Write a state again, folded from the log. False when the stream has another version by now."""
        ...

    def folds(self) -> dict[str, int]:
        """The number of the fold that the states of each kind were made with."""
        ...

    def put_fold(self, kind: str, number: int) -> None: ...

    def streams(self, kind: str, *, after: int = 0, limit: int = 500) -> list[tuple[int, str]]:
        """A page of a kind's streams, by when they began: (`opened`, name). `after` is the last one's."""
        ...

    def heads_after(self, size: int, limit: int = 500) -> list["TreeHead"]:
        """A page of signed heads beyond a size, smallest first."""
        ...

    def followed(self) -> int:
        """The position up to which `follow` has seen the log."""
        ...

    def follow(self, old: int, position: int, streams: Mapping[tuple[str, str], datetime]) -> bool:
        """Note the streams that have bodies of a kind, by (stream, kind), with the time of the oldest new
        one. False when somebody else went on from `old` already; then nothing is written."""
        ...

    def due(
        self, kind: str, before: datetime, *, after: Due | None = None, limit: int = 100
    ) -> list[Due]:
        """Streams with bodies that were recorded before a time, longest due first."""
        ...

    def handled(self, due: Due, done: int, next_at: datetime | None) -> None:
        """Nothing of this kind is left up to version `done`; the next one is of `next_at`."""
        ...

    def sizes(self, body_ids: Sequence[str]) -> dict[str, int]:
        """Bytes of the content of those bodies that are still there."""
        ...

    def outbox_depth(self) -> int:
        """How many rows of the outbox are not delivered."""
        ...

    def scrub(self) -> bool:
        """Let go of the space of what was erased, so that the database's files hold it no more, as far as
        the database can do that. False when a reader or a right is in the way: ask again later."""
        ...


class Store(EventLog, Tree, States, Bodies, Credentials, Leases, Outbox, Protocol):
    """All of it, thread-safe."""

    keeping: Keeping

    def subscribe(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener(size)` after commits of this process, and soon after those of others where the
        database tells: a listener that must miss nothing also looks by itself now and then.

        Returns the undo. The listener must not block, and may be called from any thread.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the store says of itself, for health pages."""

    database: str
    schema: str
    details: dict[str, str] = field(default_factory=dict)
