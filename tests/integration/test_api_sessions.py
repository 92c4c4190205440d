"""Browsers: cookies, forms of other sites, sign-in and out, links that only open."""

import re

import httpx
import pytest

from handfast.core.domain.events import Actor
from handfast.server.pages import account
from handfast.server.pages.account import local_path
from handfast.server.sessions import COOKIE
from tests.served import LOGIN, PASSWORD, PIN, Json, Served


def token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page)
    assert found
    return found[1]


def sign_in(client: httpx.Client, **more: str) -> httpx.Response:
    return client.post("/login", data={"name": LOGIN, "password": PASSWORD, "next": "/", **more})


def form_of(page: str, handoff: Json, **more: str) -> dict[str, str]:
    return {
        "csrf_token": token(page),
        "presented_digest": handoff["presented_digest"],
        "kind": "approve",
        "reason": "looked at it",
        **more,
    }


def test_sign_in_gives_a_cookie_that_scripts_and_other_sites_do_not_get(served: Served) -> None:
    client = served.client(Origin=served.url, Accept="text/html")
    assert client.get("/").headers["location"] == "/login"
    assert client.get("/runs?after=1").headers["location"] == "/login?next=/runs%3Fafter%3D1"
    wrong = client.post("/login", data={"name": LOGIN, "password": "not this one"})
    assert wrong.status_code == 403
    assert COOKIE not in client.cookies
    answer = sign_in(client, next="/runs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    flags = answer.headers["set-cookie"]
    assert "HttpOnly" in flags
    assert "SameSite=lax" in flags
    assert "Noor Haddad" in client.get("/").text


def test_a_new_sign_in_ends_the_old_session_and_sign_out_ends_it_on_the_server(
    served: Served,
) -> None:
    client = served.client(Origin=served.url, Accept="text/html")
    sign_in(client)
    first = client.cookies[COOKIE]
    sign_in(client)
    second = client.cookies[COOKIE]
    assert first != second
    assert served.engine.people.of_session(first) == ""
    page = client.get("/").text
    assert client.post("/logout", data={"csrf_token": "0" * 64}).status_code == 403
    assert client.post("/logout", data={"csrf_token": token(page)}).status_code == 303
    assert served.engine.people.of_session(second) == ""
    client.cookies.set(COOKIE, second)
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_another_site_cannot_make_the_browser_decide(
    served: Served, headers: dict[str, str]
) -> None:
    handoff = served.stop()
    path = f"/handoffs/{handoff['handoff_id']}"
    browser = served.browser()
    form = form_of(browser.get(path).text, handoff)
    refused = browser.post(f"{path}/decide", data=form, headers=headers)
    assert refused.status_code == 403
    body = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "r"}
    refused = browser.post(f"/v1{path}/decisions", json=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
    assert (
        browser.post(
            "/login", data={"name": LOGIN, "password": PASSWORD}, headers=headers
        ).status_code
        == 403
    )
    assert served.engine.views.handoff(handoff["handoff_id"])["decision"] is None


def test_a_browser_that_says_nothing_of_its_origin_needs_the_forms_token(served: Served) -> None:
    handoff = served.stop()
    path = f"/handoffs/{handoff['handoff_id']}"
    browser = served.browser()
    page = browser.get(path).text
    del browser.headers["Origin"]
    body = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "r"}
    assert browser.post(f"/v1{path}/decisions", json=body).status_code == 403
    assert (
        browser.post(f"{path}/decide", data=form_of(page, handoff, csrf_token="")).status_code
        == 403
    )
    assert browser.post(f"{path}/decide", data=form_of(page, handoff)).status_code == 303


def test_a_form_of_another_session_is_refused(served: Served) -> None:
    handoff = served.stop()
    path = f"/handoffs/{handoff['handoff_id']}"
    other = token(served.browser().get(path).text)
    browser = served.browser()
    form = form_of(browser.get(path).text, handoff, csrf_token=other)
    assert browser.post(f"{path}/decide", data=form).status_code == 403
    assert served.engine.views.handoff(handoff["handoff_id"])["decision"] is None


def test_a_person_decides_over_the_api_in_the_browser(served: Served) -> None:
    handoff = served.stop()
    body = {
        "kind": "reject",
        "presented_digest": handoff["presented_digest"],
        "reason": "not today",
    }
    answer = served.browser().post(f"/v1/handoffs/{handoff['handoff_id']}/decisions", json=body)
    assert answer.status_code == 201
    assert answer.json()["decision"]["auth"] == "browser"


