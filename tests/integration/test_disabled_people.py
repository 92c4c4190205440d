"""The account of somebody who left is closed: nothing acts as them, nobody asks them; and it can be opened again."""

import pytest

from handfast.core.domain.errors import InvalidTransition, NotPermitted
from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.person import Person
from handfast.engine.federation import Identity, Mapped
from handfast.engine.kernel import Unit
from handfast.engine.people import NewPerson
from handfast.server.sessions import COOKIE, form_token
from tests.served import LOGIN, PASSWORD, PIN, Served
from tests.soft_passkey import soft_passkey


@pytest.fixture
def noor(served: Served) -> Actor:
    return Actor("person", served.person_id, "browser")


def person(served: Served, login: str, *roles: str) -> Actor:
    people = served.engine.people
    secret = people.invite_another(Actor("person", served.person_id, "browser"), roles)
    made = people.set_up(secret, NewPerson(login.title(), login, PASSWORD, PIN))
    return Actor("person", str(made["person_id"]), "browser")


def test_whoever_left_has_no_way_in_and_is_asked_no_more(served: Served, noor: Actor) -> None:
    engine = served.engine
    ann = person(served, "ann", "reviewer")
    session = engine.people.sign_in("ann", PASSWORD)
    token = engine.own_tokens.issue(ann, "mine", ("read", "write")).token
    soft_passkey(engine, ann)
    client = served.client(Authorization=f"Bearer {token}")
    assert client.get("/v1/runs").status_code == 200
    held = served.stop()
    engine.handoffs.acknowledge(ann, held["handoff_id"])

    engine.disabling.disable(noor, "ann")

    assert engine.people.of_session(session.secret) == ""
    assert client.get("/v1/runs").status_code == 401
    for way in (engine.people.sign_in, engine.people.with_pin):
        with pytest.raises(NotPermitted) as refused:
            way("ann", PASSWORD if way == engine.people.sign_in else PIN)
        assert refused.value.code == "disabled"
    with pytest.raises(NotPermitted) as wrong:
        engine.people.sign_in("ann", "not the password")
    assert wrong.value.code == "wrong_secret", "who does not know the secret is told nothing"
    state = engine.kernel.state(Person, ann.id)
    assert (state.passkeys, state.tokens, state.roles) == ((), (), ())
    assert engine.kernel.state(Handoff, held["handoff_id"]).holder == ""
    unit = Unit(engine.kernel, noor, "")
    assert engine.directory.asked(unit, "reviewers", "", unit.now) == (served.person_id,)
    assert ann.id not in engine.directory.members(unit, "reviewers", "", unit.now)
    for auth in ("browser", "pin"):  # a request that was let in before
        with pytest.raises(NotPermitted):
            engine.handoffs.acknowledge(Actor("person", ann.id, auth), held["handoff_id"])
        with pytest.raises(NotPermitted):
            engine.own_tokens.issue(Actor("person", ann.id, auth), "again")
    (row,) = engine.kernel.store.events(limit=5_000, types=("person.disabled",))
    assert f'"id":"{noor.id}"'.encode() in row.data

    engine.disabling.enable(noor, ann.id)
    assert engine.kernel.state(Person, ann.id).roles == ("reviewer",)
    assert engine.people.of_session(session.secret) == ""
    assert client.get("/v1/runs").status_code == 401
    assert engine.people.sign_in("ann", PASSWORD).person_id == ann.id
    assert engine.people.with_pin("ann", PIN).id == ann.id


def test_the_last_admin_stays_and_only_an_admin_closes(served: Served, noor: Actor) -> None:
    engine = served.engine
    ann = person(served, "ann", "reviewer", "operator")
    for actor in (ann, Actor("operator", "operator", "token")):
        with pytest.raises(NotPermitted):
            engine.disabling.disable(actor, LOGIN)
    with pytest.raises(InvalidTransition, match="last admin"):
        engine.disabling.disable(noor, LOGIN)
    dora = person(served, "dora", "admin")
    link = engine.people.invite_another(dora, ("admin",))
    engine.disabling.disable(noor, "dora")
    with pytest.raises(InvalidTransition, match="last admin"):
        engine.disabling.disable(noor, LOGIN)
    with pytest.raises(NotPermitted):  # the link of an admin who left lets nobody in
        engine.people.set_up(link, NewPerson("Eve", "eve", PASSWORD, PIN))
    with pytest.raises(InvalidTransition, match="disabled"):
        engine.staff.set_roles(noor, "dora", ["viewer"])


def test_the_provider_does_not_open_what_an_admin_closed(served: Served, noor: Actor) -> None:
    federation = served.engine.federation
    who = Identity("https://id.example", "u-1", "Ann", "ann", ("devs", "ops"))
    ways = Mapped({"devs": ("reviewer",), "ops": ("operator",)})
    ann = federation.sign_in(who, ways).person_id
    served.engine.disabling.disable(noor, "ann")
    with pytest.raises(NotPermitted, match="disabled"):
        federation.sign_in(who, ways)
    assert served.engine.kernel.state(Person, ann).roles == ()
    served.engine.disabling.enable(noor, "ann")
    fewer = Identity("https://id.example", "u-1", "Ann", "ann", ("devs",))
    assert federation.sign_in(fewer, ways).person_id == ann
    assert served.engine.kernel.state(Person, ann).roles == ("reviewer",)


def test_over_the_api_and_on_the_page(served: Served) -> None:
    ann = person(served, "ann", "reviewer")
    operator = served.client("operator")
    proof = {"person": LOGIN, "pin": PIN}
    assert operator.post("/v1/people/disable", json={"login": "ann"}).status_code == 403
    done = operator.post("/v1/people/disable", json={"login": "ann", **proof})
    assert (done.status_code, bool(done.json()["disabled_at"])) == (200, True)
    again = operator.post("/v1/people/disable", json={"login": "ann", **proof})
    assert again.json() == done.json()
    secret = served.engine.people.sign_in(LOGIN, PASSWORD).secret
    browser = served.client(Origin=served.url, Accept="text/html")
    browser.cookies.set(COOKIE, secret)
    page = browser.get("/settings/people").text
    assert "<b>disabled</b> since" in page
    assert "Who left" not in page, "nobody is left whom this admin could disable"
    form = {"csrf_token": form_token(secret), "act": "enable", "person": ann.id}
    assert browser.post("/settings/people", data=form).status_code == 303
    assert served.engine.people.with_pin("ann", PIN).id == ann.id
    form |= {"act": "disable", "person": served.person_id}
    last = browser.post("/settings/people", data=form)
    assert (last.status_code, "last admin" in last.text) == (409, True)
    form |= {"person": ann.id}
    assert browser.post("/settings/people", data=form).status_code == 303
    assert served.client("operator").get("/v1/people").json()["items"][1]["disabled_at"]
