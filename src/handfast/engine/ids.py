"""The one place that draws identifiers and secrets.

An id is a prefix and 26 characters of Crockford's base32: 48 bits of milliseconds, then 80 random
bits (the layout of a ULID), so ids sort by age and cannot be guessed.
"""

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterator

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_SHIFTS = range(120, -1, -10)


def new_id(prefix: str) -> str:
    """For example `ho_01k…`. Unique without coordination."""
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(_drawn(), "big")
    return prefix + "_" + "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


class _Drawn(threading.local):
    """Random bytes of one thread, drawn for many ids at once.

    Each call of the system lets other threads run first: with many of them that costs more than the bytes.
    """

    left: Iterator[bytes] = iter(())


_of_thread = _Drawn()


def _drawn() -> bytes:
    found = next(_of_thread.left, None)
    if found is None:
        many = os.urandom(640)
        _of_thread.left = iter([many[i : i + 10] for i in range(0, 640, 10)])
        found = next(_of_thread.left)
    return found


def _forget() -> None:
    _of_thread.left = iter(())


# A forked child has the memory of its parent, and must not give out the same ids.
os.register_at_fork(after_in_child=_forget)


def new_secret() -> str:
    """256 random bits in URL-safe text."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """How a random secret is stored. Not for passwords: those go through `engine.passwords`."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
