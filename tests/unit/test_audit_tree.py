"""RFC 6962 hashing, the frontier and proofs, against published vectors."""

from collections.abc import Sequence

import pytest

from handfast.core.audit.proofs import (
    consistency_path,
    inclusion_path,
    verify_consistency,
    verify_inclusion,
)
from handfast.core.audit.tree import EMPTY_ROOT, Frontier, StoredSubtrees, leaf_hash
from handfast.core.domain.errors import IntegrityError, UsageError

# The eight leaves, roots and proofs of the Certificate Transparency reference implementation.
LEAVES = [
    bytes.fromhex(h)
    for h in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION_0_OF_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
CONSISTENCY_6_TO_8 = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]


class Kept:
    """What a store keeps: leaf hashes and the nodes `extend` hands out."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.leaves = [leaf_hash(e) for e in entries]
        self.frontier, nodes = Frontier().extend(self.leaves)
        self.nodes = {(n.level, n.index): n.hash for n in nodes}
        self.reads = 0

    def leaf_hashes(self, start: int, stop: int) -> Sequence[bytes]:
        self.reads += 1
        return self.leaves[start:stop]

    def node_hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        self.reads += 1
        return [self.nodes[level, i] for i in range(start, stop) if (level, i) in self.nodes]


def test_reference_roots() -> None:
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier, nodes = frontier.extend([leaf_hash(leaf)])
        assert nodes == []
        assert frontier.root().hex() == root


def test_reference_proofs() -> None:
    subtree = StoredSubtrees(Kept(LEAVES))
    assert [h.hex() for h in inclusion_path(0, 8, subtree)] == INCLUSION_0_OF_8
    assert [h.hex() for h in consistency_path(6, 8, subtree)] == CONSISTENCY_6_TO_8
    assert [h.hex() for h in consistency_path(1, 8, subtree)] == INCLUSION_0_OF_8
    assert consistency_path(0, 8, subtree) == consistency_path(8, 8, subtree) == []


def test_one_stored_node_for_256_leaves() -> None:
    kept = Kept([str(i).encode() for i in range(65_536 + 300)])
    assert sorted(kept.nodes) == [(8, i) for i in range(257)] + [(16, 0)]


def test_a_proof_in_a_large_tree_needs_few_reads() -> None:
    kept = Kept([str(i).encode() for i in range(70_000)])
    root = kept.frontier.root()
    path = inclusion_path(12_345, 70_000, StoredSubtrees(kept))
    assert verify_inclusion(kept.leaves[12_345], 12_345, 70_000, path, root)
    assert kept.reads <= 5
    old, _ = Frontier().extend(kept.leaves[:66_000])
    proof = consistency_path(66_000, 70_000, StoredSubtrees(kept))
    assert verify_consistency(66_000, 70_000, proof, old.root(), root)


def test_extending_leaves_the_old_frontier_alone() -> None:
    before, _ = Frontier().extend([leaf_hash(b"a")])
    after, _ = before.extend([leaf_hash(b"b")])
    assert (before.size, after.size) == (1, 2)
    assert before.extend([leaf_hash(b"b")])[0] == after


def test_a_leaf_instead_of_its_hash_is_refused() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        Frontier().extend([b"{}"])


@pytest.mark.parametrize("damage", [b"", b"\x00" * 7, b"\x00" * 41, b"\x00" * 7 + b"\x01"])
def test_damaged_frontier_bytes_are_refused(damage: bytes) -> None:
    with pytest.raises(IntegrityError, match="frontier"):
        Frontier.from_bytes(damage)


def test_a_missing_stored_hash_is_named() -> None:
    kept = Kept([b"x"] * 600)
    del kept.nodes[8, 0]
    with pytest.raises(IntegrityError, match="level 9, index 0"):
        inclusion_path(599, 600, StoredSubtrees(kept))


def test_impossible_proofs_are_refused() -> None:
    subtree = StoredSubtrees(Kept(LEAVES))
    with pytest.raises(UsageError, match="position 9"):
        inclusion_path(8, 8, subtree)
    with pytest.raises(UsageError, match="cannot contain an earlier one of 8"):
        consistency_path(8, 7, subtree)
    assert not verify_inclusion(b"", 3, 3, [], b"")
    assert not verify_consistency(4, 3, [], b"", b"")
    assert not verify_consistency(3, 4, [], b"", b"")
    assert verify_consistency(0, 4, [], EMPTY_ROOT, b"anything")
    assert not verify_consistency(0, 4, [], b"not empty", b"anything")
