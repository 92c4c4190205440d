import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handfast.core.domain import faults
from handfast.core.domain.errors import HandfastError, RejectedError, UsageError
from handfast.runner.git import Identity
from handfast.runner.merge import MergeOutcome, MergeStatus, merge
from handfast.runner.workspace import Workspace, create
from tests.repositories import commit, files_of, git, new_repository, state_of, write

ANNA = Identity("Anna", "anna@example.invalid")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repo")


@pytest.fixture
def workspace(repository: Path, tmp_path: Path) -> Workspace:
    return create(repository, tmp_path / "wt", run_id="run_1", task_id="task_1", base="main")


def tip(repository: Path, branch: str = "main") -> str:
    return git(repository, "rev-parse", branch)


def approve(
    repository: Path, approved: str, expected: str | None = None, *, fast_forward: bool = True
) -> MergeOutcome:
    expected, message = expected or tip(repository), "Merge task_1\n"
    return merge(
        repository, "main", approved, expected, message=message, by=ANNA, fast_forward=fast_forward
    )


def refused(repository: Path, approved: str, code: str) -> HandfastError:
    before = state_of(repository)
    with pytest.raises(RejectedError) as caught:
        approve(repository, approved)
    assert caught.value.code == code
    assert caught.value.hint
    assert state_of(repository) == before
    return caught.value


def test_fast_forward_of_a_checked_out_target(repository: Path, workspace: Workspace) -> None:
    before = tip(repository)
    write(repository, {"mine.log": "ignored", "mine.txt": "untracked"})
    work = commit(workspace.path, {"src/a.py": "a = 2\n", "new/b.py": "b = 1\n"})
    git(workspace.path, "rm", "-q", "run.sh")
    work = commit(workspace.path, {})
    commit(workspace.path, {"after.txt": "not approved"})
    outcome = approve(repository, work)
    assert outcome == MergeOutcome(
        MergeStatus.MERGED, "main", before, work, fast_forward=True, updated_tree=repository
    )
    assert tip(repository) == work
    assert git(repository, "status", "--porcelain") == "?? mine.txt"
    assert (repository / "new/b.py").read_text() == "b = 1\n"
    assert not (repository / "run.sh").exists()
    assert not (repository / "after.txt").exists()
    assert "approved commit" in git(repository, "reflog", "show", "main", "-1")
    assert "approved commit" in git(repository, "reflog", "show", "HEAD", "-1")


def test_again_is_already_merged(repository: Path, workspace: Workspace) -> None:
    before = tip(repository)
    work = commit(workspace.path, {"new.txt": "x"})
    approve(repository, work)
    later = commit(repository, {"later.txt": "x"})
    state = state_of(repository)
    for expected in (before, work, later):
        outcome = approve(repository, work, expected)
        assert outcome.status is MergeStatus.ALREADY_MERGED
    assert state_of(repository) == state


@pytest.mark.parametrize("forward", [True, False])
def test_merge_commit(repository: Path, workspace: Workspace, forward: bool) -> None:
    work = commit(workspace.path, {"new.txt": "x"})
    if forward:
        commit(repository, {"other.txt": "x"})
    before = tip(repository)
    outcome = approve(repository, work, fast_forward=forward)
    assert not outcome.fast_forward
    assert git(repository, "rev-parse", "main^1", "main^2").split() == [before, work]
    assert git(repository, "show", "-s", "--format=%an %cn %s", "main") == "Anna Anna Merge task_1"
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "new.txt").exists()


def test_target_not_checked_out(repository: Path, workspace: Workspace) -> None:
    work = commit(workspace.path, {"new.txt": "x"})
    git(repository, "switch", "-q", "-c", "mine")
    write(repository, {"README": "dirty\n"})
    files = files_of(repository)
    outcome = approve(repository, work)
    assert outcome.updated_tree is None
    assert tip(repository) == work
    assert files_of(repository) == files
    assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/mine"


def test_target_in_a_linked_worktree(
    repository: Path, workspace: Workspace, tmp_path: Path
) -> None:
    git(repository, "switch", "-q", "-c", "mine")
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    work = commit(workspace.path, {"new.txt": "x"})
    assert approve(repository, work).updated_tree == tmp_path / "linked"
    assert (tmp_path / "linked" / "new.txt").exists()
    assert git(tmp_path / "linked", "status", "--porcelain") == ""


