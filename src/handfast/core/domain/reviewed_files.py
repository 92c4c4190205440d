"""The files of finished work that a reviewer may edit, and what an edit of them is bound to.

Only text files of the change itself, under names that can mean nothing else: what this module does not accept is
neither offered by the server nor committed by the runner.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handfast.core.domain.action import Call
from handfast.core.domain.canonical import JSON, sha256
from handfast.core.domain.copying import replace
from handfast.core.domain.errors import UsageError
from handfast.core.domain.inert import inert

MODES = ("100644", "100755")
MAX_FILES = 200
MAX_FILE_BYTES = 100_000
# Of all texts that are kept for one review, old and new.
MAX_BYTES = 1_000_000
# Of all edited texts of one decision: a form in a browser holds it, whatever the characters.
MAX_EDIT_BYTES = 300_000
MAX_PATH = 1_000
# What git itself, or a file system that ignores case, dots and streams, may take for its folder.
_GIT_FOLDER = re.compile(r"(\.git[. ]*|git~\d+)(:.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReviewedFile:
    """One text file of the change: what was there before ('' where nothing was) and what the agent made of it.

    Texts are exact: line ends and a missing one at the end are part of them. `path` is plain: see `plain_path`.
    """

    path: str
    mode: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class EditableFile:
    """A `ReviewedFile` as a package names it: `digest` is of the bytes the agent made."""

    path: str
    mode: str
    digest: str
    old_digest: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A changed file that cannot be edited in the review, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class FileEdit:
    """What a reviewer makes of one file: exactly these bytes in place of exactly those, under the same mode."""

    path: str
    mode: str
    before: str
    after: str


def text_digest(text: str) -> str:
    """Raises UsageError for half of a surrogate pair."""
    try:
        return sha256(text.encode())
    except UnicodeEncodeError:
        raise UsageError(
            "a text holds half of a surrogate pair", hint="Send valid Unicode."
        ) from None


def editable(file: ReviewedFile) -> EditableFile:
    return EditableFile(file.path, file.mode, text_digest(file.new), text_digest(file.old))


def plain_path(path: str) -> bool:
    """Whether it names a file below the root of a tree, and nothing else on any file system: no `..`, no folder of
    git's own, no separator but `/`, no hidden character."""
    parts = path.split("/")
    return (
        0 < len(path) <= MAX_PATH
        and "\\" not in path
        and inert(path, MAX_PATH, multiline=False) == path
        and not any(part in ("", ".", "..") or _GIT_FOLDER.fullmatch(part) for part in parts)
    )


def check_files(files: Sequence[ReviewedFile]) -> None:
    """Raises UsageError for what cannot be offered for editing."""
    paths = [file.path for file in files]
    wrong = next((p for p in paths if not plain_path(p)), None)
    if wrong is not None or len({p.casefold() for p in paths}) != len(paths):
        raise UsageError(f"`files` holds a path that is not plain, or one twice: {wrong or ''}")
    if any(file.mode not in MODES for file in files):
        raise UsageError("`files` holds something that is no ordinary file")
    sizes = [len(t.encode("utf-8", "surrogatepass")) for f in files for t in (f.old, f.new)]
    if len(files) > MAX_FILES or sum(sizes) > MAX_BYTES or max(sizes, default=0) > MAX_FILE_BYTES:
        raise UsageError("`files` is larger than what is kept of a review")


def check_text(path: str, text: str) -> None:
    """Whether a file may become this. Raises UsageError."""
    if "\0" in text:
        raise UsageError(f"the edited `{path}` holds a NUL: it would be no text any more")
    text_digest(text)
    if len(text.encode()) > MAX_FILE_BYTES:
        raise UsageError(f"the edited `{path}` is larger than {MAX_FILE_BYTES:,} bytes")


def edited_merge(merge: Call, tree: str, edits: Sequence[FileEdit], author: str) -> Call:
    """The merge of a commit with a reviewer's edit on top: what its approval is bound to.

    `tree` is the commit's; `author` is whose name the edit is committed under.
    """
    listed: list[JSON] = [
        {"path": e.path, "mode": e.mode, "before": e.before, "after": e.after}
        for e in sorted(edits, key=lambda e: e.path)
    ]
    more: Mapping[str, JSON] = {"tree": tree, "edits": listed, "author": author}
    return replace(merge, arguments={**merge.arguments, **more})


def edits_in(arguments: Mapping[str, object]) -> tuple[FileEdit, ...]:
    """The edits that the call of a merge holds; none in a plain one. Raises UsageError for what is not one."""
    listed = arguments.get("edits") or ()
    names = ("path", "mode", "before", "after")
    found = []
    for item in listed if isinstance(listed, list | tuple) else (None,):
        values = [item.get(name) for name in names] if isinstance(item, Mapping) else []
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) != len(names):
            raise UsageError("the approved edit cannot be read")
        found.append(FileEdit(*texts))
    return tuple(found)
