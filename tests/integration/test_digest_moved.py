"""A form made for an earlier form of the case says so before it says anything else: the page that comes back carries
the digest of what is shown now, so the next click must not be the first to be told."""

import re

import pytest

from handfast.core.domain.events import Actor
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.people import NewPerson
from tests.integration.test_api_sessions import token
from tests.served import PASSWORD, PIN, Json, Served, decision

CHANGED = "The case changed since this page was shown"
TWO = """version: 1
gates:
  - id: two
    when: 'call.command.startsWith("git push")'
    require: {approvals: 2}
"""


@pytest.fixture
def edited(served: Served) -> Json:
    """A case as Noor has it open, which Mia has edited since."""
    noor = Actor("person", served.person_id, "browser")
    link = served.engine.people.invite_another(noor, ("reviewer", "admin", "operator"))
    made = served.engine.people.set_up(link, NewPerson("Mia Berg", "mia", PASSWORD, PIN))
    drafted = served.engine.policies.propose(noor, ORGANISATION, TWO)
    mia = Actor("person", str(made["person_id"]), "browser")
    served.engine.policies.approve(mia, ORGANISATION, str(drafted["digest"]))
    shown = served.stop()
    body = decision(shown, "approve_with_edits", edited_call="git push origin evil")
    path = f"/v1/handoffs/{shown['handoff_id']}/decisions"
    done = served.client("operator").post(path, json={**body, "person": "mia"})
    assert (done.status_code, done.json()["status"]) == (201, "routed")
    return shown


@pytest.mark.parametrize("act", ["decide", "edit", "routing"])
def test_a_form_of_an_earlier_form_of_the_case_says_so_first(
    served: Served, edited: Json, act: str
) -> None:
    """Whatever else is wrong with it: a reason is missing, nobody is named."""
    browser, path = served.browser(), f"/handoffs/{edited['handoff_id']}"
    form = {
        "csrf_token": token(browser.get(path).text),
        "presented_digest": edited["presented_digest"],
        "kind": "reject",
        "reason": "",
        "act": "route",
    }
    answer = browser.post(f"{path}/{act}", data=form)
    said = re.search(r'role="alert"[^>]*>(.*?)</p>', answer.text)
    assert said is not None
    assert said[1].startswith(CHANGED)
    now = re.search(r'name="presented_digest" value="([^"]+)"', answer.text)
    assert now is not None
    assert now[1] != edited["presented_digest"]
    if act != "routing":
        assert answer.status_code == 409


def test_the_same_form_for_what_is_shown_says_what_is_missing(served: Served, edited: Json) -> None:
    browser, path = served.browser(), f"/handoffs/{edited['handoff_id']}"
    page = browser.get(path).text
    now = re.search(r'name="presented_digest" value="([^"]+)"', page)
    assert now is not None
    form = {"csrf_token": token(page), "presented_digest": now[1], "kind": "reject", "reason": ""}
    answer = browser.post(f"{path}/decide", data=form)
    assert answer.status_code == 422
    assert "Write why you refuse" in answer.text
    assert CHANGED not in answer.text


def test_a_passkey_is_not_asked_to_sign_what_was_not_shown(served: Served, edited: Json) -> None:
    browser, path = served.browser(), f"/handoffs/{edited['handoff_id']}"
    form = {
        "csrf_token": token(browser.get(path).text),
        "presented_digest": edited["presented_digest"],
        "kind": "reject",
        "reason": "",
    }
    answer = browser.post(f"{path}/sign", data=form)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(CHANGED)
