"""A reviewer's edit as one commit on top of the approved one, made in objects alone.

No working tree and no index of the user's is touched, and no hook, filter or attribute is asked: blobs are written
from the bytes as they are. What comes out is compared with what went in, and is nothing but the approved tree with
exactly those blobs, under the modes they had. The same edit gives the same commit again, also after a crash.
"""

import os
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from handfast.core.domain.canonical import sha256
from handfast.core.domain.errors import RejectedError
from handfast.core.domain.reviewed_files import MODES, FileEdit, plain_path
from handfast.runner.git import Git, Identity


def edit_commit(
    git: Git,
    commit: str,
    tree: str,
    edits: Sequence[FileEdit],
    texts: Mapping[str, bytes],
    *,
    base: str,
    by: Identity,
    message: str,
) -> str:
    """The id of the commit. `tree` is what `commit` must hold, `base` where the change began.

    Raises RejectedError (`edit_refused`) for what is not exactly an edit of files of the change, and when the
    result is not exactly that; AdapterError. Nothing but objects is written.
    """
    if git.commit_id(commit) != commit or git.text("rev-parse", f"{commit}^{{tree}}") != tree:
        raise _refused(f"`{commit[:12]}` is not the commit whose files were edited")
    paths = [edit.path for edit in edits]
    _check_names(git, commit, base, paths)
    entries = _entries(git, tree, paths)
    blobs: dict[str, str] = {}
    for edit in edits:
        mode, blob = entries.get(edit.path, ("", ""))
        if mode not in MODES or mode != edit.mode:
            raise _refused(f"`{edit.path}` is not the ordinary file that was edited")
        if sha256(git.run("cat-file", "blob", blob).stdout) != edit.before:
            raise _refused(f"`{edit.path}` is not what the reviewer saw")
        data = texts.get(edit.path)
        if data is None or sha256(data) != edit.after or edit.after == edit.before:
            raise _refused(f"the new text of `{edit.path}` is not what was approved")
        blobs[edit.path] = _written(git, data, edit)
    edited = _tree_with(git, tree, {e.path: (e.mode, blobs[e.path]) for e in edits})
    _check_exact(git, tree, edited, {e.path: (e.mode, blobs[e.path]) for e in edits})
    made = replace(git, identity=by)
    return made.run("commit-tree", edited, "-p", commit, stdin=message.encode()).text


def twins(git: Git, commit: str, paths: Iterable[str]) -> frozenset[str]:
    """Those of `paths` that another file or folder of the commit differs from only in case or in how a letter is
    composed: on some file systems they are one."""
    wanted: dict[str, set[tuple[str, str]]] = {}
    for path in paths:
        for prefix in _prefixes(path):
            wanted.setdefault(_folded(prefix), set()).add((prefix, path))
    found: set[str] = set()
    for name in git.run("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit).names:
        for prefix in _prefixes(name):
            known = wanted.get(_folded(prefix), ())
            found.update(path for own, path in known if own != prefix)
    return frozenset(found)


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _check_names(git: Git, commit: str, base: str, paths: Sequence[str]) -> None:
    odd = next((path for path in paths if not plain_path(path)), None)
    if odd is not None or len(set(paths)) != len(paths) or not paths:
        raise _refused("it names a path that is not plain, or one twice")
    listed = git.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", base, commit).names
    outside = sorted(set(paths) - set(listed))
    if outside:
        raise _refused(f"`{outside[0]}` is no file of the change")
    double = sorted(twins(git, commit, paths))
    if double:
        raise _refused(f"another name differs from `{double[0]}` only in case")


def _entries(git: Git, tree: str, paths: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Mode and blob of each path, through folders of the tree alone: a link is never followed."""
    found = {}
    for line in git.run("ls-tree", "-z", "--full-tree", tree, "--", *paths).names:
        facts, _, path = line.partition("\t")
        mode, kind, blob = facts.split(" ")
        if kind == "blob":
            found[path] = (mode, blob)
    return found


def _written(git: Git, data: bytes, edit: FileEdit) -> str:
    blob = git.run("hash-object", "-w", "-t", "blob", "--no-filters", "--stdin", stdin=data).text
    if sha256(git.run("cat-file", "blob", blob).stdout) != edit.after:
        raise _refused(f"git did not keep `{edit.path}` as it was given")
    return blob


def _tree_with(git: Git, tree: str, blobs: Mapping[str, tuple[str, str]]) -> str:
    """In an index of its own, which goes with its folder."""
    lines = [f"{mode} {blob} 0\t".encode() + os.fsencode(p) for p, (mode, blob) in blobs.items()]
    with tempfile.TemporaryDirectory(prefix="handfast-edit-") as folder:
        own = git.with_index(Path(folder) / "index")
        own.run("read-tree", tree)
        own.run("update-index", "-z", "--index-info", stdin=b"\0".join(lines) + b"\0")
        return own.text("write-tree")


def _check_exact(git: Git, before: str, after: str, blobs: Mapping[str, tuple[str, str]]) -> None:
    """The two trees differ in those blobs, and in nothing else."""
    out = git.run("diff-tree", "-r", "-z", "--no-renames", "--no-abbrev", "--raw", before, after)
    names = out.names
    found = {}
    for facts, path in zip(names[::2], names[1::2], strict=True):
        old_mode, mode, _, blob, status = facts.removeprefix(":").split(" ")
        found[path] = (mode if mode == old_mode and status == "M" else "", blob)
    if found != dict(blobs):
        raise _refused("the tree that came out is not the approved one with exactly these files")


def _refused(what: str) -> RejectedError:
    return RejectedError(
        f"the reviewer's edit was not committed: {what}",
        code="edit_refused",
        hint="Nothing was changed. Look at the work again.",
    )
