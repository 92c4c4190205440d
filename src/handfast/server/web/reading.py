"""Reads the JSON of the API tolerantly: a page must open whatever a record lacks.

A missing or oddly typed value reads as empty. What a decision binds (digests, ids, the command) is
never repaired here: an empty value takes the form away, see `decision_form`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

Record = Mapping[str, object]
_EMPTY: Record = {}


def mapping(source: Record, key: str) -> Record:
    """The object under `key`, or an empty one."""
    value = source.get(key)
    return value if isinstance(value, Mapping) else _EMPTY


def text(source: Record, key: str, default: str = "") -> str:
    """The text under `key`; numbers are written out; anything else is `default`."""
    value = source.get(key)
    if isinstance(value, str):
        return value or default
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return default


def number(source: Record, key: str) -> int | None:
    """The whole number under `key`."""
    value = source.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def flag(source: Record, key: str) -> bool | None:
    """True, False, or None when it is not known."""
    value = source.get(key)
    return value if isinstance(value, bool) else None


def records(source: Record, key: str, limit: int = 500) -> list[Record]:
    """The objects in the list under `key`; a bare text counts as `{"text": …}`."""
    found: list[Record] = []
    for item in _sequence(source.get(key))[:limit]:
        if isinstance(item, Mapping):
            found.append(item)
        elif isinstance(item, str) and item:
            found.append({"text": item})
    return found


def texts(source: Record, key: str, limit: int = 200) -> list[str]:
    """The texts in the list under `key`; a single text is a list of one."""
    value = source.get(key)
    if isinstance(value, str):
        return [value] if value else []
    return [item for item in _sequence(value)[:limit] if isinstance(item, str) and item]


def moment(source: Record, key: str) -> datetime | None:
    """The aware UTC time under `key` (RFC 3339), or None."""
    return read_time(source.get(key))


def read_time(value: object) -> datetime | None:
    """An aware UTC time from RFC 3339 text or from a datetime; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()
