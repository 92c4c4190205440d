"""Links in notifications over HTTP: each opens its case once, for one person, in the form that was sent."""

import re
from typing import Any

import pytest

from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.notice import Notice
from handfast.engine.handoffs import Decision
from handfast.engine.people import NewPerson
from tests.served import PASSWORD, PIN, Served
from tests.told import browser


@pytest.fixture
def told(served: Served, monkeypatch: pytest.MonkeyPatch) -> tuple[Served, dict[str, Any], str]:
    """A handoff, and the path of the link that was sent of it."""
    monkeypatch.setattr("handfast.engine.contacts.Poster.check", lambda *_: None)
    me = browser(served.person_id)
    served.engine.contacts.add(me, "webhook", "https://hooks.example/x", "all")
    handoff = served.stop()
    served.engine.notices.plan(handoff["handoff_id"])
    return served, handoff, path_of(served, handoff)


def path_of(served: Served, handoff: dict[str, Any], person_id: str = "") -> str:
    wanted = person_id or served.person_id
    found = [
        n
        for n in served.engine.notices.of_handoff(handoff["handoff_id"])
        if n["person_id"] == wanted
    ]
    state = served.engine.kernel.state(Notice, str(found[-1]["notice_id"]))
    return served.engine.notices.links.path(state)


def test_a_link_opens_the_case_once_and_decides_nothing(told: tuple[Served, Any, str]) -> None:
    served, handoff, path = told
    client = served.browser()
    first = client.get(path)
    assert (first.status_code, first.headers["location"]) == (
        303,
        f"/handoffs/{handoff['handoff_id']}",
    )
    again = client.get(path)
    assert again.status_code == 409
    assert "used already" in again.text
    assert f'href="/handoffs/{handoff["handoff_id"]}"' in again.text
    after = served.engine.views.handoff(handoff["handoff_id"])
    assert (after["decision"], after["status"]) == (None, "routed")
    (notice,) = served.engine.notices.of_handoff(handoff["handoff_id"])
    assert notice["opened_at"]
    case = client.get(f"/handoffs/{handoff['handoff_id']}").text
    assert "Who was told" in case
    assert "Noor Haddad" in case


def test_a_link_signs_nobody_in_and_is_not_used_up_by_looking(
    told: tuple[Served, Any, str],
) -> None:
    served, handoff, path = told
    stranger = served.client(Accept="text/html")
    for _ in range(2):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
        assert "set-cookie" not in answer.headers
    assert stranger.head(path).status_code == 405
    form = {"name": "noor", "password": PASSWORD, "next": path}
    signed = stranger.post("/login", data=form, headers={"Origin": served.url})
    assert signed.headers["location"] == path
    assert stranger.get(path).headers["location"] == f"/handoffs/{handoff['handoff_id']}"


def test_a_link_is_one_persons(told: tuple[Served, Any, str]) -> None:
    served, _, path = told
    engine = served.engine
    secret = engine.people.invite_another(browser(served.person_id), ("reviewer",))
    engine.people.set_up(secret, NewPerson("Eve", "eve", PASSWORD, PIN))
    other = served.client(Origin=served.url, Accept="text/html")
    other.cookies.set("handfast_session", engine.people.sign_in("eve", PASSWORD).secret)
    answer = other.get(path)
    assert answer.status_code == 403
    assert "somebody else" in answer.text
    refused = engine.kernel.store.events(limit=900, types=("access.refused",))
    assert b"follow_link" in refused[-1].data
    assert "/handoffs/ho_" not in answer.text
    assert served.browser().get(path).status_code == 303, "it was not used up by that"


def test_an_expired_link_says_so(
    told: tuple[Served, Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, _, path = told
    client = served.browser()
    clock, now = served.engine.kernel.clock, served.engine.kernel.clock.now()
    from datetime import timedelta

    monkeypatch.setattr(type(clock), "now", lambda _: now + timedelta(days=8))
    monkeypatch.setattr(served.engine.people, "of_session", lambda _: served.person_id)
    answer = client.get(path)
    assert answer.status_code == 409
    assert "has expired" in answer.text


def test_a_link_to_what_has_changed_says_so(told: tuple[Served, Any, str]) -> None:
    served, handoff, path = told
    engine = served.engine
    me = browser(served.person_id)
    policy = "version: 1\ngates:\n  - id: two\n    when: call.tool == 'Bash'\n    require: {approvals: 2}\n"
    engine.policies.propose(me, "organisation", policy)  # alone, so at once
    people = []
    for login in ("ben", "cleo"):
        secret = engine.people.invite_another(me, ("reviewer", "operator"))
        done = engine.people.set_up(secret, NewPerson(login.title(), login, PASSWORD, PIN))
        people.append(browser(str(done["person_id"])))
    second = served.stop(run_id=served.session_run("s2"), key="t9")
    engine.notices.plan(second["handoff_id"])
    path = path_of(served, second)
    edit = Decision(
        second["handoff_id"],
        DecisionKind.APPROVE_WITH_EDITS,
        second["presented_digest"],
        "narrower",
        edited="git push origin main --dry-run",
    )
    engine.handoffs.decide(people[0], edit)
    client = served.browser()
    answer = client.get(path)
    assert answer.status_code == 409
    assert "has changed since" in answer.text
    engine.notices.plan(second["handoff_id"])
    fresh = path_of(served, second)
    assert fresh != path
    assert client.get(fresh).status_code == 303
    assert handoff["handoff_id"] != second["handoff_id"]


@pytest.mark.parametrize("how", ["stamp", "notice", "nothing", "path"])
def test_a_forged_link_opens_nothing(told: tuple[Served, Any, str], how: str) -> None:
    served, _, path = told
    notice, _, stamp = path.removeprefix("/n/").partition(".")
    forged = {
        "stamp": f"/n/{notice}.{stamp[:-1]}{'A' if stamp[-1] != 'A' else 'B'}",
        "notice": f"/n/no_0.{stamp}",
        "nothing": "/n/x",
        "path": "/n/..%2f..%2fhandoffs",
    }[how]
    answer = served.browser().get(forged)
    assert answer.status_code == 404
    assert not re.search(r"/handoffs/ho_", answer.text)
    assert served.browser().get(path).status_code == 303
