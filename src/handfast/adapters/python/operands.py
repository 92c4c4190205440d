"""Digests of the mutable things a call depends on: files, folders, values, and the function's own text."""

import hashlib
import inspect
import marshal
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from handfast.core.domain.action import MISSING, Operand
from handfast.core.domain.canonical import sha256
from handfast.core.domain.errors import UsageError

# Paths to hash, or names with the bytes or text they stand for now.
Operands: TypeAlias = Iterable[str | os.PathLike[str]] | Mapping[str, bytes | str]


def hashed(found: Operands) -> tuple[Operand, ...]:
    """What the operands hold now. A folder is hashed with everything in it, links by where they point.

    What is not there is `missing`. Raises UsageError for something else than paths or a mapping.
    """
    if isinstance(found, str | bytes):
        raise UsageError("`operands` gave one text", hint="Give a list of paths, or a mapping.")
    if isinstance(found, Mapping):
        return tuple(Operand(str(name), _value(value)) for name, value in found.items())
    return tuple(Operand(os.fspath(path), _path(Path(path))) for path in found)


def code_of(function: Callable[..., object]) -> Operand:
    """The function's own text: an approval is for this body, not for one that replaced it. One that has no
    text is named only."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        text = inspect.getsource(function).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = marshal.dumps(code) if code is not None else b""
    return Operand(f"code:{name}", sha256(text))


def _value(value: object) -> str:
    if isinstance(value, str):
        return sha256(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return sha256(value)
    raise UsageError(
        f"an operand is {type(value).__name__}", hint="Give bytes or text that stand for it."
    )


def _path(path: Path) -> str:
    state = hashlib.sha256()
    try:
        if path.is_dir():
            for name, content in _tree(path):
                state.update(name + b"\0" + content + b"\0")
        else:
            state.update(_file(path))
    except OSError:
        return MISSING
    return "sha256:" + state.hexdigest()


def _tree(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    for root, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted([*files, *(f for f in folders if (Path(root) / f).is_symlink())]):
            path = Path(root) / name
            yield os.fsencode(path.relative_to(folder)), _content(path)


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return b"link " + os.fsencode(path.readlink())
    mode = b"x " if path.stat().st_mode & 0o100 else b"- "
    return mode + _file(path)


def _file(path: Path) -> bytes:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.digest()


def _raise(error: OSError) -> None:
    raise error
