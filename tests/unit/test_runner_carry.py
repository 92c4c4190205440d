"""A target that moved after an approval: proved to change nothing that was approved, with real git, or not."""

from pathlib import Path

import pytest

from handfast.runner.carry import carry_proof
from handfast.runner.git import Git
from tests.repositories import commit, git, new_repository

LINES = "".join(f"line {n}\n" for n in range(40))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`main` with a long file, and the approved work on `work`."""
    root = new_repository(tmp_path / "repo")
    commit(root, {"long.txt": LINES})
    git(root, "checkout", "-q", "-b", "work")
    commit(root, {"long.txt": LINES.replace("line 3\n", "line three\n"), "new.bin": "\0\1"})
    git(root, "checkout", "-q", "main")
    return root


def proof(root: Path, old: str, commit_id: str = "") -> str:
    found = carry_proof(
        Git(root), commit_id or git(root, "rev-parse", "work"), old, git(root, "rev-parse", "main")
    )
    if found is None:
        return ""
    assert found.old_patch_id == found.new_patch_id
    assert bool(found.old_patch_id) == (found.kind == "trivial-rebase")
    return found.kind


def test_other_files_changed(root: Path) -> None:
    old = git(root, "rev-parse", "main")
    commit(root, {"elsewhere.txt": "x\n"})
    assert proof(root, old) == "trivial-rebase"


def test_only_messages_changed(root: Path) -> None:
    old = git(root, "rev-parse", "main")
    git(root, "commit", "-q", "--allow-empty", "-m", "nothing")
    assert proof(root, old) == "no-code-change"


def test_the_same_file_changed_elsewhere_is_not_trivial(root: Path) -> None:
    """It merges without a conflict, and the patch is the same, but the file is another one."""
    old = git(root, "rev-parse", "main")
    commit(root, {"long.txt": LINES.replace("line 35\n", "changed\n")})
    assert git(root, "merge-tree", "--write-tree", "main", "work")
    assert proof(root, old) == ""


def test_a_conflict_is_not_trivial(root: Path) -> None:
    old = git(root, "rev-parse", "main")
    commit(root, {"long.txt": LINES.replace("line 3\n", "line drei\n")})
    assert proof(root, old) == ""


def test_a_part_that_is_there_already_is_not_trivial(root: Path) -> None:
    old = git(root, "rev-parse", "main")
    commit(root, {"new.bin": "\0\1"})
    assert proof(root, old) == ""


def test_a_file_that_is_in_the_way_is_not_trivial(root: Path) -> None:
    old = git(root, "rev-parse", "main")
    commit(root, {"new.bin/inside": "x"})
    assert proof(root, old) == ""


def test_a_target_that_was_rewritten_is_not_trivial(root: Path) -> None:
    old = git(root, "rev-parse", "main")
    git(root, "commit", "-q", "--amend", "-m", "rewritten")
    assert proof(root, old) == ""
    assert proof(root, "0" * 40) == ""
