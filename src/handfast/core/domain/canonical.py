"""Canonical bytes of a JSON value, and digests over them.

The format is RFC 8785 (JSON Canonicalization Scheme) for the values the log may hold:
strings, integers below 2^53, booleans, null, arrays and objects. Floats, larger integers,
lone surrogates and keys outside the Basic Multilingual Plane are refused, because for those
the scheme's number format or UTF-16 key order differs from what `json` writes.
A property test holds this encoder equal to an independent RFC 8785 implementation, and the
faster one of the engine (`engine.encoding`) equal to this.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from handfast.core.domain.errors import UsageError

JSON: TypeAlias = "str | int | bool | Sequence[JSON] | Mapping[str, JSON] | None"

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 100
_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


def canonical_json(value: object) -> bytes:
    """RFC 8785 bytes of `value`. Raises UsageError naming the first part that is refused."""
    check_canonical(value)
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        raise half_a_pair() from None


def check_canonical(value: object) -> None:
    """Whether `value` has a canonical form, but for halves of surrogate pairs, which encoding finds.

    Raises UsageError naming the first part that is refused.
    """
    _check(value, "$", MAX_DEPTH)


def half_a_pair() -> UsageError:
    return UsageError("a string holds half of a surrogate pair", hint="Send valid Unicode.")


def _check(value: object, path: str, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        _check_int(value, path)
    elif depth == 0:
        raise UsageError(f"a value is nested more than {MAX_DEPTH} deep", hint="Flatten it.")
    elif kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str or (not key.isascii() and max(key) > "\uffff"):
                raise UsageError(f"`{path}` has a key that is not plain text: {key!r}")
            if type(item) is not str:
                _check(item, f"{path}.{key}", depth - 1)
    elif kind is list or kind is tuple:
        for index, item in enumerate(value):  # type: ignore[arg-type]
            _check(item, f"{path}[{index}]", depth - 1)
    else:
        raise UsageError(
            f"`{path}` is {kind.__name__}, which has no canonical form",
            hint="Send numbers with a fraction as strings.",
        )


def _check_int(value: object, path: str) -> None:
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:  # type: ignore[operator]
        raise UsageError(f"`{path}` is an integer of 2^53 or more", hint="Send it as a string.")


def sha256(data: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: object) -> str:
    """SHA-256 of the canonical bytes of `value`."""
    return sha256(canonical_json(value))
