"""What a command says, so that the repeat of one under its idempotency key is told from another command.

Every field counts, whatever is added later: a field that were left out would give the caller of a second command
the answer to the first.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

import orjson

from handfast.core.domain.canonical import half_a_pair

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KEY = "request_key"


def said_by(command: "DataclassInstance") -> str:
    """A digest over all fields of a command but its key; '' for a command without one. Equal for equal commands.

    Raises UsageError for text that is not valid Unicode.
    """
    if not getattr(command, KEY):
        return ""
    return said({f.name: getattr(command, f.name) for f in fields(command) if f.name != KEY})


def said(command: object) -> str:
    """A digest over values, dataclasses among them. Raises UsageError for text that is not valid Unicode."""
    try:
        told = orjson.dumps(command, default=_plain, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        if "surrogates" in str(error):
            raise half_a_pair() from None
        raise
    return "sha256:" + hashlib.sha256(told).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a command")
