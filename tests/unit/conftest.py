"""Fixtures of the unit tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import prepared
from tests.engine_room import Furnished, Room, furnish, opened


@pytest.fixture
def quick_hashes() -> Iterator[None]:
    with prepared.quick_hashes():
        yield


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Furnished:
    """Made once, copied for each test: to migrate an empty database takes longer than most of them."""
    with prepared.quick_hashes():
        return furnish(tmp_path_factory.mktemp("furnished") / "home")


@pytest.fixture
def room(tmp_path: Path, furnished: Furnished, quick_hashes: None) -> Iterator[Room]:
    """An engine on SQLite. Afterwards the log must be whole and every state the fold of its events."""
    with furnished.copied(tmp_path / "home") as made:
        yield made
        made.check()


@pytest.fixture
def rooms(tmp_path: Path, ready_url: str, quick_hashes: None) -> Iterator[Room]:
    """The same, once on each kind of database."""
    with opened(tmp_path / "home", ready_url) as made:
        yield made
        made.check()
