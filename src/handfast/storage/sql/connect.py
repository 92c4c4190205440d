"""Connections to the two databases, and their errors in our words.

Both drivers run in autocommit: transactions are begun and ended by explicit statements, because
pysqlite's own handling would commit on the release of a savepoint that is the first statement.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import urlsplit

from handfast.core.domain.errors import (
    Concurrency,
    DiskFull,
    SchemaVersion,
    StorageError,
    Unavailable,
    UsageError,
)
from handfast.storage.sql import addresses

LOCK_WAIT_S = 10.0
APPLICATION = "handfast"  # how PostgreSQL lists our connections
_LOCK_WAIT_MS = int(LOCK_WAIT_S * 1000)
_STUCK_MS = 30_000  # a stopped process inside a write would hold every other writer for ever


# A server set to acknowledge before a commit is on disk is not believed.
_PG_SESSION = """\
SELECT set_config('lock_timeout', %(wait)s, false),
       set_config('idle_in_transaction_session_timeout', %(stuck)s, false),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                  WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""


class Cursor(Protocol):
    rowcount: int
    statusmessage: str | None  # PostgreSQL alone has one

    def fetchone(self) -> tuple[object, ...] | None: ...

    def fetchall(self) -> list[tuple[object, ...]]: ...


class Connection(Protocol):
    def execute(
        self, sql: str, params: Mapping[str, object] | Sequence[object] = ..., /
    ) -> Cursor: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Database:
    """One database: how to connect, how to begin a write, what its errors mean."""

    name: str
    url: str
    connect: Callable[[], Connection]
    begin: str
    server: bool
    translate: Callable[[Exception], Exception | None]
    errors: tuple[type[Exception], ...]


def open_database(url: str) -> Database:
    """`sqlite:////absolute/path.db` or `postgresql://…`. Raises UsageError for anything else."""
    scheme = urlsplit(url).scheme
    if scheme == "sqlite":
        return _sqlite(url)
    if scheme in ("postgresql", "postgres"):
        return _postgres(url)
    raise addresses.refused(url, "is not one of a database that Handfast uses")


def sqlite_path(url: str) -> Path:
    """The file behind a URL. Raises UsageError for a database in memory: connections share a file."""
    name = url.removeprefix("sqlite:///")
    if name == url or not name or name.startswith((":memory:", "file:")):
        raise addresses.refused(url, "does not name a database file")
    return Path(name)


def _sqlite(url: str) -> Database:
    path = sqlite_path(url)

    def connect() -> Connection:
        try:
            c = sqlite3.connect(
                path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(c)
            except BaseException:
                c.close()
                raise
        except sqlite3.Error as e:
            raise _sqlite_error(e) or StorageError(f"the database cannot be used: {e}") from e
        return cast("Connection", c)

    return Database(
        name="sqlite",
        url=url,
        connect=connect,
        begin="BEGIN IMMEDIATE",
        server=False,
        translate=_sqlite_error,
        errors=(sqlite3.Error,),
    )


def _prepare(c: sqlite3.Connection) -> None:
    """The change to WAL does not wait for other processes by itself, so it is tried again."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            c.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - jitter, not a secret
    c.execute("PRAGMA synchronous=FULL")
    c.execute("PRAGMA foreign_keys=ON")
    c.execute("PRAGMA secure_delete=ON")
    c.execute("PRAGMA cache_size=-16000")


_TAKEN = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_ROWID,
    }
)


def _sqlite_error(e: Exception) -> Exception | None:
    text = str(e)
    if isinstance(e, sqlite3.IntegrityError):
        taken = e.sqlite_errorcode in _TAKEN
        return Concurrency(f"a row exists already: {text}") if taken else None
    if "locked" in text or "busy" in text:
        return Unavailable(
            "the database is locked by another process", hint="Try again in a moment."
        )
    if "full" in text or "disk I/O" in text:
        return DiskFull(
            f"the database cannot be written: {text}", hint="Free space on its disk, then retry."
        )
    if (
        "unable to open" in text
        or "readonly" in text
        or "not a database" in text
        or "malformed" in text
    ):
        return StorageError(
            f"the database cannot be used: {text}",
            hint="Check the path, its permissions and that it is a Handfast database, or restore a backup.",
        )
    return None


def _postgres(url: str) -> Database:
    try:
        import psycopg
    except ImportError:
        raise UsageError(
            "the PostgreSQL driver is not installed", hint="Install `handfast[postgres]`."
        ) from None
    addresses.check_server_url(url)

    def connect() -> Connection:
        try:
            c = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=10,
                fallback_application_name=APPLICATION,
            )
        except psycopg.ProgrammingError:
            raise addresses.refused(url, "cannot be read") from None
        except psycopg.OperationalError as e:
            why = addresses.scrubbed(str(e).strip(), url)[:300]
            raise Unavailable(
                f"cannot connect to `{addresses.shown(url)}`: {why}",
                hint="Check HANDFAST_DATABASE_URL and that the server runs.",
            ) from None
        c.prepare_threshold = 2
        c.execute(_PG_SESSION, {"wait": f"{_LOCK_WAIT_MS}ms", "stuck": f"{_STUCK_MS}ms"})
        return cast("Connection", c)

    def translate(e: Exception) -> Exception | None:
        if isinstance(e, psycopg.errors.UniqueViolation):
            return Concurrency(f"a row exists already: {str(e).splitlines()[0]}")
        if isinstance(e, psycopg.errors.DiskFull):
            return DiskFull("PostgreSQL has no space left", hint="Free space on its disk.")
        own = isinstance(e, psycopg.DatabaseError) and e.sqlstate is None  # libpq's: it broke
        if own or isinstance(e, psycopg.OperationalError | psycopg.InterfaceError):
            return Unavailable(
                f"PostgreSQL did not answer: {str(e).strip()[:300]}", hint="Try again in a moment."
            )
        return None

    return Database(
        name="postgresql",
        url=url,
        connect=connect,
        begin="BEGIN",
        server=True,
        translate=translate,
        errors=(psycopg.Error,),
    )


@contextmanager
def translated(db: Database) -> Iterator[None]:
    """Raise our errors instead of the driver's; an unknown one becomes StorageError."""
    try:
        yield
    except db.errors as e:
        raise db.translate(e) or StorageError(f"the database refused: {e}") from e


def moved_on() -> SchemaVersion:
    """For a writer that finds no tree of its own schema."""
    return SchemaVersion(
        "the database was upgraded while this process was running",
        hint="Restart it with the version that upgraded the database. If none did, run `handfast db check`. "
        "Nothing was written.",
    )


def begin_write(db: Database, c: Connection) -> None:
    """Open the write transaction. On SQLite with a short jittered retry: a busy handler starves."""
    if db.name != "sqlite":
        c.execute(db.begin)
        return
    c.execute("PRAGMA busy_timeout = 0")
    try:
        _begin_sqlite(db, c)
    finally:
        c.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT_MS}")


def _begin_sqlite(db: Database, c: Connection) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            c.execute(db.begin)
        except sqlite3.OperationalError as e:
            if "locked" not in str(e) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311 - jitter, not a secret
        else:
            return
