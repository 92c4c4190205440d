"""Questions to git: exact on odd names, without side effects, and deaf to hostile configuration."""

from pathlib import Path

import pytest

from handfast.core.domain.brief_scope import in_scope
from handfast.core.domain.errors import AdapterError
from handfast.observe import git as observe
from handfast.observe.change import changed_files
from handfast.observe.review import review_facts
from handfast.observe.scope import Scope
from tests.unit.observed_ground import build, git


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return build(tmp_path)


@pytest.fixture
def worktree(scope: Scope) -> Path:
    return Path(scope.worktree)


def commit(worktree: Path, message: str = "next") -> str:
    git(worktree, "add", "-A")
    git(worktree, "commit", "-q", "-m", message)
    return git(worktree, "rev-parse", "HEAD").strip()


def test_changes_on_disk_and_between_commits(worktree: Path) -> None:
    base = observe.head(worktree)
    assert base is not None
    changed = changed_files(worktree, base)
    assert [(c.path, c.status, c.added, c.deleted) for c in changed if c.status != "?"] == [
        ("README.md", "M", 1, 1)
    ]
    assert {c.path for c in changed if c.status == "?"} >= {
        "scratch.py",
        "build/out.o",
        ".env",
        "out",
    }
    odd = 'tab\there "quoted"\nnew line ünï.txt'
    (worktree / odd).write_text("1\n2\n")
    (worktree / "bin").write_bytes(bytes(range(256)))
    (worktree / "manage.py").unlink()
    (worktree / "src/app.py").rename(worktree / "src/moved.py")
    (worktree / "run.sh").chmod(0o755)
    head = commit(worktree)
    found = {c.path: c for c in changed_files(worktree, base, head)}
    assert (found[odd].status, found[odd].added) == ("A", 2)
    assert (found["bin"].added, found["bin"].deleted, found["bin"].binary) == (None, None, True)
    assert found["manage.py"].status == "D"
    assert (found["src/moved.py"].status, found["src/moved.py"].old_path) == ("R", "src/app.py")
    assert (found["run.sh"].old_mode, found["run.sh"].new_mode) == ("100644", "100755")


def test_tracked_untracked_and_uncommitted(worktree: Path) -> None:
    assert observe.tracked(worktree, ["src/billing"]) == ("src/billing/a.py", "src/billing/b.py")
    assert observe.is_tracked(worktree, worktree / "README.md")
    assert not observe.is_tracked(worktree, "scratch.py")
    assert not observe.is_tracked(worktree, "/etc/passwd")
    assert observe.tracked(worktree, ["src/*"]) == ()
    assert "scratch.py" in observe.untracked(worktree)
    assert observe.uncommitted(worktree) == ("README.md",)
    assert observe.uncommitted(worktree, ["src"]) == ()


def test_commits_and_diff_text(worktree: Path) -> None:
    base = observe.head(worktree)
    assert base is not None
    head = commit(worktree, "Change the readme")
    (only,) = observe.commits(worktree, base, head)
    assert (only.id, only.subject, only.author, only.parents) == (
        head,
        "Change the readme",
        "T <t@example.org>",
        (base,),
    )
    text = observe.diff_text(worktree, base, head)
    assert "diff --git a/README.md b/README.md" in text
    assert "+changed" in text
    assert observe.branch(worktree) == "main"
    assert observe.merge_base(worktree, base, head) == base


def test_names_that_look_like_options_are_names(worktree: Path) -> None:
    assert observe.resolve(worktree, "--all") is None
    with pytest.raises(AdapterError, match="failed"):
        changed_files(worktree, "--output=stolen")
    assert not (worktree / "stolen").exists()


