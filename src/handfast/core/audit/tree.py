"""The Merkle tree of RFC 6962 section 2.1 over the log, kept as a frontier and grown by batches.

A leaf is an event's canonical bytes; the tree never looks inside. Leaf number 0 is the entry at
position 1. The store keeps the leaf hash with each event, the frontier in one row, and one row for
every completed subtree whose height is a multiple of 8: 1 row for 256 leaves. Everything a proof
needs is read back from those by `StoredSubtrees`.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, TypeAlias

from handfast.core.domain.errors import IntegrityError, UsageError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()
STORED_STEP = 8  # heights that are stored: 8, 16, 24 …
_TILE_WIDTH = 1 << STORED_STEP

Subtree: TypeAlias = Callable[[int, int], bytes]
"""Root of the perfect subtree (`level`, `index`): leaves index·2^level to (index+1)·2^level."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one entry's bytes (RFC 6962: the prefix keeps leaves and nodes apart)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an interior node."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Node:
    """A completed subtree of 2^`level` leaves, the `index`-th of its level, counted from 0."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """The smallest state a growing tree needs: the roots of its perfect subtrees, largest first.

    A value: `extend` gives a new one, so a rolled-back transaction leaves nothing behind.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise IntegrityError(
                f"a tree of {self.size} leaves cannot have {len(self.hashes)} frontier hashes",
                hint="The stored tree state is damaged: restore the database from a backup.",
            )

    def extend(self, leaf_hashes: Iterable[bytes]) -> tuple["Frontier", list[Node]]:
        """The tree with these leaf hashes appended, and the nodes that a store must now keep.

        Takes the results of `leaf_hash`, not entries: the caller stores the same values with the
        events. Raises UsageError for anything that is not 32 bytes long.
        """
        stack = list(self.hashes)
        size = self.size
        nodes: list[Node] = []
        for value in leaf_hashes:
            if len(value) != HASH_SIZE:
                raise UsageError(
                    f"a leaf hash has 32 bytes, not {len(value)}", hint="Pass `leaf_hash(data)`."
                )
            current, rest, level = value, size, 0
            while rest & 1:
                current = sha256(b"\x01" + stack.pop() + current).digest()
                rest >>= 1
                level += 1
                if not level & 7:
                    nodes.append(Node(level, rest, current))
            stack.append(current)
            size += 1
        return Frontier(size, tuple(stack)), nodes

    def root(self) -> bytes:
        """The root at this size. The empty tree has the hash of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        result = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            result = node_hash(left, result)
        return result

    def to_bytes(self) -> bytes:
        """Size as 8 bytes big-endian, then the hashes."""
        return struct.pack(">Q", self.size) + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """The inverse of `to_bytes`. Raises IntegrityError for damaged bytes."""
        if len(data) < 8 or (len(data) - 8) % HASH_SIZE:
            raise IntegrityError(
                f"a stored frontier has an impossible length of {len(data)} bytes",
                hint="The stored tree state is damaged: restore the database from a backup.",
            )
        (size,) = struct.unpack_from(">Q", data)
        hashes = tuple(data[at : at + HASH_SIZE] for at in range(8, len(data), HASH_SIZE))
        return cls(size, hashes)


class LeafReader(Protocol):
    """What a store can read back, in order of index and without gaps.

    Both give fewer hashes when the tree has not grown that far.
    """

    def leaf_hashes(self, start: int, stop: int) -> Sequence[bytes]:
        """Leaf hashes `start` to `stop` (exclusive), counted from 0."""
        ...

    def node_hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Stored nodes of `level` (a multiple of 8) with index `start` to `stop` (exclusive)."""
        ...


class StoredSubtrees:
    """Subtree hashes computed from what the store keeps; callable as a `Subtree`.

    One read fetches the 256 hashes around the one asked for and is remembered, so a proof costs
    about one read for every factor of 256 in the size. Make a new one for every proof.
    """

    def __init__(self, reader: LeafReader) -> None:
        self._reader = reader
        self._tiles: dict[tuple[int, int], list[list[bytes]]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Raises IntegrityError when the store lacks a hash it must have."""
        base = level - level % STORED_STEP
        height = level - base
        tile = index >> (STORED_STEP - height)
        rows = self._tiles.get((base, tile))
        if rows is None:
            rows = self._tiles[base, tile] = self._load(base, tile)
        row = rows[height]
        offset = index - (tile << (STORED_STEP - height))
        if offset >= len(row):
            raise IntegrityError(
                f"the tree lacks the hash at level {level}, index {index}",
                hint="Run `handfast audit verify` on an export before you trust this log.",
            )
        return row[offset]

    def _load(self, base: int, tile: int) -> list[list[bytes]]:
        start, stop = tile * _TILE_WIDTH, (tile + 1) * _TILE_WIDTH
        if base == 0:
            row = list(self._reader.leaf_hashes(start, stop))
        else:
            row = list(self._reader.node_hashes(base, start, stop))
        rows = [row]
        for _ in range(STORED_STEP - 1):
            row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
            rows.append(row)
        return rows
