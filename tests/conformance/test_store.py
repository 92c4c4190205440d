"""The store on SQLite and PostgreSQL against the shipped suite."""

import pytest

from handfast.testing.store import StoreContract
from handfast.testing.store_outbox import StoreOutbox
from handfast.testing.store_races import StoreRaces


class OnBothDatabases:
    opener = "handfast.storage.sql.store:SqlStore"

    @pytest.fixture
    def place(self, ready_url: str) -> str:
        return ready_url


class TestContract(OnBothDatabases, StoreContract):
    pass


class TestRaces(OnBothDatabases, StoreRaces):
    pass


class TestOutbox(OnBothDatabases, StoreOutbox):
    pass
