"""Fixtures shared by all kinds of test."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from handfast.storage.sql.store import SqlStore
from tests import needs, postgres, prepared

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# A slow machine is not a wrong answer. Every run of `make test` looks elsewhere, because the seed is another
# one; so it need not look long. `--hypothesis-profile=thorough` does.
PATIENT = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("handfast", PATIENT, max_examples=60)
settings.register_profile("thorough", PATIENT, max_examples=2000)
settings.load_profile("handfast")

# What a shell starts in the background ignores an interrupt, and so does all that it starts: no test of
# Ctrl-C would reach its process.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PATIENCE_MS = 60_000  # only to end a hang
CHROMIUM_FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
GIT_CONFIG = """\
[user]
	name = Test
	email = test@example.invalid
[init]
	defaultBranch = main
[commit]
	gpgsign = false
[gc]
	auto = 0
"""


@pytest.fixture(scope="session")
def git_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("git") / "config"
    path.write_text(GIT_CONFIG)
    return path


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, git_config: Path) -> None:
    """No test sees, or changes, the data folder and the git settings of who runs it."""
    for name in os.environ:
        if name.startswith(("HANDFAST_", "GIT_")) and not name.startswith("HANDFAST_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HANDFAST_HOME", str(tmp_path / "handfast-home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(git_config))


@pytest.fixture
def missing() -> Callable[[needs.Need, str], NoReturn]:
    """`missing(what, why)` skips, or fails where `what` is required: see `tests.needs`."""
    return needs.missing


@pytest.fixture(scope="session")
def pg_server() -> Iterator[postgres.Postgres]:
    """One server for the whole session, or the one that HANDFAST_TEST_PG_URL names."""
    if url := os.environ.get("HANDFAST_TEST_PG_URL"):
        yield postgres.Postgres(url)
        return
    binaries = postgres.binaries()
    if binaries is None:
        needs.missing("postgres", "no initdb here: apt-get install postgresql")
    with postgres.running(binaries) as server:
        yield server


@pytest.fixture(scope="session")
def pg_url(pg_server: postgres.Postgres) -> str:
    """URL of the server's own database; tests that write take `pg_database`."""
    return pg_server.url


@pytest.fixture
def pg_database(pg_server: postgres.Postgres) -> Iterator[str]:
    """URL of an empty database, gone after the test."""
    url = pg_server.create()
    yield url
    pg_server.drop(url)


KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, once on each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("pg_database")
    return url


@pytest.fixture(scope="session")
def migrated_database(pg_server: postgres.Postgres) -> str:
    """URL of a PostgreSQL database with its schema and without entries, to copy."""
    url = pg_server.create()
    SqlStore(url).close()
    return url


@pytest.fixture
def pg_ready_url(pg_server: postgres.Postgres, migrated_database: str) -> Iterator[str]:
    """URL of a PostgreSQL database with its schema and without entries, gone after the test."""
    url = pg_server.create(like=migrated_database)
    yield url
    pg_server.drop(url)


@pytest.fixture(params=KINDS)
def ready_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a store with its schema and without entries, once on each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{prepared.migrated(tmp_path / 'store.db')}"
    url: str = request.getfixturevalue("pg_ready_url")
    return url


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A headless Chromium. For one module only: while it runs, its event loop is the thread's own."""
    from playwright.sync_api import Error, expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    programs = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("HANDFAST_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, programs)), None
    )
    flags = [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=program, args=flags)
        except Error:
            needs.missing("browser", "no Chromium that starts: apt-get install chromium")
        yield started
        started.close()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A page in a context of its own. Fails the test on a script error or a breach of the page's policy."""
    with page_of(browser) as (opened, wrong):
        yield opened
    assert wrong == []


@contextmanager
def page_of(browser: "Browser") -> "Iterator[tuple[Page, list[str]]]":
    """In a context of its own; with it what went wrong so far. A new one costs two seconds of processor."""
    wrong: list[str] = []
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "console",
        lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None,
    )
    yield opened, wrong
    context.close()
