"""A reviewer's edit as a commit: exactly the approved tree with exactly those blobs, in a real repository, or nothing."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from handfast.core.domain.canonical import sha256
from handfast.core.domain.errors import RejectedError
from handfast.core.domain.reviewed_files import FileEdit, plain_path
from handfast.observe.change import changed_files
from handfast.runner.edit_commit import edit_commit, twins
from handfast.runner.git import Git, Identity
from handfast.runner.supervisor.review_texts import review_texts
from tests.repositories import commit, files_of, git, new_repository

BY = Identity("Ann", "person@localhost", "@1700000000 +0000")


class Place:
    """A repository with one change, and an edit of it."""

    def __init__(self, root: Path) -> None:
        self.root = new_repository(root)
        self.base = git(self.root, "rev-parse", "HEAD")
        self.head = commit(self.root, {"src/a.py": "a = 2\n", "new.txt": "one\r\ntwo"}, "work")

    @property
    def tree(self) -> str:
        return git(self.root, "rev-parse", f"{self.head}^{{tree}}")

    def edit(self, path: str, after: bytes, mode: str = "100644") -> FileEdit:
        before = self.blob(self.head, path)
        return FileEdit(path, mode, sha256(before), sha256(after))

    def blob(self, revision: str, path: str) -> bytes:
        found = subprocess.run(
            ["git", "cat-file", "blob", f"{revision}:{path}"], cwd=self.root, capture_output=True, check=False
        )  # fmt: skip
        return found.stdout

    def commit(self, edits: list[FileEdit], texts: dict[str, bytes], tree: str = "") -> str:
        return edit_commit(
            Git(self.root),
            self.head,
            tree or self.tree,
            edits,
            texts,
            base=self.base,
            by=BY,
            message="edit\n",
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "repo")


@pytest.mark.parametrize(
    "after", [b"", b"no end", b"a\r\nb\r\n", b"\xef\xbb\xbfx\n", "é\u2028\n".encode()]
)
def test_bytes_survive_as_they_are_and_nothing_else_changes(place: Place, after: bytes) -> None:
    # None of these may be asked.
    (place.root / ".git/info").mkdir(exist_ok=True)
    (place.root / ".git/info/attributes").write_text("* text eol=crlf filter=evil ident\n")
    git(place.root, "config", "filter.evil.clean", f"touch {place.root}/ran; cat")
    git(place.root, "config", "core.autocrlf", "true")
    hook = place.root / ".git/hooks/post-commit"
    hook.write_text(f"#!/bin/sh\ntouch {place.root}/ran\n")
    hook.chmod(0o755)
    index, files = (place.root / ".git/index").read_bytes(), files_of(place.root)
    made = place.commit([place.edit("src/a.py", after)], {"src/a.py": after})
    assert place.blob(made, "src/a.py") == after
    assert git(place.root, "diff-tree", "-r", "--name-only", place.head, made) == "src/a.py"
    assert git(place.root, "log", "-1", "--format=%P %an", made) == f"{place.head} Ann"
    assert (place.root / ".git/index").read_bytes() == index
    assert files_of(place.root) == files
    assert git(place.root, "rev-parse", "HEAD") == place.head


def test_the_same_edit_is_the_same_commit(place: Place) -> None:
    edit = place.edit("new.txt", b"x")
    assert place.commit([edit], {"new.txt": b"x"}) == place.commit([edit], {"new.txt": b"x"})


@pytest.mark.parametrize(
    "path",
    [
        "../out", "/etc/passwd", "src/../run.sh", "./new.txt", "src//a.py", ".git/config", "src/.GIT/config",
        ".git /hooks/x", "GIT~1/config", ".git::$INDEX_ALLOCATION/x", "src\\a.py", "new.txt\0", "", "src/a\u200b.py",
    ],
)  # fmt: skip
def test_a_path_with_a_trick_is_refused(place: Place, path: str) -> None:
    assert not plain_path(path)
    edit = replace(place.edit("new.txt", b"x"), path=path)
    with pytest.raises(RejectedError, match="not plain"):
        place.commit([edit], {path: b"x"})


@pytest.mark.parametrize("path", ["README", "run.sh", "absent.txt", "SRC/a.py", "New.txt", "src"])
def test_a_path_outside_the_change_is_refused(place: Place, path: str) -> None:
    edit = replace(place.edit("new.txt", b"x"), path=path)
    with pytest.raises(RejectedError, match="is no file of the change"):
        place.commit([edit], {path: b"x"})


def test_a_link_in_the_tree_is_never_followed(place: Place) -> None:
    (place.root / "folder").symlink_to("src")
    (place.root / "other").symlink_to("run.sh")
    place.head = commit(place.root, {}, "links")
    for path, said in [
        ("other", "not the ordinary file"),
        ("folder/a.py", "no file of the change"),
    ]:
        edit = FileEdit(path, "100644", sha256(b"a = 2\n"), sha256(b"x"))
        with pytest.raises(RejectedError, match=said):
            place.commit([edit], {path: b"x"})


def test_a_mode_is_never_changed(place: Place) -> None:
    with pytest.raises(RejectedError, match="not the ordinary file"):
        place.commit([place.edit("new.txt", b"x", "100755")], {"new.txt": b"x"})


def test_names_that_differ_only_in_case_are_refused(place: Place) -> None:
    place.head = commit(place.root, {"NEW.txt": "x", "Src/b.py": "b\n"}, "twins")
    assert twins(Git(place.root), place.head, ["new.txt", "src/a.py"]) == {"new.txt", "src/a.py"}
    with pytest.raises(RejectedError, match="only in case"):
        place.commit([place.edit("new.txt", b"x")], {"new.txt": b"x"})


def test_what_is_not_what_was_seen_or_approved_is_refused(place: Place) -> None:
    edit = place.edit("new.txt", b"x")
    for edits, texts, tree, said in [
        ([replace(edit, before=sha256(b"y"))], {"new.txt": b"x"}, "", "what the reviewer saw"),
        ([edit], {"new.txt": b"y"}, "", "not what was approved"),
        ([edit], {}, "", "not what was approved"),
        ([edit, edit], {"new.txt": b"x"}, "", "one twice"),
        ([], {}, "", "not plain"),
        ([edit], {"new.txt": b"x"}, "0" * 40, "whose files were edited"),
    ]:
        with pytest.raises(RejectedError, match=said):
            place.commit(edits, texts, tree)


def test_the_texts_of_a_review_say_what_is_left_out(place: Place) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----\n"
    (place.root / "bin").write_bytes(b"\0\1\2" * 9)
    (place.root / "latin").write_bytes("é\n".encode("latin-1") * 5)
    (place.root / "odd\u200b.txt").write_text("x\n")
    (place.root / "l").symlink_to("src")
    (place.root / "README").unlink()
    (place.root / "run.sh").rename(place.root / "runs.sh")
    head = commit(place.root, {"big": "x\n" * 60_000, "key.pem": key, "New.TXT": "y\n"}, "more")
    found = json.loads(
        review_texts(Git(place.root), place.base, head, changed_files(place.root, place.base, head))
    )
    assert found["tree"] == git(place.root, "rev-parse", f"{head}^{{tree}}")
    assert {f["path"]: (f["mode"], f["old"], f["new"]) for f in found["files"]} == {
        "src/a.py": ("100644", "a = 1\n", "a = 2\n"),
        "runs.sh": ("100755", "#!/bin/sh\necho run\n", "#!/bin/sh\necho run\n"),
    }
    why = {x["path"]: x["why"] for x in found["left_out"]}
    assert why == {
        "bin": "it is no UTF-8 text",
        "latin": "it is no UTF-8 text",
        "odd\u2039U+200B\u203a.txt": "its name is not plain",
        "l": "it is a symbolic link",
        "big": "it is larger than 100,000 bytes",
        "key.pem": "it holds what looks like a credential",
        "New.TXT": "another name differs from it only in case",
        "new.txt": "another name differs from it only in case",
    }


def test_a_change_that_is_too_large_keeps_what_fits(place: Place) -> None:
    files = {f"many/{n:03}.txt": f"{n}\n" * 20_000 for n in range(20)}
    head = commit(place.root, files, "many")
    changes = changed_files(place.root, place.base, head)
    found = json.loads(review_texts(Git(place.root), place.base, head, changes))
    sizes = [len(f["old"]) + len(f["new"]) for f in found["files"]]
    assert 0 < sum(sizes) <= 1_000_000
    assert {x["why"] for x in found["left_out"]} == {
        "the change is too large to keep all of its texts"
    }
    assert len(found["files"]) + len(found["left_out"]) == len(changes)
