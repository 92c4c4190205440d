"""Schema creation and upgrades with Alembic, and a refusal of databases newer than this code.

Alembic is imported only when there is something to do: an up-to-date database costs one SELECT.
"""

from pathlib import Path

from handfast.core.domain.errors import SchemaVersion, StorageError, Unavailable
from handfast.storage.sql.connect import Connection, Database, sqlite_path, translated

HEAD = "0002"


def upgrade(db: Database) -> None:
    """Bring the schema to `HEAD`. Raises SchemaVersion when the database is newer."""
    if db.name == "sqlite":
        _make_room(db)
    found = current(db)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise SchemaVersion(
            f"the database has schema {found}, this version of Handfast knows up to {HEAD}",
            hint="Use the Handfast that wrote it, or a newer one. Nothing was changed.",
        )
    _run_alembic(db)


def current(db: Database) -> str | None:
    """The schema's version, or None for an empty database."""
    with translated(db):
        c = db.connect()
        try:
            return _version(db, c)
        finally:
            c.close()


def _version(db: Database, c: Connection) -> str | None:
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


def _make_room(db: Database) -> None:
    folder = sqlite_path(db.url).parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as e:
        raise Unavailable(
            f"the folder of the database cannot be made: {e}",
            retryable=False,
            hint="Set HANDFAST_HOME to a folder you may write to.",
        ) from None


def _run_alembic(db: Database) -> None:
    """All steps in one transaction that holds the write lock: two processes cannot both make tables,
    and a kill leaves nothing half made. The second of two processes finds nothing left to do.
    """
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    url = "postgresql+psycopg://" if db.server else "sqlite://"
    engine = sa.create_engine(url, poolclass=sa.NullPool, creator=db.connect)
    # The driver is in autocommit and begins nothing by itself.
    sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql(db.begin))
    config = Config()
    script = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", script.replace("%", "%%"))
    try:
        with engine.connect() as connection, connection.begin():
            if db.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(4204201)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sa.exc.DBAPIError as e:
        original = e.orig if isinstance(e.orig, Exception) else e
        raise db.translate(original) or StorageError(
            f"the schema cannot be made: {original}",
            hint="Point HANDFAST_DATABASE_URL to an empty database, or to one of Handfast.",
        ) from e
    finally:
        engine.dispose()
