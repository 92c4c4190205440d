"""Schema creation and upgrades with Alembic, and a refusal of databases this code must not touch.

Alembic is imported only when there is something to do: an up-to-date database costs one SELECT.

The tree's row bears the number of the schema: a writer locks the row of its own schema, so a process
whose database was upgraded under it finds none and stops, at no cost to a commit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handfast.core.domain.errors import SchemaVersion, StorageError, Unavailable
from handfast.core.domain.faults import fault_point
from handfast.storage.sql.aside import copy_aside
from handfast.storage.sql.connect import Connection, Database, sqlite_path, translated
from handfast.storage.sql.listening import CHANNEL, SCHEMA

if TYPE_CHECKING:
    import sqlalchemy as sa
    from alembic.config import Config

HEAD = "0006"
_LOCK = 4204201


@dataclass(frozen=True, slots=True)
class Revisions:
    """A folder of Alembic revisions and the newest of them."""

    head: str
    folder: Path


SHIPPED = Revisions(HEAD, Path(__file__).parent / "migrations")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """`before` is '' for a database that was empty; `copy` is where a SQLite file was copied to first."""

    before: str
    after: str
    copy: str = ""


def ready(db: Database, revisions: Revisions = SHIPPED) -> None:
    """What every process does before it uses a database: an empty one is set up.

    An older SQLite file is copied beside itself and upgraded. An older PostgreSQL database is refused,
    because other servers may be at work on it. Raises SchemaVersion.
    """
    if db.name == "sqlite":
        make_room(db)
    found = current(db)
    if found == revisions.head:
        return
    _refuse_newer(found, revisions)
    if found is not None and db.server:
        raise SchemaVersion(
            f"the database has schema {found}, this version of Handfast needs {revisions.head}",
            hint="Stop the older servers, run `handfast db backup FILE`, then `handfast db upgrade`. "
            "Nothing was changed.",
        )
    upgrade(db, revisions)


def upgrade(
    db: Database, revisions: Revisions = SHIPPED, told: Callable[[str], None] = lambda _: None
) -> Upgraded:
    """Bring the schema to the newest revision, in one transaction that holds the write lock.

    Two processes cannot both do it, and a kill leaves the schema as it was: the second one finds nothing
    left to do. `told` gets each revision that was applied. Raises SchemaVersion for a newer database.
    """
    _refuse_newer(current(db), revisions)
    with migration(db, revisions) as work:
        before = work.version()
        if before == revisions.head:
            return Upgraded(before, before)
        copy = copy_aside(db, before) if before and not db.server else ""
        work.to(revisions.head, told)
        fault_point("upgrade.before_commit")
    return Upgraded(before, revisions.head, copy)


def current(db: Database) -> str | None:
    """The schema's version, or None for an empty database."""
    with translated(db):
        c = db.connect()
        try:
            return version_of(db, c)
        finally:
            c.close()


def version_of(db: Database, c: Connection) -> str | None:
    """The schema's version as this connection sees it."""
    probe = (
        "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
        if db.name == "sqlite"
        else "SELECT to_regclass('alembic_version')::text"
    )
    row = c.execute(probe).fetchone()
    if row is None or row[0] is None:
        return None
    version = c.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(version[0]) if version else None


def _refuse_newer(found: str | None, revisions: Revisions) -> None:
    if found is not None and found > revisions.head:
        raise SchemaVersion(
            f"the database has schema {found}, this version of Handfast knows up to {revisions.head}",
            hint="Use the Handfast that wrote it, or a newer one. Nothing was changed.",
        )


def make_room(db: Database) -> None:
    """The folder of a SQLite file."""
    folder = sqlite_path(db.url).parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as e:
        raise Unavailable(
            f"the folder of the database cannot be made: {e}",
            retryable=False,
            hint="Set HANDFAST_HOME to a folder you may write to.",
        ) from None


@dataclass(frozen=True, slots=True)
class Migration:
    """A transaction in which the schema may be changed."""

    db: Database
    connection: "sa.Connection"
    config: "Config"

    @property
    def driver(self) -> Connection:
        found: Connection = self.connection.connection.driver_connection  # type: ignore[assignment]
        return found

    def version(self) -> str:
        """'' for a database without a schema."""
        return version_of(self.db, self.driver) or ""

    def to(self, revision: str, told: Callable[[str], None] = lambda _: None) -> None:
        """Bring the schema to a later revision, and let no older writer go on."""
        from alembic import command
        from alembic.util.exc import CommandError

        self.config.attributes["told"] = told
        try:
            command.upgrade(self.config, revision)
        except CommandError as e:
            raise SchemaVersion(
                f"schema {revision} is not known to this version of Handfast: {e}",
                hint="Use the Handfast that wrote it. Nothing was changed.",
            ) from None
        self.driver.execute(f"UPDATE tree SET id = {int(revision)}")  # noqa: S608 - a number
        if self.db.server:
            self.driver.execute(f"SELECT pg_notify('{CHANNEL}', '{SCHEMA}{revision}')")


@contextmanager
def migration(db: Database, revisions: Revisions = SHIPPED) -> Iterator[Migration]:
    """One transaction that holds the write lock; committed when the block ends, else rolled back."""
    import sqlalchemy as sa
    from alembic.config import Config

    url = "postgresql+psycopg://" if db.server else "sqlite://"
    engine = sa.create_engine(url, poolclass=sa.NullPool, creator=db.connect)
    # The driver is in autocommit and begins nothing by itself.
    sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql(db.begin))
    config = Config()
    config.set_main_option("script_location", str(revisions.folder).replace("%", "%%"))
    try:
        with translated(db), engine.connect() as connection, connection.begin():
            config.attributes["connection"] = connection
            made = Migration(db, connection, config)
            if db.server:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
                if made.version():
                    connection.execute(sa.text("SELECT id FROM tree FOR UPDATE"))
            yield made
    except sa.exc.DBAPIError as e:
        original = e.orig if isinstance(e.orig, Exception) else e
        raise db.translate(original) or StorageError(
            f"the schema cannot be made: {original}",
            hint="Point HANDFAST_DATABASE_URL to an empty database, or to one of Handfast.",
        ) from e
    finally:
        engine.dispose()
