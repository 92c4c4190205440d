from pathlib import Path

import pytest

from handfast.core.domain.errors import NotFound, RejectedError, UsageError
from handfast.runner.git import HANDFAST
from handfast.runner.snapshot import commit_all
from handfast.runner.workspace import Workspace, attach, create, discard, remove
from tests.repositories import commit, files_of, git, new_repository, state_of, write

RUN, TASK = "run_1", "task_1"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repo")


@pytest.fixture
def worktrees(tmp_path: Path) -> Path:
    return tmp_path / "data" / "worktrees"


def make(repository: Path, worktrees: Path, run: str = RUN, base: str = "main") -> Workspace:
    return create(repository, worktrees, run_id=run, task_id=TASK, base=base)


def test_a_worktree_of_its_own(repository: Path, worktrees: Path) -> None:
    before = state_of(repository)
    workspace = make(repository, worktrees)
    assert workspace.path == worktrees / RUN
    assert workspace.branch == "handfast/task_1"
    assert workspace.base_commit == git(repository, "rev-parse", "main")
    assert files_of(workspace.path) == files_of(repository)
    assert git(workspace.path, "symbolic-ref", "HEAD") == "refs/heads/handfast/task_1"
    after = state_of(repository)
    for part in ("files", "index", "status", "head", "config"):
        assert after[part] == before[part]


def test_again_is_the_same(repository: Path, worktrees: Path) -> None:
    workspace = make(repository, worktrees)
    write(workspace.path, {"new.txt": "kept"})
    assert make(repository, worktrees) == workspace
    assert attach(worktrees, RUN) == workspace
    assert (workspace.path / "new.txt").read_text() == "kept"


@pytest.mark.parametrize("cut", ["record", "locked", "folder", "git_dir", "pointer"])
def test_unfinished_is_made_anew(repository: Path, worktrees: Path, cut: str) -> None:
    workspace = make(repository, worktrees)
    record = worktrees / f"{RUN}.json"
    record.unlink()
    match cut:
        case "locked":
            (workspace.git_dir / "locked").write_text("initializing")
            (workspace.git_dir / "index").unlink()
        case "folder":
            workspace.path.rename(worktrees / "elsewhere")
        case "git_dir":
            (workspace.git_dir / "HEAD").unlink()
        case "pointer":
            (workspace.path / ".git").write_text("gitdir: /nonexistent\n")
        case _:
            pass
    again = make(repository, worktrees)
    assert record.exists()
    assert files_of(again.path) == files_of(repository)
    assert git(again.path, "status", "--porcelain") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 2


@pytest.mark.parametrize("part", ["folder", "git_dir", "record"])
def test_damage_is_named(repository: Path, worktrees: Path, part: str) -> None:
    workspace = make(repository, worktrees)
    if part == "folder":
        workspace.path.rename(worktrees / "elsewhere")
    elif part == "git_dir":
        (workspace.git_dir / "HEAD").unlink()
    else:
        (worktrees / f"{RUN}.json").write_text("{")
    with pytest.raises(RejectedError) as caught:
        attach(worktrees, RUN)
    assert caught.value.code == "workspace_damaged"


def test_missing_is_told_from_damaged(worktrees: Path) -> None:
    with pytest.raises(NotFound):
        attach(worktrees, RUN)


def test_a_later_run_continues_the_branch(repository: Path, worktrees: Path) -> None:
    first = make(repository, worktrees)
    done = commit(first.path, {"work.txt": "x"})
    with pytest.raises(RejectedError) as caught:
        make(repository, worktrees, "run_2")
    assert caught.value.code == "branch_in_use"
    assert str(first.path) in caught.value.message
    remove(first)
    second = make(repository, worktrees, "run_2", base=first.base_commit)
    assert git(second.path, "rev-parse", "HEAD") == done


def test_a_branch_of_the_user_is_not_taken(repository: Path, worktrees: Path) -> None:
    git(repository, "switch", "-q", "--orphan", "handfast/task_1")
    commit(repository, {"x": "x"})
    git(repository, "switch", "-q", "main")
    before = state_of(repository)
    with pytest.raises(RejectedError) as caught:
        make(repository, worktrees)
    assert caught.value.code == "branch_exists"
    assert state_of(repository) == before


def test_another_base_or_repository_is_refused(
    repository: Path, worktrees: Path, tmp_path: Path
) -> None:
    make(repository, worktrees)
    commit(repository, {"x": "x"})
    for place in (repository, new_repository(tmp_path / "second")):
        with pytest.raises(RejectedError) as caught:
            make(place, worktrees)
        assert caught.value.code == "workspace_differs"


@pytest.mark.parametrize("bad", ["../x", "", "a/b", "-x", "x\n"])
def test_ids_are_no_paths(repository: Path, worktrees: Path, bad: str) -> None:
    with pytest.raises(UsageError):
        make(repository, worktrees, bad)


def test_unknown_base(repository: Path, worktrees: Path) -> None:
    with pytest.raises(UsageError) as caught:
        make(repository, worktrees, base="nope")
    assert caught.value.details["field"] == "base"


def test_hooks_of_the_repository_do_not_run(
    repository: Path, worktrees: Path, tmp_path: Path
) -> None:
    for name in ("post-checkout", "pre-commit", "reference-transaction", "commit-msg"):
        hook = repository / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked-{name}\nexit 1\n")
        hook.chmod(0o755)
    workspace = make(repository, worktrees)
    write(workspace.path, {"x": "x"})
    commit_all(workspace, "work", HANDFAST)
    remove(workspace)
    assert list(tmp_path.glob("hooked-*")) == []


def test_discard_leaves_the_repository_as_it_was(repository: Path, worktrees: Path) -> None:
    before = state_of(repository)
    workspace = make(repository, worktrees)
    work = commit(workspace.path, {"work.txt": "x"})
    write(workspace.path, {"more.txt": "x", "build/out": "x"})
    (workspace.path / "build").chmod(0o500)
    discard(workspace)
    discard(workspace)
    assert state_of(repository) == before
    assert list(worktrees.iterdir()) == []
    assert git(repository, "rev-parse", "refs/handfast/discarded/run_1") == work
    with pytest.raises(NotFound):
        attach(worktrees, RUN)


def test_removal_follows_no_link(repository: Path, worktrees: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    write(precious, {"file": "x"})
    workspace = make(repository, worktrees)
    (workspace.path / "outside").symlink_to(precious)
    remove(workspace)
    make(repository, worktrees)
    remove(workspace)
    workspace.path.symlink_to(precious)
    remove(workspace)
    assert (precious / "file").exists()


def test_worktrees_of_the_user_are_left_alone(
    repository: Path, worktrees: Path, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "-b", "mine", str(tmp_path / "unmounted"))
    (tmp_path / "unmounted").rename(tmp_path / "away")
    discard(make(repository, worktrees))
    (tmp_path / "away").rename(tmp_path / "unmounted")
    assert git(tmp_path / "unmounted", "symbolic-ref", "HEAD") == "refs/heads/mine"
