"""The agent's own worktree of the user's repository: made, found again, taken away.

`<worktrees>/<run-id>/` is a linked worktree of git on the branch `handfast/<task-id>`, outside the
user's working tree. `<worktrees>/<run-id>.json` is written last, so a worktree without it was never
finished and is made anew. Everything is idempotent: a caller that was killed calls again.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import NotFound, RejectedError, UsageError
from handfast.runner.git import Git, refuse_repository_programs
from handfast.runner.repository import linked_git_dirs, list_checkouts

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_NOTHING: Final = "0" * 40


@dataclass(frozen=True, slots=True)
class Workspace:
    repository: Path  # the user's working tree
    path: Path  # the agent's
    git_dir: Path  # administrative folder of `path`, inside the repository
    run_id: str
    task_id: str
    base_commit: str

    @property
    def branch(self) -> str:
        return branch_of(self.task_id)

    @property
    def branch_ref(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def git(self) -> Git:
        return Git(self.path, git_dir=self.git_dir, work_tree=self.path)


def branch_of(task_id: str) -> str:
    return f"handfast/{task_id}"


def create(repository: Path, worktrees: Path, *, run_id: str, task_id: str, base: str) -> Workspace:
    """Make the worktree of a run, with the task's branch at commit `base`.

    A branch of an earlier run of the task is continued where it stands, when it descends from `base`.
    Called again after a crash it finishes, or returns what is there. Raises RejectedError
    (`branch_exists`, `branch_in_use`, `repository_runs_programs`).
    """
    path = _place(worktrees, run_id)
    _identifier("task_id", task_id)
    git = Git(repository)
    refuse_repository_programs(git)
    base_commit = git.commit_id(base)
    if base_commit is None:
        raise UsageError(
            f"the repository `{repository}` has no commit `{base}`",
            code="base_unknown",
            hint="Name a commit or branch of the repository.",
            details={"field": "base"},
        )
    try:
        known = attach(worktrees, run_id)
    except RejectedError:
        _clear_away(git, path)
    else:
        _same(known, repository, task_id, base_commit)
        return known
    free_branch(git, branch_of(task_id), path)
    branch = branch_of(task_id)
    tip = git.commit_id(f"refs/heads/{branch}")
    if tip is None:
        git.run("worktree", "add", "--quiet", "--no-track", "-b", branch, str(path), base_commit)
    elif git.is_ancestor(base_commit, tip):
        # Forced: a folder that is gone may still be listed as holding the branch.
        git.run("worktree", "add", "--quiet", "--force", str(path), branch)
    else:
        raise RejectedError(
            f"the branch `{branch}` exists and does not descend from `{base_commit[:12]}`",
            code="branch_exists",
            hint=f"Rename or delete it: `git branch -m {branch} {branch}-old`.",
        )
    return register(repository, path, run_id=run_id, task_id=task_id, base_commit=base_commit)


def attach(worktrees: Path, run_id: str) -> Workspace:
    """The finished worktree of a run. Raises NotFound (`workspace_missing`) when there is none and
    RejectedError (`workspace_damaged`) when parts of it are gone."""
    path = _place(worktrees, run_id)
    try:
        fields = json.loads(_record(path).read_text("utf-8"))
        workspace = Workspace(
            repository=Path(fields["repository"]),
            path=path,
            git_dir=Path(fields["git_dir"]),
            run_id=run_id,
            task_id=fields["task_id"],
            base_commit=fields["base_commit"],
        )
    except FileNotFoundError as error:
        raise NotFound(
            f"run `{run_id}` has no worktree in `{worktrees}`",
            code="workspace_missing",
            hint="Restore it from its last snapshot.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"its record `{_record(path)}` cannot be read") from error
    if not path.is_dir() or path.is_symlink():
        raise _damaged(path, "the folder is gone")
    if not (workspace.git_dir / "HEAD").is_file():
        raise _damaged(path, f"git's folder for it `{workspace.git_dir}` is gone")
    if workspace.git.run("rev-parse", "--git-dir", accept=(0, 128)).code != 0:
        raise _damaged(path, "git does not know it any more")
    return workspace


def remove(workspace: Workspace) -> None:
    """Take the worktree away, with all that is not committed or in a snapshot. The branch stays."""
    _clear_away(Git(workspace.repository), workspace.path)


def discard(workspace: Workspace) -> None:
    """Leave the repository as it was before the run: worktree and branch go.

    The branch's last commit stays reachable as `refs/handfast/discarded/<run-id>`, and so do
    snapshots. Work that was never committed goes: take a snapshot first to keep it.
    """
    git = Git(workspace.repository)
    tip = git.commit_id(workspace.branch_ref)
    if tip is not None:
        git.run("update-ref", f"refs/handfast/discarded/{workspace.run_id}", tip)
    remove(workspace)
    if tip is not None:
        git.run("update-ref", "-d", workspace.branch_ref, tip)


def register(
    repository: Path, path: Path, *, run_id: str, task_id: str, base_commit: str
) -> Workspace:
    """Record a worktree that git has just made. From here on `attach` finds it."""
    common = Path(Git(repository).text("rev-parse", "--path-format=absolute", "--git-common-dir"))
    git_dir = linked_git_dirs(common).get(path.resolve())
    if git_dir is None:
        raise _damaged(path, "git does not list it")
    workspace = Workspace(repository, path, git_dir, run_id, task_id, base_commit)
    fields = {name: str(value) for name, value in asdict(workspace).items()}
    record = _record(path)
    unfinished = record.with_suffix(".json.new")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(fields, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(record)
    return workspace


def free_branch(git: Git, branch: str, path: Path) -> None:
    """Raise RejectedError when a working tree other than `path` has the branch."""
    for checkout in list_checkouts(git.directory):
        if checkout.branch == branch and checkout.path != path:
            raise RejectedError(
                f"the branch `{branch}` is checked out in `{checkout.path}`",
                code="branch_in_use",
                hint="End the run that works there, or switch that working tree to another branch.",
            )


def prepare_place(git: Git, worktrees: Path, run_id: str) -> Path:
    """The folder for a run's worktree, with anything unfinished there taken away."""
    path = _place(worktrees, run_id)
    _clear_away(git, path)
    return path


