"""The unit of work: load states, decide, record events, commit once; try again when outrun.

A command handler gets a `Unit`, reads states through it, and hands it events. The kernel folds
them, encodes them as leaves and commits everything in one write set. When another writer was
faster (Concurrency), the handler runs again on fresh state, so a handler must do nothing else.

The first run takes states from memory where this process saw them lately. They may be outdated, so the
commit holds only while every one of them is still what is stored, and nothing else is answered from them:
a command that is refused or that writes nothing runs again on what is stored.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar, cast

from handfast.core.audit.tree import leaf_hash
from handfast.core.domain.canonical import digest
from handfast.core.domain.errors import (
    Concurrency,
    HandfastError,
    InvalidTransition,
    NotFound,
    StorageError,
)
from handfast.core.domain.events import NAMES, Actor, Event, Recorded, to_bytes
from handfast.core.domain.events_work import BodyRef
from handfast.engine.clock import Clock
from handfast.engine.encoding import canonical
from handfast.engine.ids import new_id
from handfast.engine.projections import KINDS, MAX_KEPT, Kind, load, row_of
from handfast.engine.recent import Recent
from handfast.engine.roots import root_of
from handfast.engine.settings import Settings
from handfast.engine.snapshots import Snapshots
from handfast.engine.telemetry import OFF, Telemetry
from handfast.engine.vault import UPLOAD, Vault
from handfast.storage.api import (
    Append,
    Credential,
    Lease,
    NewEvent,
    SealedBody,
    Seen,
    StateRow,
    Store,
    WriteSet,
)
from handfast.storage.outbox import OutboxItem

S = TypeVar("S")
Result = dict[str, object]
ATTEMPTS = 50


@dataclass(slots=True)
class _Stream:
    kind: Kind
    base: int
    version: int
    state: object | None
    events: list[NewEvent] = field(default_factory=list)
    remembered: bool = False


class Unit:
    """One command's view of the world, and what it wants to write."""

    def __init__(
        self, kernel: "Kernel", actor: Actor, key: str, *, from_memory: bool = False
    ) -> None:
        self.now: datetime = kernel.clock.now()
        self._kernel = kernel
        self._actor = Actor(actor.type, actor.id, actor.auth)  # the log keeps no proof of theirs
        self._key = key
        self._from_memory = from_memory
        self._streams: dict[str, _Stream] = {}
        self._bodies: list[SealedBody] = []
        self._outbox: list[OutboxItem] = []
        self._credentials: list[Credential] = []
        self._lease: Lease | None = None
        self._relied_on: set[str] = set()
        self._erased: list[str] = []

    def find(self, state_type: type[S], item_id: str) -> S | None:
        """The state of one aggregate, or None."""
        return cast("S | None", self._stream(KINDS[state_type], item_id).state)

    def get(self, state_type: type[S], item_id: str) -> S:
        """Raises NotFound."""
        state = self.find(state_type, item_id)
        if state is None:
            raise NotFound(f"there is no {KINDS[state_type].name} `{item_id}`")
        return state

    def record(self, state_type: type[S], item_id: str, events: Sequence[Event]) -> S:
        """Append to one aggregate's stream and give its new state."""
        stream = self._stream(KINDS[state_type], item_id)
        for event in events:
            stream.version += 1
            recorded = Recorded(
                id=new_id("ev"),
                stream=f"{stream.kind.name}/{item_id}",
                version=stream.version,
                at=self.now,
                actor=self._actor,
                event=event,
                key=self._key,
            )
            data = to_bytes(recorded, canonical)
            stream.events.append(NewEvent(NAMES[type(event)], data, leaf_hash(data)))
            stream.state = stream.kind.evolve(stream.state, event, self.now)
        return cast("S", stream.state)

    def rely_on(self, state_type: type[S], item_id: str) -> None:
        """What was read of this aggregate must still be so at the commit, else the command runs again.

        What a command records is guarded anyway. This is for a decision that rests on another
        aggregate, where two commands that each only read the other's could both be wrong.
        """
        kind = KINDS[state_type]
        self._stream(kind, item_id)
        self._relied_on.add(f"{kind.name}/{item_id}")

    def put(self, data: bytes | str, media: str = "text/plain") -> BodyRef:
        ref, sealed = self._kernel.vault.seal(data, media)
        self._bodies.append(sealed)
        return ref

    def upload(self, data: bytes, media: str) -> BodyRef:
        """Content sent ahead of the request that it belongs to, which keeps a copy of its own."""
        ref, sealed = self._kernel.vault.seal(data, media, UPLOAD)
        self._bodies.append(sealed)
        return ref

    def put_json(self, value: object) -> BodyRef:
        ref, sealed = self._kernel.vault.seal_json(value)
        self._bodies.append(sealed)
        return ref

    def post(self, topic: str, payload: Mapping[str, object]) -> None:
        """Work that leaves the process, delivered at least once after the commit."""
        self._outbox.append(OutboxItem(topic, canonical(dict(payload))))

    def erase(self, body_id: str) -> None:
        """Overwrite a body and its salt. Idempotent."""
        self._erased.append(body_id)

    def credential(self, credential_id: str) -> Credential | None:
        """As stored. It holds until the commit where its changes are recorded of what the unit relies on."""
        return self._kernel.store.credential(credential_id)

    def put_credential(self, credential: Credential) -> None:
        self._credentials.append(credential)

    def take_lease(self, lease: Lease) -> None:
        self._lease = lease

    def _stream(self, kind: Kind, item_id: str) -> _Stream:
        name = f"{kind.name}/{item_id}"
        found = self._streams.get(name)
        if found is None:
            found = self._streams[name] = self._remembered(kind, name) or self._stored(kind, name)
        return found

    def _remembered(self, kind: Kind, name: str) -> _Stream | None:
        held = self._kernel.remembered.get(name) if self._from_memory else None
        return _Stream(kind, held[0], held[0], held[1], remembered=True) if held else None

    def _stored(self, kind: Kind, name: str) -> _Stream:
        row = self._kernel.store.load(name)
        if row is None:
            return _Stream(kind, 0, 0, None)
        state = load(kind, row.doc)
        if len(row.doc) <= MAX_KEPT:
            self._kernel.remembered.keep(name, (row.version, state))
        return _Stream(kind, row.version, row.version, state)

    def check_stored(self) -> None:
        """Raises Concurrency when what it was told may not be what is stored."""
        if any(s.remembered for s in self._streams.values()):
            raise Concurrency("taken from memory", hint="Read it again.")

    def forget(self) -> None:
        """Nobody takes from memory what this command did."""
        for name in self._streams:
            self._kernel.remembered.forget(name)

    def remember(self, write: WriteSet) -> None:
        """After its commit: the next command on these streams need not read them."""
        for a in write.appends:
            if len(a.state.doc) <= MAX_KEPT:
                stream = self._streams[a.state.stream]
                self._kernel.remembered.keep(a.state.stream, (stream.version, stream.state))

    def write_set(self, fingerprint: str, result: Result) -> WriteSet:
        appends = tuple(
            Append(s.base, tuple(s.events), self._row(name, s))
            for name, s in self._streams.items()
            if s.events
        )
        seen = tuple(
            Seen(name, s.base)
            for name, s in self._streams.items()
            if (s.remembered or name in self._relied_on) and not s.events
        )
        return WriteSet(
            appends=appends,
            seen=seen,
            erased=tuple(self._erased),
            bodies=tuple(self._bodies),
            outbox=tuple(self._outbox),
            credentials=tuple(self._credentials),
            lease=self._lease,
            key=self._key,
            fingerprint=fingerprint,
            result=canonical(result) if self._key else b"",
        )

    def _row(self, name: str, s: _Stream) -> StateRow:
        row = row_of(s.kind, name, s.version, s.state)
        return row if s.base else replace(row, root=root_of(self._glance, s.state))

    def _glance(self, state_type: type, item_id: str) -> object:
        """For what of a state never changes: it is not relied on."""
        name = f"{KINDS[state_type].name}/{item_id}"
        held = self._streams.get(name)
        if held is not None:
            return held.state
        row = self._kernel.store.load(name)
        return load(KINDS[state_type], row.doc) if row else None


