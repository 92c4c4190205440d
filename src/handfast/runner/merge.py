"""The mediated merge: exactly the approved commit onto the target branch, or nothing at all.

The result is computed in objects (`git merge-tree`), and the branch moves by compare-and-swap. Where a
working tree has the branch checked out, its files are brought along first, by git's own two-tree rule
that refuses before it writes anything. No hook runs (see `runner.git`).
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from handfast.core.domain.errors import AdapterError, RejectedError, StaleEpoch, UsageError
from handfast.core.domain.faults import fault_point
from handfast.runner.fence import Fence, fenced_move
from handfast.runner.git import HANDFAST, Git, Identity, refuse_repository_programs
from handfast.runner.repository import (
    Checkout,
    list_checkouts,
    some_paths,
    tracked_changes,
)


class MergeStatus(StrEnum):
    MERGED = "merged"
    ALREADY_MERGED = "already_merged"
    STALE = "stale"  # the target moved since the review; nothing was changed


@dataclass(frozen=True, slots=True)
class MergeOutcome:
    status: MergeStatus
    target_branch: str
    target_before: str
    target_after: str
    fast_forward: bool
    updated_tree: Path | None  # the working tree whose files were brought along


@dataclass(frozen=True, slots=True)
class _Move:
    """The target's way from `old` to `new`, for as long as the fence stands."""

    git: Git
    branch: str
    old: str
    new: str
    fence: Fence | None = None

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"


def merge(
    repository: Path,
    target_branch: str,
    approved_commit: str,
    expected_target: str,
    *,
    message: str,
    by: Identity = HANDFAST,
    fast_forward: bool = True,
    fence: Fence | None = None,
) -> MergeOutcome:
    """Put `approved_commit` (a full id) on `target_branch`, which the reviewer saw at `expected_target`.

    Fast-forwards where that is possible, unless told not to; else makes a merge commit by `by`.
    Atomic, and idempotent: a commit that is in the target already is `already_merged`, also after a
    crash half way. With a fence only while that stands: else StaleEpoch, with nothing changed. Raises
    RejectedError, with nothing changed, too: `merge_conflict` (details: `paths`),
    `target_dirty`, `target_busy`, `target_overwrites`, `target_checked_out_twice`,
    `repository_runs_programs`; UsageError for commits and branches that do not exist; AdapterError.
    """
    git = Git(repository, identity=by)
    refuse_repository_programs(git)
    target = git.commit_id(f"refs/heads/{target_branch}")
    if target is None:
        raise UsageError(
            f"the repository `{repository}` has no branch `{target_branch}`",
            code="target_branch_unknown",
            hint="Create the branch again, or name another one.",
            details={"field": "target_branch"},
        )
    if git.commit_id(approved_commit) != approved_commit:
        raise UsageError(
            f"`{approved_commit}` is not the full id of a commit in `{repository}`",
            code="approved_commit_unknown",
            hint="Pass the commit the decision names.",
            details={"field": "approved_commit"},
        )
    if git.is_ancestor(approved_commit, target):
        return _unmoved(MergeStatus.ALREADY_MERGED, target_branch, target)
    if target != expected_target:
        return _unmoved(MergeStatus.STALE, target_branch, target)
    forward = fast_forward and git.is_ancestor(target, approved_commit)
    holder = _holder(git, target_branch)
    new = approved_commit if forward else _merge_commit(git, target, approved_commit, message)
    move = _Move(git, target_branch, target, new, fence)
    if holder is None:
        _move_branch(move, git)
    else:
        _move_checked_out(move, holder)
    return MergeOutcome(
        MergeStatus.MERGED, target_branch, target, new, forward, holder.path if holder else None
    )


def _unmoved(status: MergeStatus, branch: str, target: str) -> MergeOutcome:
    return MergeOutcome(status, branch, target, target, fast_forward=False, updated_tree=None)


def take_back(repository: Path, target_branch: str, approved_commit: str) -> None:
    """After a merge that was killed between its two steps: a working tree that holds the result already,
    while the branch does not, gets the branch's files again. Nothing else is touched. Idempotent."""
    git = Git(repository)
    target = git.commit_id(f"refs/heads/{target_branch}")
    approved = git.commit_id(approved_commit)
    if target is None or approved is None or git.is_ancestor(approved, target):
        return
    forward = git.is_ancestor(target, approved)
    new = approved if forward else _merge_commit(git, target, approved, "")
    move = _Move(git, target_branch, target, new)
    for checkout in list_checkouts(git.directory):
        if checkout.branch != target_branch or checkout.operation:
            continue
        checkout.git.run("update-index", "-q", "--refresh", accept=(0, 1))
        if tracked_changes(checkout.git) and _brought_along_before(move, checkout.git):
            _bring_along(move, checkout.git, new, target)


