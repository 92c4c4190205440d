"""The page of notifications and *Who was told*, without a browser: each state in its own words, all inert."""

from handfast.server.web.notices_view import STATUSES, notice_rows
from handfast.server.web.notifications_view import notifications_page
from handfast.server.web.pages import Shell, case_page
from handfast.server.web.render import render
from tests import web_fixtures as fx

SHELL = Shell(person_name="Noor Haddad", csrf_token="t")


def test_each_state_has_words_of_its_own_and_why() -> None:
    rows = notice_rows(fx.notices())
    assert [row.words for row in rows] == [words for words, _ in STATUSES.values()]
    assert len({row.words for row in rows}) == len(rows)
    by_words = {row.words: row for row in rows}
    assert by_words["Held back"].due_at is not None
    assert "550" in by_words["Failed, tried again"].note
    assert by_words["Delivered"].note == ""
    assert by_words["Delivered"].opened_at is not None


def test_addresses_and_errors_are_inert() -> None:
    context = notifications_page(fx.notifications(), fx.notices(), shell=SHELL, now=fx.NOW)
    page = render("notifications.html", context)
    assert "<script>ana" not in page
    assert "<b>mailbox" not in page
    assert "\u202e" not in page
    assert page.count('name="csrf_token"') >= 4 * 3


def test_the_case_says_who_was_told_and_nothing_where_nobody_was() -> None:
    told = case_page(fx.approval_high() | {"notices": fx.notices()}, shell=SHELL, now=fx.NOW)
    assert "Who was told" in render("case.html", told)
    nobody = case_page(fx.approval_high(), shell=SHELL, now=fx.NOW)
    assert "Who was told" not in render("case.html", nobody)
