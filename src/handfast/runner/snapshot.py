"""What an agent left in its worktree, put into git objects.

A snapshot is a commit under `refs/handfast/snapshots/<run-id>/<n>`. Its tree holds every tracked file as
it is on disk and every untracked file that is not ignored; its first parent is the worktree's HEAD, its
second holds the staged state; its message is JSON. It is made through an index of its own, so the
agent's index, files and branches stay untouched.

Left out and listed: ignored files, repositories inside the worktree, untracked files above a size.
Content goes through the same conversions as a commit (line ends, filters).
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import Concurrency, NotFound, RejectedError
from handfast.runner.git import Git, Identity, refuse_repository_programs
from handfast.runner.repository import operation
from handfast.runner.workspace import Workspace, create_ref, keep_commit

MAX_FILE_BYTES: Final = 100 * 1024 * 1024
_FORMAT: Final = 1
_TITLE: Final = "Handfast snapshot"
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    ref: str
    commit: str
    run_id: str
    task_id: str
    base_commit: str
    head: str  # the commit the worktree was on; empty when there was none
    head_ref: str  # the branch; empty when detached
    index: str  # commit of the staged state; empty when files were unmerged
    left_out: tuple[str, ...]
    operation: str  # a merge or rebase that was not finished; its state is not kept


@dataclass(frozen=True, slots=True)
class Committed:
    commit: str
    created: bool  # False: everything was committed already
    left_out: tuple[str, ...]


def snapshot(
    workspace: Workspace, *, kind: str = "snapshots", max_file_bytes: int = MAX_FILE_BYTES
) -> Snapshot:
    """Keep the worktree as it is now, under the next free number.

    Works beside a live agent, but files it writes meanwhile may or may not be in it. Raises
    RejectedError (`repository_runs_programs`), AdapterError and DiskFull.
    """
    git = workspace.git
    refuse_repository_programs(git)
    head = git.commit_id("HEAD") or ""
    head_ref = git.run("symbolic-ref", "--quiet", "HEAD", accept=(0, 1)).text
    parents = ["-p", head] if head else []
    with _copied_index(workspace) as own:
        staged = _staged_tree(own, head)
        index = own.run("commit-tree", staged, *parents, stdin=b"index\n").text if staged else ""
        left_out = stage_everything(own, max_file_bytes)
        tree = own.text("write-tree")
    facts: dict[str, object] = {
        "format": _FORMAT,
        "run_id": workspace.run_id,
        "task_id": workspace.task_id,
        "base_commit": workspace.base_commit,
        "head": head,
        "head_ref": head_ref,
        "index": index,
        "left_out": list(left_out),
        "operation": operation(workspace.git_dir),
    }
    message = f"{_TITLE}\n\n{json.dumps(facts, sort_keys=True)}\n".encode()
    parents += ["-p", index] if index else []
    commit = git.run("commit-tree", tree, *parents, stdin=message).text
    ref = _next_ref(git, f"refs/handfast/{kind}/{workspace.run_id}/", commit)
    return read_snapshot(git, ref)


def read_snapshot(git: Git, revision: str) -> Snapshot:
    """The snapshot a ref or commit names. Raises NotFound when it is not here or is no snapshot."""
    commit = git.commit_id(revision)
    if commit is None:
        raise NotFound(
            f"the repository `{git.directory}` has no snapshot `{revision}`",
            code="snapshot_missing",
            hint="Fetch it from where it was made: `git fetch <there> 'refs/handfast/*:refs/handfast/*'`.",
        )
    title, _, body = git.text("show", "--no-patch", "--format=%B", commit).partition("\n\n")
    try:
        facts = json.loads(body)
        if title != _TITLE or facts["format"] != _FORMAT:
            raise ValueError
        return Snapshot(
            ref=revision,
            commit=commit,
            run_id=facts["run_id"],
            task_id=facts["task_id"],
            base_commit=facts["base_commit"],
            head=facts["head"],
            head_ref=facts["head_ref"],
            index=facts["index"],
            left_out=tuple(facts["left_out"]),
            operation=facts["operation"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NotFound(
            f"commit `{commit}` is not a snapshot this version can read",
            code="snapshot_unreadable",
            hint="Name a ref under refs/handfast/snapshots.",
        ) from error


def commit_all(
    workspace: Workspace,
    message: str,
    author: Identity,
    *,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Committed:
    """Commit what the agent left uncommitted, and put the task's branch at the result.

    For the end of a run: the agent must be gone. HEAD is on the task's branch afterwards, also when the
    agent worked elsewhere; no other branch moves, and commits the task's branch loses are kept under
    refs/handfast. Raises RejectedError (`workspace_unfinished`) when a merge or rebase is half done.
    """
    git = workspace.git
    refuse_repository_programs(git)
    unfinished = operation(workspace.git_dir)
    if unfinished:
        raise RejectedError(
            f"a {unfinished} waits to be continued in the worktree of run `{workspace.run_id}`",
            code="workspace_unfinished",
            hint=f"Finish it in `{workspace.path}`, or give it up there with `git {unfinished} --abort`.",
        )
    head = git.commit_id("HEAD")
    with _copied_index(workspace) as own:
        _staged_tree(own, head or "")
        left_out = stage_everything(own, max_file_bytes)
        tree = own.text("write-tree")
    created = head is None or git.text("rev-parse", f"{head}^{{tree}}") != tree
    commit = head or ""
    if created:
        parents = ["-p", head] if head else []
        own = Git(workspace.path, workspace.git_dir, workspace.path, identity=author)
        commit = own.run("commit-tree", tree, *parents, stdin=message.encode()).text
    move_branch(workspace, commit)
    git.run("read-tree", commit)
    git.run("update-index", "-q", "--refresh", accept=(0, 1))
    return Committed(commit, created, left_out)


def move_branch(workspace: Workspace, commit: str) -> None:
    """Put the task's branch at `commit` and HEAD on the branch. Commits it loses stay reachable."""
    git = workspace.git
    old = git.commit_id(workspace.branch_ref)
    if old is not None and old != commit and not git.is_ancestor(old, commit):
        keep_commit(git, workspace.run_id, old)
    git.run("update-ref", "-m", "handfast", workspace.branch_ref, commit, old or "")
    git.run("symbolic-ref", "-m", "handfast", "HEAD", workspace.branch_ref)


