"""Where sessions hold: at the pages' own name, and at no name that other servers of the machine share."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Actor
from handfast.server.application import create_app
from handfast.server.serving import ServerThread, greeting
from handfast.server.sessions import COOKIE
from handfast.server.site import Site
from tests.openid_provider import open_id
from tests.served import LOGIN, PASSWORD, PIN, Served, served_from

SHARED = ("127.0.0.1", "localhost", "LOCALHOST", "[::1]")
NO_PAGES = ("/v1/", "/static/", "/healthz", "/openapi.json", "/slack")
FORM = {"name": LOGIN, "password": PASSWORD, "next": "/"}


@pytest.fixture
def served(tmp_path: Path, prepared: tuple[Path, dict[str, str]]) -> Iterator[Served]:
    """As people start it."""
    with served_from(tmp_path, prepared, at_address=False) as running:
        yield running


def port(served: Served) -> str:
    return served.url.rpartition(":")[2]


def at(served: Served, name: str, **headers: str) -> httpx.Client:
    """A browser without a session that was told to go to a name."""
    host = f"{name}:{port(served)}"
    return served.client(Host=host, Origin=f"http://{host}", Accept="text/html", **headers)


def routes(app: FastAPI) -> list[tuple[str, str]]:
    found = [r for r in app.router.routes if isinstance(r, APIRoute)]
    every = [(method, r.path) for r in found for method in r.methods or ()]
    return [(m, p) for m, p in every if not p.startswith(NO_PAGES)]


def test_a_person_signs_in_and_decides_at_the_pages_own_name(served: Served) -> None:
    assert served.server.pages_url == f"http://handfast.localhost:{port(served)}"
    handoff = served.stop()
    path = f"/handoffs/{handoff['handoff_id']}"
    browser = at(served, "handfast.localhost")
    answer = browser.post("/login", data=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "domain" not in cookie.lower(), "no other name below localhost is sent it"
    assert "pushes main to origin" in browser.get("/").text.lower()
    body = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "r"}
    evil = {"Origin": f"http://127.0.0.1:{port(served)}"}
    refused = browser.post(f"/v1{path}/decisions", json=body, headers=evil)
    assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
    assert browser.post(f"/v1{path}/decisions", json=body).status_code == 201


def test_a_page_at_a_shared_name_leads_to_the_pages_own(served: Served) -> None:
    for name in SHARED:
        browser = at(served, name)
        for path in ("/", "/runs?after=1.2", "/handoffs/ho_1", "/setup/secret", "/n/a%2Fb"):
            answer = browser.get(path)
            assert answer.status_code == 307, (name, path)
            assert answer.headers["location"] == served.server.pages_url + path
        tunnelled = served.client(Host=f"{name}:9000").get("/runs")
        assert tunnelled.headers["location"] == "http://handfast.localhost:9000/runs"


def test_a_path_cannot_lead_to_another_site(served: Served) -> None:
    for host, path in (
        ("127.0.0.1:x", "/a"), ("127.0.0.1:1@evil.example", "/a"), ("evil.example@127.0.0.1:1", "/a"),
        ("127.0.0.1:1", "//evil.example"), ("127.0.0.1:1", "/.evil.example"), ("127.0.0.1", "/\\evil.example"),
    ):  # fmt: skip
        answer = served.client(Host=host).get(served.url + path)
        to = urlsplit(answer.headers.get("location", "http://handfast.localhost"))
        assert answer.status_code in (307, 421), host
        assert (to.scheme, to.hostname, to.username) == ("http", "handfast.localhost", None)


def test_nobody_signs_in_or_is_set_up_at_a_shared_name(served: Served) -> None:
    me = Actor("person", served.person_id, "browser")
    invitation = served.engine.people.invite_another(me, ("reviewer",))
    new = {"name": "Mia", "login": "mia", "password": PASSWORD, "pin": PIN}
    for name in SHARED:
        browser = at(served, name)
        answer = browser.post("/login", data=FORM)
        assert (answer.status_code, "set-cookie" in answer.headers) == (421, False), name
        assert f'href="{served.server.pages_url}/"' in answer.text, "it names the address"
        assert f"--public-url http://127.0.0.1:{port(served)}" in answer.text
        refused = browser.post(f"/setup/{invitation}", data=new)
        assert (refused.status_code, "set-cookie" in refused.headers) == (421, False)
    served.engine.people.check_invitation(invitation)
    plain = served.client().post("/login", data=FORM)
    assert (plain.status_code, plain.json()["code"]) == (421, "wrong_address")


def test_a_session_opens_nothing_at_a_shared_name(served: Served) -> None:
    handoff = served.stop()
    session = served.engine.people.sign_in(LOGIN, PASSWORD)
    body = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "r"}
    path = f"/v1/handoffs/{handoff['handoff_id']}"
    for name in SHARED:
        thief = at(served, name, Cookie=f"{COOKIE}={session.secret}")
        for answer in (thief.get(path), thief.post(f"{path}/decisions", json=body)):
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), name
    assert served.engine.views.handoff(handoff["handoff_id"])["decision"] is None


def test_no_page_of_any_route_is_drawn_or_sets_a_cookie_at_a_shared_name(served: Served) -> None:
    session = served.engine.people.sign_in(LOGIN, PASSWORD)
    client = at(served, "127.0.0.1")
    client.cookies.set(COOKIE, session.secret)
    found = routes(create_app(served.engine))
    assert len(found) > 50
    for method, path in found:
        answer = client.request(method, path)
        assert answer.status_code == (307 if method in ("GET", "HEAD") else 421), (method, path)
        assert "set-cookie" not in answer.headers


def test_what_is_no_page_is_answered_at_every_name_of_the_server(served: Served) -> None:
    for name in (*SHARED, "handfast.localhost"):
        operator = served.client("operator", Host=f"{name}:{port(served)}")
        for path in ("/v1/runs", "/healthz", "/openapi.json", "/static/app.css"):
            assert operator.get(path).status_code == 200, (name, path)
        assert operator.post("/slack", content=b"{}").status_code not in (307, 421)


def test_a_name_that_is_not_this_servers_gets_no_page_and_no_cookie(served: Served) -> None:
    for name in ("rebound.example", "other.localhost", "handfast.localhost.evil.example",
                 "handfast.localhost.", "127.0.0.2", "0.0.0.0", ""):  # fmt: skip
        stranger = at(served, name)
        for answer in (stranger.get("/login"), stranger.post("/login", data=FORM)):
            assert (answer.status_code, "set-cookie" in answer.headers) == (421, False), name
            assert "Password" not in answer.text


def test_a_public_address_is_where_the_pages_are_then(served: Served) -> None:
    knowingly = Site(public_url="http://127.0.0.1:8480")
    with ServerThread(served.engine, site=knowingly) as server:
        with httpx.Client(base_url=server.url, headers={"Origin": server.url}) as client:
            assert COOKIE in client.post("/login", data=FORM).headers["set-cookie"]
            assert "Noor Haddad" in client.get("/").text
        for name, status in (("localhost:1", 307), ("handfast.localhost:1", 421)):
            answer = httpx.get(f"{server.url}/runs", headers={"Host": name})
            assert answer.status_code == status
        led = httpx.get(f"{server.url}/runs?a=1", headers={"Host": "localhost:1"})
        assert led.headers["location"] == "http://127.0.0.1:8480/runs?a=1"


def test_on_another_machine_nobody_is_led_in_circles(served: Served) -> None:
    with ServerThread(served.engine, site=Site(public_url="https://handfast.example/")) as server:
        assert server.pages_url == "https://handfast.example"
        for method in ("GET", "POST"):
            answer = httpx.request(method, f"{server.url}/login", headers={"Accept": "text/html"})
            assert (answer.status_code, "set-cookie" in answer.headers) == (421, False)
            assert "https://handfast.example" in answer.text
            assert "A proxy before the server" in answer.text
        token = {"Authorization": f"Bearer {served.tokens['operator']}"}
        assert httpx.get(f"{server.url}/v1/runs", headers=token).status_code == 200


def test_the_server_says_where_its_pages_are_and_what_to_do_without_that_name(
    served: Served,
) -> None:
    lines = greeting(served.engine, served.server.pages_url)
    assert lines[0] == f"Handfast is ready on http://handfast.localhost:{port(served)}"
    assert f"`handfast serve --public-url {served.url}`" in lines[-1]
    assert len(greeting(served.engine, "https://handfast.example")) == 1


@pytest.mark.parametrize(
    "wrong", ["127.0.0.1:8480", "localhost:8480", "ftp://x", "http://", "http://[x"]
)
def test_an_address_that_is_none_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        Site(public_url=wrong)


def test_an_identity_provider_sends_people_back_to_the_pages_own_name(
    tmp_path: Path, prepared: tuple[Path, dict[str, str]]
) -> None:
    with open_id() as provider:
        installed = tmp_path / "first"
        shutil.copytree(prepared[0], installed)
        text = f"oidc: {{issuer: {provider.issuer}, client_id: handfast, roles: {{devs: [reviewer]}}}}\n"
        (installed / "identity.yaml").write_text(text)
        with served_from(tmp_path, (installed, prepared[1]), at_address=False) as served:
            away = at(served, "handfast.localhost").get("/login/oidc")
            query = httpx.URL(away.headers["location"]).params
            assert query["redirect_uri"] == f"{served.server.pages_url}/login/oidc/callback"
