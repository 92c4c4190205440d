"""The audit trail's reads: proofs, exports, erasure, replay."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from handfast import __version__
from handfast.core.audit.proofs import consistency_path, inclusion_path
from handfast.core.audit.tree import StoredSubtrees
from handfast.core.domain.body_kinds import body_ids
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import NotFound, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_org import BodyErased, BundleExported
from handfast.core.domain.ids import BodyId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.bundle_file import BundleContent, ExportedBody, write_bundle
from handfast.engine.erasure import MAY_ERASE, check_no_hold, check_not_open
from handfast.engine.heads import Heads
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.keys import SigningKey
from handfast.engine.notebook import DiskNotebook
from handfast.engine.people import signed_in
from handfast.engine.snapshots import Replayed
from handfast.storage.api import EventRow


class Audit:
    """Reads of the log and its proofs."""

    def __init__(self, kernel: Kernel, heads: Heads, key: SigningKey) -> None:
        self._kernel = kernel
        self._heads = heads
        self._key = key

    @property
    def verifier(self) -> str:
        return str(self._key.verifier)

    def head(self) -> str:
        """A freshly signed tree head, as a note."""
        return self._heads.sign().note

    def proof(self, position: int) -> Result:
        """Inclusion of one entry in the newest signed head. Raises NotFound."""
        head = self._heads.sign()
        if not 1 <= position <= head.size:
            raise NotFound(f"there is no entry {position}; the log has {head.size}")
        row = self._kernel.store.events(after=position - 1, limit=1)[0]
        path = inclusion_path(position - 1, head.size, self._subtrees())
        return {
            "position": position,
            "size": head.size,
            "entry": row.data.decode(),
            "leaf": row.leaf.hex(),
            "path": [h.hex() for h in path],
            "checkpoint": head.note,
        }

    def consistency(self, old: int, new: int) -> Result:
        """Proof that the log of size `new` only extends the log of size `old`. Raises UsageError."""
        size = self._kernel.store.size()
        if not 0 < old <= new <= size:
            raise UsageError(f"`from` and `to` must be 1 to {size}, in order")
        path = consistency_path(old, new, self._subtrees())
        return {"from": old, "to": new, "path": [h.hex() for h in path]}

    def _subtrees(self) -> StoredSubtrees:
        return StoredSubtrees(self._kernel.store)

    def export(self, actor: Actor, path: Path, *, bodies: bool) -> Result:
        """Write a bundle that can be verified offline. The export itself is an entry of the log."""
        self._record_export(actor, bodies=bodies)
        head = self._heads.sign()
        content = BundleContent(
            checkpoint=head.note,
            heads=self._notes(head.size),
            keys=(self._key.verifier,),
            entries=((row.leaf, row.data) for row in self._first(head.size)),
            bodies=self._bodies(head.size, bodies=bodies),
            exported_at=format_time(self._kernel.clock.now()),
            version=__version__,
        )
        entries = write_bundle(path, content)
        return {"path": str(path), "entries": entries, "bodies": bodies}

    def _record_export(self, actor: Actor, *, bodies: bool) -> None:
        def work(unit: Unit) -> Result:
            event = BundleExported(self._kernel.store.size() + 1, bodies)
            unit.record(Installation, INSTALLATION_ID, [event])
            return {}

        self._kernel.run(actor, work)

    def _notes(self, size: int) -> Iterator[str]:
        """Every signed head up to a size, a page at a time."""
        after = 0
        while page := self._kernel.store.keeping.heads_after(after):
            yield from (h.note for h in page if h.size <= size)
            after = page[-1].size

    def _first(self, size: int) -> Iterator[EventRow]:
        for row in self._kernel.store.scan():
            if row.position > size:
                return
            yield row

    def _bodies(self, size: int, *, bodies: bool) -> Iterator[ExportedBody]:
        """Every body that the entries refer to, once: held, erased, or withheld from this export."""
        with closing(DiskNotebook()) as seen:
            for row in self._first(size):
                if b'"body_id"' not in row.data:
                    continue
                for body_id in body_ids(json.loads(row.data)["data"]):
                    if seen.get(body_id) is None:
                        seen.put(body_id, b"1")
                        yield self._exported(body_id, bodies=bodies)

    def _exported(self, body_id: str, *, bodies: bool) -> ExportedBody:
        sealed = self._kernel.store.body(body_id)
        if sealed is None or not sealed.nonce:
            return ExportedBody(body_id, "erased")
        if not bodies:
            return ExportedBody(body_id, "withheld")
        content = self._kernel.vault.unseal(sealed)
        return ExportedBody(body_id, "held", sealed.salt, [content.data])

    def erase(self, actor: Actor, body_id: str, reason: str) -> Result:
        """Overwrite a body and its salt. The proofs stay valid. Idempotent.

        Raises NotFound, NotPermitted, InvalidTransition (`legal_hold`, `still_open`).
        """
        store = self._kernel.store
        if store.body(body_id) is None:
            raise NotFound(f"there is no body `{body_id}`")

        def work(unit: Unit) -> Result:
            signed_in(unit, actor, MAY_ERASE)
            check_no_hold(store, body_id)
            check_not_open(store, body_id)
            unit.record(Installation, INSTALLATION_ID, [BodyErased(BodyId(body_id), reason[:200])])
            unit.erase(body_id)
            return {"body_id": body_id, "erased": True}

        done = self._kernel.run(actor, work)
        store.keeping.scrub()
        return done

    def replay(self, stream: str) -> Replayed:
        """Fold one stream again and compare with what is stored. Raises NotFound."""
        return self._kernel.snapshots.verify(stream)
