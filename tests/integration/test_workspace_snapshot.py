import os
import shutil
from pathlib import Path

import pytest

from handfast.core.domain.errors import NotFound, RejectedError
from handfast.runner.git import HANDFAST, Git, Identity
from handfast.runner.restore import restore
from handfast.runner.snapshot import commit_all, read_snapshot, snapshot
from handfast.runner.workspace import Workspace, attach, create, remove
from tests.repositories import commit, files_of, git, new_repository, state_of, write

RUN, TASK = "run_1", "task_1"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = new_repository(tmp_path / "repo")
    commit(root, {"gone.txt": "x", "was-file": "x", "was-folder/a": "a", "old name": "moved\n" * 9})
    return root


@pytest.fixture
def worktrees(tmp_path: Path) -> Path:
    return tmp_path / "data" / "worktrees"


@pytest.fixture
def workspace(repository: Path, worktrees: Path) -> Workspace:
    return create(repository, worktrees, run_id=RUN, task_id=TASK, base="main")


def busy(root: Path) -> None:
    """Everything an agent may do to a worktree short of committing."""
    write(
        root, {"README": "changed\n", "src/new.py": "n = 1\n", "deep/er/x": "x", "build/out": "o"}
    )
    write(root, {"staged.txt": "one\n"})
    git(root, "add", "staged.txt")
    write(root, {"staged.txt": "two\n"})
    (root / "gone.txt").unlink()
    (root / "was-file").unlink()
    write(root, {"was-file/inside": "x"})
    shutil.rmtree(root / "was-folder")
    (root / "was-folder").write_text("now a file")
    (root / "run.sh").chmod(0o644)
    (root / "src/a.py").chmod(0o755)
    (root / "link").unlink()
    (root / "link").symlink_to("src/a.py")
    (root / "dangling").symlink_to("/nonexistent/there")
    (root / "tool").write_bytes(b"#!/bin/sh\n\x00\xff")
    (root / "tool").chmod(0o755)
    (root / "odd \n\t\"name'é").write_text("x")
    Path(os.fsdecode(os.fsencode(root) + b"/latin-\xe9")).write_text("x")
    (root / "empty").touch()
    git(root, "mv", "old name", "new name")


def test_round_trip_on_another_path(workspace: Workspace, repository: Path, tmp_path: Path) -> None:
    commit(workspace.path, {"committed": "x"})
    busy(workspace.path)
    before = files_of(workspace.path)
    status = git(workspace.path, "status", "--porcelain=v1")
    index = (workspace.git_dir / "index").read_bytes()
    taken = snapshot(workspace)
    assert taken.ref == "refs/handfast/snapshots/run_1/1"
    assert files_of(workspace.path) == before
    assert (workspace.git_dir / "index").read_bytes() == index

    remove(workspace)
    restored = restore(repository, tmp_path / "other" / "place", taken.ref)
    assert restored.kept is None
    assert restored.workspace.path == tmp_path / "other" / "place" / RUN
    del before["build/out"]  # ignored
    assert files_of(restored.workspace.path) == before
    assert git(restored.workspace.path, "status", "--porcelain=v1") == status
    assert git(restored.workspace.path, "symbolic-ref", "HEAD") == "refs/heads/handfast/task_1"


def test_in_another_clone(workspace: Workspace, repository: Path, tmp_path: Path) -> None:
    busy(workspace.path)
    before = files_of(workspace.path)
    taken = snapshot(workspace)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    with pytest.raises(NotFound) as caught:
        restore(clone, tmp_path / "elsewhere", taken.ref)
    assert "git fetch" in caught.value.hint
    git(clone, "fetch", "-q", "origin", "refs/handfast/*:refs/handfast/*")
    restored = restore(clone, tmp_path / "elsewhere", taken.commit)
    del before["build/out"]
    assert files_of(restored.workspace.path) == before


