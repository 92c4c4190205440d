"""The change a file tool is about to make, and the paths a shell command names, as `ChangedFile`s."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from handfast.core.domain.action import Facts
from handfast.core.domain.change import UNKNOWN_OWNER, ChangedFile
from handfast.core.domain.errors import AdapterError
from handfast.observe import git
from handfast.observe.change import with_owners
from handfast.observe.inert import inert
from handfast.observe.scope import Scope

_MAX_READ = 1024 * 1024
_MAX_FILES = 500
_MAX_NAME = 1_000
_ABSENT = "000000"


def edited(
    tool: str, fields: Mapping[str, object], path: str, shown: str, scope: Scope
) -> tuple[ChangedFile, ...]:
    """The one file `tool` would write at `path`, `shown` as the facts name it. Counts may be unknown."""
    mode = _mode(path)
    # Anything but a plain file has no lines, and a pipe would keep the reader waiting.
    before = _text(path) if Path(path).is_file() else ""
    added, deleted = _lines(tool, fields, before)
    changed = ChangedFile(
        path=shown,
        status="A" if mode == _ABSENT else "M",
        added=added,
        deleted=deleted,
        old_mode=mode,
        new_mode="100644" if mode == _ABSENT else mode,
        symlink=mode == "120000",
    )
    return owned((changed,), scope)


def named(facts: Facts, scope: Scope) -> tuple[ChangedFile, ...]:
    """The paths a shell command writes or deletes; tracked files one by one where it deletes them.

    More than 500 files become one entry whose owners are unknown.
    """
    paths = list(facts.paths)
    if "fs.delete-tracked" in facts.hazards:
        try:
            paths += git.tracked(scope.worktree, paths)
        except AdapterError:
            return tuple(_unknown(path) for path in paths[:_MAX_FILES])
    listed = list(dict.fromkeys(paths))
    found = owned([ChangedFile(path) for path in listed[:_MAX_FILES]], scope)
    return found if len(listed) <= _MAX_FILES else (*found[:-1], _unknown("."))


def owned(files: Sequence[ChangedFile], scope: Scope) -> tuple[ChangedFile, ...]:
    """With owners, and with names that any log and page can hold. Outside the worktree nobody owns a path."""
    inside = [file for file in files if not file.path.startswith("/")]
    known = {
        file.path: file
        for file in (with_owners(scope.worktree, inside, scope.base) if inside else ())
    }
    return tuple(_named(known.get(file.path, file)) for file in files)


def _named(file: ChangedFile) -> ChangedFile:
    return replace(
        file,
        path=inert(file.path, _MAX_NAME, multiline=False),
        owners=tuple(inert(name, 100, multiline=False) for name in file.owners[:200]),
    )


def _unknown(path: str) -> ChangedFile:
    return ChangedFile(inert(path, _MAX_NAME, multiline=False), owners=(UNKNOWN_OWNER,))


def _mode(path: str) -> str:
    try:
        found = os.lstat(path).st_mode
    except OSError:
        return _ABSENT
    if stat.S_ISLNK(found):
        return "120000"
    return "100755" if found & stat.S_IXUSR else "100644"


def _text(path: str) -> str | None:
    """What stands there now; None where it is too much or cannot be read."""
    try:
        with Path(path).open("rb") as file:
            body = file.read(_MAX_READ + 1)
    except OSError:
        return None
    return body.decode("utf-8", "replace") if len(body) <= _MAX_READ else None


def _lines(
    tool: str, fields: Mapping[str, object], before: str | None
) -> tuple[int | None, int | None]:
    if tool == "Write" and before is not None:
        return _difference(before, fields.get("content"))
    if tool == "Edit":
        return _edits([fields], before)
    if tool == "MultiEdit":
        edits = fields.get("edits")
        return _edits(edits if isinstance(edits, list) else [None], before)
    return None, None


def _edits(edits: list[object], before: str | None) -> tuple[int | None, int | None]:
    added = deleted = 0
    for edit in edits:
        if not isinstance(edit, Mapping) or not isinstance(edit.get("old_string"), str):
            return None, None
        old = str(edit["old_string"])
        more, fewer = _difference(old, edit.get("new_string"))
        if more is None or fewer is None:
            return None, None
        times = 1
        if edit.get("replace_all"):
            if before is None or not old:
                return None, None
            times = before.count(old)
        added, deleted = added + more * times, deleted + fewer * times
    return added, deleted


def _difference(before: str, after: object) -> tuple[int | None, int | None]:
    """Lines added and deleted once equal lines at both ends are left out."""
    if not isinstance(after, str):
        return None, None
    old, new = before.splitlines(), after.splitlines()
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return len(new) - start - end, len(old) - start - end