def test_moved_target_is_stale(repository: Path, workspace: Workspace) -> None:
    seen = tip(repository)
    work = commit(workspace.path, {"new.txt": "x"})
    moved = commit(repository, {"other.txt": "x"})
    before = state_of(repository)
    outcome = approve(repository, work, seen)
    assert outcome.status is MergeStatus.STALE
    assert outcome.target_after == moved
    assert state_of(repository) == before


def test_conflict(repository: Path, workspace: Workspace) -> None:
    work = commit(workspace.path, {"README": "theirs\n", "fine.txt": "x"})
    commit(repository, {"README": "ours\n"})
    error = refused(repository, work, "merge_conflict")
    assert error.details["paths"] == ["README"]


@pytest.mark.parametrize("how", ["unstaged", "staged", "deleted", "same", "hidden"])
def test_dirty_target(repository: Path, workspace: Workspace, how: str) -> None:
    work = commit(workspace.path, {"new.txt": "x", "README": "new\n"})
    match how:
        case "unstaged":
            write(repository, {"src/a.py": "mine\n"})
        case "staged":
            write(repository, {"src/a.py": "mine\n"})
            git(repository, "add", "-A")
        case "deleted":
            (repository / "run.sh").unlink()
        case "hidden":
            git(repository, "update-index", "--assume-unchanged", "README")
            write(repository, {"README": "mine\n"})
        case _:
            write(repository, {"README": "new\n"})
    error = refused(repository, work, "target_dirty")
    assert bool(error.details["paths"]) == (how != "hidden")


def test_touched_but_unchanged_files_are_clean(repository: Path, workspace: Workspace) -> None:
    work = commit(workspace.path, {"README": "new\n"})
    os.utime(repository / "README", (1, 1))
    assert approve(repository, work).status is MergeStatus.MERGED


@pytest.mark.parametrize("name", ["new.txt", "secret.log", "folder", "where/file", "build"])
def test_untracked_and_ignored_files_are_not_written_over(
    repository: Path, workspace: Workspace, name: str
) -> None:
    write(workspace.path, {"new.txt": "x", "secret.log": "x", "folder/x": "x", "where": "x"})
    write(workspace.path, {"build": "x"})
    git(workspace.path, "add", "-f", "new.txt", "secret.log", "folder", "where", "build")
    work = commit(workspace.path, {})
    files = {"build": "build/precious"}
    write(repository, {files.get(name, name): "the user's"})
    error = refused(repository, work, "target_overwrites")
    assert files.get(name, name) in error.message


def test_a_folder_may_become_a_file_and_back(repository: Path, workspace: Workspace) -> None:
    git(workspace.path, "rm", "-q", "-r", "src", "README", "link")
    work = commit(workspace.path, {"src": "file", "README/deep": "x", "link/deep": "x"})
    assert approve(repository, work).status is MergeStatus.MERGED
    assert files_of(repository) == files_of(workspace.path)
    assert git(repository, "status", "--porcelain") == ""


def test_unfinished_operation_on_the_target(repository: Path, workspace: Workspace) -> None:
    work = commit(workspace.path, {"new.txt": "x"})
    git(repository, "switch", "-q", "-c", "side")
    commit(repository, {"README": "side\n"})
    git(repository, "switch", "-q", "main")
    commit(repository, {"README": "main\n"})
    subprocess.run(
        ["git", "rebase", "-q", "side"], cwd=repository, capture_output=True, check=False
    )
    before = tip(repository)
    with pytest.raises(RejectedError) as caught:
        approve(repository, work)
    assert caught.value.code == "target_busy"
    assert tip(repository) == before


def test_checked_out_twice(repository: Path, workspace: Workspace, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "--force", str(tmp_path / "twice"), "main")
    refused(repository, commit(workspace.path, {"new": "x"}), "target_checked_out_twice")


