"""A worktree brought back to a snapshot: after a kill, after a pause, or on another machine."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import AdapterError, RejectedError
from handfast.runner.git import Git, refuse_repository_programs
from handfast.runner.snapshot import Snapshot, move_branch, read_snapshot, reveal, snapshot
from handfast.runner.workspace import (
    Workspace,
    attach,
    branch_of,
    free_branch,
    prepare_place,
    register,
)

_STATE_FILES: Final = (
    "index.lock", "HEAD.lock", "MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "AUTO_MERGE", "SQUASH_MSG",
    "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "BISECT_LOG", "BISECT_START",
)  # fmt: skip
_STATE_FOLDERS: Final = ("rebase-merge", "rebase-apply", "sequencer")


@dataclass(frozen=True, slots=True)
class Restored:
    workspace: Workspace
    kept: Snapshot | None  # what was in the worktree before, when it differed


def restore(repository: Path, worktrees: Path, revision: str) -> Restored:
    """Bring the worktree of the snapshot's run to the state the snapshot holds: files, staged state,
    HEAD and the task's branch. Makes the worktree when it is not there.

    The run's agent must be gone. Nothing is lost: files that differ are kept in a snapshot under
    refs/handfast/kept/<run-id>/, and so are commits made since. Ignored files and what the snapshot left
    out stay as they are. May be repeated after a crash. Raises NotFound (`snapshot_missing`),
    RejectedError (`branch_in_use`, `repository_runs_programs`).
    """
    git = Git(repository)
    refuse_repository_programs(git)
    wanted = read_snapshot(git, revision)
    try:
        workspace = attach(worktrees, wanted.run_id)
    except RejectedError:
        return Restored(_made(repository, worktrees, wanted), None)
    _drop_state(workspace)
    found = snapshot(workspace, kind="kept")
    same = _same_files(workspace.git, found, wanted)
    if same:
        workspace.git.run("update-ref", "-d", found.ref, found.commit)
    _fill(workspace, wanted, spare=found.left_out)
    return Restored(workspace, None if same else found)


def _made(repository: Path, worktrees: Path, wanted: Snapshot) -> Workspace:
    git = Git(repository)
    path = prepare_place(git, worktrees, wanted.run_id)
    free_branch(git, branch_of(wanted.task_id), path)
    start = wanted.head or wanted.base_commit
    git.run("worktree", "add", "--quiet", "--detach", "--no-checkout", str(path), start)
    workspace = register(
        repository,
        path,
        run_id=wanted.run_id,
        task_id=wanted.task_id,
        base_commit=wanted.base_commit,
    )
    _fill(workspace, wanted, spare=())
    return workspace


def _fill(workspace: Workspace, wanted: Snapshot, *, spare: tuple[str, ...]) -> None:
    git = workspace.git
    _point_head(workspace, wanted)
    try:
        reveal(git)
        git.run("read-tree", "--reset", "-u", wanted.commit)
    except AdapterError:
        # An index cut off by a kill. Without it every file is written again.
        (workspace.git_dir / "index").unlink(missing_ok=True)
        git.run("read-tree", "--reset", "-u", wanted.commit)
    left = {*wanted.left_out, *spare}
    for name in git.run("ls-files", "--others", "--exclude-standard", "-z").names:
        if name not in left and not name.endswith("/"):
            _unlink(workspace.path, name)
    staged = wanted.index or wanted.head
    git.run("read-tree", *([staged] if staged else ["--empty"]))
    git.run("update-index", "-q", "--refresh", accept=(0, 1))


def _point_head(workspace: Workspace, wanted: Snapshot) -> None:
    if wanted.head_ref == workspace.branch_ref and wanted.head:
        move_branch(workspace, wanted.head)
    elif wanted.head:
        # The agent stood on a branch that is not the task's: that branch is not ours to move.
        workspace.git.run("update-ref", "--no-deref", "-m", "handfast", "HEAD", wanted.head)
    else:
        workspace.git.run("symbolic-ref", "-m", "handfast", "HEAD", wanted.head_ref)


def _same_files(git: Git, one: Snapshot, other: Snapshot) -> bool:
    trees = [git.text("rev-parse", f"{each.commit}^{{tree}}") for each in (one, other)]
    return trees[0] == trees[1]


def _drop_state(workspace: Workspace) -> None:
    """Locks of killed git commands, and half-done operations: a snapshot does not hold their state."""
    for name in _STATE_FILES:
        (workspace.git_dir / name).unlink(missing_ok=True)
    for name in _STATE_FOLDERS:
        shutil.rmtree(workspace.git_dir / name, ignore_errors=True)


def _unlink(root: Path, name: str) -> None:
    path = root / name
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == root or any(folder.iterdir()):
            return
        folder.rmdir()
