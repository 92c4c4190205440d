"""Rows as bytes, for the file of a backup and for digests of tables: equal rows, equal bytes.

A value is its length in 4 bytes and its bytes; the length 2^32 - 1 stands for NULL. Numbers are 8 bytes
big-endian, texts UTF-8. The table's shape says what each value is, so a row needs no mark of its own.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from handfast.core.domain.errors import IntegrityError
from handfast.storage.copies import Row, Shape, Value

_LENGTH = struct.Struct(">I")
_REAL = struct.Struct(">d")
_NULL = b"\xff\xff\xff\xff"
MAX_VALUE = 1 << 30
CHUNK = 1 << 18


def encoded(row: Row) -> bytes:
    parts: list[bytes] = []
    for value in row:
        if value is None:
            parts.append(_NULL)
            continue
        raw = _raw(value)
        parts.append(_LENGTH.pack(len(raw)))
        parts.append(raw)
    return b"".join(parts)


def _raw(value: Value) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(8, "big", signed=True)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, float):
        return _REAL.pack(value)
    return bytes(value or b"")


class Tally:
    """Counts and digests rows on their way. `digest` is of the encoded rows, in order."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self._hash = sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def add(self, raw: bytes) -> None:
        self.rows += 1
        self.bytes += len(raw)
        self._hash.update(raw)

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.add(encoded(row))
            yield row


def decoded(chunks: Iterable[bytes], shape: Shape, tally: Tally) -> Iterator[Row]:
    """Rows from pieces of any size. Raises IntegrityError for bytes that no row has."""
    kinds = [kind for _, kind in shape.columns]
    held, at = bytearray(), 0
    for chunk in chunks:
        held += chunk
        while (end := _end(held, at, len(kinds), shape.name)) is not None:
            raw = bytes(held[at:end])
            tally.add(raw)
            yield _row(raw, kinds, shape.name)
            at = end
        del held[:at]
        at = 0
    if held:
        raise _damaged(shape.name, "it ends within a row")


def _end(held: bytearray, at: int, values: int, table: str) -> int | None:
    """Where the row that begins at `at` ends; None while it is not all there."""
    have = len(held)
    for _ in range(values):
        if have < at + 4:
            return None
        (length,) = _LENGTH.unpack_from(held, at)
        at += 4
        if length == 0xFFFFFFFF:
            continue
        if length > MAX_VALUE:
            raise _damaged(table, f"a value claims {length} bytes")
        at += length
    return at if have >= at else None


def _row(raw: bytes, kinds: Sequence[str], table: str) -> Row:
    values: list[Value] = []
    at = 0
    for kind in kinds:
        (length,) = _LENGTH.unpack_from(raw, at)
        at += 4
        if length == 0xFFFFFFFF:
            values.append(None)
            continue
        values.append(_value(raw[at : at + length], kind, table))
        at += length
    return tuple(values)


def _value(raw: bytes, kind: str, table: str) -> Value:
    try:
        if kind == "bytes":
            return raw
        if kind == "text":
            return raw.decode()
        if len(raw) != 8:
            raise ValueError
        if kind == "int":
            return int.from_bytes(raw, "big", signed=True)
        return float(_REAL.unpack(raw)[0])
    except ValueError:
        raise _damaged(table, f"a value is no {kind}") from None


def _damaged(table: str, why: str) -> IntegrityError:
    return IntegrityError(
        f"the rows of `{table}` in the backup are damaged: {why}",
        code="backup_damaged",
        hint="Take the file again from where it was kept, or use another backup.",
    )