def test_hostile_configuration_runs_nothing(
    worktree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = worktree.parent / "ran"
    tool = worktree.parent / "tool.sh"
    tool.write_text(f"#!/bin/sh\ntouch {mark}\n")
    tool.chmod(0o755)
    for name in (
        "diff.external",
        "core.pager",
        "core.fsmonitor",
        "diff.x.textconv",
        "diff.x.command",
    ):
        git(worktree, "config", name, str(tool))
    (worktree / ".git/info/attributes").write_text("* diff=x\n")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(tool))
    monkeypatch.setenv("GIT_PAGER", str(tool))
    base = observe.head(worktree)
    assert base is not None
    head = observe.resolve(worktree, "topic")
    assert head is not None
    changed_files(worktree, base)
    observe.diff_text(worktree, base, head)
    observe.commits(worktree, base, head)
    observe.uncommitted(worktree)
    observe.tree_state(worktree)
    assert not mark.exists()


def test_no_lock_is_taken(worktree: Path) -> None:
    index = worktree / ".git/index"
    before = index.read_bytes()
    (worktree / "src/app.py").touch()
    observe.uncommitted(worktree)
    assert index.read_bytes() == before


def test_outside_a_repository(tmp_path: Path) -> None:
    assert not observe.is_repository(tmp_path)
    with pytest.raises(AdapterError, match="failed in"):
        observe.tracked(tmp_path, ["x"])
    with pytest.raises(AdapterError, match="could not be run"):
        observe.untracked(tmp_path / "missing")


def test_review_facts(worktree: Path) -> None:
    base = observe.head(worktree)
    assert base is not None
    (worktree / "src/app.py").write_text("1\n2\n3\n")
    (worktree / "link").symlink_to("/etc/passwd")
    (worktree / ".github/workflows").mkdir(parents=True)
    (worktree / ".github/workflows/ci.yml").write_text("on: push\n")
    (worktree / "run.sh").chmod(0o755)
    (worktree / "src/billing/a.py").rename(worktree / "src/a.py")
    (worktree / "logo.png").write_bytes(b"\x89PNG\x00")
    head = commit(worktree)
    facts = review_facts(worktree, base, head, ["src/*", "README.md"])
    assert facts.symlinks == facts.escaping == ("link", "out")
    assert facts.odd_names == ()
    assert facts.powerful == (".github/workflows/ci.yml",)
    assert facts.mode_changes == ("run.sh",)
    assert facts.binaries == ("logo.png",)
    assert "src/billing/a.py" not in facts.outside_scope
    assert {"link", "run.sh", "logo.png", ".github/workflows/ci.yml"} <= set(facts.outside_scope)
    assert "src/app.py" not in facts.outside_scope
    assert len(facts.commits) == 1
    assert facts.insertions >= 5
    assert facts.deletions >= 2
    assert review_facts(worktree, base, head).outside_scope == ()


@pytest.mark.parametrize(
    ("path", "glob", "inside"),
    [
        ("src/a.py", "src", True),
        ("src/a.py", "src/", True),
        ("src/a.py", "./src", True),
        ("src2/a.py", "src", False),
        ("src/a/b.py", "src/*.py", False),
        ("src/b.py", "src/*.py", True),
        ("src/a/b.py", "src/**/*.py", True),
        ("src/b.py", "src/**/*.py", True),
        ("a/b/c.md", "**/*.md", True),
        ("c.md", "**/*.md", True),
        ("docs/x/y", "docs/**", True),
        ("a.py", ".", True),
        ("a+b.py", "a+b.py", True),
        ("aab.py", "a+b.py", False),
        ("a.py\n", "a.py", False),
        ("src/../etc/x", "src", False),
        ("src/a..b/x", "src", True),
    ],
)
def test_scope_globs(path: str, glob: str, inside: bool) -> None:
    assert in_scope(path, [glob]) is inside


def test_a_folder_that_is_no_repository_gates_deletes(tmp_path: Path) -> None:
    from handfast.observe.shell import shell_facts

    (tmp_path / "wt").mkdir()
    scope = Scope(worktree=tmp_path / "wt", cwd=tmp_path / "wt", scratch=(), home=tmp_path)
    assert shell_facts("rm -rf x", scope).opaque == ("git-unavailable",)
