"""Verification of an exported bundle: offline, without a database, without a server.

Every entry is hashed again and the tree rebuilt in one pass with bounded memory. On the way each
signed head must agree with the tree of its size. What disagrees is named exactly where the stored
leaf list still leads to a signed root, else as the interval between two signed heads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Protocol

from handfast.core.audit.bodies import BodyCheck
from handfast.core.audit.bundle_format import (
    ENTRIES,
    FORMATS,
    LEAVES,
    MAX_ENTRY_BYTES,
    META,
    BundleReader,
    json_object,
    small_part,
    split_hashes,
    split_lines,
)
from handfast.core.audit.claims import proven_claims, unproven_claims
from handfast.core.audit.entries import EntryCheck
from handfast.core.audit.heads import Head, Heads, Source, Track
from handfast.core.audit.note import Checkpoint, VerifierKey, Verify
from handfast.core.audit.notebook import MemoryNotebook, Notebooks
from handfast.core.audit.report import Erasure, Finding, Findings, Report
from handfast.core.audit.tree import Frontier
from handfast.core.domain.errors import IntegrityError

_BATCH = 256
_NO_LIMIT = 2**63


class Decisions(Protocol):
    """Sees every entry in order, and says what is wrong with a decision's signature; '' for nothing."""

    good: int

    def see(self, raw: bytes) -> str: ...


def verify_bundle(
    bundle: BundleReader,
    keys: Sequence[VerifierKey],
    since: Sequence[str | bytes],
    verify: Verify,
    notebooks: Notebooks = MemoryNotebook,
    decisions: Decisions | None = None,
) -> Report:
    """Check everything that can be checked, and say what cannot.

    `keys` and `since` (earlier tree heads) must come from elsewhere than the bundle; both may be
    empty, then the report says what stays unproven. `decisions` checks those that a passkey signed. What grows with the log is kept in `notebooks`. Never raises for a bad bundle: whatever is
    wrong is in the report.
    """
    findings = Findings()
    heads = Heads(bundle, keys, verify, findings)
    heads.open_checkpoint()
    heads.open_since(since)
    _check_meta(bundle, heads.checkpoint, findings)
    entries = EntryCheck(findings, notebooks)
    walk = _Walk(
        _readable(split_lines(bundle.chunks(ENTRIES), ENTRIES, MAX_ENTRY_BYTES), findings),
        _readable(split_hashes(bundle.chunks(LEAVES), LEAVES), findings),
        entries,
        findings,
        decisions,
    )
    tracks, culprit = _compare(heads, walk)
    walk.advance(_NO_LIMIT)
    _judge_tree(heads.checkpoint, walk, tracks, culprit, findings)
    bodies = BodyCheck(entries.bodies, findings, notebooks())
    bodies.run(
        bundle, lambda body_id: found.position if (found := entries.erased(body_id)) else None
    )
    return Report(
        origin=heads.checkpoint.origin if heads.checkpoint else "",
        entries=walk.size,
        heads=heads.opened,
        bodies=bodies.verified,
        findings=tuple(findings.kept),
        finding_count=findings.count,
        proven=(*proven_claims(heads, tracks, entries, bodies), *_about(decisions)),
        unproven=tuple(unproven_claims(heads, tracks, bodies)),
        erased=tuple(bodies.erased),
        erased_count=bodies.erased_count,
        erasures=tuple(_erasures(bodies, entries)),
    )


def _about(decisions: Decisions | None) -> list[str]:
    if decisions is None or not decisions.good:
        return []
    many = "1 decision" if decisions.good == 1 else f"{decisions.good:,} decisions"
    return [
        f"{many} signed with a passkey of the person who is named, over exactly what is recorded."
    ]


def _erasures(bodies: BodyCheck, entries: EntryCheck) -> Iterator[Erasure]:
    """The entries that record erasures, in order of the log, each with how many of the bodies."""
    for position, count in sorted(bodies.recorded.items()):
        found = entries.records[position]
        yield Erasure(position, found.by, found.why, count)


