"""The composition root: the only module that names a concrete store."""

import os
import secrets
from pathlib import Path

from handfast.core.domain.errors import IntegrityError, StorageError
from handfast.core.domain.installation import Installation
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
from handfast.engine.settings import Settings
from handfast.engine.vault import Vault
from handfast.storage.sql.store import SqlStore

__all__ = ["data_folder", "database_url", "open_engine"]


def data_folder() -> Path:
    """`HANDFAST_HOME`, else `handfast` in the user's data folder (XDG)."""
    if home := os.environ.get("HANDFAST_HOME"):
        return Path(home).expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser().absolute() / "handfast"


def database_url(home: Path) -> str:
    """`HANDFAST_DATABASE_URL`, else a SQLite file in the data folder."""
    return os.environ.get("HANDFAST_DATABASE_URL") or f"sqlite:///{home / 'handfast.db'}"


def open_engine(url: str = "", home: Path | None = None, clock: Clock | None = None) -> Engine:
    """Open an installation, making its folder, keys and database on first use.

    Raises SchemaVersion for a newer database, IntegrityError when the keys are not those of the
    database, StorageError when the folder or the database cannot be used.
    """
    arm_from_environment()
    folder = home or data_folder()
    settings = Settings.from_environment(os.environ)
    database = url or database_url(_made(folder))
    store = SqlStore(database)
    try:
        key, data_key = _keys(folder, fresh=store.size() == 0)
        kernel = Kernel(store, Vault(store, data_key), clock or SystemClock(), settings)
        engine = build(kernel, key, folder, database)
        _check_key(engine)
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


def _check_key(engine: Engine) -> None:
    """The log names the key it began with; another key would make every proof worthless."""
    state = engine.kernel.state(Installation, "1")
    if state.verifier != engine.audit.verifier:
        raise IntegrityError(
            "the signing key is not the one this log was started with",
            hint="Point HANDFAST_HOME to the folder with the right keys. Nothing was written.",
        )
