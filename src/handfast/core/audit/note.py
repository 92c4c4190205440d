"""Signed tree heads: the text formats of C2SP signed-note and tlog-checkpoint.

A checkpoint is three lines (origin, size, root), signed as a note. Any tool that reads those
formats reads ours. Ed25519 comes in as a callable: this package knows no cryptography library.
Formats: https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from handfast.core.audit.tree import HASH_SIZE
from handfast.core.domain.errors import IntegrityError, UsageError

Sign: TypeAlias = Callable[[bytes], bytes]
"""Ed25519 signature of a message."""
Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""Whether (public key, signature, message) fit together. Must not raise for a wrong signature."""

ED25519 = 1  # algorithm byte of the signed-note registry
MAX_NOTE_BYTES = 100_000
MAX_SIGNATURES = 100
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. `key_id` is 4 bytes."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note. Nothing in it may be believed before `signed_by` said yes."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name: what an auditor is given out of band."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.public)

    def __str__(self) -> str:
        """`name+hexid+base64`, as Go's note package writes it."""
        encoded = base64.b64encode(bytes([ED25519]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @property
    def short(self) -> str:
        """`name+hexid`, enough to tell keys apart in a message."""
        return f"{self.name}+{self.key_id.hex()}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log called `origin` had `size` entries with this `root`."""

    origin: str
    size: int
    root: bytes


def key_id(name: str, public: bytes) -> bytes:
    """First 4 bytes of the SHA-256 of the name, a newline, the algorithm byte and the key."""
    return sha256(name.encode() + b"\n" + bytes([ED25519]) + public).digest()[:4]


def check_name(name: str) -> str:
    """`name` itself. Raises UsageError when it cannot name a key or a log in a note."""
    if not name or "+" in name or not name.isprintable() or any(c.isspace() for c in name):
        raise UsageError(
            f"{name!r} cannot name a signing key",
            hint="Use a name without spaces and plus signs, like `handfast.example.org/log`.",
        )
    return name


def parse_verifier_key(text: str) -> VerifierKey:
    """Raises UsageError when `text` is not `name+hexid+base64` of an Ed25519 key."""
    try:
        name, hex_id, encoded = text.strip().split("+", 2)
        raw = _decode64(encoded)
        if raw[:1] != bytes([ED25519]) or len(raw) != 1 + 32:
            raise ValueError
        key = VerifierKey(check_name(name), raw[1:])
        if key.key_id.hex() != hex_id:
            raise ValueError
    except (ValueError, UsageError):
        raise UsageError(
            "this is not an Ed25519 verifier key",
            hint="Give the one line of `keys/signing.pub`: name+hexid+base64.",
        ) from None
    return key


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """The text that is signed. Raises UsageError for values that would frame another text."""
    check_name(origin)
    if size < 0 or len(root) != HASH_SIZE:
        raise UsageError(f"no tree has size {size} and a root of {len(root)} bytes")
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The tree head in a note's text; further lines are ignored. Raises IntegrityError."""
    lines = text.split("\n")
    try:
        origin, size, encoded = lines[0], lines[1], lines[2]
        root = _decode64(encoded)
        well_formed = (
            lines[-1] == ""
            and "" not in lines[:-1]
            and len(root) == HASH_SIZE
            and size.isascii()
            and size.isdigit()
            and len(size) < 20
            and str(int(size)) == size
        )
    except (IndexError, ValueError):
        well_formed = False
        origin, size, root = "", "0", b""
    if not well_formed:
        raise IntegrityError(
            "this is not a tree head: it needs an origin, a size and a root of 32 bytes",
            hint="Take the note exactly as it was published, with its blank line.",
        )
    return Checkpoint(origin, int(size), root)


def format_note(text: str, name: str, key_id: bytes, signature: bytes) -> str:
    """The note with one signature. Raises UsageError for a text that cannot be a note."""
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise UsageError("a note's text is lines without control characters")
    line = base64.b64encode(key_id + signature).decode()
    return f"{text}\n{_DASH}{check_name(name)} {line}\n"


def sign_checkpoint(origin: str, size: int, root: bytes, key: VerifierKey, sign: Sign) -> str:
    """A signed tree head. `sign` must belong to `key`."""
    text = checkpoint_text(origin, size, root)
    return format_note(text, key.name, key.key_id, sign(text.encode()))


def parse_note(note: str | bytes) -> Note:
    """Strict: anything but text, a blank line and signature lines is an IntegrityError."""
    raw = note.encode() if isinstance(note, str) else note
    try:
        if len(raw) > MAX_NOTE_BYTES:
            raise ValueError
        content = raw.decode()
        if any(c < " " and c != "\n" for c in content) or not content.endswith("\n"):
            raise ValueError
        text, blank, tail = content.rpartition("\n\n")
        lines = tail[:-1].split("\n")
        if not blank or len(lines) > MAX_SIGNATURES:
            raise ValueError
        return Note(text + "\n", tuple(_parse_signature(line) for line in lines))
    except ValueError:
        raise IntegrityError(
            "this is not a signed note",
            hint="Take the note exactly as it was published, signature lines included.",
        ) from None


def signed_by(note: Note, keys: Iterable[VerifierKey], verify: Verify) -> VerifierKey | None:
    """The first of `keys` that signed the note; None when none of them did.

    Raises IntegrityError when a signature claims to be by one of `keys` and is not.
    """
    message = note.text.encode()
    found: VerifierKey | None = None
    for key in keys:
        for signature in note.signatures:
            if signature.name != key.name or signature.key_id != key.key_id:
                continue
            if not verify(key.public, signature.value, message):
                raise IntegrityError(
                    f"the signature of `{key.short}` does not fit the text of the note",
                    hint="The note was changed after it was signed.",
                )
            found = found or key
    return found


def _parse_signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise ValueError(line)
    name, encoded = line.removeprefix(_DASH).split(" ")
    raw = _decode64(encoded)
    if len(raw) <= 4:
        raise ValueError(line)
    try:
        check_name(name)
    except UsageError:
        raise ValueError(line) from None
    return Signature(name, raw[:4], raw[4:])


def _decode64(text: str) -> bytes:
    """Base64 in its one canonical spelling: equal bytes must have equal texts."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(text) from None
    if base64.b64encode(raw).decode() != text:
        raise ValueError(text)
    return raw
