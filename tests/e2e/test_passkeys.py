"""Passkeys in a real browser with a virtual authenticator: added, demanded by a rule, checked offline."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, expect

from handfast.core.audit.bundle import verify_bundle
from handfast.core.audit.note import parse_verifier_key
from handfast.core.domain.events import Actor, from_bytes, to_bytes
from handfast.core.domain.events_handoff import HandoffDecided
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.bundle_file import ZipBundle
from handfast.engine.keys import ed25519_verify
from handfast.engine.passkey_proof import SignedDecisions
from tests.served import LOGIN, PASSWORD, Json, Served, decision, served_from

pytestmark = pytest.mark.browser
POLICY = """\
version: 1
builtin: {off: [push]}
gates:
  - id: push
    when: call.hazards.exists(h, h == "git.push")
    require: {passkey: true}
"""


@pytest.fixture
def asked(served: Served) -> Json:
    person = Actor("person", served.person_id, "browser")
    served.engine.policies.propose(person, ORGANISATION, POLICY)
    return served.stop()


def authenticator(page: Page) -> None:
    """A passkey holder of the browser's own that always finds its owner there."""
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


@pytest.fixture
def served(tmp_path: Path, prepared: tuple[Path, dict[str, str]]) -> Iterator[Served]:
    """As people start it: a passkey needs a host name, and the pages have one."""
    with served_from(tmp_path, prepared, at_address=False) as running:
        yield running


def sign_in(page: Page, served: Served, path: str) -> str:
    site = served.server.pages_url
    page.goto(site + path)
    page.get_by_label("Login").fill(LOGIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(site + path)
    return site


def add_passkey(page: Page) -> None:
    adding = page.locator("#passkey-form")
    adding.get_by_label("Password now").fill(PASSWORD)
    adding.get_by_label("What to call it").fill("my laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.locator("#passkeys-h + p + ul")).to_contain_text("my laptop")


def decided(served: Served, handoff: Json) -> list[HandoffDecided]:
    rows = served.engine.kernel.store.events(stream=f"handoff/{handoff['handoff_id']}")
    events = [from_bytes(row.data).event for row in rows]
    return [e for e in events if isinstance(e, HandoffDecided)]


def test_a_rule_has_a_decision_signed_and_the_log_proves_it(
    page: Page, served: Served, asked: Json, tmp_path: Path
) -> None:
    authenticator(page)
    site = sign_in(page, served, "/account")
    case = f"/handoffs/{asked['handoff_id']}"
    page.goto(site + case)
    page.get_by_label("Your reason").fill("looked at it")
    page.get_by_role("button", name="Approve", exact=False).first.click()
    expect(page.locator("#passkey-said")).to_contain_text("Nothing was sent")
    assert decided(served, asked) == []
    page.goto(site + "/account")
    add_passkey(page)
    page.goto(site + case)
    expect(page.locator("#decision-form")).to_contain_text("signed with your passkey")
    page.get_by_label("Your reason").fill("looked at it")
    page.get_by_role("button", name="Approve", exact=False).first.click()
    expect(page.get_by_role("heading", name="Approved by Noor Haddad")).to_be_visible()
    (event,) = decided(served, asked)
    assert event.auth == "passkey"
    assert event.assertion is not None
    bundle = tmp_path / "log.zip"
    served.engine.audit.export(Actor("operator"), bundle, bodies=False)
    signed = SignedDecisions()
    key = parse_verifier_key(served.engine.audit.verifier)
    with ZipBundle(bundle) as opened:
        report = verify_bundle(opened, [key], [], ed25519_verify, decisions=signed)
    assert report.ok, report.lines()
    assert "1 decision signed with a passkey" in report.proven[-1]
    forged_decisions_are_told(served, asked)


def forged_decisions_are_told(served: Served, asked: Json) -> None:
    """The same signature beside another decision, by another person, or changed, proves nothing."""
    rows = list(served.engine.kernel.store.scan())
    (row,) = [r for r in rows if r.type == "handoff.decided"]

    def seen(change: Callable[[Json], None]) -> str:
        entry = json.loads(row.data)
        change(entry["data"])
        checks = SignedDecisions()
        for other in rows:
            if other.position < row.position:
                assert checks.see(other.data) == ""
        return checks.see(to_bytes(from_bytes(json.dumps(entry).encode())))

    other = "sha256:" + "0" * 64
    assert seen(lambda _: None) == ""
    assert "another decision" in seen(lambda d: d.update(presented_digest=other))
    assert "another decision" in seen(lambda d: d.update(decision="reject"))
    assert "another decision" in seen(lambda d: d.update(handoff_id="ho_other"))
    assert "no passkey" in seen(lambda d: d.update(person_id="pe_other"))
    signature = json.loads(row.data)["data"]["assertion"]["signature"]
    turned = signature[:-6] + ("AAAAAA" if signature[-6:] != "AAAAAA" else "BBBBBB")
    assert "does not hold" in seen(lambda d: d["assertion"].update(signature=turned))
    assert asked["handoff_id"] in seen(lambda d: d.update(presented_digest=other))


def test_without_a_signature_only_a_refusal_is_taken(served: Served, asked: Json) -> None:
    path = f"/v1/handoffs/{asked['handoff_id']}/decisions"
    operator = served.client("operator")
    refused = operator.post(path, json=decision(asked))
    assert (refused.status_code, refused.json()["code"]) == (403, "passkey_needed")
    browser = served.browser()
    page = browser.get(f"/handoffs/{asked['handoff_id']}").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "kind": "approve", "presented_digest": asked["presented_digest"]}
    made_up = json.dumps({"id": "x", "response": {}})
    for assertion in ("", "{", "[]", "null", made_up):
        sent = {**form, "reason": "fine", "assertion": assertion}
        answer = browser.post(f"/handoffs/{asked['handoff_id']}/decide", data=sent)
        assert answer.status_code == 403, assertion
    assert decided(served, asked) == []
    assert operator.post(path, json=decision(asked, "reject")).status_code == 201


def test_a_signature_on_one_case_is_none_on_another(
    page: Page, served: Served, asked: Json
) -> None:
    authenticator(page)
    site = sign_in(page, served, "/account")
    add_passkey(page)
    other = served.stop(asked["run_id"], "t2", "git push origin other")
    first, second = asked["handoff_id"], other["handoff_id"]
    page.goto(f"{site}/handoffs/{first}")
    page.route("**/decide", lambda route: route.abort())
    page.get_by_label("Your reason").fill("looked at it")
    with page.expect_request("**/decide") as caught:
        page.get_by_role("button", name="Approve", exact=False).first.click()
    assertion = parse_qs(caught.value.post_data or "")["assertion"][0]
    cookies = {c["name"]: c["value"] for c in page.context.cookies()}
    browser = served.client(Origin=site, Accept="text/html", Host=site.partition("://")[2])
    browser.cookies.update(cookies)
    shown = browser.get(f"/handoffs/{second}").text
    token = shown.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "kind": "approve", "reason": "x", "assertion": assertion}
    wrong = browser.post(
        f"/handoffs/{second}/decide", data={**form, "presented_digest": other["presented_digest"]}
    )
    assert (wrong.status_code, "signature was refused" in wrong.text) == (403, True)
    right = browser.post(
        f"/handoffs/{first}/decide", data={**form, "presented_digest": asked["presented_digest"]}
    )
    assert right.status_code == 303, right.text
