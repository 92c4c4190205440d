"""What SQL does, form by form, in the dialect of its client and where the dialect is not known."""

import subprocess
import sys

import pytest

from handfast.core.domain.action import Verdict
from handfast.core.policy.builtin import HAZARDS, judge
from handfast.observe.sql import hazards_in_code, sql_facts
from tests.unit.sql_corpus import ALSO_PASSES, ALSO_STOPS, PASSES, STOPS


@pytest.mark.parametrize(("dialect", "finds", "text"), STOPS)
def test_stops(dialect: str, finds: str, text: str) -> None:
    facts = sql_facts(text, dialect)
    assert judge(facts).verdict is Verdict.GATE
    assert not finds or finds in facts.hazards + facts.opaque
    assert set(facts.hazards) <= HAZARDS


@pytest.mark.parametrize(
    "text",
    [*ALSO_STOPS, *(text for dialect, _, text in STOPS if dialect not in {"", "psql"})],
)
def test_stops_where_the_dialect_is_not_known(text: str) -> None:
    assert judge(sql_facts(text)).verdict is Verdict.GATE


@pytest.mark.parametrize(("dialect", "text"), PASSES)
def test_passes(dialect: str, text: str) -> None:
    facts = sql_facts(text, dialect)
    assert (facts.opaque, set(facts.hazards) - {"sql.write"}) == ((), set())
    assert judge(facts).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    "text",
    [*ALSO_PASSES, *(text for dialect, text in PASSES if dialect not in {"", "psql"})],
)
def test_passes_where_the_dialect_is_not_known(text: str) -> None:
    assert judge(sql_facts(text)).verdict is Verdict.ALLOW


def test_a_write_says_what_it_writes() -> None:
    facts = sql_facts("UPDATE users SET name = 'x' WHERE id = 5", "postgres")
    assert facts.hazards == ("sql.write",)
    assert "changes the rows of users a condition picks" in facts.summary


def test_two_dialects_that_disagree_are_both_believed() -> None:
    text = "SELECT 'a\\'; DROP TABLE users; -- '"
    assert sql_facts(text, "mysql").hazards == ()
    assert sql_facts(text, "postgres").hazards == ("sql.destructive",)
    assert sql_facts(text).hazards == ("sql.destructive",)


def test_nothing_makes_it_raise() -> None:
    for text in (
        "",
        ";",
        "'",
        '"',
        "$$",
        "/*",
        "--",
        "\\",
        "\ud800",
        "(" * 99,
        "a" * 70_000,
        "\ufdd0",
        "SELECT " * 3_000,
    ):
        sql_facts(text)


def test_strings_of_programs_count_only_when_they_are_sql() -> None:
    assert hazards_in_code("Update the docs, then delete the branch") is None
    assert hazards_in_code("hello") is None
    found = hazards_in_code("delete from users")
    assert found is not None
    assert set(found.hazards) == {"sql.destructive"}


def test_the_parser_is_loaded_with_the_first_sql() -> None:
    code = "import sys, handfast.observe.shell, handfast.observe.claude_code; print('sqlglot' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
