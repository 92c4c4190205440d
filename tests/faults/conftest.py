"""Installations made once for each kind of database and copied for each test, because that is faster."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests import needs, postgres
from tests.faults.checker import Json
from tests.faults.installation import Installation, installed, prepare
from tests.postgres import Postgres

Installer = Callable[..., Installation]
Install = Callable[..., Installation]
OnBoth = Callable[..., None]


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
def installer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installer]:
    """`installer(kind, NAME=value)`: an installation on one kind of database."""
    with ExitStack() as stack:

        def make(kind: str, **settings: str) -> Installation:
            root = tmp_path / kind
            root.mkdir()
            if kind == "sqlite":
                home, names = request.getfixturevalue("prepared_file")
                shutil.copytree(home, root / "data")
                url = f"sqlite:///{root / 'data' / 'handfast.db'}"
            else:
                home, names, made = request.getfixturevalue("prepared_database")
                shutil.copytree(home, root / "data")
                url = stack.enter_context(_Copy(request.getfixturevalue("pg_server"), made))
            return stack.enter_context(installed(root, url, names, **settings))

        yield make


@pytest.fixture
def install(kind: str, installer: Installer) -> Install:
    """`install(NAME=value)` gives an installation with settings `HANDFAST_NAME`, processes not started."""
    return partial(installer, kind)


@pytest.fixture
def on_both(installer: Installer) -> OnBoth:
    """`on_both(story, NAME=value)` plays a story on both kinds of database at the same time.

    Stories mostly wait for processes to start, so two take little longer than one. Without PostgreSQL's
    programs only SQLite is left, where that is allowed: other tests are skipped then and say so.
    """

    def play(story: Callable[[Installation], None], **settings: str) -> None:
        kinds = ["sqlite", "postgres"] if _has_postgres() else ["sqlite"]
        places = [installer(kind, **settings) for kind in kinds]
        with ThreadPoolExecutor(len(places)) as pool:
            played = [pool.submit(story, place) for place in places]
            done = [
                (place, future.exception()) for place, future in zip(places, played, strict=True)
            ]
        for place, error in done:
            if error is not None:
                error.add_note(f"on {place.database}")
                raise error

    return play


def _has_postgres() -> bool:
    if postgres.binaries() or os.environ.get("HANDFAST_TEST_PG_URL"):
        return True
    if needs.required("postgres"):
        needs.missing("postgres", "no initdb here: apt-get install postgresql")
    return False


class _Copy:
    """A copy of a PostgreSQL database, gone afterwards."""

    def __init__(self, server: Postgres, original: str) -> None:
        self._server, self._original = server, original

    def __enter__(self) -> str:
        self._url = self._server.create()
        name, template = (_name(url) for url in (self._url, self._original))
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}"')
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self._url

    def __exit__(self, *_: object) -> None:
        self._server.drop(self._url)


def _name(url: str) -> str:
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    assert re.fullmatch(r"\w+", name)
    return name
