"""Write sets with content that can be checked, and what must be true of any log."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from handfast.core.audit.tree import Frontier, StoredSubtrees, leaf_hash
from handfast.core.domain.errors import HandfastError
from handfast.storage.api import (
    Append,
    Credential,
    Lease,
    NewEvent,
    SealedBody,
    StateRow,
    Store,
    WriteSet,
)
from handfast.storage.outbox import OutboxItem

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def new_event(stream: str, version: int, kind: str = "test.happened") -> NewEvent:
    data = f"{stream}:{version}".encode(errors="surrogatepass")
    return NewEvent(kind, data, leaf_hash(data))


def append(stream: str, expected: int = 0, events: int = 1, /, **columns: object) -> Append:
    """Events with bytes `stream:version`, and the state after them. `columns` are those of StateRow."""
    version = expected + events
    made = tuple(new_event(stream, expected + n) for n in range(1, events + 1))
    given: dict[str, object] = {"kind": "thing", "status": "open", "doc": f"v{version}".encode()}
    state = StateRow(stream=stream, version=version, **(given | columns))  # type: ignore[arg-type]
    return Append(expected, made, state)


def write(stream: str, expected: int = 0, events: int = 1, /, **columns: object) -> WriteSet:
    return WriteSet(appends=(append(stream, expected, events, **columns),))


def body(body_id: str) -> SealedBody:
    return SealedBody(
        body_id,
        b"salt",
        b"nonce",
        b"sealed " + body_id.encode(errors="surrogatepass"),
        "hmac",
        "text",
        9,
    )


def whole(name: str, *, epoch: int = 1) -> WriteSet:
    """A write set with one of everything, all of it found again under `name`."""
    return WriteSet(
        appends=(append(f"thing/{name}"),),
        bodies=(body(f"bo_{name}"),),
        outbox=(OutboxItem("topic", name.encode()),),
        credentials=(Credential(f"tok_{name}", "token", "ag_1", "hash", ("read",), NOON),),
        lease=Lease(f"run/{name}", "runner", epoch, NOON),
        key=f"key-{name}",
        fingerprint="same",
        result=name.encode(),
    )


def parts_of(store: Store, name: str) -> dict[str, bool]:
    """Which parts of `whole(name)` are there."""
    return {
        "event": bool(store.events(stream=f"thing/{name}")),
        "state": store.load(f"thing/{name}") is not None,
        "body": store.body(f"bo_{name}") is not None,
        "outbox": name.encode() in [row.payload for row in store.outbox(100_000)],
        "credential": store.credential(f"tok_{name}") is not None,
        "lease": store.lease(f"run/{name}") is not None,
        "key": store.answer(f"key-{name}") is not None,
    }


def check_log(store: Store) -> int:
    """Positions and versions without gaps, leaves of the bytes, the tree over exactly them.

    Gives the size of the log.
    """
    leaves: list[bytes] = []
    versions: dict[str, int] = {}
    for position, row in enumerate(store.scan(), start=1):
        assert row.position == position
        assert row.version == versions.get(row.stream, 0) + 1, row
        versions[row.stream] = row.version
        assert row.leaf == leaf_hash(row.data)
        leaves.append(row.leaf)
    size = len(leaves)
    assert store.size() == size
    recomputed, _ = Frontier().extend(leaves)
    assert Frontier.from_bytes(store.frontier()) == recomputed
    assert list(store.leaf_hashes(0, size)) == leaves
    subtree = StoredSubtrees(store)
    for tile in range(size // 256):
        tip, _ = Frontier().extend(leaves[tile * 256 : (tile + 1) * 256])
        assert subtree(8, tile) == tip.root()
    for stream, version in versions.items():
        state = store.load(stream)
        assert state is not None
        assert state.version == version
    return size


@contextmanager
def refused(error: type[HandfastError]) -> Iterator[None]:
    """The block must raise `error`."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")