def test_opening_a_link_decides_nothing(served: Served) -> None:
    handoff = served.stop()
    browser = served.browser()
    path = f"/handoffs/{handoff['handoff_id']}"
    query = f"kind=approve&presented_digest={handoff['presented_digest']}&reason=r"
    assert browser.get(f"{path}?{query}").status_code == 200
    assert browser.get(f"{path}/decide?{query}").status_code == 405
    assert browser.head(path).status_code in (200, 405)
    shown = served.engine.views.handoff(handoff["handoff_id"])
    assert shown["decision"] is None
    events = served.engine.kernel.store.events(stream=f"handoff/{handoff['handoff_id']}")
    assert events[-1].type == "handoff.viewed"


def test_a_refused_form_comes_back_with_what_was_typed(served: Served) -> None:
    handoff = served.stop()
    path = f"/handoffs/{handoff['handoff_id']}"
    browser = served.browser()
    page = browser.get(path).text
    edited = form_of(
        page, handoff, kind="approve_with_edits", edited_command="git push origin main"
    )
    again = browser.post(f"{path}/decide", data={**edited, "reason": "half a thought"})
    assert again.status_code == 422
    assert "half a thought" in again.text
    assert "unchanged" in again.text
    stale = browser.post(f"{path}/decide", data=form_of(page, handoff, presented_digest="sha256:0"))
    assert stale.status_code == 409
    assert "changed since" in stale.text
    empty = browser.post(f"{path}/decide", data=form_of(page, handoff, kind="reject", reason=" "))
    assert empty.status_code == 422


def test_whoever_was_slower_sees_who_decided_and_when(served: Served) -> None:
    handoff = served.stop()
    path = f"/handoffs/{handoff['handoff_id']}"
    first, second = served.browser(), served.browser()
    pages = [b.get(path).text for b in (first, second)]
    assert first.post(f"{path}/decide", data=form_of(pages[0], handoff)).headers["location"] == path
    late = second.post(f"{path}/decide", data=form_of(pages[1], handoff, kind="reject"))
    assert late.status_code == 409
    assert "Noor Haddad decided first (approve" in late.text
    assert "Approved by Noor Haddad" in late.text


def test_a_page_of_the_setup_link_works_once(served: Served) -> None:
    client = served.client(Origin=served.url, Accept="text/html")
    people = served.engine.people
    me = Actor("person", served.person_id, "browser")
    path = f"/setup/{people.invite_another(me, ('reviewer',))}"
    new = {"name": "Mia Berg", "login": "mia", "password": PASSWORD, "pin": PIN}
    assert client.get("/setup/not-a-link").status_code == 403
    assert client.post("/setup/not-a-link", data=new).status_code == 403
    assert client.post(path, data=new | {"pin": "1"}).status_code == 422
    for _ in range(2):
        assert client.get(path).status_code == 200, "it is not used up by looking, or by a mistake"
    assert client.post(path, data=new).status_code == 303
    assert people.of_session(client.cookies[COOKIE])
    again = served.client(Origin=served.url, Accept="text/html")
    for answer in (again.get(path), again.post(path, data=new | {"login": "eve"})):
        assert answer.status_code == 403
        assert "not valid any more" in answer.text
    assert COOKIE not in again.cookies
    found = served.client("operator").get("/v1/people").json()["items"]
    assert sorted(p["name"] for p in found) == ["Mia Berg", "Noor Haddad"]


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ("/runs", "/runs"), ("/runs?after=1.2", "/runs?after=1.2"), ("//evil.example", "/"),
        ("https://evil.example", "/"), ("/\\evil.example", "/"), ("/\nx", "/"), ("", "/"), ("/a\\b", "/"),
    ],
)  # fmt: skip
def test_after_signing_in_one_stays_on_this_server(wanted: str, where: str) -> None:
    assert local_path(wanted) == where


def test_guessing_is_slowed_by_address(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "TRIES", 3)
    client = served.client(Origin=served.url, Accept="text/html")
    statuses = {
        client.post("/login", data={"name": f"nobody{n}", "password": "x" * 12}).status_code
        for n in range(4)
    }
    assert statuses == {403, 429}


def test_a_person_without_a_session_gets_the_sign_in_page_for_a_part_of_a_page(
    served: Served,
) -> None:
    client = served.client(**{"HX-Request": "true", "Accept": "text/html"})
    answer = client.get("/inbox/rows")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")
    assert client.get("/events").status_code == 401


def test_static_files_are_asked_for_again_and_answered_shortly(served: Served) -> None:
    client = served.client()
    first = client.get("/static/app.css")
    assert first.headers["content-type"].startswith("text/css")
    again = client.get("/static/app.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("nothing.css", "../pages.py", "..%2fpages.py", ""):
        assert client.get(f"/static/{name}").status_code == 404
