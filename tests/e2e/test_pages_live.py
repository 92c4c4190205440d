"""In a real browser, against a real server: what moves and what must not, several people, and no script."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from playwright.sync_api import Browser, Page, expect

from handfast.core.domain.events import Actor, from_bytes
from handfast.core.domain.events_rating import HandoffAttended as Attended
from handfast.engine.actions import StepResult
from handfast.engine.people import NewPerson
from handfast.server.serving import ServerThread
from tests.large_diff import reviewed
from tests.served import LOGIN, PASSWORD, PIN, Json, Served, decision

pytestmark = pytest.mark.browser
# Where every row and heading stands; equal before and after means that nothing moved.
PLACES = (
    "[...document.querySelectorAll('main h1, main h2, main li.row')]"
    ".map((each) => [each.id, ...Object.values(each.getBoundingClientRect().toJSON())].join())"
)


def sign_in(page: Page, served: Served, path: str = "/", login: str = LOGIN) -> None:
    page.goto(served.url + path)
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(served.url + path)


def listening(page: Page) -> None:
    """The page hears of changes from here on."""
    expect(page.locator("#live")).to_have_text("live")


def another(served: Served, login: str = "mia") -> Actor:
    people = served.engine.people
    first = Actor("person", served.person_id, "browser")
    secret = people.invite_another(first, ("reviewer",))
    made = people.set_up(secret, NewPerson("Mia Berg", login, PASSWORD, PIN))
    return Actor("person", str(made["person_id"]), "browser")


def decide(served: Served, handoff: Json, kind: str) -> None:
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    answer = served.client("operator").post(path, json=decision(handoff, kind))
    assert answer.status_code == 201, answer.text


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A page of a browser in which scripts are switched off."""
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@contextmanager
def another_window(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


# -- nothing moves


def test_a_decided_row_says_so_and_a_new_one_is_announced_and_nothing_moves(
    page: Page, served: Served
) -> None:
    run_id = served.session_run()
    first = served.stop(run_id, "k1", "git push origin one")
    second = served.stop(run_id, "k2", "git push origin two")
    sign_in(page, served)
    listening(page)
    before = page.evaluate(PLACES)
    decide(served, first, "reject")
    row = page.locator(f"#row-{first['handoff_id']}")
    expect(row).to_contain_text("Refused by Noor Haddad")
    expect(row.locator(".row-live time")).to_contain_text(" ago")
    third = served.stop(run_id, "k3", "git push origin three")
    expect(page.get_by_role("button", name="Show 1 new case")).to_be_visible()
    expect(page.locator("#news-said")).to_have_text("1 new case waiting")
    assert page.evaluate(PLACES) == before
    page.keyboard.press("g")
    expect(page.locator(f"#row-{third['handoff_id']}")).to_be_visible()
    expect(page.locator(f"#row-{first['handoff_id']}")).to_have_count(0)
    expect(page.locator(f"#row-{second['handoff_id']}")).to_be_visible()
    expect(page.locator("#news")).to_be_hidden()


def test_times_grow_older_on_an_open_page(page: Page, served: Served) -> None:
    served.stop()
    page.clock.install()
    sign_in(page, served)
    asked = page.locator(".row-when time[data-ago]").last
    page.clock.run_for(125_000)
    expect(asked).to_have_text("2 min ago")


def test_a_permission_counts_down_until_it_is_gone(page: Page, served: Served) -> None:
    handoff = served.stop()
    page.clock.install()
    sign_in(page, served, f"/handoffs/{handoff['handoff_id']}")
    page.keyboard.press("a")
    button = page.get_by_role("button", name="Take it back")
    expect(button).to_be_visible()
    clock = page.locator("[data-until]")
    page.clock.run_for(2_000)
    shown = clock.inner_text()
    assert shown.endswith(" left")
    page.clock.fast_forward("01:00:00")
    expect(clock).not_to_have_text(shown)
    page.clock.fast_forward("48:00:00")
    expect(button).to_be_hidden()


# -- several people


def test_two_reviewers_see_each_other_and_the_first_decision_wins(
    page: Page, browser: Browser, served: Served
) -> None:
    handoff = served.stop()
    another(served)
    path = f"/handoffs/{handoff['handoff_id']}"
    sign_in(page, served, path)
    listening(page)
    page.get_by_label("Your reason").fill("half a thought")
    with another_window(browser) as theirs:
        sign_in(theirs, served, path, "mia")
        expect(page.get_by_text("Also open at: Mia Berg.")).to_be_visible()
        expect(theirs.get_by_text("Also open at: Noor Haddad.")).to_be_visible()
        theirs.get_by_label("Your reason").fill("use the release branch")
        theirs.get_by_role("button", name="Reject").click()
        expect(theirs.get_by_role("heading", name="Refused by Mia Berg")).to_be_visible()
    expect(page.get_by_text("Refused by Mia Berg.")).to_be_visible()
    expect(page.get_by_label("Your reason")).to_have_value("half a thought")
    page.get_by_role("button", name="Approve", exact=False).first.click()
    expect(page.get_by_text("Mia Berg decided first (reject")).to_be_visible()


# -- a server that goes away


def test_a_half_typed_reason_survives_a_restart_of_the_server(page: Page, served: Served) -> None:
    handoff = served.stop()
    port = int(served.url.rpartition(":")[2])
    sign_in(page, served, f"/handoffs/{handoff['handoff_id']}")
    listening(page)
    page.get_by_label("Your reason").fill("because the branch is")
    served.server.stop()
    expect(page.locator("#live")).to_contain_text("not live")
    with ServerThread(served.engine, port=port, at_address=True):
        expect(page.locator("#live")).to_have_text("live")
        expect(page.get_by_label("Your reason")).to_have_value("because the branch is")
        page.reload()
        expect(page.get_by_label("Your reason")).to_have_value("because the branch is")
        page.get_by_role("button", name="Approve", exact=False).first.click()
        expect(page.get_by_role("heading", name="Approved by Noor Haddad")).to_be_visible()
        shown = served.engine.views.handoff(str(handoff["handoff_id"]))
        assert shown["decision"]["reason"] == "because the branch is"  # type: ignore[index]


# -- the keyboard


def test_every_place_is_reached_and_named_from_the_keyboard(page: Page, served: Served) -> None:
    served.stop()
    sign_in(page, served)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    for place in ("Runs", "Tasks", "Agents", "Policy", "Audit", "Settings"):
        page.get_by_role("navigation", name="Main").get_by_role("link", name=place).focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{place.lower()}")
        expect(page.get_by_role("heading", level=1)).to_have_text(place)
    page.goto(f"{served.url}/audit")
    page.keyboard.press("/")
    page.keyboard.type("noor")
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit?**who=noor**")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#rows details[open]")).to_have_count(1)


