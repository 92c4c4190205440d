"""How many things a call touches is said as it is, also where not all of them are listed."""

import re

from handfast.observe.findings import Findings
from handfast.server.web.case_view import case_of
from tests import web_fixtures as fx


def in_all(details: list[str]) -> str:
    case = fx.approval_low()
    will = {**case["package"]["what_will_happen"], "details": details}
    shown = case_of({**case, "package": {**case["package"], "what_will_happen": will}}).effect
    assert list(shown.details) == details[:500]
    return shown.in_all


def deletes(count: int) -> list[str]:
    found = Findings()
    for n in range(count):
        found.detail(f"deletes f{n}.py")
        found.detail(f"deletes f{n}.py")
    return list(found.facts().details)


def test_what_is_found_is_counted_to_its_end() -> None:
    assert deletes(50)[-1] == "deletes f49.py"
    assert deletes(51)[-1] == "and 2 more, not listed"
    many = deletes(3_000)
    assert (len(many), many[-1]) == (50, "and 2,951 more, not listed")


def test_the_page_says_how_many_there_are() -> None:
    assert in_all(deletes(16)) == "16 in all"
    assert in_all([f"deletes f{n}.py" for n in range(120)]) == "120 in all"
    assert in_all(deletes(3_000)) == "3,000 in all"


def test_where_the_number_is_not_known_none_is_made_up() -> None:
    """Of an older runner, or more than a page lists."""
    assert (
        in_all([*(f"deletes f{n}.py" for n in range(49)), "and more, not listed"]) == "more than 49"
    )
    assert re.fullmatch("more than 500", in_all([f"deletes f{n}.py" for n in range(501)]))