def keep_commit(git: Git, run_id: str, commit: str) -> str:
    """Keep a commit that is about to lose its branch: `refs/handfast/kept-commits/<run-id>/<commit>`."""
    ref = f"refs/handfast/kept-commits/{run_id}/{commit}"
    git.run("update-ref", ref, commit)
    return ref


def create_ref(git: Git, ref: str, commit: str) -> bool:
    """Point a new ref at `commit`. False, and nothing done, when it exists."""
    made = git.run("update-ref", ref, commit, _NOTHING, accept=(0, 128))
    if made.code != 0 and git.commit_id(ref) is None:
        git.run("update-ref", ref, commit, _NOTHING)  # raises with git's message
    return made.code == 0


def _clear_away(git: Git, path: Path) -> None:
    _record(path).unlink(missing_ok=True)
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, onerror=_open_and_retry)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Twice forced: an unfinished one is locked. 128: git does not know it. Never `worktree prune`,
    # which would also forget worktrees of the user on a disk that is not mounted.
    git.run("worktree", "remove", "--force", "--force", str(path), accept=(0, 128))


def _open_and_retry(again: Callable[[str], object], name: str, failure: object) -> None:
    """An agent may leave folders without write permission behind."""
    del failure
    for place in (Path(name).parent, Path(name)):
        if not place.is_symlink():
            place.chmod(place.stat().st_mode | stat.S_IRWXU)
    again(name)


def _place(worktrees: Path, run_id: str) -> Path:
    _identifier("run_id", run_id)
    return worktrees.resolve() / run_id


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _identifier(field: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise UsageError(
            f"`{value}` is not an id",
            code="bad_id",
            details={"field": field},
            hint="Pass the id as it is.",
        )


def _same(known: Workspace, repository: Path, task_id: str, base_commit: str) -> None:
    if known.repository.resolve() != repository.resolve() or known.task_id != task_id:
        raise RejectedError(
            f"run `{known.run_id}` already has a worktree of `{known.repository}` for task "
            f"`{known.task_id}`",
            code="workspace_differs",
            hint="Start another run.",
        )
    if known.base_commit != base_commit:
        raise RejectedError(
            f"the worktree of run `{known.run_id}` started from `{known.base_commit[:12]}`, "
            f"not from `{base_commit[:12]}`",
            code="workspace_differs",
            hint="Pass the commit the run started from, or start another run.",
        )


def _damaged(path: Path, what: str) -> RejectedError:
    return RejectedError(
        f"the worktree `{path}` is damaged: {what}",
        code="workspace_damaged",
        hint="Restore it from its last snapshot.",
    )
