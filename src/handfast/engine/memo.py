"""Decoded states by the bytes they were decoded from, so that a stream read again is not parsed again.

Nothing here can be stale: what is looked up is the document just read from the store, and the
state is what that document means. States are frozen, so commands may share one.
"""

from handfast.engine.projections import Kind, load

MOST_BYTES = 2_000_000
"""Of documents, in each of two generations."""


class Memo:
    """Bounded. Threads may race for it: at worst a document is decoded twice."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._held = 0
        self._new: dict[str, tuple[bytes, object]] = {}
        self._old: dict[str, tuple[bytes, object]] = {}

    def state(self, kind: Kind, stream: str, doc: bytes) -> object:
        """What `doc` means. Raises IntegrityError for a document that does not fit."""
        found = self._new.get(stream)
        if found is None and (found := self._old.get(stream)) is not None:
            self._keep(stream, found)
        if found is not None and found[0] == doc:
            return found[1]
        state = load(kind, doc)
        self._keep(stream, (doc, state))
        return state

    def put(self, stream: str, doc: bytes, state: object) -> None:
        """`doc` was just written from `state`."""
        self._keep(stream, (doc, state))

    def _keep(self, stream: str, entry: tuple[bytes, object]) -> None:
        before = self._new.get(stream)
        self._held += len(entry[0]) - (len(before[0]) if before else 0)
        self._new[stream] = entry
        if self._held > self._most_bytes:
            self._old, self._new, self._held = self._new, {}, 0
