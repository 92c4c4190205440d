"""A notebook in bounded memory: what does not fit goes to a file that ends with the process."""

import sqlite3
from collections.abc import Iterator

FRONT = 20_000


class DiskNotebook:
    """`handfast.core.audit.notebook.Notebook`. For one thread. The file is SQLite's own temporary one: it
    has no name, and is gone when this object is."""

    def __init__(self, front: int = FRONT) -> None:
        self._most = front
        self._front: dict[str, bytes] = {}
        self._file: sqlite3.Connection | None = None

    def get(self, name: str) -> bytes | None:
        found = self._front.get(name)
        if found is not None or self._file is None:
            return found
        row = self._file.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def put(self, name: str, value: bytes) -> None:
        self._front[name] = value
        if len(self._front) > self._most:
            self._spill()

    def items(self) -> Iterator[tuple[str, bytes]]:
        if self._file is None:
            yield from self._front.items()
            return
        self._spill()
        yield from self._file.execute("SELECT name, value FROM note")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._front.clear()

    def _spill(self) -> None:
        if self._file is None:
            self._file = sqlite3.connect("", isolation_level=None)
            self._file.execute("PRAGMA journal_mode=OFF")
            self._file.execute("PRAGMA synchronous=OFF")
            self._file.execute("PRAGMA cache_size=-8000")
            self._file.execute(
                "CREATE TABLE note (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
            )
        self._file.execute("BEGIN")
        self._file.executemany("REPLACE INTO note VALUES (?, ?)", sorted(self._front.items()))
        self._file.execute("COMMIT")
        self._front.clear()
