"""In a browser: what the docs say of the twelve prepared cases to be on the first screen is on it, all of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from handfast.server.sessions import COOKIE
from scripts.prepared_cases import CASES
from tests.prepared_pages import TAKEN, Prepared, facts_of, prepared_pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
HEIGHT = 800
# Where the part below each heading ends, in pixels from the top of the page.
BOTTOMS = """Object.fromEntries([...document.querySelectorAll('main :is(h1, h2)')].map((head) => [
  head.tagName === 'H1' ? 'Head' : head.textContent.trim(),
  head.parentElement.getBoundingClientRect().bottom,
]))"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    with prepared_pages(tmp_path_factory.mktemp("twelve")) as made:
        yield made


@pytest.mark.parametrize("case", CASES)
def test_the_first_screen_holds_what_the_docs_say(
    page: "Page", prepared: Prepared, case: str
) -> None:
    page.context.add_cookies([{"name": COOKIE, "value": prepared.session, "url": prepared.url}])
    page.set_viewport_size({"width": 1280, "height": HEIGHT})
    page.goto(prepared.url + prepared.pages[case])
    bottoms: dict[str, float] = page.evaluate(BOTTOMS)
    first = {row.where for row in facts_of(case) if row.first}
    assert {where: bottoms[where] for where in first if bottoms[where] > HEIGHT} == {}
    needed = {"In your hands"} if case == TAKEN else {"What only you can decide", "Why now"}
    assert needed <= first
