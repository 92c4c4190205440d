"""The composition root: the only module that names a concrete store."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from handfast.core.domain.errors import IntegrityError, StorageError, UsageError
from handfast.engine.belonging import check_keys
from handfast.engine.clock import Clock, SystemClock
from handfast.engine.facade import Engine, build
from handfast.engine.faults import arm_from_environment
from handfast.engine.kernel import Kernel
from handfast.engine.keys import (
    SigningKey,
    create_data_key,
    create_signing_key,
    load_data_key,
    load_signing_key,
)
from handfast.engine.retention import Retain
from handfast.engine.settings import Settings
from handfast.engine.telemetry import OFF, Telemetry, wanted
from handfast.engine.traced import Groups, TracedKernel
from handfast.engine.vault import Vault
from handfast.storage.copies import Filling, Snapshot
from handfast.storage.sql.store import SqlStore

__all__ = [
    "data_folder",
    "database_url",
    "fill_database",
    "open_engine",
    "open_telemetry",
    "shown_url",
    "snapshot_of",
    "upgrade_database",
]
log = logging.getLogger("handfast.telemetry")


def data_folder() -> Path:
    """`HANDFAST_HOME`, else `handfast` in the user's data folder (XDG)."""
    if home := os.environ.get("HANDFAST_HOME"):
        return Path(home).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "handfast"


def database_url(home: Path) -> str:
    """`HANDFAST_DATABASE_URL`, else a SQLite file in the data folder."""
    return os.environ.get("HANDFAST_DATABASE_URL") or f"sqlite:///{home / 'handfast.db'}"


def open_engine(
    url: str = "",
    home: Path | None = None,
    clock: Clock | None = None,
    telemetry: Telemetry = OFF,
) -> Engine:
    """Open an installation, making its folder, keys and database on first use.

    Raises SchemaVersion for a newer database, IntegrityError when the keys are not those of the
    database, StorageError when the folder or the database cannot be used.
    """
    arm_from_environment()
    folder = home or data_folder()
    settings, retain = Settings.from_environment(os.environ), Retain.from_environment(os.environ)
    where = url or database_url(_made(folder))
    store = SqlStore(where, Groups(telemetry)) if telemetry.on else SqlStore(where)
    try:
        key, data_key = _keys(folder, fresh=store.size() == 0)
        parts = (store, Vault(store, data_key), clock or SystemClock(), settings)
        kernel = TracedKernel(*parts, telemetry) if telemetry.on else Kernel(*parts)
        engine = build(kernel, key, folder, retain, where)
        check_keys(kernel, engine.audit.verifier, data_key)
        kernel.snapshots.rebuild_changed()
    except BaseException:
        store.close()
        raise
    return engine


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "keys").mkdir(exist_ok=True, mode=0o700)
    except OSError as e:
        raise StorageError(
            f"the data folder cannot be made: {e}",
            hint="Set HANDFAST_HOME to a folder that you may write to.",
        ) from None
    return folder


def _keys(folder: Path, *, fresh: bool) -> tuple[SigningKey, bytes]:
    signing, data = _made(folder) / "keys" / "signing.key", folder / "keys" / "data.key"
    if signing.exists() or data.exists():
        return load_signing_key(signing), load_data_key(data)
    if not fresh:
        raise IntegrityError(
            f"the keys in `{folder / 'keys'}` are missing, but the database has entries",
            hint="Restore the keys from a backup, or set HANDFAST_HOME to where they are.",
        )
    origin = f"handfast-{secrets.token_hex(4)}"
    return create_signing_key(signing, origin), create_data_key(data)


@contextmanager
def snapshot_of(url: str, *, still: bool = False) -> Iterator[Snapshot]:
    """Everything in a database at one moment. With `still` nobody writes to it until the block ends.

    Raises StorageError for one that is empty or not there; Unavailable with `still` while others use it.
    """
    from handfast.storage.sql.copying import snapshot

    with snapshot(url, still=still) as view:
        yield view


@contextmanager
def fill_database(url: str, schema: str) -> Iterator[Filling]:
    """A database without entries, filled in one transaction. Raises InvalidTransition for one with entries."""
    from handfast.storage.sql.copying import filling

    with filling(url, schema) as into:
        yield into


def upgrade_database(url: str, told: Callable[[str], None]) -> tuple[str, str, str]:
    """Bring the schema to the newest one: from ('' for an empty database), to, and where a SQLite file was
    copied to before. `told` gets each step. Raises SchemaVersion."""
    from handfast.storage.sql.connect import open_database
    from handfast.storage.sql.migrate import upgrade

    done = upgrade(open_database(url), told=told)
    return done.before, done.after, done.copy


def shown_url(url: str) -> str:
    """For messages: without the password."""
    from handfast.storage.sql.addresses import shown

    return shown(url)


def open_telemetry(environment: Mapping[str, str] = os.environ) -> Telemetry:
    """What HANDFAST_OTEL and the OTEL_* variables ask for.

    Raises UsageError where HANDFAST_OTEL=1 asks for what is not installed. The OTEL_* variables may be
    meant for other programs, so what they cannot have is logged, and telemetry stays off.
    """
    if not wanted(environment):
        return OFF
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        log.warning("telemetry is off: OTLP over `%s` is not spoken, http/protobuf is", protocol)
        return OFF
    try:
        from handfast.engine.otel import OpenTelemetry
    except ImportError as error:
        if environment.get("HANDFAST_OTEL") == "1":
            raise UsageError(
                f"telemetry is asked for and not installed: {error}",
                hint="Install `handfast[otel]`, or unset HANDFAST_OTEL.",
            ) from None
        log.warning("telemetry is off: install `handfast[otel]` for it (%s)", error)
        return OFF
    return OpenTelemetry(environment)