def test_unknown_commit_and_branch(repository: Path, workspace: Workspace) -> None:
    work = commit(workspace.path, {"new.txt": "x"})
    for approved in ("0" * 40, work[:10], workspace.branch, ""):
        with pytest.raises(UsageError) as caught:
            approve(repository, approved)
        assert caught.value.details["field"] == "approved_commit"
    with pytest.raises(UsageError) as caught:
        merge(repository, "nope", work, work, message="m")
    assert caught.value.details["field"] == "target_branch"


def test_unrelated_history_is_refused(repository: Path, tmp_path: Path) -> None:
    other = new_repository(tmp_path / "other")
    commit(other, {"z": "z"})
    git(repository, "fetch", "-q", str(other), "main:unrelated")
    commit(repository, {"y": "y"})
    git(repository, "switch", "-q", "--orphan", "alone")
    alone = commit(repository, {"x": "x"})
    git(repository, "switch", "-q", "main")
    before = state_of(repository)
    with pytest.raises(HandfastError, match="unrelated"):
        approve(repository, alone)
    assert state_of(repository) == before


def test_no_hook_or_program_of_the_repository_runs(
    repository: Path, workspace: Workspace, tmp_path: Path
) -> None:
    work = commit(workspace.path, {"new.txt": "x"})
    commit(repository, {"other.txt": "x"})
    for name in ("pre-merge-commit", "post-merge", "reference-transaction", "post-checkout",
                 "commit-msg", "post-index-change"):  # fmt: skip
        hook = repository / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\nexit 1\n")
        hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", f"touch {tmp_path}/sprung; false")
    assert merge(
        repository, "main", work, git_quiet(repository), message="m"
    ).status is MergeStatus.MERGED  # fmt: skip
    assert not (tmp_path / "sprung").exists()
    git(repository, "config", "merge.evil.driver", f"touch {tmp_path}/sprung")
    with pytest.raises(RejectedError) as caught:
        approve(repository, work, work)
    assert caught.value.code == "repository_runs_programs"


def git_quiet(repository: Path) -> str:
    return (repository / ".git/refs/heads/main").read_text().strip()


def test_target_moved_at_the_last_moment(
    repository: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the compare-and-swap: the files go back, the other's commit stays."""
    seen = tip(repository)
    work = commit(workspace.path, {"new.txt": "x"})
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    other = git(repository, "commit-tree", tree, "-p", seen, "-m", "other")

    def move() -> None:
        git(repository, "update-ref", "refs/heads/main", other)

    monkeypatch.setitem(faults._armed, "merge.before_update", move)
    with pytest.raises(HandfastError):
        approve(repository, work)
    assert tip(repository) == other
    assert git(repository, "status", "--porcelain") == ""
    assert not (repository / "new.txt").exists()


@pytest.mark.faults
@pytest.mark.parametrize("point", ["merge.before_update", "merge.after_update"])
@pytest.mark.parametrize("forward", [True, False])
def test_killed_half_way_and_called_again(
    repository: Path, workspace: Workspace, point: str, forward: bool
) -> None:
    seen = tip(repository)
    work = commit(workspace.path, {"new.txt": "x", "README": "new\n"})
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from handfast.core.domain.faults import arm\n"
        "from handfast.runner.merge import merge\n"
        "arm(sys.argv[1], lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
        "merge(Path(sys.argv[2]), 'main', *sys.argv[3:5], message='m', fast_forward=sys.argv[5] == 'y')\n"
    )
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            point,
            str(repository),
            work,
            seen,
            "y" if forward else "n",
        ],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    outcome = approve(repository, work, seen, fast_forward=forward)
    done = point == "merge.after_update"
    assert outcome.status is (MergeStatus.ALREADY_MERGED if done else MergeStatus.MERGED)
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "rev-list", "--count", f"{seen}..main") == ("1" if forward else "2")
    assert (repository / "README").read_text() == "new\n"


def test_two_at_once_merge_once(repository: Path, workspace: Workspace) -> None:
    seen = tip(repository)
    work = commit(workspace.path, {"new.txt": "x"})

    def attempt(_: int) -> str:
        try:
            return approve(repository, work, seen, fast_forward=False).status
        except HandfastError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, range(4)))
    assert results.count("merged") <= 1
    approve(repository, work, seen, fast_forward=False)
    assert git(repository, "rev-list", "--count", "--merges", "main") == "1"
    assert git(repository, "status", "--porcelain") == ""