def stage_everything(git: Git, max_file_bytes: int) -> tuple[str, ...]:
    """Bring the index to what is on disk. Answers the paths that were left out."""
    reveal(git)
    git.run("add", "--update")
    root = git.directory
    wanted, left_out = [], []
    for name in git.run("ls-files", "--others", "--exclude-standard", "-z").names:
        # A folder here is a repository of its own.
        if name.endswith("/") or _size(root / name) > max_file_bytes:
            left_out.append(name)
        else:
            wanted.append(name)
    listed = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in wanted)
    git.run("update-index", "--add", "--remove", "-z", "--stdin", stdin=listed)
    return tuple(left_out)


def reveal(git: Git) -> None:
    """Take back the index flags that hide changes of a file from git."""
    flagged: dict[str, list[bytes]] = {"--no-assume-unchanged": [], "--no-skip-worktree": []}
    for line in git.run("ls-files", "-v", "-z").stdout.split(b"\0"):
        tag, name = line[:1], line[2:]
        if tag.islower():
            flagged["--no-assume-unchanged"].append(name)
        if (
            tag in b"Ss"
            and tag
            and (git.directory / name.decode("utf-8", "surrogateescape")).exists()
        ):
            flagged["--no-skip-worktree"].append(name)
    for flag, names in flagged.items():
        if names:
            git.run("update-index", flag, "-z", "--stdin", stdin=b"\0".join(names) + b"\0")


@contextmanager
def _copied_index(workspace: Workspace) -> Iterator[Git]:
    """Git with a copy of the worktree's index. The copy keeps what git knows of unchanged files."""
    with tempfile.TemporaryDirectory(prefix="handfast-index-") as folder:
        index = Path(folder) / "index"
        real = workspace.git_dir / "index"
        if real.is_file():
            shutil.copyfile(real, index)
        yield workspace.git.with_index(index)


def _staged_tree(own: Git, head: str) -> str:
    """The staged state as a tree; empty when files are unmerged. An index that cannot be read is
    replaced by the one of HEAD."""
    index = own.index
    present = index is not None and index.is_file()
    written = own.run("write-tree", accept=(0, 128)) if present else None
    if written is not None and written.code == 0:
        return written.text
    if written is not None and "unmerged" in written.stderr:
        return ""
    if index is not None:
        index.unlink(missing_ok=True)
    own.run("read-tree", *([head] if head else ["--empty"]))
    return own.text("write-tree")


def _next_ref(git: Git, folder: str, commit: str) -> str:
    for _ in range(_TRIES):
        names = git.text("for-each-ref", "--format=%(refname)", folder).split()
        numbers = [int(name.removeprefix(folder)) for name in names]
        ref = f"{folder}{max(numbers, default=0) + 1}"
        if create_ref(git, ref, commit):
            return ref
    raise Concurrency(f"no free number for a snapshot under `{folder}`: others take them")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
