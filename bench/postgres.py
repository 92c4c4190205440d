"""A PostgreSQL server for measurements: durable, on the disk that is measured, gone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.postgres import DURABLE, Postgres, binaries, running

# As an operator would size it on a small machine.
SETTINGS = {**DURABLE, "shared_buffers": "256MB", "max_wal_size": "2GB", "max_connections": "120"}


@contextmanager
def durable() -> Iterator[Postgres | None]:
    """A running server, or None where the machine has no PostgreSQL."""
    found = binaries()
    if found is None:
        yield None
        return
    with running(found, SETTINGS) as server:
        _check(server.url)
        yield server


def _check(url: str) -> None:
    """A figure without durability would be worth nothing."""
    with psycopg.connect(url, autocommit=True) as c:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            row = c.execute("SELECT current_setting(%s)", [name]).fetchone()
            assert row == ("on",), name
