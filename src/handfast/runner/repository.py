"""The user's repository, looked at before anything is done with it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import UsageError
from handfast.runner.git import Git, refuse_repository_programs

_SHOWN_PATHS: Final = 5
# Folders and files git keeps while an operation waits to be continued, and its name.
_OPERATIONS: Final = (
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A working tree of a repository: the main one or a linked one."""

    path: Path
    git_dir: Path
    branch: str | None  # None when no branch is checked out
    operation: str = ""  # a rebase, merge … that waits to be continued
    rebasing: str = ""  # the branch the rebase will move

    @property
    def git(self) -> Git:
        return Git(self.path, git_dir=self.git_dir, work_tree=self.path)


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """What a task needs to know of the repository it starts from."""

    root: Path  # of the working tree the path lies in
    common_dir: Path  # the folder shared by all its worktrees
    target_branch: str
    target_commit: str
    checked_out_at: Path | None  # the working tree that has the target branch
    submodules: tuple[str, ...]
    notes: tuple[str, ...]  # plain sentences for the page: what the agent will not see


def check_repository(path: Path, target_branch: str) -> RepositoryFacts:
    """Refuse, with the field and the remedy, a repository or branch a task cannot start from.

    Reads only. Raises UsageError with `details['field']` `repository` or `target_branch`, and
    RejectedError when the repository's configuration would run programs.
    """
    root, common_dir = _locate(path)
    git = Git(root)
    refuse_repository_programs(git)
    if not git.text("rev-list", "--all", "--max-count=1"):
        raise _wrong(
            "repository_empty",
            f"the repository `{root}` has no commits",
            "Make a first commit, then start the task again.",
        )
    target_commit = _target(git, target_branch)
    checkouts = list_checkouts(root)
    holders = [checkout for checkout in checkouts if checkout.branch == target_branch]
    for checkout in holders:
        _refuse_unsettled(checkout, target_branch)
    submodules = _submodules(git, target_commit)
    return RepositoryFacts(
        root=root,
        common_dir=common_dir,
        target_branch=target_branch,
        target_commit=target_commit,
        checked_out_at=holders[0].path if holders else None,
        submodules=submodules,
        notes=_notes(git, root, checkouts, target_branch, submodules),
    )


def list_checkouts(repository: Path) -> tuple[Checkout, ...]:
    """The working trees of the repository whose folders exist.

    Their administrative folders are looked up in the repository: the `.git` file in a linked working
    tree may have been written by an agent.
    """
    found = []
    git = Git(repository)
    common = Path(git.text("rev-parse", "--path-format=absolute", "--git-common-dir"))
    git_dirs = linked_git_dirs(common)
    listed = git.run("worktree", "list", "--porcelain", "-z").stdout
    for record in listed.split(b"\0\0"):
        fields = dict(_field(line) for line in record.split(b"\0") if line)
        path = Path(os.fsdecode(fields.get(b"worktree", b"")))
        if b"worktree" in fields and b"bare" not in fields and path.is_dir():
            git_dir = git_dirs.get(path.resolve(), common)
            branch = os.fsdecode(fields.get(b"branch", b"")).removeprefix("refs/heads/")
            found.append(
                Checkout(path, git_dir, branch or None, operation(git_dir), _rebasing(git_dir))
            )
    return tuple(found)


def linked_git_dirs(common_dir: Path) -> dict[Path, Path]:
    """Administrative folder by the (resolved) folder of each linked working tree."""
    found = {}
    for pointer in common_dir.glob("worktrees/*/gitdir"):
        target = os.fsdecode(pointer.read_bytes().rstrip(b"\n"))
        found[(pointer.parent / target).parent.resolve()] = pointer.parent
    return found


def operation(git_dir: Path) -> str:
    """The operation that waits to be continued in this working tree, or nothing."""
    return next((name for file, name in _OPERATIONS if (git_dir / file).exists()), "")


def tracked_changes(git: Git) -> list[str]:
    """Tracked files with changes that are not committed, staged or not."""
    status = git.run(
        "status", "--porcelain=v1", "-z", "--no-renames",
        "--untracked-files=no", "--ignore-submodules=dirty",
    )  # fmt: skip
    return [entry[3:] for entry in status.names]


