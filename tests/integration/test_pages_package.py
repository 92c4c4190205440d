"""The parts of the case page that show the package: rating, what is new, claims and criteria."""

import httpx

from tests.integration.test_api_sessions import token
from tests.served import Json, Served


def _rate(browser: httpx.Client, asked: Json, **fields: str) -> httpx.Response:
    path = f"/handoffs/{asked['handoff_id']}"
    given = {"csrf_token": token(browser.get(path).text)} | fields
    return browser.post(f"{path}/rating", data=given)


def test_a_package_is_rated_with_one_key_by_who_holds_it(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    path = f"/handoffs/{asked['handoff_id']}"
    assert "Was this enough to decide?" not in browser.get(path).text
    assert _rate(browser, asked, rating="good").status_code == 403
    form = {"csrf_token": token(browser.get(path).text), "act": "acknowledge"}
    digest = {"presented_digest": str(asked["presented_digest"])}
    assert browser.post(f"{path}/routing", data=form | digest).status_code == 303
    assert 'value="good" data-key="g"' in browser.get(path).text
    assert _rate(browser, asked, rating="good").status_code == 303
    assert "You rated it good." in browser.get(path).text
    assert _rate(browser, asked, rating="lacking", lacks_evidence="on").status_code == 303
    assert "You rated it lacking: evidence." in browser.get(path).text
    assert _rate(browser, asked, rating="lacking", lacks_colour="on").status_code == 422


def test_without_the_page_s_token_nothing_is_rated(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    path = f"/handoffs/{asked['handoff_id']}/rating"
    assert browser.post(path, data={"rating": "good", "csrf_token": ""}).status_code == 403
    types = [e.type for e in served.engine.kernel.store.scan()]
    assert "handoff.rated" not in types
