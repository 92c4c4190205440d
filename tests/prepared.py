"""Installations made once for each process and written out for each test: to migrate an empty database and to
hash passwords takes longer than most tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from handfast.engine import passwords
from handfast.storage.sql.store import SqlStore

QUICK = type(passwords._hasher)(time_cost=1, memory_cost=8, parallelism=1)
Files = dict[str, bytes]


@contextmanager
def quick_hashes() -> Iterator[None]:
    """Argon2 with the least it takes: what is hashed here protects nothing. A hash made so is verified as
    quickly by any process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", QUICK)
        yield


def kept(make: Callable[[Path], object]) -> Files:
    """What `make` leaves in an empty folder, by relative path."""
    with TemporaryDirectory(prefix="hf-prepared-") as name, quick_hashes():
        make(Path(name))
        files = (path for path in Path(name).rglob("*") if path.is_file())
        return {str(path.relative_to(name)): path.read_bytes() for path in files}


def put(files: Files, folder: Path) -> None:
    """Write them below `folder`, for this user alone, as keys are."""
    for name, content in files.items():
        path = folder / name
        for parent in reversed(Path(name).parents[:-1]):
            (folder / parent).mkdir(exist_ok=True, mode=0o700)
        path.write_bytes(content)
        path.chmod(0o600)


@cache
def _migrated() -> bytes:
    return kept(lambda folder: SqlStore(f"sqlite:///{folder / 'store.db'}").close())["store.db"]


def migrated(path: Path) -> Path:
    """A SQLite database with its schema and without entries."""
    path.write_bytes(_migrated())
    return path
