"""In a real browser: set-up, a case that appears by itself, and its decision, with and without JavaScript."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from handfast.app import open_engine
from handfast.server.serving import ServerThread
from tests.served import LOGIN, PASSWORD, PIN, Served, decision

pytestmark = pytest.mark.browser


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A page of a browser in which scripts are switched off."""
    context: BrowserContext = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def sign_in(page: Page, served: Served, path: str = "/") -> None:
    page.goto(served.url + path)
    page.get_by_label("Login").fill(LOGIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(served.url + path)


def approve(page: Page) -> None:
    page.get_by_role("button", name="Approve", exact=False).first.click()
    expect(page.get_by_role("heading", name="Approved by Noor Haddad")).to_be_visible()


def test_a_handoff_appears_live_and_is_decided(page: Page, served: Served) -> None:
    sign_in(page, served)
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    handoff = served.stop()
    link = page.get_by_role("link", name="Pushes main to origin")
    expect(link).to_be_visible()
    expect(page.get_by_role("heading", name="Judge 1")).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("pushes main to origin")
    expect(page.locator("main")).to_contain_text("git push origin main")
    page.get_by_label("Your reason").fill("looked at it")
    approve(page)
    shown = served.client("operator").get(f"/v1/handoffs/{handoff['handoff_id']}").json()
    decided = shown["decision"]
    assert (decided["kind"], decided["auth"]) == ("approve", "browser")
    assert decided["reason"] == "looked at it"


def test_an_open_case_tells_that_somebody_else_decided(page: Page, served: Served) -> None:
    handoff = served.stop()
    path = f"/handoffs/{handoff['handoff_id']}"
    sign_in(page, served, path)
    page.get_by_label("Your reason").fill("half a thought")
    answer = served.client("operator").post(
        f"/v1{path}/decisions", json=decision(handoff, "reject")
    )
    assert answer.status_code == 201
    expect(page.get_by_text("Refused by Noor Haddad.")).to_be_visible()
    expect(page.get_by_label("Your reason")).to_have_value("half a thought")
    page.get_by_role("button", name="Approve", exact=False).first.click()
    expect(page.get_by_text("decided first (reject")).to_be_visible()


def test_a_decision_with_the_keyboard_alone(page: Page, served: Served) -> None:
    served.stop()
    sign_in(page, served)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/handoffs/**")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Approved by Noor Haddad")).to_be_visible()


def test_the_same_without_javascript(plain: Page, served: Served) -> None:
    handoff = served.stop()
    sign_in(plain, served, f"/handoffs/{handoff['handoff_id']}")
    plain.get_by_role("button", name="Reject").click()
    expect(plain.get_by_role("alert")).to_contain_text("Write why you refuse")
    plain.get_by_label("Your reason").fill("use the release branch")
    plain.get_by_role("button", name="Reject").click()
    expect(plain.get_by_role("heading", name="Refused by Noor Haddad")).to_be_visible()
    plain.get_by_role("link", name="Inbox").first.click()
    expect(plain.get_by_text("Decided recently")).to_be_visible()
    plain.get_by_role("link", name="Runs").first.click()
    plain.get_by_role("link", name="Session of ").click()
    expect(plain.get_by_role("link", name="stopped for a person")).to_be_visible()
    plain.get_by_role("button", name="Sign out").click()
    expect(plain.get_by_role("heading", name="Sign in")).to_be_visible()
    plain.goto(f"{served.url}/runs")
    expect(plain.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_one_time_link_makes_the_account_and_signs_in(page: Page, tmp_path: Path) -> None:
    engine = open_engine(home=tmp_path / "fresh")
    with ServerThread(engine) as server:
        page.goto(server.pages_url)
        expect(page.get_by_role("heading", name="Nobody is set up yet")).to_be_visible()
        link = f"{server.pages_url}/setup/{engine.people.invite()}"
        page.goto(link)
        page.get_by_label("Name", exact=True).fill("Noor Haddad")
        page.get_by_label("Login").fill(LOGIN)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("PIN").fill(PIN)
        page.get_by_role("button", name="Create the account").click()
        expect(page.get_by_text("Noor Haddad")).to_be_visible()
        page.goto(link)
        expect(page.get_by_text("not valid any more")).to_be_visible()
    assert engine.people.with_pin(LOGIN, PIN).auth == "pin"
    engine.close()
