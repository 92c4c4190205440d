"""What a change is, from git: modes, links, submodules, odd names, protected paths, owners, added lines."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from handfast.core.domain.change import UNKNOWN_OWNER, ChangedFile
from handfast.core.domain.codec import decode, encode
from handfast.observe.change import (
    added_text,
    changed_files,
    escaping_links,
    has_odd_name,
    is_protected,
)
from handfast.observe.claude_code import read_call
from handfast.observe.git import diff_text
from handfast.observe.review import review_facts
from handfast.observe.scope import Scope
from handfast.runner.supervisor.finished import _about
from handfast.server.api.schema_gate import FactsIn
from tests.unit.observed_ground import build, git


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return build(tmp_path)


@pytest.fixture
def worktree(scope: Scope) -> Path:
    return Path(scope.worktree)


def commit(worktree: Path) -> str:
    git(worktree, "add", "-A")
    git(worktree, "commit", "-q", "-m", "next")
    return git(worktree, "rev-parse", "HEAD").strip()


def by_path(files: tuple[ChangedFile, ...]) -> dict[str, ChangedFile]:
    return {file.path: file for file in files}


def test_links_and_where_they_lead(worktree: Path) -> None:
    base = git(worktree, "rev-parse", "HEAD").strip()
    targets = {
        "in": "src/app.py",
        "src/up": "../README.md",
        "src/out1": "../../other",
        "root": "/etc/passwd",
        "gitdir": ".git/config",
        "src/round": "billing/../../src/../../x",
    }
    for name, target in targets.items():
        (worktree / name).symlink_to(target)
    wanted = {"src/out1", "root", "gitdir", "src/round", "out"}
    on_disk = [ChangedFile(name, symlink=True) for name in (*targets, "out", "gone")]
    assert set(escaping_links(worktree, on_disk)) == {*wanted, "gone"}
    head = commit(worktree)
    files = changed_files(worktree, base, head)
    assert {file.path for file in files if file.symlink} == {*targets, "out"}
    assert set(escaping_links(worktree, files, head)) == wanted
    said = _about(review_facts(worktree, base, head))
    assert any("lead out of the worktree" in each and "root" in each for each in said)


def test_a_submodule_and_a_file_that_becomes_a_link(worktree: Path, tmp_path: Path) -> None:
    base = git(worktree, "rev-parse", "HEAD").strip()
    inner = worktree / "vendored"
    inner.mkdir()
    git(inner, "init", "-q", "-b", "main")
    git(inner, "commit", "-q", "--allow-empty", "-m", "inner")
    (worktree / "run.sh").unlink()
    (worktree / "run.sh").symlink_to("deploy.sh")
    subprocess.run(
        ["git", "-c", "advice.addEmbeddedRepo=false", "add", "-A"], cwd=worktree, check=True
    )
    found = by_path(changed_files(worktree, base, commit(worktree)))
    assert found["vendored"].submodule
    assert (found["run.sh"].status, found["run.sh"].symlink) == ("T", True)
    assert found["run.sh"].mode_changed
    assert not found["vendored"].mode_changed


def test_names_that_are_not_utf8(worktree: Path) -> None:
    base = git(worktree, "rev-parse", "HEAD").strip()
    raw = os.fsencode(worktree) + b"/caf\xe9.txt"
    Path(os.fsdecode(raw)).write_bytes(b"x\n")
    head = commit(worktree)
    found = by_path(changed_files(worktree, base, head))
    name = os.fsdecode(b"caf\xe9.txt")
    assert (found[name].status, found[name].added) == ("A", 1)
    assert review_facts(worktree, base, head, ["src"]).odd_names == (name,)
    assert name in review_facts(worktree, base, head, ["src"]).outside_scope


@pytest.mark.parametrize(
    ("path", "odd"),
    [("a/b.py", False), ("a/../b", True), ("x\ny", True), ("a/.git/config", True), ("ünï", False)],
)
def test_odd_names(path: str, odd: bool) -> None:
    assert has_odd_name(path) is odd


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/ci.yml",
        ".github/CODEOWNERS",
        "docs/CODEOWNERS",
        ".gitlab-ci.yml",
        "sub/.circleci/config.yml",
        "Jenkinsfile",
        ".husky/pre-commit",
        ".pre-commit-config.yaml",
        ".claude/settings.json",
        ".mcp.json",
        "AGENTS.md",
        "package-lock.json",
        "web/yarn.lock",
        "uv.lock",
        "Cargo.lock",
        "go.sum",
        ".gitattributes",
    ],
)
def test_protected_paths(path: str) -> None:
    assert is_protected(path)


@pytest.mark.parametrize(
    "path", ["src/app.py", "docs/ci.md", "lock.py", "src/github/x.py", "go.mod"]
)
def test_other_paths_are_not(path: str) -> None:
    assert not is_protected(path)


def test_a_file_moved_away_from_a_protected_place_counts(worktree: Path) -> None:
    (worktree / ".github/workflows").mkdir(parents=True)
    (worktree / ".github/workflows/ci.yml").write_text("on: push\njobs: {}\n" * 9)
    base = commit(worktree)
    (worktree / ".github/workflows/ci.yml").rename(worktree / "old.yml")
    assert review_facts(worktree, base, commit(worktree)).powerful == ("old.yml",)


def test_added_lines_only(worktree: Path) -> None:
    base = git(worktree, "rev-parse", "HEAD").strip()
    (worktree / "src/app.py").write_text("++ odd\n-- odd\n")
    (worktree / 'q"uo\tte.txt').write_text("quoted\n")
    added = added_text(diff_text(worktree, base, commit(worktree)))
    assert "++ odd" in added
    assert "quoted" in added
    assert "print('app')" not in added
    broken = "--- a/x\n+++ b/x\n@@ -1,5 +1,5 @@\n+a\n"
    assert added_text(broken) == broken


# -- calls


def changes(scope: Scope, tool: str, **fields: object) -> tuple[ChangedFile, ...]:
    return read_call(tool, fields, scope)[1].changes


def test_what_a_file_tool_would_change(worktree: Path, scope: Scope) -> None:
    (worktree / "lines.py").write_text("1\n2\n3\n4\n")
    (new,) = changes(scope, "Write", file_path="new/x.py", content="a\nb\n")
    assert (new.path, new.status, new.added, new.deleted) == ("new/x.py", "A", 2, 0)
    (over,) = changes(scope, "Write", file_path="lines.py", content="1\n2\nX\nY\n4\n")
    assert (over.status, over.added, over.deleted, over.old_mode) == ("M", 2, 1, "100644")
    (edit,) = changes(
        scope, "Edit", file_path=str(worktree / "lines.py"), old_string="2\n3", new_string="2"
    )
    assert (edit.path, edit.added, edit.deleted) == ("lines.py", 0, 1)
    (every,) = changes(
        scope, "Edit", file_path="lines.py", old_string="\n", new_string="\n\n", replace_all=True
    )
    assert (every.added, every.deleted) == (4, 0)
    edits = [{"old_string": "1", "new_string": "0"}, {"old_string": "2\n", "new_string": ""}]
    (several,) = changes(scope, "MultiEdit", file_path="lines.py", edits=edits)
    assert (several.added, several.deleted) == (1, 2)
    (link,) = changes(scope, "Write", file_path="out", content="x")
    assert link.symlink
    (notebook,) = changes(scope, "NotebookEdit", notebook_path="n.ipynb", new_source="x")
    assert (notebook.path, notebook.added) == ("n.ipynb", None)


def test_a_pipe_and_a_path_outside_are_named_and_not_read(worktree: Path, scope: Scope) -> None:
    os.mkfifo(worktree / "pipe")
    (pipe,) = changes(scope, "Write", file_path="pipe", content="x")
    assert (pipe.path, pipe.added) == ("pipe", 1)
    (outside,) = changes(scope, "Write", file_path="../other/a\u202eb", content="x")
    assert outside.path.endswith("other/a\u2039U+202E\u203ab")
    assert outside.owners == ()


def test_owners_come_from_the_commit_and_not_from_the_file_the_agent_changed(
    worktree: Path, scope: Scope
) -> None:
    (worktree / "CODEOWNERS").write_text("* @org/all\n/src/billing/ @org/money\n")
    commit(worktree)
    (worktree / "CODEOWNERS").write_text("* @agent\n")
    (call,) = changes(scope, "Write", file_path="src/billing/a.py", content="x")
    assert call.owners == ("@org/money",)
    assert [(c.path, c.owners) for c in changes(scope, "Bash", command="rm src/billing/a.py")] == [
        ("src/billing/a.py", ("@org/money",))
    ]
    deleted = by_path(changes(scope, "Bash", command="rm -rf src"))
    assert deleted["src/billing/b.py"].owners == ("@org/money",)
    assert deleted["src/app.py"].owners == ("@org/all",)
    assert changes(scope, "Bash", command="ls src") == ()


def test_owners_of_a_run_are_those_of_its_base(worktree: Path, scope: Scope) -> None:
    (worktree / "CODEOWNERS").write_text("* @org/all\n")
    base = commit(worktree)
    (worktree / "CODEOWNERS").write_text("* @agent\n")
    commit(worktree)
    of_base = replace(scope, base=base)
    (call,) = changes(of_base, "Write", file_path="src/app.py", content="x")
    assert call.owners == ("@org/all",)
    (other,) = changes(replace(scope, base="f" * 40), "Write", file_path="src/app.py", content="x")
    assert other.owners == (UNKNOWN_OWNER,)


def test_the_server_takes_the_changes_as_the_runner_sends_them(
    worktree: Path, scope: Scope
) -> None:
    (worktree / "CODEOWNERS").write_text("* @org/all\n")
    commit(worktree)
    facts = read_call("Write", {"file_path": "a\u202eb.py", "content": "x\ny"}, scope)[1]
    assert facts.changes[0].path == "a\u2039U+202E\u203ab.py"
    assert FactsIn.model_validate_json(json.dumps(encode(facts))).facts() == facts
    assert decode(type(facts), encode(facts)) == facts
