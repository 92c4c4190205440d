"""Passwords and PINs, kept as argon2id hashes."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()


def hash_password(text: str) -> str:
    return _hasher.hash(_bytes(text))


def _bytes(text: str) -> bytes:
    """Of any text at all: what is typed as a secret is wrong or right, never malformed."""
    return text.encode(errors="surrogatepass")


def matches(stored: str, text: str) -> bool:
    """Takes about 50 ms whatever the answer."""
    try:
        return _hasher.verify(stored, _bytes(text))
    except (VerificationError, InvalidHashError):
        return False


@cache
def never() -> str:
    """Compared against when there is no such person, so that the time taken tells nothing."""
    return hash_password("no such person")
