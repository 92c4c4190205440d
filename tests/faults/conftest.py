"""Installations made once for each kind of database and copied for each test, because that is faster."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.checker import Json
from tests.faults.databases import copied
from tests.faults.installation import Installation, installed, prepare
from tests.postgres import Postgres

Install = Callable[..., Installation]


@pytest.fixture(scope="session")
def prepared_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Json]:
    """A data folder with its database in it."""
    home = tmp_path_factory.mktemp("prepared") / "data"
    return home, prepare(f"sqlite:///{home / 'handfast.db'}", home)


@pytest.fixture(scope="session")
def prepared_database(
    tmp_path_factory: pytest.TempPathFactory, pg_server: Postgres
) -> tuple[Path, Json, str]:
    """A data folder, and the URL of its database, which nothing is connected to."""
    home = tmp_path_factory.mktemp("prepared") / "data"
    url = pg_server.create()
    return home, prepare(url, home), url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def install(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Install]:
    """`install(NAME=value)` gives an installation with settings `HANDFAST_NAME`, processes not started."""
    with ExitStack() as stack:

        def make(**settings: str) -> Installation:
            root = tmp_path / "installation"
            root.mkdir()
            if kind == "sqlite":
                home, names = request.getfixturevalue("prepared_file")
                shutil.copytree(home, root / "data")
                url = f"sqlite:///{root / 'data' / 'handfast.db'}"
            else:
                home, names, made = request.getfixturevalue("prepared_database")
                shutil.copytree(home, root / "data")
                url = stack.enter_context(copied(request.getfixturevalue("pg_server"), made))
            return stack.enter_context(installed(root, url, names, Installation, **settings))

        yield make
