"""Bodies beside the log: the keyed digest an entry holds, and the check of a bundle's bodies."""

import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from handfast.core.audit.bundle_format import (
    BODY_CONTENT,
    BODY_FOLDER,
    BODY_INDEX,
    MAX_PART_BYTES,
    BundleReader,
    json_object,
    split_lines,
)
from handfast.core.audit.notebook import Notebook
from handfast.core.audit.report import Findings
from handfast.core.domain.errors import IntegrityError, UsageError

MAX_ERASED = 1_000
_SHORTEST_SALT = 16


def body_digest(salt: bytes, chunks: Iterable[bytes]) -> str:
    """`hmac-sha256:` and the HMAC of the content under the body's salt.

    Once the salt is erased with the body, the digest in the log tells nothing of the content.
    """
    return _digest_and_size(salt, chunks)[0]


@dataclass(frozen=True, slots=True)
class BodyReference:
    """Where an entry first names a body, and what it says about it."""

    position: int
    event_id: str
    digest: str
    size: int

    def to_bytes(self) -> bytes:
        return f"{self.position} {self.size} {self.digest}\n{self.event_id}".encode()


def reference_of(stored: bytes) -> BodyReference:
    head, _, event_id = stored.decode().partition("\n")
    position, size, digest = head.split(" ", 2)
    return BodyReference(int(position), event_id, digest, int(size))


@dataclass(slots=True)
class BodyCheck:
    """Compares the bodies of a bundle with what its entries say about them.

    Of many erased bodies the first `MAX_ERASED` are named.
    """

    references: Notebook
    findings: Findings
    seen: Notebook
    verified: int = 0
    erased: list[str] = field(default_factory=list)
    erased_count: int = 0
    recorded: Counter[int] = field(default_factory=Counter)
    withheld: int = 0
    _parts: set[str] = field(default_factory=set)

    def run(self, bundle: BundleReader, recorded_at: Callable[[str], int | None]) -> None:
        """Reads every body once, in pieces. A body that is erased or withheld is not an error.

        `recorded_at` gives the position of the entry that records an erasure.
        """
        names = bundle.names()
        self._parts = {n.removeprefix(BODY_FOLDER) for n in names if n.startswith(BODY_FOLDER)}
        packed = _Packed(bundle.chunks(BODY_CONTENT)) if BODY_CONTENT in names else None
        try:
            for line in split_lines(bundle.chunks(BODY_INDEX), BODY_INDEX, MAX_PART_BYTES):
                record = json_object(line, f"a line of `{BODY_INDEX}`")
                self._record(bundle, packed, record, recorded_at)
            if packed is not None and not packed.over():
                self.findings.add(
                    "body_unlisted", f"`{BODY_CONTENT}` holds more than the list of bodies says."
                )
        except IntegrityError as error:
            self.findings.add("unreadable", f"The list of bodies cannot be read: {error}.")
        for body_id, stored in self.references.items():
            if self.seen.get(body_id) is None:
                self._wrong(body_id, reference_of(stored), "is missing from the bundle")
        for body_id in sorted(self._parts):
            self.findings.add(
                "body_unlisted", f"Body `{body_id}` is in the bundle but not in its list of bodies."
            )

    def _record(
        self,
        bundle: BundleReader,
        packed: "_Packed | None",
        record: Mapping[str, object],
        recorded_at: Callable[[str], int | None],
    ) -> None:
        body_id, state = str(record.get("body_id")), record.get("state")
        content: Iterable[bytes] = ()
        if state == "held" and packed is not None:
            content = packed.next(record.get("size"))  # also of one that is not to be there
        elif state == "held":
            self._parts.discard(body_id)
            content = bundle.chunks(BODY_FOLDER + body_id)
        if self.seen.get(body_id) is not None:
            self.findings.add("body_listed_twice", f"Body `{body_id}` is listed twice.")
            return
        self.seen.put(body_id, b"1")
        stored = self.references.get(body_id)
        if stored is None:
            self.findings.add(
                "body_unknown", f"Body `{body_id}` is in the bundle, but no entry refers to it."
            )
        elif state == "erased":
            self._erased(body_id, recorded_at(body_id))
        elif state == "withheld":
            self.withheld += 1
        elif state == "held":
            self._compare(body_id, reference_of(stored), record.get("salt"), content)
        else:
            self._wrong(body_id, reference_of(stored), f"has the unknown state {state!r:.40}")

    def _erased(self, body_id: str, position: int | None) -> None:
        self.erased_count += 1
        if position is not None:
            self.recorded[position] += 1
        if len(self.erased) < MAX_ERASED:
            self.erased.append(body_id)

    def _compare(
        self, body_id: str, reference: BodyReference, salt_hex: object, content: Iterable[bytes]
    ) -> None:
        try:
            salt = bytes.fromhex(salt_hex) if isinstance(salt_hex, str) else b""
            if len(salt) < _SHORTEST_SALT:
                raise ValueError
            digest, size = _digest_and_size(salt, content)
        except ValueError:
            self._wrong(body_id, reference, "has no readable salt")
        except (IntegrityError, UsageError) as error:
            self._wrong(body_id, reference, f"cannot be read: {error}")
        else:
            if digest != reference.digest:
                self._wrong(body_id, reference, "is not what was recorded: its digest differs")
            elif size != reference.size:
                self._wrong(
                    body_id, reference, f"has {size} bytes where {reference.size} were recorded"
                )
            else:
                self.verified += 1

    def _wrong(self, body_id: str, reference: BodyReference, what: str) -> None:
        self.findings.add(
            "body",
            f"Body `{body_id}` of the entry at position {reference.position} {what}.",
            position=reference.position,
            event_id=reference.event_id,
        )


class _Packed:
    """Contents one after the other, read forwards only: what was left of one is skipped by the next."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._left = 0

    def next(self, size: object) -> Iterator[bytes]:
        """The next content, in pieces. Raises IntegrityError when its size is none, or it is cut off."""
        for _ in self._pieces():
            pass
        if type(size) is not int or size < 0:
            raise IntegrityError(f"a line of `{BODY_INDEX}` holds no size")
        self._left = size
        return self._pieces()

    def over(self) -> bool:
        for _ in self._pieces():
            pass
        return not self._rest and not next(self._chunks, b"")

    def _pieces(self) -> Iterator[bytes]:
        while self._left:
            chunk = self._rest or next(self._chunks, b"")
            if not chunk:
                raise IntegrityError(f"`{BODY_CONTENT}` is cut off")
            piece, self._rest = chunk[: self._left], chunk[self._left :]
            self._left -= len(piece)
            yield piece


def _digest_and_size(salt: bytes, chunks: Iterable[bytes]) -> tuple[str, int]:
    mac = hmac.new(salt, digestmod="sha256")
    size = 0
    for chunk in chunks:
        mac.update(chunk)
        size += len(chunk)
    return "hmac-sha256:" + mac.hexdigest(), size