def test_in_place_after_a_kill(workspace: Workspace, repository: Path, worktrees: Path) -> None:
    busy(workspace.path)
    before = files_of(workspace.path)
    taken = snapshot(workspace)
    later = commit(workspace.path, {"later.txt": "x", "README": "again\n"})
    write(workspace.path, {"loose/more/file": "kept", "src/new.py": "other"})
    (workspace.path / "tool").unlink()
    shutil.rmtree(workspace.path / "was-file")
    (workspace.path / "was-file").write_text("again a file")
    (workspace.git_dir / "index.lock").touch()
    (workspace.git_dir / "MERGE_HEAD").write_text(later)
    for _ in range(2):
        restored = restore(repository, worktrees, taken.ref)
        assert restored.workspace == attach(worktrees, RUN)
        assert files_of(workspace.path) == before
        assert git(workspace.path, "rev-parse", "HEAD") == taken.head
        assert not (workspace.path / "loose").exists()
    assert git(repository, "rev-parse", f"refs/handfast/kept-commits/run_1/{later}") == later
    kept = read_snapshot(Git(repository), "refs/handfast/kept/run_1/1")
    assert git(repository, "show", f"{kept.commit}:loose/more/file") == "kept"
    assert git(repository, "for-each-ref", "refs/handfast/kept/").count("\n") == 0


def test_damaged_worktree_is_made_again(
    workspace: Workspace, repository: Path, worktrees: Path
) -> None:
    busy(workspace.path)
    before = files_of(workspace.path)
    taken = snapshot(workspace)
    shutil.rmtree(workspace.path)
    restored = restore(repository, worktrees, taken.ref)
    del before["build/out"]
    assert files_of(restored.workspace.path) == before


@pytest.mark.parametrize("index", [b"", b"DIRC\0\0", None])
def test_broken_index_costs_nothing(
    workspace: Workspace, repository: Path, worktrees: Path, index: bytes | None
) -> None:
    busy(workspace.path)
    before = files_of(workspace.path)
    if index is None:
        (workspace.git_dir / "index").unlink()
    else:
        (workspace.git_dir / "index").write_bytes(index)
    taken = snapshot(workspace)
    (workspace.path / "README").write_text("lost")
    restore(repository, worktrees, taken.ref)
    assert files_of(workspace.path) == before


def test_the_users_repository_stays_as_it_was(workspace: Workspace, repository: Path) -> None:
    write(repository, {"mine.txt": "x", "README": "mine\n"})
    git(repository, "add", "README")
    before = state_of(repository)
    busy(workspace.path)
    snapshot(workspace)
    assert state_of(repository) == before


def test_numbers_count_up(workspace: Workspace) -> None:
    refs = [snapshot(workspace).ref for _ in range(11)]
    assert refs[0].endswith("/1")
    assert refs[10].endswith("/11")


def test_hidden_changes_are_found(workspace: Workspace) -> None:
    git(workspace.path, "update-index", "--assume-unchanged", "README")
    git(workspace.path, "update-index", "--skip-worktree", "src/a.py")
    write(workspace.path, {"README": "hidden\n", "src/a.py": "hidden\n"})
    taken = snapshot(workspace)
    assert git(workspace.path, "show", f"{taken.commit}:README") == "hidden"
    assert git(workspace.path, "show", f"{taken.commit}:src/a.py") == "hidden"
    assert commit_all(workspace, "work", HANDFAST).created


def test_inner_repositories_and_large_files_are_left_out_and_left_alone(
    workspace: Workspace, repository: Path, worktrees: Path
) -> None:
    new_repository(workspace.path / "inner")
    git(workspace.path, "init", "-q", "unborn")
    write(workspace.path, {"large.bin": "x" * 5000, "small.bin": "x"})
    taken = snapshot(workspace, max_file_bytes=4096)
    assert sorted(taken.left_out) == ["inner/", "large.bin", "unborn/"]
    restore(repository, worktrees, taken.ref)
    assert (workspace.path / "large.bin").exists()
    assert (workspace.path / "inner" / "README").exists()
    done = commit_all(workspace, "work", HANDFAST, max_file_bytes=4096)
    assert "large.bin" in done.left_out
    assert git(workspace.path, "ls-tree", "-r", "--name-only", done.commit, "inner") == ""


def test_unmerged_files_keep_their_content(
    workspace: Workspace, repository: Path, worktrees: Path
) -> None:
    base = git(workspace.path, "rev-parse", "HEAD")
    ours = commit(workspace.path, {"README": "ours\n"})
    git(workspace.path, "checkout", "-q", "--detach", base)
    theirs = commit(workspace.path, {"README": "theirs\n"})
    git(workspace.path, "checkout", "-q", workspace.branch)
    Git(workspace.path).run("merge", theirs, accept=(1,))
    marked = (workspace.path / "README").read_text()
    taken = snapshot(workspace)
    assert taken.operation == "merge"
    with pytest.raises(RejectedError) as caught:
        commit_all(workspace, "work", HANDFAST)
    assert caught.value.code == "workspace_unfinished"
    (workspace.path / "README").write_text("lost")
    restore(repository, worktrees, taken.ref)
    assert (workspace.path / "README").read_text() == marked
    assert git(workspace.path, "rev-parse", "HEAD") == ours
    assert not (workspace.git_dir / "MERGE_HEAD").exists()


