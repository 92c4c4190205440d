"""The tree, and every signed head of it that was ever seen: RFC 6962 section 2.1, C2SP signed notes.

Independent of the product: SHA-256, and Ed25519 from `cryptography`.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True)
class Head:
    """A note's three lines. `wrong` says what is wrong with the note itself."""

    size: int
    root: bytes
    wrong: str = ""


def read_note(note: str, verifier: str) -> Head:
    """`verifier` is `name+hexid+base64`, the one line of `keys/signing.pub`."""
    text, _, signed = note.partition("\n\n")
    origin, size, root = text.split("\n")[:3]
    name, _, encoded = verifier.strip().split("+", 2)
    public = base64.b64decode(encoded)[1:]  # after the algorithm's byte
    by, _, value = signed.strip().removeprefix("\u2014 ").partition(" ")
    wrong = ""
    if (origin, by) != (name, name):
        wrong = f"a head of `{origin}` by `{by}`, not of `{name}`"
    try:
        signature = base64.b64decode(value)[4:]  # after the key's id
        Ed25519PublicKey.from_public_bytes(public).verify(signature, f"{text}\n".encode())
    except InvalidSignature:
        wrong = "its signature does not fit"
    return Head(int(size), base64.b64decode(root), wrong)


class Tree:
    """Grown leaf by leaf, in the order of the log."""

    def __init__(self) -> None:
        self._subtrees: list[bytes] = []  # roots of the perfect subtrees, largest first
        self.size = 0

    def add(self, leaf: bytes) -> None:
        value, rest = leaf, self.size
        while rest & 1:
            value = _node(self._subtrees.pop(), value)
            rest >>= 1
        self._subtrees.append(value)
        self.size += 1

    @property
    def root(self) -> bytes:
        return joined(self._subtrees)


def joined(subtrees: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees, given largest first."""
    if not subtrees:
        return hashlib.sha256(b"").digest()
    *rest, value = subtrees
    for left in reversed(rest):
        value = _node(left, value)
    return value


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def leaf_of(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def against(hashes: Sequence[bytes], notes: Iterable[str], verifier: str) -> Iterator[str]:
    """What each note says that the entries do not bear out."""
    heads = [read_note(note, verifier) for note in dict.fromkeys(notes)]
    for head in heads:
        if head.wrong:
            yield f"the head of size {head.size}: {head.wrong}"
        if head.size > len(hashes):
            yield f"a head of size {head.size} was published, and the log has {len(hashes)} entries"
    wanted = {head.size for head in heads}
    roots, tree = {}, Tree()
    for leaf in [b"", *hashes]:
        if leaf:
            tree.add(leaf)
        if tree.size in wanted:
            roots[tree.size] = tree.root
    for head in heads:
        if head.size in roots and roots[head.size] != head.root:
            yield f"the log is not the one whose head of size {head.size} was published"
