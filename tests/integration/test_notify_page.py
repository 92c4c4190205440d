"""The page on which a person says how they are told, over HTTP; and the same through the API."""

import re
from typing import Any

import httpx
import pytest

from tests.served import LOGIN, PIN, Json, Served
from tests.told import browser

PAGE = "/settings/notifications"


@pytest.fixture
def client(served: Served, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    monkeypatch.setattr("handfast.engine.contacts.Poster.check", lambda *_: None)
    return served.browser()


def post(client: httpx.Client, act: str, **fields: str) -> httpx.Response:
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', client.get(PAGE).text)
    assert found
    return client.post(PAGE, data={"csrf_token": found[1], "act": act, **fields})


def test_a_webhook_is_added_its_secret_shown_once_changed_and_removed(
    served: Served, client: httpx.Client
) -> None:
    made = post(client, "add", channel="webhook", address="https://hooks.example/x", takes="urgent")
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", made.text)
    shown = client.get(PAGE).text
    assert "https://hooks.example/x" in shown
    assert secret not in shown
    (contact,) = served.engine.contacts.reach(served.person_id).contacts
    assert post(client, "change", contact_id=contact.contact_id, takes="digest").status_code == 303
    rotated = post(client, "rotate", contact_id=contact.contact_id)
    assert re.findall(r"whsec_[A-Za-z0-9+/=]+", rotated.text) != [secret]
    assert "signed with 2 secrets" in rotated.text
    assert post(client, "test", contact_id=contact.contact_id).status_code == 303
    assert "On its way" in client.get(PAGE).text
    assert post(client, "remove", contact_id=contact.contact_id).status_code == 303
    assert "https://hooks.example/x" not in client.get(PAGE).text


def test_a_refused_form_comes_back_with_what_was_typed(client: httpx.Client) -> None:
    answer = post(client, "add", channel="email", address="<b>ana@x", takes="all")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert 'value="&lt;b&gt;ana@x"' in answer.text
    wrong = post(client, "quiet", start="25:00", end="07:00", zone="UTC", digest_minutes="60")
    assert wrong.status_code == 422
    assert "not a time of day" in wrong.text


def test_quiet_hours_are_kept(served: Served, client: httpx.Client) -> None:
    fields = {
        "day_0": "on",
        "day_4": "on",
        "start": "20:00",
        "end": "07:00",
        "zone": "Europe/Berlin",
    }
    assert post(client, "quiet", digest_minutes="120", **fields).status_code == 303
    quiet = served.engine.contacts.reach(served.person_id).quiet
    assert (quiet.days, quiet.start, quiet.end, quiet.zone) == ((0, 4), 1200, 420, "Europe/Berlin")


def test_another_sites_form_and_a_foreign_token_change_nothing(
    served: Served, client: httpx.Client
) -> None:
    form = {
        "act": "add",
        "channel": "webhook",
        "address": "https://evil.example",
        "csrf_token": "0",
    }
    assert client.post(PAGE, data=form).status_code == 403
    token = re.search(r'name="csrf_token" value="([0-9a-f]+)"', client.get(PAGE).text)
    assert token
    other = {"Origin": "https://evil.example"}
    sent = client.post(PAGE, data=form | {"csrf_token": token[1]}, headers=other)
    assert sent.status_code == 403
    assert client.get(PAGE + "?act=add&channel=webhook").status_code == 200
    assert served.engine.contacts.reach(served.person_id).contacts == ()


def test_the_page_needs_a_session(served: Served) -> None:
    answer = served.client(Accept="text/html").get(PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={PAGE}")


def test_through_the_api_it_takes_the_person(served: Served, client: httpx.Client) -> None:
    operator = served.client("operator")
    body: Json = {"channel": "webhook", "address": "https://hooks.example/x"}
    assert operator.post("/v1/notifications/contacts", json=body).status_code == 403
    proof: dict[str, Any] = {"person": LOGIN, "pin": PIN}
    made = operator.post("/v1/notifications/contacts", json=body | proof)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    contact = made.json()["contact_id"]
    shown = operator.post("/v1/notifications/show", json=proof).json()
    assert [c["contact_id"] for c in shown["contacts"]] == [contact]
    assert client.get("/v1/notifications").json() == shown
    assert operator.get("/v1/notifications").status_code == 403
    quiet = {"zone": "Europe/Berlin", "days": [5, 6], "start": "00:00", "end": "24:00"}
    done = operator.post("/v1/notifications/quiet", json=quiet | proof).json()
    assert (done["quiet"]["days"], done["quiet"]["end"]) == ([5, 6], "24:00")
    handoff = served.stop()
    served.engine.notices.plan(handoff["handoff_id"])
    (notice,) = operator.get(f"/v1/handoffs/{handoff['handoff_id']}/notices").json()["items"]
    assert (notice["status"], notice["channel"]) == ("sending", "webhook")
    assert "hooks.example" not in str(notice), "no address"
    sent = operator.post(f"/v1/notifications/contacts/{contact}/test", json=proof)
    assert sent.status_code == 202
    one = operator.get(f"/v1/notices/{sent.json()['notice_id']}").json()
    assert (one["why"], one["handoff_id"]) == ("a test", "")
    rotated = operator.post(f"/v1/notifications/contacts/{contact}/rotate", json=proof).json()
    assert rotated["secret"] != made.json()["secret"]
    changed = operator.post(
        f"/v1/notifications/contacts/{contact}", json={"takes": "none", **proof}
    )
    assert changed.status_code == 200
    assert (
        operator.post(f"/v1/notifications/contacts/{contact}/remove", json=proof).status_code == 200
    )
    assert served.engine.contacts.of(browser(served.person_id).id)["contacts"] == []
    refused = operator.post("/v1/notifications/slack-code", json=proof)
    assert refused.status_code == 422
