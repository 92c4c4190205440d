"""Who guesses locks out themselves, not the person they guess at."""

from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import Request

from handfast.core.domain.events import Actor
from handfast.engine.people import NewPerson
from handfast.engine.tries import TRIES
from handfast.server.pages.account import network_of
from tests.served import LOGIN, PASSWORD, PIN, Served, decision


def test_wrong_passwords_at_the_door_lock_neither_the_pin_nor_another_network(
    served: Served,
) -> None:
    stranger = served.client(Origin=served.url, Accept="text/html")
    for _ in range(TRIES):
        form = {"name": LOGIN, "password": "not the password"}
        assert stranger.post("/login", data=form).status_code == 403
    assert stranger.post("/login", data={"name": LOGIN, "password": PASSWORD}).status_code == 429
    people = served.engine.people
    assert people.sign_in(LOGIN, PASSWORD, "192.0.2.9").person_id == served.person_id
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    assert served.client("operator").post(path, json=decision(handoff)).status_code == 201


def test_with_a_token_of_ones_own_nobody_locks_the_pin_of_another(served: Served) -> None:
    people, noor = served.engine.people, Actor("person", served.person_id, "browser")
    secret = people.invite_another(noor, ("reviewer",))
    eve = str(people.set_up(secret, NewPerson("Eve", "eve", PASSWORD, PIN))["person_id"])
    token = served.engine.own_tokens.issue(Actor("person", eve, "browser"), "mine", ("write",))
    client = served.client(Authorization=f"Bearer {token.token}")
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    answers = set()
    for pin in ("000000",) * TRIES + (PIN,):
        answer = client.post(path, json=decision(handoff) | {"person": LOGIN, "pin": pin})
        answers.add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert len(answers) == 1, "a right PIN of somebody else looks like a wrong one"
    assert answers.pop()[:2] == (403, "not_permitted")
    assert served.client("operator").post(path, json=decision(handoff)).status_code == 201


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_one_line_of_ipv6_is_one_place(host: str, network: str) -> None:
    request = SimpleNamespace(client=SimpleNamespace(host=host) if host else None)
    assert network_of(cast("Request", request)) == network
