"""Owners by CODEOWNERS: the last match, sections, and an explicit word where the file cannot be read."""

import os
from pathlib import Path

import pytest

from handfast.core.domain.change import UNKNOWN_OWNER
from handfast.observe.owners import owners_at, owners_of
from tests.unit.observed_ground import build, git

FILE = """# comment
*            @org/all            # everyone
*.js         @js @second
/docs/       docs@example.org
/docs/free/
apps/        @org/apps
/build/*     @builder
name\\ with\\ space.txt @spaced
"""


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("README.md", ("@org/all",)),
        ("a/b.js", ("@js", "@second")),
        ("docs/x.md", ("docs@example.org",)),
        ("docs/free/x.md", ()),
        ("x/docs/y.md", ("@org/all",)),
        ("deep/apps/y.py", ("@org/apps",)),
        ("build/x", ("@builder",)),
        ("build/x/y", ("@org/all",)),
        ("name with space.txt", ("@spaced",)),
    ],
)
def test_the_last_line_that_matches_decides(path: str, owners: tuple[str, ...]) -> None:
    assert owners_of([path], FILE) == {path: owners}


def test_no_file_means_no_owners() -> None:
    assert owners_of(["a"], None) == {"a": ()}
    assert owners_of(["a"], "") == {"a": ()}
    assert owners_of(["a"], "# nothing\n\n") == {"a": ()}


@pytest.mark.parametrize("line", ["*.py bob", "[ab]*.py @x", "!secret @x", "a[ @x", "* @x, @y bob"])
def test_a_line_that_cannot_be_read_makes_every_owner_unknown(line: str) -> None:
    text = f"* @org/all\n{line}\n"
    assert owners_of(["a.py", "b.md"], text) == dict.fromkeys(["a.py", "b.md"], (UNKNOWN_OWNER,))


def test_sections_each_have_their_say() -> None:
    text = "* @one\n[Docs] @writers\n*.md\n^[Optional][2]\n*.md @other\nREADME.md @lead\n"
    assert owners_of(["README.md", "x.md", "x.py"], text) == {
        "README.md": ("@one", "@writers", "@lead"),
        "x.md": ("@one", "@writers", "@other"),
        "x.py": ("@one",),
    }


def commit(worktree: Path) -> str:
    git(worktree, "add", "-A")
    git(worktree, "commit", "-q", "-m", "next")
    return git(worktree, "rev-parse", "HEAD").strip()


def test_places_are_tried_in_order(tmp_path: Path) -> None:
    worktree = Path(build(tmp_path).worktree)
    assert owners_at(worktree, ["a"]) == {"a": ()}
    for place in (".gitlab/", "docs/", "", ".github/"):
        (worktree / place).mkdir(exist_ok=True)
        (worktree / f"{place}CODEOWNERS").write_text(f"* @from-{place.strip('./') or 'root'}\n")
        assert owners_at(worktree, ["a"], commit(worktree)) == {
            "a": (f"@from-{place.strip('./') or 'root'}",)
        }


def test_what_git_cannot_say_is_unknown(tmp_path: Path) -> None:
    worktree = Path(build(tmp_path).worktree)
    unknown = {"a": (UNKNOWN_OWNER,)}
    assert owners_at(worktree, ["a"], "no-such-commit") == unknown
    (worktree / "CODEOWNERS").symlink_to("README.md")
    assert owners_at(worktree, ["a"], commit(worktree)) == unknown
    (worktree / "CODEOWNERS").unlink()
    Path(os.fsdecode(os.fsencode(worktree) + b"/CODEOWNERS")).write_bytes(b"* @caf\xe9\n")
    assert owners_at(worktree, ["a"], commit(worktree)) == unknown
    (tmp_path / "plain").mkdir()
    assert owners_at(tmp_path / "plain", ["a"]) == {"a": ()}


def test_a_commit_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worktree = Path(build(tmp_path).worktree)
    (worktree / "CODEOWNERS").write_text("* @x\n")
    base = commit(worktree)
    owners_at(worktree, ["a"], base)
    monkeypatch.setenv("PATH", "")
    assert owners_at(worktree, ["b"], base) == {"b": ("@x",)}
