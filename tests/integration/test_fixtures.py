"""The databases that the other tests are given."""

import sqlite3

import psycopg
import pytest


def test_a_store_url_names_an_empty_database(store_url: str) -> None:
    if store_url.startswith("sqlite:///"):
        path = store_url.removeprefix("sqlite:///")
        assert path.startswith("/")
        with sqlite3.connect(path) as file:
            assert file.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        file.close()
    else:
        with psycopg.connect(store_url) as connection:
            tables = connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            )
            assert tables.fetchone() == (0,)


@pytest.mark.postgres
@pytest.mark.parametrize("_turn", [1, 2])
def test_what_one_test_leaves_the_next_does_not_see(pg_database: str, _turn: int) -> None:
    with psycopg.connect(pg_database) as connection:
        connection.execute("CREATE TABLE left_behind (id integer)")
