"""The audit trail page by page, newest first, for people who look for something: bounded reads only."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from handfast.core.audit.note import parse_checkpoint, parse_note, parse_verifier_key, signed_by
from handfast.core.audit.proofs import verify_inclusion
from handfast.core.audit.tree import leaf_hash
from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.domain.events import WIRE, from_bytes
from handfast.engine.audit import Audit
from handfast.engine.kernel import Kernel, Result
from handfast.engine.keys import ed25519_verify
from handfast.engine.people import People
from handfast.engine.run_words import run_said
from handfast.engine.saying import said
from handfast.engine.views import Views
from handfast.storage.api import EventRow

Sees: TypeAlias = Callable[[list[EventRow]], list[EventRow]]
SHOWN = 50
SCANNED = 5_000
_PAGE = 500
_CONTENT = 4_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries. `stream` is a stream's name or the id in it, `who` an actor's id or a part of their
    name; empty fields do not filter."""

    types: tuple[str, ...] = ()
    stream: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class TrailPage:
    """`before` goes into the next call; 0 at the beginning of the log. `scanned` entries were looked at."""

    items: list[Result]
    before: int
    scanned: int
    size: int


def check_types(types: Sequence[str]) -> tuple[str, ...]:
    """Raises UsageError for a name that is no type of event."""
    for name in types:
        if name not in WIRE:
            raise UsageError(f"`{name[:60]}` is no type of event", hint="Choose one of the list.")
    return tuple(types)


class Trail:
    """For one answer only: names are looked up once."""

    def __init__(self, kernel: Kernel, people: People, views: Views) -> None:
        self._store = kernel.store
        self._people = people
        self._views = views
        self._names: dict[tuple[str, str], str] = {}

    def look_back(self, wanted: Wanted, before: int = 0, sees: Sees = list) -> TrailPage:
        """At most 50 entries before a position (0: the end), newest first, of at most 5,000 looked at. `sees` says
        which of some entries may be shown."""
        size = self._store.size()
        end = min(before - 1, size) if before > 0 else size
        found: list[EventRow] = []
        scanned = 0
        while end > 0 and len(found) < SHOWN and scanned < SCANNED:
            start = max(0, end - _PAGE)
            rows = self._store.events(after=start, limit=end - start)
            seen = {row.position for row in sees(rows)}
            for row in reversed(rows):
                scanned, end = scanned + 1, row.position - 1
                if row.position in seen and self._fits(row, wanted):
                    found.append(row)
                    if len(found) == SHOWN:
                        break
        items = [self.entry(row) for row in found]
        return TrailPage(items, end + 1 if end > 0 else 0, scanned, size)

    def _fits(self, row: EventRow, wanted: Wanted) -> bool:
        if wanted.types and row.type not in wanted.types:
            return False
        if wanted.stream and wanted.stream not in (row.stream, row.stream.partition("/")[2]):
            return False
        if not wanted.who:
            return True
        actor = json.loads(row.data)["actor"]  # empty members are left out
        actor_id = str(actor.get("id", ""))
        name = self._name(str(actor.get("type", "")), actor_id)
        return wanted.who == actor_id or wanted.who.casefold() in name.casefold()

    def _name(self, kind: str, actor_id: str) -> str:
        key = (kind, actor_id)
        if key not in self._names:
            named = {"person": self._people.name, "agent": self._views.agent_name}.get(kind)
            self._names[key] = named(actor_id) if named else actor_id
        return self._names[key]

    def entry(self, row: EventRow) -> Result:
        """position, stream, version, type, at, who, who_type, auth, text, data, intact."""
        recorded = from_bytes(row.data)
        words = run_said(recorded.event, self._views.text)
        data = json.loads(row.data)["data"]
        return {
            "position": row.position,
            "stream": row.stream,
            "version": row.version,
            "type": row.type,
            "at": recorded.at,
            "who": self._name(recorded.actor.type, recorded.actor.id),
            "who_type": recorded.actor.type,
            "auth": recorded.actor.auth,
            "text": words or said(recorded.event, self._views.text, self._people.name),
            "data": json.dumps(data, indent=1, ensure_ascii=False)[:_CONTENT],
            "intact": leaf_hash(row.data) == row.leaf,
        }


def check_shown(audit: Audit, positions: Sequence[int]) -> Result:
    """Whether this log's key signed the head of now, and each of these entries is proved to be under it:
    size, verifier, note, signed, proved, wrong (their positions)."""
    note = audit.head()
    key = parse_verifier_key(audit.verifier)
    wrong = [position for position in positions if not _proved(audit, position)]
    return {
        "size": parse_checkpoint(parse_note(note).text).size,
        "verifier": audit.verifier,
        "note": note,
        "signed": signed_by(parse_note(note), [key], ed25519_verify) is not None,
        "proved": len(positions) - len(wrong),
        "wrong": wrong,
    }


def _proved(audit: Audit, position: int) -> bool:
    """From the stored bytes of the entry to the root of the signed head."""
    try:
        proof = audit.proof(position)
        head = parse_checkpoint(parse_note(str(proof["checkpoint"])).text)
        path = proof["path"]
        hashes = [bytes.fromhex(str(h)) for h in path] if isinstance(path, list) else []
        leaf = leaf_hash(str(proof["entry"]).encode())
        return verify_inclusion(leaf, position - 1, head.size, hashes, head.root)
    except HandfastError:
        return False
