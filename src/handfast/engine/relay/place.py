"""Where the relay's engine keeps its own tables: beside a SQLite database, in a schema of PostgreSQL."""

from pathlib import Path
from typing import Final

SCHEMA: Final = "handfast_relay"


def relay_file(database: str | Path) -> Path:
    """`handfast.relay.db` beside `handfast.db`, given as a path or as `sqlite:///…`."""
    path = Path(str(database).removeprefix("sqlite:///"))
    return path.with_name(f"{path.stem}.relay.db")
