"""The one place that draws identifiers and secrets.

An id is a prefix and 26 characters of Crockford's base32: 48 bits of milliseconds, then 80 random
bits (the layout of a ULID), so ids sort by age and cannot be guessed.
"""

import hashlib
import os
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_SHIFTS = range(120, -1, -10)


def new_id(prefix: str) -> str:
    """For example `ho_01k…`. Unique without coordination."""
    number = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    return prefix + "_" + "".join([_PAIRS[(number >> shift) & 1023] for shift in _SHIFTS])


def new_secret() -> str:
    """256 random bits in URL-safe text."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """How a random secret is stored. Not for passwords: those go through `engine.passwords`."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
