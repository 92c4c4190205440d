"""Snapshots: the fold of a long stream kept now and then, so that no look back reads all of it.

A snapshot is a cache. It is used only where its stamp is right (made by this installation, for this
stream, version and fold) and the log holds at its version the very event it was made at; whatever does
not fit is passed over, and the fold begins earlier. Verification never starts from one: it folds from the
first event and holds every snapshot on the way against that.
"""

import hmac
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from handfast.core.domain.errors import IntegrityError, NotFound, SchemaVersion, StorageError
from handfast.engine.projections import BY_NAME, Folding, kind_of, load
from handfast.engine.vault import Vault
from handfast.storage.api import EventRow, Snapshot, StateRow, Store, WriteSet

EVERY = 250  # decoding and folding so many takes about 25 ms; a snapshot is a row of a few hundred bytes
_PAGE = 500
_TRIES = 5
log = logging.getLogger("handfast.engine")


@dataclass(frozen=True, slots=True)
class Replayed:
    """One stream folded again. `same` is whether the stored state is byte for byte the fold, and every
    snapshot of it too. `snapshots` were compared; `stray` is the version of the first that differs."""

    stream: str
    events: int
    same: bool
    why: str = ""
    snapshots: int = 0
    stray: int = 0


class Snapshots:
    """Takes them after a commit, and folds streams with their help."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    def after(self, write: WriteSet) -> None:
        """Keep what is due of a committed write. A failure is logged: the write itself is durable."""
        due = [
            self._of(a.state, a.events[-1].leaf)
            for a in write.appends
            if a.expected_version // EVERY != a.state.version // EVERY
        ]
        if due:
            try:
                self._store.keeping.put_snapshots(due)
            except StorageError as e:
                log.warning("a snapshot of `%s` was not kept: %s", due[0].stream, e.message)

    def _of(self, row: StateRow, leaf: bytes) -> Snapshot:
        fold = kind_of(row.stream).fold
        plain = Snapshot(row.stream, row.version, fold, row.doc, b"")
        return Snapshot(row.stream, row.version, fold, row.doc, self._stamp(plain, leaf))

    def _stamp(self, s: Snapshot, leaf: bytes) -> bytes:
        head = f"{s.stream}\n{s.version}\n{s.fold}\n".encode()
        return self._vault.stamp("snapshot", head + leaf + s.doc)

    # -- looking back

    def state_at(self, stream: str, version: int = 0) -> StateRow:
        """The state that the first `version` events lead to; 0 means all of them.

        Reads at most about 250 events of a stream that has its snapshots. Raises NotFound for a version
        the stream has not reached, IntegrityError for a gap.
        """
        last = version or 2**53
        folding = self._start(stream, last)
        for row in self._events(stream, folding.version, last):
            folding.take(row)
        if not folding.version or (version and folding.version != version):
            raise NotFound(
                f"stream `{stream}` has no version {version or 1}",
                hint=f"It has {folding.version} events." if folding.version else "",
            )
        return folding.row()

    def _start(self, stream: str, at_most: int) -> Folding:
        """From the newest snapshot that can be believed, else from nothing."""
        kind = kind_of(stream)
        while at_most > 0:
            found = self._store.keeping.newest_snapshot(stream, at_most=at_most, fold=kind.fold)
            if found is None:
                break
            if self._genuine(found):
                return Folding(stream, found.version, load(kind, found.doc))
            log.warning("the snapshot of `%s` at %s is passed over", stream, found.version)
            at_most = found.version - 1
        return Folding(stream)

    def _genuine(self, s: Snapshot) -> bool:
        rows = self._store.events(stream=s.stream, after=s.version - 1, limit=1)
        if not rows or rows[0].version != s.version:
            return False
        return hmac.compare_digest(self._stamp(s, rows[0].leaf), s.mac)

    def verify(self, stream: str) -> Replayed:
        """Fold every event from the first, and compare state and snapshots with that. Raises NotFound."""
        stored = self._store.load(stream)
        if stored is None:
            raise NotFound(f"there is no stream `{stream}`")
        try:
            folding, compared, stray = self._whole(stream)
        except IntegrityError as e:
            return Replayed(stream, 0, same=False, why=e.message)
        folded = folding.row()
        if folded.doc != stored.doc or folded.version != stored.version:
            why = f"the stored state (version {stored.version}) is not the fold of {folded.version} events"
        else:
            why = f"the snapshot at version {stray} is not the fold" if stray else ""
        return Replayed(stream, folded.version, not why, why, compared, stray)

    def _whole(self, stream: str) -> tuple[Folding, int, int]:
        """The full fold; how many snapshots lay on the way, and the first version of one that differs."""
        folding, compared, stray = Folding(stream), 0, 0
        fold = kind_of(stream).fold
        kept = (s for s in self._kept(stream) if s.fold == fold)
        following = next(kept, None)
        for row in self._events(stream, 0, 2**53):
            folding.take(row)
            if following is not None and following.version == folding.version:
                compared += 1
                right = following.doc == folding.row().doc and self._genuine(following)
                stray = stray or (0 if right else following.version)
                following = next(kept, None)
        return folding, compared, stray or (following.version if following else 0)

    def _kept(self, stream: str) -> Iterator[Snapshot]:
        after = 0
        while page := self._store.keeping.snapshots(stream, after=after, limit=20):
            yield from page
            after = page[-1].version

    def _events(self, stream: str, after: int, last: int) -> Iterator[EventRow]:
        while after < last:
            page = self._store.events(stream=stream, after=after, limit=min(_PAGE, last - after))
            yield from page
            if not page:
                return
            after = page[-1].version

    # -- making states again

    def rebuild(self, stream: str) -> bool:
        """Write the state again as the log says, and its snapshots. True when the state differed.

        Raises NotFound, IntegrityError where the log itself has a gap; nothing is written then.
        """
        for _ in range(_TRIES):
            stored = self._store.load(stream)
            if stored is None:
                raise NotFound(f"there is no stream `{stream}`")
            folding = Folding(stream)
            for row in self._events(stream, 0, stored.version):
                folding.take(row)
                if folding.version % EVERY == 0:
                    self._store.keeping.put_snapshots([self._of(folding.row(), row.leaf)])
            folded = folding.row()
            if folded.version != stored.version:
                raise IntegrityError(
                    f"stream `{stream}` has {folded.version} events, its state is of version "
                    f"{stored.version}",
                    hint="Restore the database from a backup.",
                )
            if self._store.keeping.put_state(folded):
                return folded.doc != stored.doc
        raise StorageError(f"stream `{stream}` grows too fast to be folded", retryable=True)

    def rebuild_changed(self) -> int:
        """Make the states of every kind again whose fold has another number than the one they were made
        with. Gives how many streams that were.

        Raises SchemaVersion where a newer Handfast made them.
        """
        known = self._store.keeping.folds()
        done = 0
        for kind in BY_NAME.values():
            was = known.get(kind.name, 1)
            if was > kind.fold:
                raise SchemaVersion(
                    f"the states of `{kind.name}` were made by a newer Handfast (fold {was})",
                    hint="Use the Handfast that wrote them, or a newer one. Nothing was changed.",
                )
            if was < kind.fold:
                if self._store.keeping.streams(kind.name, limit=1):
                    log.warning("folding every `%s` again: its fold has changed", kind.name)
                for stream in self._of_kind(kind.name):
                    self.rebuild(stream)
                    done += 1
                self._store.keeping.put_fold(kind.name, kind.fold)
        return done

    def _of_kind(self, kind: str) -> Iterator[str]:
        after = 0
        while page := self._store.keeping.streams(kind, after=after):
            yield from (stream for _, stream in page)
            after = page[-1][0]
