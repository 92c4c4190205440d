"""The installation on this machine, opened in this process: for when no server is needed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from handfast.client.discovery import data_folder
from handfast.core.domain.errors import UsageError

if TYPE_CHECKING:
    from handfast.core.domain.events import Actor
    from handfast.engine.facade import Engine


def operator() -> "Actor":
    """Who may open the data folder is its operator, as who holds the operator's token file is."""
    # The events take as long to load as the rest of a command that only asks a server.
    from handfast.core.domain.events import Actor

    return Actor("operator", "operator", "token")


@contextmanager
def local_engine() -> "Iterator[Engine]":
    """Open the installation, making it on first use."""
    from handfast.app import open_engine

    engine = open_engine()
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def existing_engine() -> "Iterator[Engine]":
    """Open the installation; a look at nothing does not make one. Raises UsageError."""
    home = data_folder()
    if not os.environ.get("HANDFAST_DATABASE_URL") and not (home / "handfast.db").exists():
        raise UsageError(
            f"there is no installation in `{home}`",
            hint="`handfast serve` makes one. Set HANDFAST_HOME if it is elsewhere.",
        )
    with local_engine() as engine:
        yield engine