def test_the_keys_of_a_page_are_listed_by_key_and_by_button(page: Page, served: Served) -> None:
    handoff = served.stop()
    sign_in(page, served, f"/handoffs/{handoff['handoff_id']}")
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keys")
    for words in ("Approve", "Reject", "Approve with edits"):
        expect(listed).to_contain_text(words)
    page.keyboard.press("Escape")
    expect(listed).to_have_count(0)
    page.get_by_role("button", name="Show the keys of this page").click()
    expect(listed).to_be_visible()


def test_an_edit_is_opened_written_and_sent_from_the_keyboard(page: Page, served: Served) -> None:
    handoff = served.stop()
    sign_in(page, served, f"/handoffs/{handoff['handoff_id']}")
    page.keyboard.press("e")
    page.get_by_label("Command that may run instead").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("git push origin release")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Approved with edits by Noor Haddad")).to_be_visible()
    expect(page.locator("#decision")).to_contain_text("git push origin release")


# -- no script


def test_the_whole_inbox_works_without_a_script(plain: Page, served: Served) -> None:
    run_id = served.session_run()
    served.stop(run_id, "k1", "git push origin one")
    sign_in(plain, served)
    plain.locator("summary", has_text="Filter").click()
    plain.get_by_label("Risk").select_option("high")
    plain.get_by_role("button", name="Show", exact=True).click()
    expect(plain.locator("li.row")).to_have_count(1)
    plain.get_by_label("Keep this view as").fill("Heavy")
    plain.get_by_role("button", name="Save").click()
    expect(plain.get_by_role("link", name="Heavy")).to_have_attribute("aria-current", "page")
    plain.get_by_label("Risk").select_option("low")
    plain.get_by_role("button", name="Show", exact=True).click()
    expect(plain.get_by_role("heading", name="Nothing that waits fits this filter")).to_be_visible()
    for place in ("Runs", "Tasks", "Agents", "Policy", "Audit", "Settings"):
        plain.get_by_role("navigation", name="Main").get_by_role("link", name=place).click()
        expect(plain.get_by_role("heading", level=1)).to_have_text(place)
    expect(plain.locator("kbd").first).to_be_hidden()  # no key is promised that does nothing


# -- what an agent sends

EVIL = (
    "</pre></section><section class='banner tone-good' role='status'><b>Approved by Noor Haddad</b></section>"
    "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
    "\x1b[2J\x1b[32mApproved\x1b[0m \u202egnp.exe\u202c \u200bzero\u2066 {{ 7*7 }} javascript:alert(1)"
)


