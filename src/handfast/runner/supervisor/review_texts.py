"""The texts of finished work that a reviewer may edit, read from the commits themselves, and what is left out."""

import json
from collections.abc import Sequence
from typing import Final

from handfast.core.domain.change import ChangedFile
from handfast.core.domain.inert import inert
from handfast.core.domain.reviewed_files import (
    MAX_BYTES,
    MAX_FILE_BYTES,
    MAX_FILES,
    MODES,
    plain_path,
)
from handfast.observe.secrets import redact
from handfast.runner.edit_commit import twins
from handfast.runner.git import Git

MAX_LEFT_OUT: Final = 500
_CREDENTIAL: Final = "it holds what looks like a credential"
_NO_TEXT: Final = "it is no UTF-8 text"
_LARGE: Final = f"it is larger than {MAX_FILE_BYTES:,} bytes"
_MUCH: Final = "the change is too large to keep all of its texts"
_TWIN: Final = "another name differs from it only in case"


def review_texts(git: Git, base: str, head: str, changes: Sequence[ChangedFile]) -> bytes:
    """The body a review refers to: `{tree, files: [{path, mode, old, new}], left_out: [{path, why}]}`."""
    present = [change for change in changes if change.status != "D"]
    unfit = {change.path: why for change in present if (why := _unfit(change))}
    plain = [change for change in present if change.path not in unfit]
    unfit |= dict.fromkeys(sorted(twins(git, head, [c.path for c in plain])), _TWIN)
    wanted = [change for change in plain if change.path not in unfit]
    names = {c.path: (_before(base, c), f"{head}:{c.path}") for c in wanted}
    unfit |= _too_large(git, names)
    blobs = _blobs(git, [name for path in names if path not in unfit for name in names[path]])
    files: list[dict[str, str]] = []
    for change in wanted:
        if change.path in unfit:
            continue
        texts = _texts(*(blobs.get(name, b"") for name in names[change.path]))
        if isinstance(texts, str):
            unfit[change.path] = texts
        else:
            old, new = texts
            named = {"path": change.path, "mode": change.new_mode}
            files.append({**named, "old": old, "new": new})
    left_out = [{"path": _line(path), "why": why} for path, why in unfit.items()][:MAX_LEFT_OUT]
    body = {"tree": git.text("rev-parse", f"{head}^{{tree}}"), "files": files, "left_out": left_out}
    return json.dumps(body, ensure_ascii=False).encode()


def _unfit(change: ChangedFile) -> str:
    if change.submodule:
        return "it is a submodule"
    if change.new_mode not in MODES:
        return "it is a symbolic link" if change.symlink else "it is no ordinary file"
    if not plain_path(change.path):
        return "its name is not plain"
    if change.old_path and not plain_path(change.old_path):
        return "its old name is not plain"
    return _NO_TEXT if change.binary else ""


def _before(base: str, change: ChangedFile) -> str:
    return "" if change.status == "A" else f"{base}:{change.old_path or change.path}"


def _too_large(git: Git, names: dict[str, tuple[str, str]]) -> dict[str, str]:
    """By path, why its texts are not even read. Sizes are those of the blobs."""
    asked = [name for pair in names.values() for name in pair if name]
    told = git.run("cat-file", "--batch-check=%(objectsize)", stdin=_lines(asked)).text.split("\n")
    sizes = {
        n: int(s) if s.isdigit() else MAX_FILE_BYTES + 1 for n, s in zip(asked, told, strict=False)
    }
    found, total, kept = {}, 0, 0
    for path, pair in names.items():
        both = [sizes[name] for name in pair if name]
        if max(both) > MAX_FILE_BYTES:
            found[path] = _LARGE
        elif kept == MAX_FILES or total + sum(both) > MAX_BYTES:
            found[path] = _MUCH
        else:
            total, kept = total + sum(both), kept + 1
    return found


def _blobs(git: Git, names: Sequence[str]) -> dict[str, bytes]:
    """The bytes of each, converted by nothing."""
    asked = [name for name in names if name]
    out = git.run("cat-file", "--batch=%(objectsize)", stdin=_lines(asked)).stdout
    found, at = {}, 0
    for name in asked:
        end = out.index(b"\n", at)
        start, size = end + 1, int(out[at:end])
        found[name] = out[start : start + size]
        at = start + size + 1
    return found


def _lines(names: Sequence[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _texts(old: bytes, new: bytes) -> tuple[str, str] | str:
    """Both as text, or why they are not kept."""
    if b"\0" in old or b"\0" in new:
        return _NO_TEXT
    try:
        texts = old.decode("utf-8"), new.decode("utf-8")
    except UnicodeDecodeError:
        return _NO_TEXT
    return _CREDENTIAL if any(redact(text)[1] for text in texts) else texts


def _line(text: str) -> str:
    return inert(text, 380, multiline=False)[:4_000]
