"""Signed tree heads as evidence: who signed them, and how far the entries agree with them."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from handfast.core.audit.bundle_format import (
    CHECKPOINT,
    HEADS,
    KEYS,
    MAX_PART_BYTES,
    BundleReader,
    declared_keys,
    json_object,
    small_part,
    split_lines,
)
from handfast.core.audit.note import (
    Checkpoint,
    VerifierKey,
    Verify,
    parse_checkpoint,
    parse_note,
    signed_by,
)
from handfast.core.audit.report import Findings
from handfast.core.domain.errors import IntegrityError


class Source(Enum):
    """Why a head is believed. Only heads of one source are compared with each other."""

    SIGNED = "signed"
    DECLARED = "declared"  # signed by a key that only the bundle itself names
    SINCE = "since"


@dataclass(frozen=True, slots=True)
class Head:
    size: int
    root: bytes
    source: Source


@dataclass(slots=True)
class Track:
    """How far the entries agree with the heads of one source.

    `good` is the largest size that agreed before the first that did not (`bad`).
    """

    good: int = 0
    bad: Head | None = None
    later_good: int = 0

    def see(self, head: Head, *, agrees: bool) -> bool:
        """Note one head, in order of size. True for the first that disagrees."""
        if agrees and self.bad is None:
            self.good = head.size
        elif agrees:
            self.later_good = head.size
        elif self.bad is None:
            self.bad = head
            return True
        return False


@dataclass(slots=True)
class Heads:
    """Opens the heads of a bundle and of the auditor; a note that fails becomes a finding.

    With keys from the auditor only those keys are believed. Without, the bundle's own keys are
    used, which shows damage but not who signed.
    """

    bundle: BundleReader
    keys: Sequence[VerifierKey]
    verify: Verify
    findings: Findings
    checkpoint: Checkpoint | None = None
    signer: VerifierKey | None = None
    opened: int = 0
    declared_count: int = 0
    since: list[Head] = field(default_factory=list)
    _declared: tuple[VerifierKey, ...] = ()

    def open_checkpoint(self) -> None:
        try:
            self._declared = declared_keys(small_part(self.bundle, KEYS))
        except IntegrityError as error:
            self.findings.add("keys", f"The bundle's own list of keys cannot be read: {error}.")
        try:
            note = small_part(self.bundle, CHECKPOINT)
            checkpoint, signer, source = self._open(note)
        except IntegrityError as error:
            self.findings.add("checkpoint", f"The tree head of the bundle fails: {error}.")
            return
        if source is Source.DECLARED:
            self.findings.add(
                "checkpoint",
                f"The tree head of the bundle is signed by `{signer.short}`, "
                "which is not a key you gave.",
            )
            return
        self.checkpoint, self.signer = checkpoint, signer

    def open_since(self, notes: Sequence[str | bytes]) -> None:
        """The auditor's earlier heads. One that no believed key signed is a finding."""
        for note in notes:
            try:
                head, signer, source = self._open(note)
                self._same_origin(head)
            except IntegrityError as error:
                self.findings.add("since", f"The earlier tree head you gave fails: {error}.")
                continue
            if source is Source.DECLARED:
                self.findings.add(
                    "since",
                    f"The earlier tree head of size {head.size} is signed by `{signer.short}`, "
                    "which is not a key you gave.",
                )
                continue
            self.since.append(Head(head.size, head.root, Source.SINCE))
        self.since.sort(key=lambda h: h.size)

    def in_order(self) -> Iterator[Head]:
        """All heads that can be used, smallest first. Signatures are checked as they are read."""
        own = self.checkpoint
        last = [] if own is None else [Head(own.size, own.root, Source.SIGNED)]
        return heapq.merge(self._from_bundle(), self.since, last, key=lambda h: h.size)

    def _from_bundle(self) -> Iterator[Head]:
        size = 0
        try:
            for number, line in enumerate(self._lines(), 1):
                head = self._read_line(number, line)
                if head is None:
                    continue
                if head.size < size:
                    self.findings.add("head", f"Tree head {number} of the bundle is out of order.")
                    continue
                size = head.size
                yield head
        except IntegrityError as error:
            self.findings.add("unreadable", f"The signed heads cannot be read: {error}.")

    def _lines(self) -> Iterator[bytes]:
        return split_lines(self.bundle.chunks(HEADS), HEADS, MAX_PART_BYTES)

    def _read_line(self, number: int, line: bytes) -> Head | None:
        try:
            note = json_object(line, "it").get("note")
            if not isinstance(note, str):
                raise IntegrityError("it holds no note")
            head, _, source = self._open(note)
            self._same_origin(head)
        except IntegrityError as error:
            self.findings.add("head", f"Tree head {number} of the bundle fails: {error}.")
            return None
        self.opened += 1
        self.declared_count += source is Source.DECLARED
        return Head(head.size, head.root, source)

    def _open(self, raw: str | bytes) -> tuple[Checkpoint, VerifierKey, Source]:
        note = parse_note(raw)
        head = parse_checkpoint(note.text)
        signer = signed_by(note, self.keys, self.verify)
        if signer is not None:
            return head, signer, Source.SIGNED
        signer = signed_by(note, self._declared, self.verify)
        if signer is None:
            raise IntegrityError("none of the known keys signed it")
        return head, signer, Source.DECLARED if self.keys else Source.SIGNED

    def _same_origin(self, head: Checkpoint) -> None:
        if self.checkpoint is not None and head.origin != self.checkpoint.origin:
            raise IntegrityError(
                f"it is of the log `{head.origin}`, the bundle is of `{self.checkpoint.origin}`"
            )
