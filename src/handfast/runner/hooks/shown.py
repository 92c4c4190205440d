"""A file change as a person should read it: the diff it makes, against what is there now."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

MAX_FILE_BYTES: Final = 1024 * 1024
# Of the JSON text that goes to the server, whose limit for one request is 1 MiB.
MAX_SENT: Final = 700_000
KEPT: Final = 100_000


def shown_change(tool: str, fields: Mapping[str, Any], cwd: Path) -> dict[str, str] | None:
    """`{kind, text}` for Write, Edit and MultiEdit; None where the canonical call says it all.

    Reads the file. A change that cannot be drawn as a diff is shown as the text that goes in. The server bounds
    what is shown of it, and says what is not; a change too large to be sent is cut, and says so first.
    """
    path = fields.get("file_path")
    if tool not in ("Write", "Edit", "MultiEdit") or not isinstance(path, str) or not path:
        return None
    before = _content(cwd / path)
    after = _after(tool, fields, before or "")
    if after is None:
        return _parts(tool, fields, path)
    return _sent("diff", path, _diff(path, before, after))


def _sent(kind: str, path: str, text: str) -> dict[str, str]:
    """What was cut is no diff any more, so that nothing behind the cut can be taken for read."""
    if len(text) <= MAX_SENT and len(json.dumps(text, ensure_ascii=False).encode()) <= MAX_SENT:
        return {"kind": kind, "text": text}
    said = f"{path}: only the first {KEPT:,} of {len(text):,} characters of this change are kept and can be read."
    return {"kind": "text", "text": f"{said}\n{text[:KEPT]}"}


def _content(path: Path) -> str | None:
    try:
        if path.stat().st_size > MAX_FILE_BYTES or not path.is_file():
            return None
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _after(tool: str, fields: Mapping[str, Any], before: str) -> str | None:
    """The file's text after the change; None when it cannot be told."""
    if tool == "Write":
        content = fields.get("content")
        return content if isinstance(content, str) else None
    edits = fields.get("edits") if tool == "MultiEdit" else [fields]
    after = before
    for edit in edits if isinstance(edits, list) else []:
        old, new = edit.get("old_string"), edit.get("new_string")
        if not isinstance(old, str) or not isinstance(new, str) or (old and old not in after):
            return None
        after = after.replace(old, new) if edit.get("replace_all") else after.replace(old, new, 1)
    return after


def _diff(path: str, before: str | None, after: str) -> str:
    lines = difflib.unified_diff(
        (before or "").splitlines(keepends=True),
        after.splitlines(keepends=True),
        fromfile=f"a/{path.lstrip('/')}" if before is not None else "/dev/null",
        tofile=f"b/{path.lstrip('/')}",
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _parts(tool: str, fields: Mapping[str, Any], path: str) -> dict[str, str]:
    said = [f"{tool} {path}"]
    for name in ("old_string", "new_string", "content"):
        if isinstance(fields.get(name), str):
            said += [f"--- {name}", fields[name]]
    return _sent("text", path, "\n".join(said))
