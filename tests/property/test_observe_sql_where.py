"""Conditions made at random, with SQLite as the judge: one that deletes every row never counts as picking rows."""

import sqlite3
from collections.abc import Iterator
from itertools import product
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handfast.observe.sql import read_sql

NUMBERS = ["id", "t.id", '"id"', "(id)", "parent", "abs(id)", "cast(id as integer)"]
TEXTS = ["name", "lower(name)", "t.name", "created"]
NUMBER_VALUES = ["0", "1", "-1", "5", "-(1)", "(1)", "1+0", "999999999", "10000000000", "NULL"]
TEXT_VALUES = ["''", "'a'", "'%'", "'_%'", "'zzz'", "'1900-01-01'", "'2024-01-01'", "'2999-01-01'"]
QUERIES = ["(SELECT 1)", "(SELECT t.id)", "(SELECT max(id) FROM t)", "(SELECT min(id) FROM t)"]
SUBQUERIES = [
    "(SELECT id FROM t)",
    "(SELECT id FROM t WHERE id > 0)",
    "(SELECT id FROM t WHERE id = 1)",
    "(SELECT id FROM t LIMIT 1)",
]
OPERATORS = ["=", "<>", "<", "<=", ">", ">=", "!=", "IS", "IS NOT", "=="]
DATES = ["1969-01-02", "1971-01-02", "1999-01-02", "2024-06-01", "2050-01-02", "2101-01-02"]
ALWAYS = [
    "1",
    "true",
    "id",
    "CASE WHEN id = 1 THEN 1 ELSE 1 END",
    "coalesce(parent, 1)",
    "id * 0 = 0",
    "name || '' = name",
    "NOT 0",
    "length(name) >= 0",
]


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    """Rows spread wider than any bound a person would write for some of them."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER, name TEXT, created TEXT, parent INTEGER)")
    ids = [1, 2, 7, 10**6, 52 * 10**6, 10**9]
    names = ["", "a", "ab", "zzzzz", "Bob", "~~~", "0", "%"]
    parents = [None, 1, 5, 10**8]
    rows = product(ids, names, DATES, parents)
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    yield connection
    connection.close()


def atom(r: Random) -> str:
    number = r.random() < 0.6
    columns, values = (NUMBERS, NUMBER_VALUES + QUERIES) if number else (TEXTS, TEXT_VALUES)
    column, negated = r.choice(columns), r.choice(["", "NOT "])
    other = r.choice(values + columns)
    match r.randint(0, 6):
        case 0 | 1:
            sides = [column, other] if r.random() < 0.7 else [other, column]
            return f" {r.choice(OPERATORS)} ".join(sides)
        case 2:
            listed = ", ".join(r.choice(values + columns) for _ in range(r.randint(1, 3)))
            return f"{column} {negated}IN ({listed})"
        case 3:
            return f"{column} {negated}BETWEEN {r.choice(values)} AND {r.choice(values)}"
        case 4:
            return f"name {negated}LIKE {r.choice(TEXT_VALUES + TEXTS)}"
        case 5:
            wanted = f"id {negated}IN {r.choice(SUBQUERIES)}"
            return r.choice([wanted, "EXISTS (SELECT 1 FROM t)", f"{column} IS {negated}NULL"])
        case _:
            return r.choice(ALWAYS)


def condition(r: Random, depth: int) -> str:
    if depth == 0 or r.random() < 0.4:
        return atom(r)
    match r.randint(0, 3):
        case 0:
            return f"NOT ({condition(r, depth - 1)})"
        case 1:
            return f"({condition(r, depth - 1)})"
        case way:
            word = "AND" if way == 2 else "OR"
            return f"({condition(r, depth - 1)} {word} {condition(r, depth - 1)})"


@settings(
    max_examples=500,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(r=st.randoms(use_true_random=False))
def test_a_condition_that_takes_every_row_is_none(table: sqlite3.Connection, r: Random) -> None:
    where = condition(r, 2)
    try:
        others = f"({where}) IS NOT TRUE"
        left = table.execute(" ".join(("SELECT EXISTS (SELECT 1 FROM t WHERE", others, ")")))
        (some_stay,) = left.fetchone()
    except sqlite3.Error:
        return
    if not some_stay:
        assert read_sql(" ".join(("DELETE FROM t WHERE", where)), "sqlite").gated