def some_paths(paths: list[str]) -> str:
    """A few of the paths, for a sentence."""
    shown = ", ".join(f"`{path}`" for path in paths[:_SHOWN_PATHS])
    rest = len(paths) - _SHOWN_PATHS
    return f"{shown} and {rest} more" if rest > 0 else shown


def _locate(path: Path) -> tuple[Path, Path]:
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise _wrong(
            "repository_missing", f"`{path}` {what}", "Name the folder of a git repository."
        )
    git = Git(path.resolve())
    inside = git.run("rev-parse", "--is-bare-repository", "--is-inside-work-tree", accept=(0, 128))
    if inside.code != 0:
        if "dubious ownership" in inside.stderr:
            git.run("rev-parse", "--git-dir")  # raises with the remedy
        raise _wrong(
            "repository_not_git",
            f"`{path}` is not a git repository",
            "Name the folder of a git repository, or run `git init` there and commit.",
        )
    bare, in_tree = inside.text.split()
    if bare == "true":
        raise _wrong(
            "repository_bare",
            f"`{path}` is a bare repository: it has no working tree",
            "Clone it and name the clone.",
        )
    if in_tree != "true":
        raise _wrong(
            "repository_not_git",
            f"`{path}` lies inside a `.git` folder",
            "Name the folder that holds the files.",
        )
    root = Path(git.text("rev-parse", "--show-toplevel"))
    common = Path(git.text("rev-parse", "--path-format=absolute", "--git-common-dir"))
    return root, common


def _target(git: Git, branch: str) -> str:
    named = git.run("check-ref-format", "--branch", branch, accept=(0, 1, 128))
    found = git.commit_id(f"refs/heads/{branch}") if named.code == 0 and branch else None
    if found is None:
        branches = git.text("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
        raise UsageError(
            f"the repository `{git.directory}` has no branch `{branch}`",
            code="target_branch_unknown",
            hint=f"Its branches are {some_paths(branches)}." if branches else "It has no branches.",
            details={"field": "target_branch"},
        )
    return found


def _refuse_unsettled(checkout: Checkout, branch: str) -> None:
    if checkout.operation:
        raise _wrong(
            "repository_busy",
            f"a {checkout.operation} waits to be continued in `{checkout.path}`",
            f"Finish it or give it up (`git {checkout.operation} --abort`), then start again.",
        )
    changed = tracked_changes(checkout.git)
    if changed:
        raise _wrong(
            "repository_dirty",
            f"`{checkout.path}` has changes on `{branch}` that are not committed: {some_paths(changed)}",
            "Commit or stash them: the agent starts from the last commit, and the merge must not meet them.",
        )


def _notes(
    git: Git, root: Path, checkouts: tuple[Checkout, ...], target: str, submodules: tuple[str, ...]
) -> tuple[str, ...]:
    notes = []
    if submodules:
        notes.append(
            f"Submodules are left empty in the agent's worktree: {some_paths(list(submodules))}."
        )
    if git.text("rev-parse", "--is-shallow-repository") == "true":
        notes.append("The clone is shallow: older history is not there.")
    here = next((checkout for checkout in checkouts if checkout.path == root), None)
    if here and here.branch != target:
        changed = tracked_changes(here.git)
        if changed:
            place = f"on `{here.branch}`" if here.branch else "outside any branch"
            notes.append(f"Changes {place} that are not committed are not part of the task.")
    if git.run("ls-files", "--others", "--exclude-standard", "--directory", "-z").stdout:
        notes.append("Files in the repository that git does not track are not part of the task.")
    return tuple(notes)


def _submodules(git: Git, commit: str) -> tuple[str, ...]:
    listed = git.run("ls-tree", "-r", "-z", commit).stdout.split(b"\0")
    return tuple(
        os.fsdecode(line.split(b"\t", 1)[1]) for line in listed if line.startswith(b"160000 ")
    )


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b" ")
    return name, value


def _rebasing(git_dir: Path) -> str:
    for folder in ("rebase-merge", "rebase-apply"):
        name = git_dir / folder / "head-name"
        if name.is_file():
            return name.read_text("utf-8", "replace").strip().removeprefix("refs/heads/")
    return ""


def _wrong(code: str, message: str, hint: str) -> UsageError:
    return UsageError(message, code=code, hint=hint, details={"field": "repository"})