@dataclass(slots=True)
class _Walk:
    """Reads entries and the leaf list side by side and grows the tree of each.

    The two trees are one until the first difference, at index `differs_at`.
    """

    entries: Iterator[bytes]
    leaves: Iterator[bytes]
    check: EntryCheck
    findings: Findings
    decisions: Decisions | None = None
    tree: Frontier = field(default_factory=Frontier)
    listed: Frontier = field(default_factory=Frontier)
    differs_at: int | None = None
    near_entries: list[bytes] = field(default_factory=list)
    near_leaves: list[bytes] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.tree.size

    def advance(self, size: int) -> None:
        """Read entries until there are `size`, or no more."""
        while self.tree.size < size:
            raws = list(islice(self.entries, min(_BATCH, size - self.tree.size)))
            if not raws:
                return
            start = self.tree.size
            computed = [sha256(b"\x00" + raw).digest() for raw in raws]
            stored = list(islice(self.leaves, len(raws)))
            for position, raw in enumerate(raws, start + 1):
                self.check.check(position, raw)
                if self.decisions is not None and (wrong := self.decisions.see(raw)):
                    self.findings.add("signature", wrong, position=position)
            self.tree, _ = self.tree.extend(computed)
            if self.differs_at is None and computed == stored:
                self.listed = self.tree
            else:
                self._note_difference(start, computed, stored)
                self.listed, _ = self.listed.extend(stored)

    def first_wrong(self, head: Head) -> int | None:
        """Index of the first wrong entry, if the leaf list leads to the root of `head`."""
        while self.listed.size < head.size:
            stored = list(islice(self.leaves, min(_BATCH, head.size - self.listed.size)))
            if not stored:
                return None
            self._note_difference(self.listed.size, [], stored)
            self.listed, _ = self.listed.extend(stored)
        if self.listed.size != head.size or self.listed.root() != head.root:
            return None
        return self.size if self.differs_at is None else self.differs_at

    def more_leaves(self) -> bool:
        return self.listed.size > self.size or next(self.leaves, None) is not None

    def _note_difference(self, start: int, computed: list[bytes], stored: list[bytes]) -> None:
        """Remember the first two hashes of each side from the first difference on."""
        at = start
        if self.differs_at is None:
            pairs = enumerate(zip(computed, stored, strict=False), start)
            default = start + min(len(computed), len(stored))
            at = next((i for i, (mine, theirs) in pairs if mine != theirs), default)
            self.differs_at = at
        for near, new in ((self.near_entries, computed), (self.near_leaves, stored)):
            near.extend(new[at - start : at - start + 2 - len(near)])


def _readable(source: Iterator[bytes], findings: Findings) -> Iterator[bytes]:
    """`source` up to where it cannot be read; the reason becomes a finding."""
    try:
        yield from source
    except IntegrityError as error:
        findings.add("unreadable", f"The bundle cannot be read to its end: {error}.")


def _check_meta(bundle: BundleReader, checkpoint: Checkpoint | None, findings: Findings) -> None:
    try:
        meta = json_object(small_part(bundle, META), f"`{META}`")
    except IntegrityError as error:
        findings.add("meta", f"The description of the bundle cannot be read: {error}.")
        return
    if meta.get("format") not in FORMATS:
        findings.add("meta", f"The bundle's format is none of {', '.join(FORMATS)}.")
    elif checkpoint is not None and (meta.get("origin"), meta.get("size")) != (
        checkpoint.origin,
        checkpoint.size,
    ):
        findings.add("meta", f"`{META}` and the tree head name different logs or sizes.")


def _compare(heads: Heads, walk: _Walk) -> tuple[dict[Source, Track], int | None]:
    """Hold every head against the entries. Also gives the first wrong index when it is exact."""
    tracks = {source: Track() for source in Source}
    culprit: int | None = None
    for head in heads.in_order():
        walk.advance(head.size)
        agrees = walk.size == head.size and walk.tree.root() == head.root
        first = tracks[head.source].see(head, agrees=agrees)
        if first and head.source is Source.SIGNED:
            culprit = walk.first_wrong(head)
    return tracks, culprit


