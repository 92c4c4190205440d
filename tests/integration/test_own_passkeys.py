"""Who may add a passkey, and what takes it away: a session alone makes nothing that a rule's signature counts on."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from handfast.core.domain.errors import NotPermitted
from handfast.core.domain.events import Actor
from handfast.core.domain.person import Person
from handfast.engine.federation import Identity, Mapped
from handfast.server.sessions import COOKIE, form_token
from tests.served import LOGIN, PASSWORD, Json, Served, served_from
from tests.soft_passkey import registration, soft_passkey


@pytest.fixture
def served(tmp_path: Path, prepared: tuple[Path, dict[str, str]]) -> Iterator[Served]:
    """At the pages' own name: a passkey needs one."""
    with served_from(tmp_path, prepared, at_address=False) as running:
        yield running


def browser(served: Served, secret: str) -> httpx.Client:
    """As `Served.browser`, with a session of one's own."""
    pages = served.server.pages_url
    client = served.client(Origin=pages, Host=pages.partition("://")[2])
    client.cookies.set(COOKIE, secret)
    client.headers["x-csrf-token"] = form_token(secret)
    return client


def bring(client: httpx.Client, challenge: str, ticket: str, name: str) -> httpx.Response:
    credential = registration(challenge, client.headers["Origin"], name.encode())
    body = {"label": name, "ticket": ticket, "credential": credential}
    return client.post("/account/passkeys", json=body)


def offered(client: httpx.Client, password: str) -> httpx.Response:
    return client.post("/account/passkeys/offer", json={"password": password})


def added(client: httpx.Client, offer: Json, name: str) -> httpx.Response:
    return bring(client, offer["options"]["challenge"], offer["ticket"], name)


def passkeys(served: Served, person_id: str = "") -> int:
    return len(served.engine.kernel.state(Person, person_id or served.person_id).passkeys)


def test_a_session_alone_adds_no_passkey(served: Served) -> None:
    client = browser(served, served.engine.people.sign_in(LOGIN, PASSWORD).secret)
    for refused in (offered(client, ""), offered(client, "not the password")):
        assert (refused.status_code, refused.json()["code"]) == (403, "wrong_secret")
    assert "challenge" not in refused.text
    now = int(served.engine.kernel.clock.now().timestamp())
    assert bring(client, "AAAA", f"{now}.invented", "mine").status_code == 403
    assert passkeys(served) == 0
    offer = offered(client, PASSWORD)
    assert added(client, offer.json(), "my laptop").status_code == 200
    assert passkeys(served) == 1
    page = client.get("/account", headers={"Accept": "text/html"}).text
    assert "my laptop" in page
    (row,) = served.engine.kernel.store.events(limit=5_000, types=("person.passkey_added",))
    shown = served.client("operator").get(f"/v1/events?after={row.position - 1}").json()
    assert shown["items"][0]["type"] == "person.passkey_added"
    assert shown["items"][0]["at"]


def test_an_offer_fits_nobody_else(served: Served) -> None:
    me = Actor("person", served.person_id, "browser")
    soft_passkey(served.engine, me)
    client = browser(served, served.engine.people.sign_in(LOGIN, PASSWORD).secret)
    offer = offered(client, PASSWORD).json()
    who = Identity("https://id.example", "eve", "Eve", "eve", ("devs",))
    session = served.engine.federation.sign_in(who, Mapped({"devs": ("reviewer",)}))
    eve = browser(served, session.secret)
    assert added(eve, offer, "hers").status_code == 403
    assert passkeys(served, session.person_id) == 0


def test_without_a_password_here_it_takes_a_fresh_sign_in(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = Identity("https://id.example", "eve", "Eve", "eve", ("devs",))
    session = served.engine.federation.sign_in(who, Mapped({"devs": ("reviewer",)}))
    client = browser(served, session.secret)
    now = served.engine.kernel.clock.now()
    monkeypatch.setattr(served.engine.kernel.clock, "now", lambda: now + timedelta(minutes=11))
    late = offered(client, "")
    assert (late.status_code, late.json()["code"]) == (403, "sign_in_again")
    assert "within ten minutes" in client.get("/account", headers={"Accept": "text/html"}).text
    monkeypatch.undo()
    assert added(client, offered(client, "").json(), "hers").status_code == 200
    assert passkeys(served, session.person_id) == 1


@pytest.mark.parametrize("how", ["password", "admin", "provider"])
def test_what_ends_the_access_of_somebody_ends_their_passkeys(served: Served, how: str) -> None:
    engine = served.engine
    noor = Actor("person", served.person_id, "browser")
    who = Identity("https://id.example", "eve", "Eve", "eve", ("devs",))
    devs = Mapped({"devs": ("reviewer",)})
    eve = engine.federation.sign_in(who, devs).person_id
    whose = noor if how == "password" else Actor("person", eve, "browser")
    soft_passkey(engine, whose)
    engine.sessions.end_all(whose)
    assert passkeys(served, whose.id) == 1, "ending sessions is no sign that a key was stolen"
    match how:
        case "password":
            engine.sessions.change_password(noor, PASSWORD, "another long password")
        case "admin":
            engine.sessions.end_of(noor, "eve")
        case _:
            with pytest.raises(NotPermitted, match="has a role"):
                engine.federation.sign_in(Identity(who.issuer, who.subject, groups=()), devs)
    assert passkeys(served, whose.id) == 0
    told = engine.kernel.store.events(limit=5_000, types=("person.passkey_removed",))
    assert len(told) == 1
