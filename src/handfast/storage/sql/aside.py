"""The copy that is kept of a SQLite file before its schema is upgraded."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from handfast.core.domain.errors import StorageError
from handfast.storage.sql.connect import Database, sqlite_path


def copy_aside(db: Database, version: str) -> str:
    """Copy the file as it was last committed to `NAME.schema-VERSION`, whole or not at all.

    The caller holds the write lock, so nothing is written between the copy and the upgrade. A copy of
    the same schema is replaced. Raises DiskFull, StorageError.
    """
    path = sqlite_path(db.url)
    aside = path.with_name(f"{path.name}.schema-{version}")
    part = aside.with_name(aside.name + ".part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        _on_disk(part)
        part.replace(aside)
        _on_disk(aside.parent)
    except (sqlite3.Error, OSError) as e:
        refused = db.translate(e) if isinstance(e, sqlite3.Error) else None
        raise refused or StorageError(
            f"the database cannot be copied to `{aside}` before its upgrade: {e}",
            hint="Make room for a second copy beside it. Nothing was changed.",
        ) from None
    finally:
        for left in (part, Path(f"{part}-journal"), Path(f"{part}-wal"), Path(f"{part}-shm")):
            with suppress(OSError):
                left.unlink(missing_ok=True)
    return str(aside)


def _on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
