"""The buttons of the case page that ask others, hold, put off and override."""

import httpx

from handfast.core.domain.handoff import Handoff
from tests.integration.test_api_sessions import token
from tests.served import Json, Served


def _press(browser: httpx.Client, asked: Json, act: str, **more: str) -> httpx.Response:
    path = f"/handoffs/{asked['handoff_id']}"
    seen = {"csrf_token": token(browser.get(path).text), "act": act} | more
    digest = {"presented_digest": str(asked["presented_digest"])}
    return browser.post(f"{path}/routing", data=seen | digest)


def _state(served: Served, asked: Json) -> Handoff:
    return served.engine.kernel.state(Handoff, str(asked["handoff_id"]))


def test_a_case_is_held_put_off_and_given_back(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    link = f'href="/handoffs/{asked["handoff_id"]}"'
    assert link in browser.get("/").text
    assert _press(browser, asked, "snooze", minutes="30").status_code == 409
    assert _press(browser, asked, "acknowledge").status_code == 303
    assert _press(browser, asked, "snooze", minutes="soon").status_code == 422
    assert _press(browser, asked, "snooze", minutes="30").status_code == 303
    assert link not in browser.get("/").text
    assert _press(browser, asked, "release").status_code == 303
    assert link in browser.get("/").text
    assert _press(browser, asked, "route", to="person:noor", why="mine").status_code == 303
    assert _state(served, asked).asked == "person:noor"


def test_an_override_needs_a_reason_and_says_what_follows(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    refused = _press(browser, asked, "override", why=" ")
    assert refused.status_code == 422
    assert "another person reviews it" in refused.text
    assert _press(browser, asked, "override", why="the site is down").status_code == 303
    page = browser.get(f"/handoffs/{asked['handoff_id']}").text
    assert "Overridden by Noor Haddad" in page
    assert "Review an override" in browser.get("/").text


def test_without_the_page_s_token_nothing_is_done(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    path = f"/handoffs/{asked['handoff_id']}/routing"
    answer = browser.post(path, data={"act": "override", "why": "x", "csrf_token": ""})
    assert answer.status_code == 403
    assert _state(served, asked).decision is None