@pytest.mark.parametrize("where", ["detached", "branch", "orphan"])
def test_head_elsewhere(
    workspace: Workspace, repository: Path, worktrees: Path, where: str
) -> None:
    match where:
        case "detached":
            git(workspace.path, "checkout", "-q", "--detach")
        case "branch":
            git(workspace.path, "switch", "-q", "-c", "mine")
        case _:
            git(workspace.path, "switch", "-q", "--orphan", "mine")
    if where != "orphan":
        commit(workspace.path, {"mine.txt": "x"})
    write(workspace.path, {"loose.txt": "x"})
    before = files_of(workspace.path)
    heads = git(repository, "for-each-ref", "refs/heads")
    taken = snapshot(workspace)
    remove(workspace)
    again = restore(repository, worktrees, taken.ref).workspace
    assert files_of(again.path) == before
    assert git(repository, "for-each-ref", "refs/heads") == heads
    main = git(repository, "rev-parse", "main")
    done = commit_all(again, "work", HANDFAST)
    assert git(repository, "rev-parse", workspace.branch) == done.commit
    assert git(again.path, "symbolic-ref", "HEAD") == workspace.branch_ref
    assert git(again.path, "show", f"{done.commit}:loose.txt") == "x"
    assert git(repository, "rev-parse", "main") == main


def test_a_pointer_the_agent_rewrote_is_not_followed(
    workspace: Workspace, repository: Path, tmp_path: Path
) -> None:
    trap = new_repository(tmp_path / "trap")
    git(trap, "config", "filter.evil.clean", f"touch {tmp_path}/sprung; cat")
    (workspace.path / ".git").write_text(f"gitdir: {trap}/.git\n")
    write(workspace.path, {".gitattributes": "* filter=evil\n", "new": "x"})
    taken = snapshot(workspace)
    assert git(repository, "rev-parse", taken.ref) == taken.commit
    assert not (tmp_path / "sprung").exists()


def test_programs_set_by_the_agent_stop_everything(
    workspace: Workspace, repository: Path, worktrees: Path, tmp_path: Path
) -> None:
    taken = snapshot(workspace)
    git(workspace.path, "config", "filter.evil.smudge", f"touch {tmp_path}/sprung; cat")
    write(workspace.path, {".gitattributes": "* filter=evil\n"})
    for act in (
        lambda: snapshot(workspace),
        lambda: commit_all(workspace, "work", HANDFAST),
        lambda: restore(repository, worktrees, taken.ref),
    ):
        with pytest.raises(RejectedError) as caught:
            act()
        assert caught.value.code == "repository_runs_programs"
    assert not (tmp_path / "sprung").exists()


def test_replaced_objects_are_not_followed(workspace: Workspace, repository: Path) -> None:
    head = git(workspace.path, "rev-parse", "HEAD")
    other = commit(workspace.path, {"README": "other\n"})
    git(workspace.path, "reset", "-q", "--hard", head)
    git(repository, "replace", head, other)
    taken = snapshot(workspace)
    assert Git(repository).text("rev-parse", f"{taken.commit}^1^{{tree}}") == Git(repository).text(
        "rev-parse", f"{head}^{{tree}}"
    )


def test_commit_all(workspace: Workspace, repository: Path) -> None:
    busy(workspace.path)
    wanted = files_of(workspace.path)
    author = Identity("Agent A", "a@agents.invalid")
    done = commit_all(workspace, "What was left\n\nWhy.\n", author)
    assert done.created
    assert git(repository, "show", "-s", "--format=%an <%ae> %s", done.commit) == (
        "Agent A <a@agents.invalid> What was left"
    )
    assert git(workspace.path, "status", "--porcelain") == ""
    assert files_of(workspace.path) == wanted
    again = commit_all(workspace, "nothing", author)
    assert (again.commit, again.created) == (done.commit, False)


def test_what_is_no_snapshot_is_refused(
    workspace: Workspace, repository: Path, worktrees: Path
) -> None:
    with pytest.raises(NotFound) as caught:
        restore(repository, worktrees, git(repository, "rev-parse", "main"))
    assert caught.value.code == "snapshot_unreadable"