def _hostile(served: Served) -> str:
    """A case and a run in which everything an agent can write is hostile; the output is 10 MB."""
    runner, run_id = served.client("runner"), served.session_run()
    call = {"tool": "Bash", "arguments": {"command": f"git push origin '{EVIL}'"}}
    facts = {
        "effect": "network", "hazards": ["git.push", "<b>made-up</b>"], "summary": EVIL[:200],
        "details": [EVIL[:300], "../../../../etc/passwd", "a/./b/../../c\u202e.py"],
    }  # fmt: skip
    body = {"key": "k1", "call": call, "facts": facts, "agent_says": EVIL * 20}
    asked = runner.post(f"/v1/runs/{run_id}/actions", json=body)
    assert asked.json()["verdict"] == "wait", asked.text
    safe = {"tool": "Bash", "arguments": {"command": "cat log"}}
    shown = {"effect": "exec", "summary": EVIL[:200]}
    runner.post(f"/v1/runs/{run_id}/actions", json={"key": "k2", "call": safe, "facts": shown})
    output = EVIL + "A" * 10_000_000
    done = StepResult(run_id, "k2", 0, duration_ms=1, output=output)
    served.engine.actions.record_result(Actor("runner", "runner", "token"), done)
    return str(asked.json()["handoff_id"])


def test_what_an_agent_sends_is_inert_bounded_and_marked_on_every_page(
    page: Page, served: Served
) -> None:
    case = _hostile(served)
    dialogs: list[str] = []
    page.on("dialog", lambda shown: dialogs.append(shown.message))
    sign_in(page, served)
    run = served.engine.views.handoff(case)["run_id"]
    agent = f"/agents/{served.agent_id}"
    for path in ("/", f"/handoffs/{case}", f"/runs/{run}", f"/runs/{run}?at=3", "/audit", agent, f"/policy/explain?handoff={case}"):  # fmt: skip
        answer = page.goto(served.url + path)
        assert answer is not None
        assert answer.status == 200, path
        assert len(answer.body()) < 600_000, path
        assert page.evaluate("window.pwned") is None
        assert page.locator("main img, main script").count() == 0
        assert page.locator(".banner.tone-good").count() == 0, "a forged banner"
        text = page.content()
        assert not [c for c in "\x1b\u202e\u202c\u200b\u2066" if c in text], path
        assert page.locator("#receipt-h").count() == 0, "nothing looks decided"
    page.goto(f"{served.url}/handoffs/{case}")
    says = page.locator(".says")
    expect(says).to_contain_text("Written by claude-billing. Not checked")
    expect(says).to_contain_text("Approved by Noor Haddad")
    expect(page.locator(".command")).to_contain_text("\u2039U+202E\u203a")
    assert dialogs == []


# -- a large change


def test_a_change_of_three_thousand_lines_can_be_read_and_decided(
    page: Page, served: Served
) -> None:
    case = reviewed(served.engine, lines=3_000)
    sign_in(page, served, f"/handoffs/{case}")
    expect(page.locator("#decision")).to_be_visible()
    box = page.locator("#decision").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 900
    assert page.locator("details.file").count() == 30
    last = page.locator("details.file").last
    page.locator(".files a").last.click()
    expect(last).to_be_in_viewport()
    last.locator("summary").click()
    expect(last.locator("tr.add").last).to_be_attached()
    assert page.locator("tr.add, tr.del").count() == 3_000
    page.get_by_label("Your note").fill("too much at once")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Request changes").click()
    done = page.get_by_role("heading", name="Changes requested by Noor Haddad")
    expect(done).to_be_visible()


def test_waiting_is_told_within_a_moment(page: Page, served: Served) -> None:
    """Not a measurement: that the way from a commit to an open page has no pause in it."""
    served.stop()
    sign_in(page, served)
    listening(page)
    seen: Callable[[], bool] = lambda: page.locator("#news").is_visible()  # noqa: E731
    served.stop(served.session_run("s2"), "k9", "git push origin nine")
    end = time.monotonic() + 10
    while not seen() and time.monotonic() < end:
        page.wait_for_timeout(20)
    assert seen()


def test_how_long_a_case_was_in_view_and_what_was_unfolded_is_on_record(
    page: Page, served: Served
) -> None:
    """Sent as the page is left; the next page is not held up by it."""
    path = f"/handoffs/{served.stop()['handoff_id']}"
    sign_in(page, served, path)
    page.get_by_text("Ask others, put off, override").click()
    page.wait_for_timeout(1_100)  # less than a second is nobody's reading
    page.goto(served.url + "/")
    stream = path.removeprefix("/handoffs/")

    def said() -> list[Attended]:
        rows = served.engine.kernel.store.events(
            stream=f"handoff/{stream}", types=("handoff.attended",)
        )
        return [cast("Attended", from_bytes(row.data).event) for row in rows]

    deadline = time.monotonic() + 30
    while not said():
        assert time.monotonic() < deadline, "nothing came"
        page.wait_for_timeout(50)
    (event,) = said()
    assert event.person_id == served.person_id
    assert event.dwell_ms >= 1_000
    assert event.opened == ("Ask others, put off, override",)
    assert event.presented_digest == served.engine.views.handoff(stream)["presented_digest"]
