"""Sign-in at an identity provider: a real one on loopback, and every way it could be lied to."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import OctKey

from handfast.app import open_engine
from handfast.core.domain.errors import NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_identity import AccountLinked
from handfast.core.domain.person import Person
from handfast.engine.federation import Identity
from handfast.engine.kernel import Unit
from handfast.server.oidc.attempt import COOKIE as ATTEMPT
from handfast.server.oidc.settings import FILE, read_settings
from handfast.server.serving import ServerThread
from handfast.server.sessions import COOKIE
from handfast.storage.api import Credential
from tests.openid_provider import CLIENT, SECRET, OpenId, Token, new_key, open_id
from tests.served import LOGIN, PASSWORD, PIN, Served, decision

SETTINGS = """\
oidc:
  issuer: {issuer}
  client_id: {client}
  client_secret_file: {secret}
  name: Example ID
  roles: {{devs: [reviewer], ops: [operator, reviewer]}}
  teams: {{dba-group: [dba]}}
"""


@pytest.fixture
def provider() -> Iterator[OpenId]:
    with open_id() as made:
        made.account = {"sub": "u-1", "name": "Ida Ng", "groups": ["devs", "dba-group"]}
        yield made


@pytest.fixture
def served(
    tmp_path: Path, prepared: tuple[Path, dict[str, str]], provider: OpenId
) -> Iterator[Served]:
    home = tmp_path / "installation"
    shutil.copytree(prepared[0], home)
    (tmp_path / "secret").write_text(SECRET + "\n")
    settings = SETTINGS.format(
        issuer=provider.issuer, client=CLIENT, secret=str(tmp_path / "secret")
    )
    (home / FILE).write_text(settings)
    engine = open_engine(home=home)
    with ServerThread(engine, at_address=True) as server:
        running = Served(engine, server, tokens=prepared[1])
        yield running
        running.close()
    engine.close()


def begin(client: httpx.Client, wanted: str = "") -> str:
    """The address at the provider that the browser is sent to."""
    answer = client.get("/login/oidc", params={"next": wanted} if wanted else None)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def at_provider(address: str) -> str:
    """The person signs in there; where the browser is sent back to."""
    back = httpx.get(address, trust_env=False).headers["location"]
    return back.partition("://")[2].partition("/")[2]


def sign_in(client: httpx.Client, wanted: str = "") -> httpx.Response:
    return client.get("/" + at_provider(begin(client, wanted)))


def browser(served: Served) -> httpx.Client:
    return served.client(Origin=served.url, Accept="text/html")


def person_of(served: Served, client: httpx.Client) -> Person:
    person_id = served.engine.people.of_session(client.cookies[COOKIE])
    return served.engine.kernel.state(Person, person_id)


def test_a_new_account_becomes_a_person_with_the_roles_and_teams_of_its_groups(
    served: Served, provider: OpenId
) -> None:
    client = browser(served)
    assert "Sign in with Example ID" in client.get("/login").text
    answer = sign_in(client, "/runs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    person = person_of(served, client)
    assert (person.roles, person.teams) == (("reviewer",), ("dba",))
    assert served.engine.people.name(person.person_id) == "Ida Ng"
    again = browser(served)
    sign_in(again)
    assert person_of(served, again).person_id == person.person_id
    sessions = served.engine.sessions.of(person.person_id)
    assert [s["method"] for s in sessions] == ["oidc", "oidc"]


def test_groups_are_asked_anew_at_each_sign_in(served: Served, provider: OpenId) -> None:
    client = browser(served)
    sign_in(client)
    provider.account["groups"] = ["ops"]
    sign_in(browser(served))
    assert person_of(served, client).roles == ("operator", "reviewer")
    assert person_of(served, client).teams == ()
    provider.account["groups"] = ["strangers"]
    refused = sign_in(browser(served))
    assert refused.status_code == 403
    assert served.engine.people.of_session(client.cookies[COOKIE]) == ""


def test_who_has_no_group_here_gets_in_nowhere(served: Served, provider: OpenId) -> None:
    provider.account = {"sub": "u-2", "groups": ["strangers"]}
    client = browser(served)
    answer = sign_in(client)
    assert answer.status_code == 403
    assert COOKIE not in client.cookies
    rows = served.engine.kernel.store.events(limit=5_000, types=("access.refused",))
    assert json.loads(rows[-1].data)["data"]["what"] == "sign in with oidc"


def test_an_e_mail_or_a_login_never_leads_to_somebody_who_is_here(
    served: Served, provider: OpenId
) -> None:
    provider.account = {"sub": "noor", "email": "noor@example.com", "groups": ["devs"]}
    answer = sign_in(browser(served))
    assert answer.status_code == 403
    assert "login is taken" in answer.text
    other = Identity(provider.issuer + "x", "u-1")
    assert other.account != Identity(provider.issuer, "u-1").account


def spoiled(name: str) -> Callable[[Token], None]:
    def other_key(t: Token) -> None:
        t.key = new_key()

    def unknown_key(t: Token) -> None:
        t.key = new_key()
        t.header["kid"] = t.key.kid

    def shared_secret(t: Token) -> None:
        t.key = OctKey.import_key(SECRET * 3)
        t.header["alg"] = "HS256"

    def expired(t: Token) -> None:
        t.claims |= {"iat": t.claims["iat"] - 900, "exp": t.claims["exp"] - 900}

    def without(name: str) -> Callable[[Token], None]:
        return lambda t: t.claims.pop(name) and None

    def having(**claims: object) -> Callable[[Token], None]:
        return lambda t: t.claims.update(claims)

    return {
        "signed with another key": other_key,
        "signed with an unknown key": unknown_key,
        "signed with the client's secret": shared_secret,
        "expired": expired,
        "of another issuer": having(iss="https://evil.example"),
        "for another client": having(aud="somebody-else"),
        "for several without saying who asked": having(aud=[CLIENT, "somebody-else"]),
        "for several, asked by another": having(aud=[CLIENT, "x"], azp="x"),
        "of another attempt": having(nonce="another"),
        "without a nonce": without("nonce"),
        "without an end": without("exp"),
        "without a subject": without("sub"),
    }[name]


@pytest.mark.parametrize(
    "lie",
    [
        *("signed with another key", "signed with an unknown key"),
        *("signed with the client's secret", "expired", "of another issuer"),
        *("for another client", "for several without saying who asked"),
        *("for several, asked by another", "of another attempt", "without a nonce"),
        *("without an end", "without a subject"),
    ],
)
def test_a_token_that_is_not_good_signs_nobody_in(
    served: Served, provider: OpenId, lie: str
) -> None:
    provider.spoil = spoiled(lie)
    client = browser(served)
    answer = sign_in(client)
    assert (answer.status_code, COOKIE in client.cookies) == (403, False)
    assert "did not prove who you are" in answer.text


def test_a_rotated_key_is_found_and_the_old_one_is_good_no_more(
    served: Served, provider: OpenId
) -> None:
    sign_in(browser(served))
    old = provider.keys[0]
    provider.rotate()
    assert sign_in(browser(served)).status_code == 303

    def with_old(t: Token) -> None:
        t.key, t.header["kid"] = old, old.kid

    provider.spoil = with_old
    assert sign_in(browser(served)).status_code == 403
    asked = provider.asked.count("/keys")
    for _ in range(5):
        assert sign_in(browser(served)).status_code == 403
    assert provider.asked.count("/keys") <= asked + 1  # invented ids do not make us ask on and on


def test_the_answer_is_taken_once_and_only_from_the_browser_that_asked(served: Served) -> None:
    victim, other = browser(served), browser(served)
    back = at_provider(begin(victim))
    begin(other)
    assert other.get("/" + back).status_code == 403  # an answer that was slipped in
    assert COOKIE not in other.cookies
    assert victim.get("/" + back).status_code == 303
    assert ATTEMPT not in victim.cookies
    assert victim.get("/" + back).status_code == 403
    kept = browser(served)
    back = at_provider(begin(kept))
    attempt = kept.cookies[ATTEMPT]
    assert kept.get("/" + back).status_code == 303
    replayed = browser(served)
    replayed.cookies.set(ATTEMPT, attempt)
    assert replayed.get("/" + back).status_code == 403  # the code was used
    assert COOKIE not in replayed.cookies


def test_a_made_up_attempt_is_not_taken(served: Served) -> None:
    client = browser(served)
    back = at_provider(begin(client))
    sealed = client.cookies[ATTEMPT].strip('"')
    client.cookies.delete(ATTEMPT)
    client.cookies.set(ATTEMPT, sealed[:-4] + "AAA=")
    assert client.get("/" + back).status_code == 403
    assert client.get(f"/login/oidc/callback?state=x&code={'y' * 9}").status_code == 403


def test_a_session_that_was_there_before_is_not_carried_over(served: Served) -> None:
    client = browser(served)
    client.cookies.set(COOKIE, "a secret that somebody else chose")
    sign_in(client)
    first = client.cookies.get(COOKIE, domain="127.0.0.1")
    assert first != "a secret that somebody else chose"
    assert served.engine.people.of_session("a secret that somebody else chose") == ""
    second = browser(served)
    second.cookies.set(COOKIE, str(first), domain="127.0.0.1")
    sign_in(second)
    assert served.engine.people.of_session(str(first)) == ""


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_it_leads_to_no_other_site(served: Served, wanted: str) -> None:
    assert sign_in(browser(served), wanted).headers["location"] == "/"


def test_the_way_there_carries_what_it_must(served: Served, provider: OpenId) -> None:
    query = parse_qs(urlsplit(begin(browser(served))).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{served.url}/login/oidc/callback"]
    other = parse_qs(urlsplit(begin(browser(served))).query)
    assert all(query[name] != other[name] for name in ("state", "nonce", "code_challenge"))


def csrf(page: str) -> str:
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_an_account_is_linked_from_within_and_keeps_the_roles_of_here(
    served: Served, provider: OpenId
) -> None:
    client = served.browser()
    page = client.get("/account").text
    assert "Link your account at Example ID" in page
    assert client.post("/login/oidc/link", data={"csrf_token": "0"}).status_code == 403
    for wrong in ({}, {"password": "not the password"}):  # a session alone links nothing
        form = {"csrf_token": csrf(page), **wrong}
        assert client.post("/login/oidc/link", data=form).status_code == 403
    form = {"csrf_token": csrf(page), "password": PASSWORD}
    sent = client.post("/login/oidc/link", data=form)
    assert sent.status_code == 303
    done = client.get("/" + at_provider(sent.headers["location"]))
    assert (done.status_code, done.headers["location"]) == (303, "/account")
    fresh = browser(served)
    sign_in(fresh)
    noor = person_of(served, fresh)
    assert (noor.person_id, "admin" in noor.roles) == (served.person_id, True)
    shown = client.get("/account").text
    assert "Unlink" in shown
    account = noor.accounts[0].account
    form = {"csrf_token": csrf(shown), "act": "unlink", "account": account}
    assert client.post("/account", data=form).status_code == 303
    again = browser(served)
    sign_in(again)
    assert person_of(served, again).person_id != served.person_id


def test_who_is_managed_by_one_account_signs_in_with_no_other(
    served: Served, provider: OpenId
) -> None:
    client = browser(served)
    sign_in(client)
    person = person_of(served, client)
    page = client.get("/account").text
    assert "says which roles and teams you have" in page
    assert "Link your account" not in page
    provider.account = {"sub": "u-9", "groups": ["devs"]}
    sent = client.post("/login/oidc/link", data={"csrf_token": csrf(page)})
    refused = client.get("/" + at_provider(sent.headers["location"]))
    assert (refused.status_code, "no other one is linked" in refused.text) == (409, True)
    assert len(person_of(served, client).accounts) == 1
    # One that an earlier version linked lets nobody in either, whatever its groups say.
    engine, second = served.engine, Identity(provider.issuer, "u-8", groups=("devs",))

    def link(unit: Unit) -> dict[str, object]:
        event = AccountLinked(person.person_id, provider.issuer, second.account)
        unit.record(Person, person.person_id, [event])
        kept = Credential(f"account:{second.account}", "account", person.person_id, second.account)
        unit.put_credential(kept)
        return {}

    engine.kernel.run(Actor("person", person.person_id, "browser"), link)
    provider.account = {"sub": "u-8", "groups": ["devs", "ops"]}
    refused = sign_in(browser(served))
    assert (refused.status_code, "another one says" in refused.text) == (403, True)
    assert person_of(served, client).roles == ("reviewer",)
    rows = engine.kernel.store.events(limit=5_000, types=("access.refused",))
    assert "another one says" in json.loads(rows[-1].data)["data"]["why"]


def test_who_came_from_the_provider_sets_a_pin_after_a_fresh_sign_in_and_decides_with_it(
    served: Served, provider: OpenId, monkeypatch: pytest.MonkeyPatch
) -> None:
    handoff = served.stop()
    path, operator = f"/v1/handoffs/{handoff['handoff_id']}/decisions", served.client("operator")
    client = browser(served)
    sign_in(client)
    who = person_of(served, client).person_id
    said = decision(handoff) | {"person": "u-1", "pin": "402613"}
    refused = operator.post(path, json=said)
    assert (refused.status_code, refused.json()["code"]) == (403, "no_pin")
    assert "account page" in refused.json()["hint"]
    page = client.get("/account").text
    assert who in page
    form = {"csrf_token": csrf(page), "act": "pin", "pin": "771204", "pin_again": "771204"}
    for wrong in ({"pin_again": "771205"}, {"pin": "12", "pin_again": "12"}):
        assert client.post("/account", data=form | wrong).status_code == 422
    now = served.engine.kernel.clock.now()
    monkeypatch.setattr(served.engine.kernel.clock, "now", lambda: now + timedelta(minutes=11))
    late = client.post("/account", data=form)
    assert (late.status_code, "within ten minutes" in late.text) == (403, True)
    assert 'href="/login/oidc?next=/account"' in client.get("/account").text
    assert not person_of(served, client).has_pin
    monkeypatch.undo()
    assert client.post("/account", data=form).status_code == 303
    assert "You have one." in client.get("/account").text
    assert operator.post(path, json=said).json()["code"] == "wrong_secret"
    assert served.engine.people.with_pin("u-1", "771204").id == who
    assert operator.post(path, json=said | {"person": who, "pin": "771204"}).status_code == 201
    assert all(b"771204" not in row.data for row in served.engine.kernel.store.scan())


def test_another_pin_takes_the_password_of_who_has_one(served: Served) -> None:
    client = served.browser()
    form = {"csrf_token": csrf(client.get("/account").text), "act": "pin"}
    form |= {"pin": "771204", "pin_again": "771204"}
    assert client.post("/account", data=form | {"old": "not this one"}).status_code == 403
    assert served.engine.people.with_pin(LOGIN, PIN).id == served.person_id
    assert client.post("/account", data=form | {"old": PASSWORD}).status_code == 303
    assert served.engine.people.with_pin(LOGIN, "771204").id == served.person_id
    with pytest.raises(NotPermitted):
        served.engine.people.with_pin(LOGIN, PIN)


def test_linking_ends_with_the_session_it_was_begun_in(served: Served) -> None:
    client = served.browser()
    form = {"csrf_token": csrf(client.get("/account").text), "password": PASSWORD}
    sent = client.post("/login/oidc/link", data=form)
    back = at_provider(sent.headers["location"])
    me = Actor("person", served.person_id, "browser")
    served.engine.sessions.end_all(me)
    assert client.get("/" + back).status_code == 403
    assert served.engine.kernel.state(Person, served.person_id).accounts == ()


def test_a_provider_that_is_gone_says_so(served: Served, provider: OpenId) -> None:
    provider.issuer += "/elsewhere"  # it now calls itself something else
    answer = browser(served).get("/login/oidc")
    assert answer.status_code == 502
    assert "cannot be used" in answer.text


@pytest.mark.parametrize(
    "text",
    [
        "oidc: {issuer: http://id.example, client_id: x}",
        "oidc: {issuer: https://id.example}",
        "oidc: {issuer: https://id.example, client_id: x, role: {}}",
        "oidc: {issuer: https://id.example, client_id: x, roles: {devs: [root]}}",
        "oidc: {issuer: https://id.example, client_id: x, client_secret_file: /nowhere}",
        "other: {}",
        "[",
    ],
)
def test_settings_that_say_something_else_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UsageError):
        read_settings(tmp_path)


def test_without_a_file_there_is_no_provider(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
