"""Fixtures of the unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.engine import passwords
from tests.engine_room import Room, opened


@pytest.fixture
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with the least it takes: what is hashed here protects nothing."""
    quick = type(passwords._hasher)(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", quick)


@pytest.fixture
def room(tmp_path: Path, quick_hashes: None) -> Iterator[Room]:
    """An engine on SQLite. Afterwards the log must be whole and every state the fold of its events."""
    with opened(tmp_path / "home") as made:
        yield made
        made.check()


@pytest.fixture
def rooms(tmp_path: Path, store_url: str, quick_hashes: None) -> Iterator[Room]:
    """The same, once on each kind of database."""
    with opened(tmp_path / "home", store_url) as made:
        yield made
        made.check()