def _judge_tree(
    checkpoint: Checkpoint | None,
    walk: _Walk,
    tracks: dict[Source, Track],
    culprit: int | None,
    findings: Findings,
) -> None:
    signed, since, declared = (tracks[s] for s in (Source.SIGNED, Source.SINCE, Source.DECLARED))
    if declared.bad is not None:
        findings.add(
            "declared_head",
            f"The tree head of size {declared.bad.size}, signed by a key you did not give, "
            "does not agree with the entries.",
        )
    if checkpoint is not None and walk.size > checkpoint.size:
        findings.add(
            "surplus",
            f"The entry at position {checkpoint.size + 1} and those after it are not covered by "
            "the signed tree head.",
            position=checkpoint.size + 1,
        )
    if since.bad is not None:
        findings.insert(_since_finding(walk, since.good, since.bad, entries_fit=signed.bad is None))
    if signed.bad is not None:
        findings.insert(_signed_finding(checkpoint, walk, signed, signed.bad, culprit))
    elif checkpoint is not None:
        _check_leaf_list(walk, findings)


def _check_leaf_list(walk: _Walk, findings: Findings) -> None:
    if walk.differs_at is not None:
        findings.add(
            "leaf_list",
            f"The stored leaf hash of position {walk.differs_at + 1} is wrong or absent; "
            "the entry itself is as signed.",
        )
    elif walk.more_leaves():
        findings.add("leaf_list", "The bundle lists more leaf hashes than entries.")


def _since_finding(walk: _Walk, good: int, bad: Head, *, entries_fit: bool) -> Finding:
    if walk.size < bad.size:
        return Finding(
            "truncated",
            f"The log was cut off: the tree head you gave covers {bad.size} entries, "
            f"the bundle holds {walk.size}.",
            interval=(walk.size + 1, bad.size),
        )
    message = (
        f"The entries do not lead to the tree head you gave (size {bad.size}): "
        f"something at positions {good + 1} to {bad.size} is not what was signed then."
    )
    if entries_fit:
        message += " The holder of the signing key rewrote the history and signed it again."
    return Finding("rewritten", message, interval=(good + 1, bad.size))


def _signed_finding(
    checkpoint: Checkpoint | None, walk: _Walk, signed: Track, bad: Head, culprit: int | None
) -> Finding:
    if culprit is not None:
        what = _what_happened(walk, culprit)
        return Finding(what[0], what[1], position=culprit + 1)
    interval = (signed.good + 1, bad.size)
    where = f"between positions {interval[0]} and {interval[1]}"
    if checkpoint is not None and signed.later_good == checkpoint.size:
        return Finding(
            "split_view",
            f"Two signed heads contradict each other {where}: two histories were signed.",
            interval=interval,
        )
    if walk.size < bad.size:
        return Finding(
            "missing",
            f"Entries are missing {where}: a signed head covers {bad.size}, "
            f"the bundle holds {walk.size}.",
            interval=interval,
        )
    return Finding(
        "changed",
        f"An entry {where} was changed, removed or added, and the leaf list with it.",
        interval=interval,
    )


def _what_happened(walk: _Walk, index: int) -> tuple[str, str]:
    """Kind and sentence, told from the two hashes around the first difference."""
    position = index + 1
    mine, stored = walk.near_entries, walk.near_leaves
    if not mine:
        return "missing", f"The entry at position {position} and those after it are missing."
    shifted_up = len(stored) > 1 and mine[0] == stored[1]
    shifted_down = len(mine) > 1 and mine[1] == stored[0]
    if shifted_up and shifted_down:
        return (
            "reordered",
            f"The entries at positions {position} and {position + 1} were exchanged.",
        )
    if shifted_up:
        return "deleted", f"The entry at position {position} was removed."
    if shifted_down:
        return "inserted", f"The entry at position {position} was put in; it was never signed."
    return "changed", f"The entry at position {position} was changed."