def _merge_commit(git: Git, target: str, approved: str, message: str) -> str:
    merged = git.run(
        "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", target, approved,
        accept=(0, 1),
    )  # fmt: skip
    tree, *paths = merged.names
    if merged.code == 1:
        raise RejectedError(
            f"the approved commit `{approved[:12]}` conflicts with the target in {some_paths(paths)}",
            code="merge_conflict",
            hint="Nothing was changed. Request changes, so that the agent brings its branch up to date.",
            details={"paths": paths[:50]},
        )
    return git.run("commit-tree", tree, "-p", target, "-p", approved, stdin=message.encode()).text


def _holder(git: Git, branch: str) -> Checkout | None:
    """The working tree that has the branch checked out, fit to be brought along."""
    checkouts = list_checkouts(git.directory)
    for checkout in checkouts:
        if checkout.rebasing == branch or (checkout.branch == branch and checkout.operation):
            raise RejectedError(
                f"a {checkout.operation} of `{branch}` waits to be continued in `{checkout.path}`",
                code="target_busy",
                hint="Finish it or give it up there, then approve the merge again.",
            )
    holders = [checkout for checkout in checkouts if checkout.branch == branch]
    if len(holders) > 1:
        raise RejectedError(
            f"`{branch}` is checked out in {some_paths([str(each.path) for each in holders])}",
            code="target_checked_out_twice",
            hint="Switch all but one of these working trees to another branch.",
        )
    return holders[0] if holders else None


def _move_checked_out(move: _Move, holder: Checkout) -> None:
    tree = holder.git
    tree.run("update-index", "-q", "--refresh", accept=(0, 1))
    changed = tracked_changes(tree)
    if not changed:
        _refuse_overwriting(move, tree)
        _bring_along(move, tree, move.old, move.new)
    elif not _brought_along_before(move, tree):
        raise _dirty(move, tree, changed)
    try:
        _move_branch(move, tree)
    except (AdapterError, StaleEpoch):
        if move.git.commit_id(move.ref) != move.new:
            _bring_along(move, tree, move.new, move.old)
        raise


def _bring_along(move: _Move, tree: Git, old: str, new: str) -> None:
    """The files and index of a clean working tree, from one commit to the other."""
    done = tree.run("read-tree", "-m", "-u", old, new, accept=(0, 128))
    if done.code != 0 and "would be overwritten" in done.stderr:
        raise _overwrites(move, tree, done.stderr)
    if "not uptodate" in done.stderr:  # changes behind an index flag that hides them
        raise _dirty(move, tree, [])
    if done.code != 0:
        tree.run("read-tree", "-m", "-u", old, new)  # raises what the failure was


def _move_branch(move: _Move, git: Git) -> None:
    fault_point("merge.before_update")
    fenced_move(git, move.fence, move.ref, move.new, move.old)
    fault_point("merge.after_update")


def _brought_along_before(move: _Move, tree: Git) -> bool:
    """Whether a merge that was killed left this working tree at the new commit already."""
    if tree.run("diff-files", "--quiet", accept=(0, 1)).code != 0:
        return False
    return tree.run("diff-index", "--cached", "--quiet", move.new, accept=(0, 1)).code == 0


def _refuse_overwriting(move: _Move, tree: Git) -> None:
    """Files git does not track are the user's, ignored ones too; git would write over ignored ones."""
    changed = tree.run(
        "diff-tree", "-r", "-z", "--no-renames", "--name-status", move.old, move.new
    ).names
    pairs = list(zip(changed[::2], changed[1::2], strict=True))
    leaving = {name for status, name in pairs if status == "D"}
    in_the_way = sorted(
        {
            found
            for status, name in pairs
            if status == "A"
            for found in _found_at(tree.directory, name)
            if found not in leaving
        }
    )
    if in_the_way:
        raise _overwrites(move, tree, some_paths(in_the_way))


def _found_at(root: Path, name: str) -> list[str]:
    """What lies where the file `name` is to be: itself, a file where a folder is needed, or the
    contents of a folder."""
    parts = Path(name).parts
    for depth in range(1, len(parts)):
        parent = root.joinpath(*parts[:depth])
        if parent.is_symlink() or parent.is_file():
            return ["/".join(parts[:depth])]
    path = root / name
    if path.is_dir() and not path.is_symlink():
        inside = [Path(folder) / file for folder, _, files in os.walk(path) for file in files]
        return [str(file.relative_to(root)) for file in inside]
    return [name] if path.exists() or path.is_symlink() else []


def _dirty(move: _Move, tree: Git, changed: list[str]) -> RejectedError:
    files = some_paths(changed) or "files marked assume-unchanged or skip-worktree"
    return RejectedError(
        f"`{tree.directory}` has `{move.branch}` checked out with changes that are not committed: {files}",
        code="target_dirty",
        hint="Nothing was changed. Commit or stash them, then approve the merge again.",
        details={"paths": changed[:50]},
    )


def _overwrites(move: _Move, tree: Git, what: str) -> RejectedError:
    return RejectedError(
        f"merging into `{move.branch}` would write over files in `{tree.directory}` that git does not "
        f"track: {what}",
        code="target_overwrites",
        hint="Nothing was changed. Move these files away, then approve the merge again.",
    )
