"""Inclusion and consistency proofs: made after RFC 6962 section 2.1, checked after RFC 9162.

Making a proof needs a `Subtree` (see `tree.StoredSubtrees`); checking one needs nothing but the
hashes. Indexes count from 0: the entry at position p has index p - 1.
"""

from collections.abc import Sequence

from handfast.core.audit.tree import EMPTY_ROOT, Subtree, node_hash
from handfast.core.domain.errors import UsageError


def _split(size: int) -> int:
    """The largest power of two below `size` (size ≥ 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def range_root(start: int, stop: int, subtree: Subtree) -> bytes:
    """Root over the leaves `start` to `stop`; `start` must be where the tree itself splits."""
    size = stop - start
    if size == 0:
        return EMPTY_ROOT
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    middle = start + _split(size)
    return node_hash(range_root(start, middle, subtree), range_root(middle, stop, subtree))


def inclusion_path(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Audit path of leaf `index` in the tree of `size` leaves, nearest sibling first.

    Raises UsageError when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise UsageError(
            f"a tree of {size} entries has no entry at position {index + 1}",
            hint="Ask for a later tree head, or an earlier position.",
        )
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(range_root(middle, stop, subtree))
            stop = middle
        else:
            path.append(range_root(start, middle, subtree))
            start = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Proof that the tree of `new` leaves begins with the tree of `old` leaves.

    Empty when `old` is 0 or equals `new`. Raises UsageError when `old` is the larger one.
    """
    if not 0 <= old <= new:
        raise UsageError(
            f"a tree of {new} entries cannot contain an earlier one of {old}",
            hint="Give the smaller size first.",
        )
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, stop = 0, new
    whole = True  # the verifier knows the old root, so the old tree itself is not repeated
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(range_root(middle, stop, subtree))
            stop = middle
        else:
            path.append(range_root(start, middle, subtree))
            start, whole = middle, False
    if not whole:
        path.append(range_root(start, stop, subtree))
    path.reverse()
    return path


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether `path` leads from the leaf hash at `index` to `root` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, result = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            result = node_hash(sibling, result)
            fn, sn = _skip_left_edge(fn, sn)
        else:
            result = node_hash(result, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and result == root


def verify_consistency(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether `path` shows the new tree to extend the old one (RFC 9162 section 2.1.4.2).

    From the empty tree everything follows: then only an empty path with the empty root passes.
    """
    if not 0 <= old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not path or not hashes:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            fn, sn = _skip_left_edge(fn, sn)
        else:
            second = node_hash(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root


def _skip_left_edge(fn: int, sn: int) -> tuple[int, int]:
    """Climb past levels where the last node has no sibling and so is not in the path."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn
