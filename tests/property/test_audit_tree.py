"""The tree against its recursive definition, and proofs for every size up to 300."""

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.audit.proofs import (
    consistency_path,
    inclusion_path,
    range_root,
    verify_consistency,
    verify_inclusion,
)
from handfast.core.audit.tree import EMPTY_ROOT, Frontier, StoredSubtrees, leaf_hash, node_hash
from tests.unit.test_audit_tree import Kept

SIZE = 300
KEPT = Kept([str(i).encode() for i in range(SIZE)])
SUBTREE = StoredSubtrees(KEPT)


def defined_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(defined_root(leaves[:k]), defined_root(leaves[k:]))


ROOTS = [defined_root(KEPT.leaves[:n]) for n in range(SIZE + 1)]


def test_frontier_and_stored_hashes_give_the_defined_root() -> None:
    frontier = Frontier()
    for size in range(SIZE):
        assert frontier.root() == ROOTS[size] == range_root(0, size, SUBTREE)
        frontier, _ = frontier.extend([KEPT.leaves[size]])
    assert frontier.root() == ROOTS[SIZE]


def test_every_inclusion_proof_up_to_300() -> None:
    for size in range(1, SIZE + 1):
        for index in range(size):
            path = inclusion_path(index, size, SUBTREE)
            assert verify_inclusion(KEPT.leaves[index], index, size, path, ROOTS[size])


def test_every_consistency_proof_up_to_300() -> None:
    for new in range(SIZE + 1):
        for old in range(new + 1):
            path = consistency_path(old, new, SUBTREE)
            assert verify_consistency(old, new, path, ROOTS[old], ROOTS[new])


@given(st.data())
def test_an_altered_inclusion_proof_fails(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size, SUBTREE)
    leaf, root = KEPT.leaves[index], ROOTS[size]
    assert not verify_inclusion(leaf, index, size, [*path, root], root)
    assert not verify_inclusion(b"\0" * 32, index, size, path, root)
    assert not verify_inclusion(leaf, index, size, path, b"\0" * 32)
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        assert not verify_inclusion(leaf, index, size, path[:at] + path[at + 1 :], root)
        assert not verify_inclusion(
            leaf, index, size, [*path[:at], b"\0" * 32, *path[at + 1 :]], root
        )
        other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
        assert not verify_inclusion(leaf, other, size, path, root)


@given(st.data())
def test_an_altered_consistency_proof_fails(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, SIZE))
    old = data.draw(st.integers(1, new - 1))
    path = consistency_path(old, new, SUBTREE)
    assert not verify_consistency(old, new, [], ROOTS[old], ROOTS[new])
    assert not verify_consistency(old, new, [*path, ROOTS[old]], ROOTS[old], ROOTS[new])
    at = data.draw(st.integers(0, len(path) - 1))
    changed = [*path[:at], b"\0" * 32, *path[at + 1 :]]
    assert not verify_consistency(old, new, changed, ROOTS[old], ROOTS[new])
    assert not verify_consistency(old, new, path, b"\0" * 32, ROOTS[new])
    assert not verify_consistency(old, new, path, ROOTS[old], b"\0" * 32)


@given(st.lists(st.integers(0, 400), max_size=8))
def test_batches_do_not_matter_and_frontiers_survive_storage(batches: list[int]) -> None:
    frontier = Frontier()
    nodes = []
    leaves = [leaf_hash(str(i).encode()) for i in range(sum(batches))]
    for batch in batches:
        frontier, more = frontier.extend(leaves[frontier.size : frontier.size + batch])
        nodes += more
        assert Frontier.from_bytes(frontier.to_bytes()) == frontier
    assert (frontier, nodes) == Frontier().extend(leaves)
    assert frontier.root() == defined_root(leaves)
