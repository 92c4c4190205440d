"""Of twelve prepared cases, two of each kind, the docs say where each fact stands; it stands there, on one page."""

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from handfast.server.sessions import COOKIE
from scripts.prepared_cases import CASES
from tests.prepared_pages import EVERY, TAKEN, Prepared, facts_of, prepared_pages, table

ASKED_OF_ALL = {
    "approval": ("What exactly runs", "How far", "Why does it stop", "What is proven"),
    "review": ("What is merged where", "How far", "Why does it stop", "What is proven"),
    "question": ("What is asked", "Does the agent wait", "What is proven"),
    "escalation": ("Which limit", "Whose limit", "What is proven", "What does going on mean"),
    "doubt": ("What may have run", "Since when", "Why is it unknown", "How do I find out"),
    "take-over": (),
}


class Headed(HTMLParser):
    """The visible text of a page below each of its headings; below the first, `Head`."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, str] = {}
        self._title: list[str] | None = None
        self._now = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("h1", "h2"):
            self._title, self._now = [], "Head" if tag == "h1" else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h1", "h2") and self._title is not None:
            said = "".join(self._title).strip()
            self._now = self._now or said
            assert self._now not in self.parts, "one heading, one place"
            self.parts[self._now] = said if self._now == "Head" else ""
            self._title = None

    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)
        elif self._now:
            self.parts[self._now] += " " + data


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    with prepared_pages(tmp_path_factory.mktemp("twelve")) as made:
        yield made


def squeezed(text: str) -> str:
    """Without the blanks that markup puts between words."""
    return re.sub(r"\s+", "", text)


def test_there_are_twelve_cases_two_of_each_kind() -> None:
    kinds = {row.case: row.kind for row in table() if row.case != EVERY}
    assert list(kinds) == list(CASES)
    assert Counter(kinds.values()) == dict.fromkeys(ASKED_OF_ALL, 2)
    named = " ".join(kinds)
    for wanted in ("wrong but plausible", "overreach", "stale approval"):
        assert wanted in named


@pytest.mark.parametrize("case", CASES)
def test_the_table_answers_what_is_asked_of_every_case_of_its_kind(case: str) -> None:
    rows = [row for row in table() if row.case == case]
    asked = " ".join(row.asks for row in rows)
    assert [each for each in ASKED_OF_ALL[rows[0].kind] if each not in asked] == []
    if case != TAKEN:
        assert "What only you can decide" in [row.where for row in rows]


@pytest.mark.parametrize("case", CASES)
def test_every_fact_stands_at_its_place_on_the_one_page(prepared: Prepared, case: str) -> None:
    with httpx.Client(base_url=prepared.url, cookies={COOKIE: prepared.session}) as browser:
        answer = browser.get(prepared.pages[case], headers={"Accept": "text/html"})
    assert answer.status_code == 200
    page = Headed()
    page.feed(answer.text.partition("<main")[2])
    wrong = [
        f"{row.asks} {row.words!r} is not under {row.where!r}"
        for row in facts_of(case)
        if squeezed(row.words) not in squeezed(page.parts.get(row.where, ""))
    ]
    assert wrong == []