class Kernel:
    """Store, clock, vault and settings, and the way to run a command on them."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, settings: Settings) -> None:
        self.store = store
        self.vault = vault
        self.clock = clock
        self.settings = settings
        self.snapshots = Snapshots(store, vault)
        self.telemetry: Telemetry = OFF
        self.remembered: Recent[str, tuple[int, object]] = Recent(1000)

    def run(
        self,
        actor: Actor,
        work: Callable[[Unit], Result],
        *,
        key: str = "",
        command: object = None,
        before_commit: Callable[[], None] | None = None,
    ) -> Result:
        """Run `work` and commit what it recorded, atomically.

        With `key`, a repeat of the same command gets the first result and writes nothing; the same
        key with another `command` raises InvalidTransition. Raises what `work` raises, Concurrency
        after 50 lost races, and the store's errors.
        """
        fingerprint = digest(command) if key else ""
        if key and (first := self._first_answer(key, fingerprint)) is not None:
            return first
        for attempt in range(ATTEMPTS):
            unit = Unit(self, actor, key, from_memory=attempt == 0)
            try:
                return self._once(unit, work, fingerprint, before_commit)
            except Concurrency:
                unit.forget()
                time.sleep(random.uniform(0, 0.001 * min(attempt, 10)))  # noqa: S311 - jitter
            except StorageError:
                self.remembered.clear()  # it may be another database when it is back
                raise
        raise Concurrency("too many writers on one stream", hint="Try again in a moment.")

    def _once(
        self,
        unit: Unit,
        work: Callable[[Unit], Result],
        fingerprint: str,
        before_commit: Callable[[], None] | None,
    ) -> Result:
        """Raises Concurrency when something it rests on is not what is stored."""
        try:
            result = work(unit)
        except HandfastError:
            unit.check_stored()
            raise
        write = unit.write_set(fingerprint, result)
        if not _writes(write):
            unit.check_stored()
            return result
        if before_commit:
            before_commit()
        committed = self.store.commit(write)
        if committed.replayed is not None:
            return cast("Result", json.loads(committed.replayed))
        unit.remember(write)
        self.committed(write)
        return result

    def committed(self, write: WriteSet) -> None:
        """Called after each commit. Must not raise: the write is durable and must be answered."""
        self.snapshots.after(write)

    def _first_answer(self, key: str, fingerprint: str) -> Result | None:
        found = self.store.answer(key)
        if found is None:
            return None
        if found[0] != fingerprint:
            raise InvalidTransition(
                f"the idempotency key `{key}` was used for another command",
                hint="Use a new key for a new command.",
            )
        return cast("Result", json.loads(found[1]))

    def state(self, state_type: type[S], item_id: str) -> S:
        """The stored state. Raises NotFound."""
        kind = KINDS[state_type]
        row = self.store.load(f"{kind.name}/{item_id}")
        if row is None:
            raise NotFound(f"there is no {kind.name} `{item_id}`")
        return cast("S", load(kind, row.doc))


def _writes(w: WriteSet) -> bool:
    return bool(w.key or w.appends or w.bodies or w.erased or w.outbox or w.credentials or w.lease)
