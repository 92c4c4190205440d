"""What a verification must remember by name while it reads: of streams their versions, of bodies a digest.

A log has as many of them as it likes, so where they are kept is up to the caller: in memory for small
bundles, on disk for any (`engine.notebook`).
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias


class Notebook(Protocol):
    """Names and short values. A later value replaces an earlier one."""

    def get(self, name: str) -> bytes | None: ...

    def put(self, name: str, value: bytes) -> None: ...

    def items(self) -> Iterator[tuple[str, bytes]]:
        """All of them, in any order. Nothing is put while it is read."""
        ...


class MemoryNotebook:
    """Grows with what is put into it."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self._values.get(name)

    def put(self, name: str, value: bytes) -> None:
        self._values[name] = value

    def items(self) -> Iterator[tuple[str, bytes]]:
        return iter(self._values.items())


Notebooks: TypeAlias = Callable[[], Notebook]
