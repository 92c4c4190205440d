"""Key files: the Ed25519 key that signs tree heads, and the data key that seals bodies.

Both are files of the data folder, readable by their owner only; a file that others may read is
refused. The signing key is kept in the text form of Go's note package, so its name travels with it.
"""

import base64
import os
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from handfast.core.audit.note import ED25519, VerifierKey, check_name
from handfast.core.domain.errors import HandfastError, IntegrityError, StorageError, UsageError

DATA_KEY_BYTES = 32
NONCE_BYTES = 12
_SEED_BYTES = 32
_PREFIX = "PRIVATE+KEY+"
_MAX_FILE_BYTES = 4096
_SEAL_LABEL = b"handfast-body-1"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Signs tree heads. `verifier` is public and belongs with every auditor."""

    verifier: VerifierKey
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def ed25519_verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """The `Verify` that `core.audit` asks for. False also for a malformed key or signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def create_signing_key(path: Path, name: str) -> SigningKey:
    """Draw a key named `name`, write it to `path` (0600) and its verifier key beside it.

    `signing.key` gets the neighbour `signing.pub`. Never replaces a key: raises StorageError with
    code `key_exists` when `path` is there already.
    """
    check_name(name)
    private = Ed25519PrivateKey.generate()
    key = SigningKey(VerifierKey(name, private.public_key().public_bytes_raw()), private)
    secret = base64.b64encode(bytes([ED25519]) + private.private_bytes_raw()).decode()
    line = f"{_PREFIX}{name}+{key.verifier.key_id.hex()}+{secret}\n"
    write_secret(path, line.encode())
    public = path.with_suffix(".pub")
    try:
        public.write_text(f"{key.verifier}\n", encoding="utf-8")
    except OSError as error:
        raise _cannot(public, "written", error) from None
    return key


def load_signing_key(path: Path) -> SigningKey:
    """Raises StorageError for a missing or exposed file, IntegrityError for a damaged one."""
    try:
        text = _read_secret(path).decode()
        name, hex_id, encoded = text.strip().removeprefix(_PREFIX).split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        if not text.startswith(_PREFIX) or raw[:1] != bytes([ED25519]):
            raise ValueError
        if len(raw) != 1 + _SEED_BYTES:
            raise ValueError
        private = Ed25519PrivateKey.from_private_bytes(raw[1:])
        verifier = VerifierKey(check_name(name), private.public_key().public_bytes_raw())
        if verifier.key_id.hex() != hex_id:
            raise ValueError
    except (ValueError, UsageError):
        raise IntegrityError(
            f"the signing key in `{path}` is damaged",
            code="key_damaged",
            hint="Restore the file from a backup. A new key cannot continue this log's signatures.",
        ) from None
    return SigningKey(verifier, private)


def create_data_key(path: Path) -> bytes:
    """Draw 32 random bytes and write them to `path` (0600). Never replaces a key."""
    key = AESGCM.generate_key(bit_length=DATA_KEY_BYTES * 8)
    write_secret(path, key)
    return key


def load_data_key(path: Path) -> bytes:
    """Raises StorageError for a missing or exposed file, IntegrityError for a damaged one."""
    key = _read_secret(path)
    if len(key) != DATA_KEY_BYTES:
        raise IntegrityError(
            f"the data key in `{path}` has {len(key)} bytes instead of {DATA_KEY_BYTES}",
            code="key_damaged",
            hint="Restore the file from a backup. Without it no stored body can be read.",
        )
    return key


def seal(data_key: bytes, body_id: str, media: str, plaintext: bytes) -> tuple[bytes, bytes]:
    """(nonce, ciphertext) by AES-256-GCM, bound to the id and the media type.

    The nonce is random: one data key serves 2^32 bodies before a repeat gets likelier than 2^-32
    (NIST SP 800-38D section 8.3).
    """
    nonce = os.urandom(NONCE_BYTES)
    return nonce, _cipher(data_key).encrypt(nonce, plaintext, _bound_to(body_id, media))


def unseal(data_key: bytes, body_id: str, media: str, nonce: bytes, ciphertext: bytes) -> bytes:
    """The inverse of `seal`. Raises IntegrityError when key, id, media or bytes do not fit."""
    try:
        return _cipher(data_key).decrypt(nonce, ciphertext, _bound_to(body_id, media))
    except (InvalidTag, ValueError):
        raise IntegrityError(
            f"body `{body_id}` cannot be opened: wrong data key, or the stored bytes were changed",
            code="body_sealed",
            hint="Check that `keys/data.key` is the one this database was written with.",
        ) from None


# The keys of this process: its vaults hold them anyway.
_cipher = lru_cache(maxsize=4)(AESGCM)


def _bound_to(body_id: str, media: str) -> bytes:
    parts = (_SEAL_LABEL, body_id.encode(), media.encode())
    return b"".join(struct.pack(">I", len(p)) + p for p in parts)


def write_secret(path: Path, content: bytes) -> None:
    """All or nothing, on disk when this returns: written aside, then linked into place."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(path, "written", error) from None
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)  # unlike rename, never replaces what is there
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise StorageError(
            f"`{path}` exists already",
            code="key_exists",
            hint="Load it instead. To start anew, move the whole data folder away.",
        ) from None
    except OSError as error:
        raise _cannot(path, "written", error) from None
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _read_secret(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check_exposure(path, os.fstat(file.fileno()))
            return file.read(_MAX_FILE_BYTES)
    except FileNotFoundError:
        raise StorageError(
            f"there is no key file `{path}`",
            code="key_missing",
            hint="Restore it from a backup, or check HANDFAST_HOME.",
        ) from None
    except OSError as error:
        raise _cannot(path, "read", error) from None


def _check_exposure(path: Path, status: os.stat_result) -> None:
    """Judges the opened file, so it cannot be exchanged between check and use."""
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        problem, hint = "is not a regular file", "Put the key file itself there."
    elif status.st_uid != os.geteuid():
        problem, hint = (
            f"belongs to user {status.st_uid}, not to the user running Handfast",
            "Run Handfast as the owner of its data folder.",
        )
    elif mode & 0o077:
        problem, hint = (
            f"is open to other users (mode {mode:04o})",
            f"Run `chmod 600 {path}`. If others could read it, treat the key as known to them.",
        )
    else:
        return
    raise StorageError(f"the key file `{path}` {problem}", code="key_exposed", hint=hint)


def _cannot(path: Path, verb: str, error: OSError) -> HandfastError:
    return StorageError(
        f"the key file `{path}` cannot be {verb}: {error.strerror}",
        code="key_unavailable",
        hint="Check the permissions of the data folder, and that the disk is not full.",
    )
