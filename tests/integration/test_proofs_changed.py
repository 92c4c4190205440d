"""A secret that was right when it was looked at, and was changed before anything came of it, opens nothing."""

from collections.abc import Callable

import pytest

from handfast.core.domain.errors import NotPermitted
from handfast.core.domain.events import Actor
from handfast.engine.facade import Engine
from handfast.server.sessions import COOKIE, form_token
from tests.served import LOGIN, PASSWORD, PIN, Served, decision

OTHER, THIRD = "another long password", "a third long password"


@pytest.fixture
def noor(served: Served) -> Actor:
    return Actor("person", served.person_id, "browser")


def meanwhile(engine: Engine, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """`work` happens right after the next secret was found to be right."""
    real = engine.people._verify

    def verify(*given: object) -> object:
        found = real(*given)  # type: ignore[arg-type]
        monkeypatch.setattr(engine.people, "_verify", real)
        work()
        return found

    monkeypatch.setattr(engine.people, "_verify", verify)


def test_the_old_password_opens_no_session_once_it_was_changed(
    served: Served, noor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = served.engine
    meanwhile(engine, monkeypatch, lambda: engine.sessions.change_password(noor, PASSWORD, OTHER))
    with pytest.raises(NotPermitted) as refused:
        engine.people.sign_in(LOGIN, PASSWORD)
    assert refused.value.code == "proof_ended"
    assert engine.sessions.of(noor.id) == []
    assert engine.people.sign_in(LOGIN, OTHER).person_id == noor.id


def test_the_old_password_sets_no_password_and_no_pin(
    served: Served, noor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = served.engine
    meanwhile(engine, monkeypatch, lambda: engine.sessions.change_password(noor, PASSWORD, OTHER))
    with pytest.raises(NotPermitted):
        engine.sessions.change_password(noor, PASSWORD, THIRD)
    meanwhile(engine, monkeypatch, lambda: engine.sessions.change_password(noor, OTHER, THIRD))
    with pytest.raises(NotPermitted):
        engine.pins.set(noor, "771204", secret="", password=OTHER)
    assert engine.people.with_pin(LOGIN, PIN).id == noor.id


def test_the_old_pin_decides_nothing(
    served: Served, noor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, handoff = served.engine, served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    meanwhile(
        engine,
        monkeypatch,
        lambda: engine.pins.set(noor, "771204", secret="", password=PASSWORD),
    )
    refused = served.client("operator").post(path, json=decision(handoff))
    assert (refused.status_code, refused.json()["code"]) == (403, "proof_ended")
    assert engine.views.handoff(handoff["handoff_id"])["decision"] is None
    taken = served.client("operator").post(path, json=decision(handoff) | {"pin": "771204"})
    assert taken.status_code == 201
    assert taken.json()["decision"]["auth"] == "pin"


def test_a_session_that_ended_under_a_request_makes_no_token(
    served: Served, noor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was let in; then the person changed their password."""
    people = served.engine.people
    secret, real = people.sign_in(LOGIN, PASSWORD).secret, people.of_session
    client = served.client(Origin=served.url)
    client.cookies.set(COOKIE, secret)

    def of_session(given: str) -> str:
        found = real(given)
        monkeypatch.setattr(people, "of_session", real)
        served.engine.sessions.change_password(noor, PASSWORD, OTHER)
        return found

    monkeypatch.setattr(people, "of_session", of_session)
    form = {"csrf_token": form_token(secret), "act": "issue", "label": "mine", "scope": "read"}
    refused = client.post("/account", data=form)
    assert refused.status_code == 403
    assert served.engine.own_tokens.of(noor.id) == []
