"""A PostgreSQL server for measurements: durable, on the disk that is measured, gone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from tests import postgres
from tests.postgres import Postgres

# A commit is on disk before it is acknowledged. Sizes as an operator would set them on a small machine.
DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "max_connections": "120",
    "listen_addresses": "",
}


@contextmanager
def durable() -> Iterator[Postgres | None]:
    """A running server, or None where the machine has no PostgreSQL."""
    found = postgres.binaries()
    if found is None:
        yield None
        return
    with patch.object(postgres, "FAST", DURABLE), postgres.running(found) as server:
        yield server
