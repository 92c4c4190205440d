"""In a real browser: finished work is edited in its review, by keyboard alone, without JavaScript, on a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_pages_decide import sign_in
from tests.e2e.test_web_look import WIDER
from tests.edited_review import FILES, reviewed
from tests.served import Json, Served

pytestmark = pytest.mark.browser
NAME = "src/rates.py"
AGENTS = FILES[NAME][1]


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A page of a browser in which scripts are switched off."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def edited(served: Served, handoff: Json) -> dict[str, str]:
    listed = served.client("operator").get(f"/v1/handoffs/{handoff['handoff_id']}/files").json()
    return {f["path"]: f["edited"] for f in listed["files"] if f["edited"] is not None}


def test_with_the_keyboard_alone_and_what_was_typed_survives(page: Page, served: Served) -> None:
    handoff = reviewed(served)
    path = f"/handoffs/{handoff['handoff_id']}"
    sign_in(page, served, path)
    page.keyboard.press("e")
    page.wait_for_url("**#diff-h")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Edit this file":
            break
    page.keyboard.press("Enter")
    box = page.get_by_label(f"New text of {NAME}")
    expect(box).to_have_value(AGENTS)
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == f"edit:{NAME}":
            break
    page.keyboard.press("Control+End")
    page.keyboard.type("ZERO = 0 # e, a and r are keys")
    # Half typed: the same file opened anew holds it, as a half-typed reason is kept.
    page.goto(f"{served.url}{path}?edit={NAME}")
    expect(box).to_have_value(f"{AGENTS}ZERO = 0 # e, a and r are keys")
    box.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    own = page.get_by_role("region", name="Your edit")
    expect(own).to_contain_text("ZERO = 0")
    assert edited(served, handoff) == {}
    page.keyboard.press("e")
    expect(page.get_by_role("heading", name="Approved with edits by Noor Haddad")).to_be_visible()
    assert edited(served, handoff) == {NAME: f"{AGENTS}ZERO = 0 # e, a and r are keys"}


def test_without_javascript_several_files_are_edited_and_seen_first(
    plain: Page, served: Served
) -> None:
    handoff = reviewed(served)
    sign_in(plain, served, f"/handoffs/{handoff['handoff_id']}")
    plain.get_by_label("Your note").fill("half a thought")
    plain.get_by_role("button", name=f"Edit {NAME}").click()
    plain.get_by_label(f"New text of {NAME}").fill("VAT = 21\n")
    plain.get_by_role("button", name="Edit docs/notes.txt").click()
    expect(plain.get_by_label(f"New text of {NAME}")).to_have_value("VAT = 21\n")
    expect(plain.get_by_label("Your note")).to_have_value("half a thought")
    plain.get_by_label("New text of docs/notes.txt").fill("one\nTWO")
    plain.get_by_role("button", name="Approve with edits").click()
    expect(plain.get_by_role("alert")).to_contain_text("this is what you would approve")
    own = plain.get_by_role("region", name="Your edit")
    expect(own).to_contain_text("VAT = 21")
    expect(own).to_contain_text("TWO")
    plain.get_by_role("button", name="Approve with edits").click()
    expect(plain.get_by_role("heading", name="Approved with edits by Noor Haddad")).to_be_visible()
    assert edited(served, handoff) == {NAME: "VAT = 21\n", "docs/notes.txt": "one\r\nTWO"}


def test_the_editor_is_accessible_in_both_themes_and_on_a_phone(page: Page, served: Served) -> None:
    from axe_playwright_python.sync_playwright import Axe

    handoff = reviewed(served, left_out={"logo.png": "it is no UTF-8 text"})
    sign_in(page, served, f"/handoffs/{handoff['handoff_id']}")

    def looked_at() -> None:
        page.evaluate(
            "document.querySelectorAll('details').forEach((each) => { each.open = true })"
        )
        for scheme, width in (("light", 1280), ("dark", 360)):
            page.emulate_media(
                color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
            )
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(WIDER) <= 0
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()

    looked_at()
    page.get_by_role("button", name=f"Edit {NAME}").click()
    page.get_by_label(f"New text of {NAME}").fill("x" * 400)
    page.get_by_role("button", name="Show my changes").click()
    looked_at()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="Approve with edits").click()
    expect(page.get_by_role("heading", name="Approved with edits by Noor Haddad")).to_be_visible()
    looked_at()


def test_the_first_screen_still_holds_what_a_decision_needs(page: Page, served: Served) -> None:
    handoff = reviewed(served)
    page.set_viewport_size({"width": 1280, "height": 800})
    sign_in(page, served, f"/handoffs/{handoff['handoff_id']}")
    for part in (".first", "#decision"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800
