from pathlib import Path

import pytest

from handfast.core.domain.errors import AdapterError, HandfastError, RejectedError, UsageError
from handfast.runner.git import Git, repository_programs
from handfast.runner.repository import check_repository
from tests.repositories import commit, git, new_repository, state_of, write


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repo")


def refused(path: Path, branch: str = "main") -> HandfastError:
    with pytest.raises(UsageError) as caught:
        check_repository(path, branch)
    assert caught.value.hint
    return caught.value


def test_facts_of_a_clean_repository(repository: Path) -> None:
    before = state_of(repository)
    facts = check_repository(repository / "src", "main")
    assert facts.root == repository
    assert facts.common_dir == repository / ".git"
    assert facts.target_commit == git(repository, "rev-parse", "main")
    assert facts.checked_out_at == repository
    assert facts.notes == ()
    assert state_of(repository) == before


@pytest.mark.parametrize(
    ("make", "code"),
    [
        ("missing", "repository_missing"),
        ("file", "repository_missing"),
        ("plain", "repository_not_git"),
        ("bare", "repository_bare"),
        ("empty", "repository_empty"),
    ],
)
def test_what_is_no_repository_is_refused(tmp_path: Path, make: str, code: str) -> None:
    place = tmp_path / make
    if make == "file":
        place.write_text("x")
    elif make != "missing":
        place.mkdir()
    if make in {"bare", "empty"}:
        git(place, "init", "-q", *(["--bare"] if make == "bare" else []))
    error = refused(place)
    assert error.code == code
    assert error.details["field"] == "repository"
    assert str(place) in error.message


def test_unknown_branch_names_the_ones_there_are(repository: Path) -> None:
    for name in ("nope", "", "-d", "main..x", "refs/heads/main"):
        error = refused(repository, name)
        assert error.code == "target_branch_unknown"
        assert error.details["field"] == "target_branch"
        assert "`main`" in error.hint


@pytest.mark.parametrize("staged", [True, False])
def test_dirty_target_is_refused(repository: Path, staged: bool) -> None:
    write(repository, {"src/a.py": "a = 2\n"})
    if staged:
        git(repository, "add", "src/a.py")
    error = refused(repository)
    assert error.code == "repository_dirty"
    assert "src/a.py" in error.message


def test_dirty_target_in_a_linked_worktree_is_refused(repository: Path, tmp_path: Path) -> None:
    git(repository, "switch", "-q", "-c", "other")
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    assert check_repository(repository, "main").checked_out_at == tmp_path / "linked"
    write(tmp_path / "linked", {"README": "changed\n"})
    assert str(tmp_path / "linked") in refused(repository).message


def test_changes_elsewhere_are_noted(repository: Path) -> None:
    git(repository, "switch", "-q", "-c", "other")
    write(repository, {"src/a.py": "a = 2\n", "new.txt": "x"})
    facts = check_repository(repository, "main")
    assert facts.checked_out_at is None
    assert any("`other`" in note for note in facts.notes)
    assert any("does not track" in note for note in facts.notes)


def test_unfinished_merge_is_refused(repository: Path) -> None:
    git(repository, "switch", "-q", "-c", "other")
    commit(repository, {"src/a.py": "a = 2\n"})
    git(repository, "switch", "-q", "main")
    git(repository, "merge", "-q", "--no-ff", "--no-commit", "other")
    assert refused(repository).code == "repository_busy"


def test_submodules_are_noted(repository: Path, tmp_path: Path) -> None:
    new_repository(tmp_path / "lib")
    git(
        repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q",
        str(tmp_path / "lib"), "vendored",
    )  # fmt: skip
    commit(repository, {})
    facts = check_repository(repository, "main")
    assert facts.submodules == ("vendored",)
    assert any("Submodules" in note for note in facts.notes)


def test_programs_in_the_repository_configuration_are_refused(
    repository: Path, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "included").write_text(f'[merge "mine"]\n\tdriver = touch {touched}\n')
    git(repository, "config", "filter.evil.clean", f"touch {touched}; cat")
    git(repository, "config", "include.path", str(tmp_path / "included"))
    git(repository, "config", "filter.lfs.required", "true")
    git(repository, "config", "core.fsmonitor", f"touch {touched}")
    write(repository, {".gitattributes": "* filter=evil\n"})
    with pytest.raises(RejectedError) as caught:
        check_repository(repository, "main")
    assert caught.value.code == "repository_runs_programs"
    assert caught.value.details["settings"] == ["filter.evil.clean", "merge.mine.driver"]
    assert not touched.exists()


def test_programs_in_the_users_configuration_are_allowed(
    repository: Path, git_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "config"
    mine.write_text(git_config.read_text() + '[filter "x"]\n\tclean = cat\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(mine))
    assert repository_programs(Git(repository)) == ()


def test_callers_variables_do_not_steer_git(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new_repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_TRACE", "1")
    assert Git(repository).text("rev-parse", "--show-toplevel") == str(repository)


def test_messages_of_git_are_shown_inert(repository: Path) -> None:
    with pytest.raises(AdapterError) as caught:
        Git(repository).run("rev-parse", "--verify", "no\x1b[31mthing")
    assert caught.value.code == "git_failed"
    assert "\x1b" not in caught.value.message


def test_git_is_ended_at_its_time_limit_with_what_it_started(
    repository: Path, git_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "config"
    mine.write_text(git_config.read_text() + '[filter "slow"]\n\tclean = "sleep 60; cat"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(mine))
    write(repository, {".gitattributes": "*.txt filter=slow\n", "x.txt": "x"})
    with pytest.raises(AdapterError) as caught:
        Git(repository).run("add", "-A", timeout_s=0.5)
    assert caught.value.code == "git_timeout"
    assert caught.value.retryable


def test_a_lock_left_behind_is_named(repository: Path) -> None:
    (repository / ".git" / "index.lock").touch()
    with pytest.raises(AdapterError) as caught:
        Git(repository).run("add", "-A")
    assert caught.value.code == "git_busy"
    assert "lock" in caught.value.hint


def test_git_missing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(AdapterError) as caught:
        Git(repository).run("status")
    assert caught.value.code == "git_missing"


def test_repository_of_another_user_says_what_to_do(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho \"fatal: detected dubious ownership in '/x'\" >&2\nexit 128\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent))
    with pytest.raises(AdapterError) as caught:
        check_repository(repository, "main")
    assert caught.value.code == "repository_not_trusted"
    assert "safe.directory" in caught.value.hint
