"""Bodies beside the log: the keyed digest an entry holds, and the check of a bundle's bodies."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from handfast.core.audit.bundle_format import (
    BODY_FOLDER,
    BODY_INDEX,
    MAX_PART_BYTES,
    BundleReader,
    body_part,
    json_object,
    split_lines,
)
from handfast.core.audit.report import Findings
from handfast.core.domain.errors import IntegrityError, UsageError

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


@dataclass(slots=True)
class BodyCheck:
    """Compares the bodies of a bundle with what its entries say about them."""

    references: Mapping[str, BodyReference]
    findings: Findings
    verified: int = 0
    erased: list[str] = field(default_factory=list)
    withheld: int = 0
    _seen: set[str] = field(default_factory=set)
    _held: set[str] = field(default_factory=set)

    def run(self, bundle: BundleReader) -> None:
        """Reads every body once, in pieces. A body that is erased or withheld is not an error."""
        try:
            for line in split_lines(bundle.chunks(BODY_INDEX), BODY_INDEX, MAX_PART_BYTES):
                self._record(bundle, json_object(line, f"a line of `{BODY_INDEX}`"))
        except IntegrityError as error:
            self.findings.add("unreadable", f"The list of bodies cannot be read: {error}.")
        for body_id, reference in self.references.items():
            if body_id not in self._seen:
                self._wrong(body_id, reference, "is missing from the bundle")
        parts = {n.removeprefix(BODY_FOLDER) for n in bundle.names() if n.startswith(BODY_FOLDER)}
        for body_id in sorted(parts - self._held):
            self.findings.add(
                "body_unlisted", f"Body `{body_id}` is in the bundle but not in its list of bodies."
            )

    def _record(self, bundle: BundleReader, record: Mapping[str, object]) -> None:
        body_id, state = str(record.get("body_id")), record.get("state")
        if body_id in self._seen:
            self.findings.add("body_listed_twice", f"Body `{body_id}` is listed twice.")
            return
        self._seen.add(body_id)
        reference = self.references.get(body_id)
        if reference is None:
            self.findings.add(
                "body_unknown", f"Body `{body_id}` is in the bundle, but no entry refers to it."
            )
        elif state == "erased":
            self.erased.append(body_id)
        elif state == "withheld":
            self.withheld += 1
        elif state == "held":
            self._held.add(body_id)
            self._compare(bundle, body_id, reference, record.get("salt"))
        else:
            self._wrong(body_id, reference, f"has the unknown state {state!r:.40}")

    def _compare(
        self, bundle: BundleReader, body_id: str, reference: BodyReference, salt_hex: object
    ) -> None:
        try:
            salt = bytes.fromhex(salt_hex) if isinstance(salt_hex, str) else b""
            if len(salt) < _SHORTEST_SALT:
                raise ValueError
            digest, size = _digest_and_size(salt, bundle.chunks(body_part(body_id)))
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


def _digest_and_size(salt: bytes, chunks: Iterable[bytes]) -> tuple[str, int]:
    mac = hmac.new(salt, digestmod="sha256")
    size = 0
    for chunk in chunks:
        mac.update(chunk)
        size += len(chunk)
    return "hmac-sha256:" + mac.hexdigest(), size
