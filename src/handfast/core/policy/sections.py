"""Reading the parts of a policy from plain values, with the path of whatever is wrong.

Every section of a policy file has a module of its own here that turns decoded YAML into a frozen value.
They share these few readers. A problem carries the path of the field, so that the loader can point at
the line and column it stands on.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

Path: TypeAlias = tuple[str | int, ...]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_TEXT = 2_000
MAX_ENTRIES = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a policy. `column` counts from the start of the text at `path`, -1 for all of it."""

    path: Path
    message: str
    hint: str = ""
    line: int = 0
    column: int = -1


class Wrong(Exception):
    """Ends the reading of one entry; the rest of the file is still read."""

    def __init__(self, path: Path, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(path, message, hint)


def shown(path: Path) -> str:
    """`gates[2].require.within`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def mapping(value: object, path: Path, known: Sequence[str]) -> Mapping[str, object]:
    """A mapping with no other names than `known` (any when it is empty)."""
    if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
        raise Wrong(
            path, f"`{shown(path)}` is not a mapping of names to values", _either("names", known)
        )
    found = cast("Mapping[str, object]", value)
    for name in found:
        if known and name not in known:
            raise Wrong((*path, name), f"`{shown((*path, name))}` is unknown", _either("", known))
    return found


def _either(what: str, known: Sequence[str]) -> str:
    return f"Known {what + ' ' if what else ''}here: {', '.join(known)}." if known else ""


def entries(value: object, path: Path) -> list[object]:
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise Wrong(path, f"`{shown(path)}` is not a list", "Write one `- …` a line.")
    if len(value) > MAX_ENTRIES:
        raise Wrong(
            path, f"`{shown(path)}` has {len(value)} entries; at most {MAX_ENTRIES} are taken"
        )
    return list(value)


def text(value: object, path: Path, limit: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Wrong(path, f"`{shown(path)}` is not a text", "Write it in quotes.")
    if len(value) > limit:
        raise Wrong(path, f"`{shown(path)}` has {len(value)} characters; at most {limit} are taken")
    return value.strip()


def texts(value: object, path: Path) -> tuple[str, ...]:
    """One text or a list of them."""
    if isinstance(value, str):
        return (text(value, path),)
    return tuple(text(item, (*path, i)) for i, item in enumerate(entries(value, path)))


def name(value: object, path: Path) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Wrong(
            path,
            f"`{shown(path)}` is {value!r}, which is not a name",
            "Letters, digits, dots, hyphens and underscores, at most 64.",
        )
    return value


def whole(value: object, path: Path, least: int = 0, most: int = 1_000_000_000) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Wrong(
            path, f"`{shown(path)}` is {value!r}", f"A whole number from {least} to {most}."
        )
    return value


def switch(value: object, path: Path) -> bool:
    if not isinstance(value, bool):
        raise Wrong(path, f"`{shown(path)}` is {value!r}", "true or false.")
    return value


def seconds(value: object, path: Path) -> int:
    """`45s`, `15m`, `4h`, `2d` or `1w`."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhdw])", value) if isinstance(value, str) else None
    if match is None:
        raise Wrong(
            path, f"`{shown(path)}` is {value!r}", "A length of time like 45s, 15m, 4h, 2d."
        )
    return int(match[1]) * _UNITS[match[2]]


def one_of(value: object, path: Path, choices: Sequence[str]) -> str:
    if value not in choices:
        raise Wrong(path, f"`{shown(path)}` is {value!r}", f"One of: {', '.join(choices)}.")
    return str(value)
