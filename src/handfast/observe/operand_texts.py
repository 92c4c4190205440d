"""The texts of the files a call depends on, for a person to compare with what they were."""

from pathlib import Path
from typing import Final

from handfast.core.domain.action import MISSING, Call
from handfast.observe.operands import GIT, IMAGE, TREE, file_operand
from handfast.observe.scope import Scope

MAX_BYTES: Final = 65_536
MAX_FILES: Final = 8


def texts_of(call: Call, scope: Scope) -> dict[str, str]:
    """By path, of at most 8 files of 64 KB that are UTF-8 and what the call names. What changed while it was read
    is left out: the digest counts."""
    found: dict[str, str] = {}
    for operand in call.operands:
        if operand.digest == MISSING or operand.path.startswith((GIT, TREE, IMAGE)):
            continue
        text = _text(Path(scope.worktree) / operand.path)
        if text is not None and file_operand(operand.path, scope) == operand:
            found[operand.path] = text
        if len(found) == MAX_FILES:
            break
    return found


def _text(path: Path) -> str | None:
    """None for what is large, no text, or cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return data.decode() if len(data) <= MAX_BYTES and b"\0" not in data else None
    except (OSError, UnicodeDecodeError):
        return None
