"""The full-screen inbox against a real server, driven by keys."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static, TextArea

from handfast.cli.screen.app import Inbox, Keys, Queue
from handfast.cli.screen.asking import Asking
from handfast.cli.screen.case_text import case_text
from handfast.cli.screen.diff_text import diff_text
from handfast.client import Client
from tests.served import LOGIN, PIN, Json, Served, decision

Play = Callable[[Pilot[None], Inbox], Awaitable[None]]
SIZE = (120, 44)


def play(served: Served, story: Play, size: tuple[int, int] = SIZE) -> None:
    async def run() -> None:
        app = Inbox(Client(served.url, served.tokens["operator"]), LOGIN)
        async with app.run_test(size=size) as pilot:
            await story(pilot, app)

    asyncio.run(run())


async def until(pilot: Pilot[None], look: Callable[[], object], what: str) -> None:
    for _ in range(600):
        if look():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"{what} did not happen")


def queue(app: Inbox) -> Queue:
    found = next(s for s in app.screen_stack if isinstance(s, Queue))
    assert isinstance(found, Queue)
    return found


def case(app: Inbox) -> str:
    return str(queue(app).query_one("#text", Static).render())


def status(app: Inbox) -> str:
    return str(queue(app).query_one("#status", Static).render())


def listed(app: Inbox) -> list[str]:
    options = queue(app).query_one("#queue", OptionList).options
    return [str(o.id) for o in options]


def read(served: Served, handoff: Json) -> Json:
    found: Json = served.client("operator").get(f"/v1/handoffs/{handoff['handoff_id']}").json()
    return found


async def type_in(pilot: Pilot[None], app: Inbox, **words: str) -> None:
    await until(pilot, lambda: isinstance(app.screen, Asking), "the form")
    for name, text in words.items():
        widget = app.screen.query_one(f"#f-{name}")
        if isinstance(widget, TextArea):
            widget.text = text
        elif isinstance(widget, Input):
            widget.value = text
    await pilot.press("ctrl+s")


async def opened(pilot: Pilot[None], app: Inbox, count: int) -> None:
    await until(pilot, lambda: len(listed(app)) == count and queue(app).shown, "the queue")


def test_a_case_appears_live_and_is_approved_by_key_and_pin(served: Served) -> None:
    async def story(pilot: Pilot[None], app: Inbox) -> None:
        await until(pilot, lambda: "Nothing waits" in case(app), "the empty inbox")
        handoff = served.stop()
        await opened(pilot, app, 1)
        assert "git push origin main" in case(app)
        assert handoff["presented_digest"] in case(app)
        await pilot.press("a")
        await type_in(pilot, app, reason="looked at it", pin="000000")
        await until(pilot, lambda: "wrong" in str(app.screen.query_one("#problem").render()), "no")
        assert app.screen.query_one("#f-reason", TextArea).text == "looked at it"
        assert app.screen.query_one("#f-pin", Input).value == ""
        assert read(served, handoff)["decision"] is None
        await type_in(pilot, app, pin=PIN)
        await until(pilot, lambda: isinstance(app.screen, Queue), "the decision")
        await until(pilot, lambda: "Approve by Noor Haddad" in status(app), "the receipt")
        d = read(served, handoff)["decision"]
        assert (d["kind"], d["auth"], d["reason"]) == ("approve", "pin", "looked at it")
        assert d["presented_digest"] == handoff["presented_digest"]
        await until(pilot, lambda: listed(app) == [], "it leaves the queue")

    play(served, story)


def test_keys_move_and_every_verb_is_that_of_the_page(served: Served) -> None:
    run_id = served.session_run()
    cases = [served.stop(run_id, f"k{n}", f"git push origin b{n}") for n in range(4)]

    async def story(pilot: Pilot[None], app: Inbox) -> None:
        await opened(pilot, app, 4)
        order = listed(app)
        await pilot.press("j", "j", "k")
        at = order[1]
        await until(pilot, lambda: (queue(app).shown or {}).get("handoff_id") == at, "the move")
        await pilot.press("enter")
        assert app.screen.focused is queue(app).query_one("#case")
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, Keys), "the keys")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Queue), "back")

        await pilot.press("r")
        await type_in(pilot, app, pin=PIN)
        await until(
            pilot, lambda: "Write why" in str(app.screen.query_one("#problem").render()), "no"
        )
        await type_in(pilot, app, reason="not this branch", pin=PIN)
        await until(pilot, lambda: "Reject by" in status(app), "the refusal")

        by_id = {c["handoff_id"]: c for c in cases}
        await until(pilot, lambda: at not in listed(app), "the next one")
        await pilot.press("k", "k", "k")
        first = listed(app)[0]
        await until(pilot, lambda: (queue(app).shown or {}).get("handoff_id") == first, "first")
        await pilot.press("e")
        await type_in(pilot, app, edited_command="git push origin other", pin=PIN, reason="there")
        await until(pilot, lambda: "Approve with edits by" in status(app), "the edit")
        edited = read(served, by_id[first])["decision"]
        assert edited["edited_call"]["arguments"]["command"] == "git push origin other"

        await until(pilot, lambda: len(listed(app)) == 2, "two left")
        await pilot.press("k", "k", "h")
        await type_in(pilot, app, pin=PIN)
        await until(
            pilot,
            lambda: any(read(served, by_id[i])["holder_name"] for i in listed(app)),
            "somebody has it",
        )
        await pilot.press("t")
        await until(pilot, lambda: "not offered" in status(app), "no take-over of a session")

    play(served, story)


def test_a_decision_is_bound_to_what_was_shown(served: Served) -> None:
    """Somebody else decides while the form is open: told who, and nothing is taken."""
    handoff = served.stop()

    async def story(pilot: Pilot[None], app: Inbox) -> None:
        await opened(pilot, app, 1)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Asking), "the form")
        path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
        body = decision(handoff, "reject")
        answer = served.client("operator").post(path, json=body)
        assert answer.status_code == 201
        await type_in(pilot, app, reason="yes", pin=PIN)

        def problem() -> str:
            return str(app.screen.query_one("#problem").render())

        await until(pilot, lambda: "decided" in problem(), "the refusal")
        await pilot.press("escape")
        await until(pilot, lambda: "reject by Noor Haddad" in case(app), "what became of it")

    play(served, story)
    assert read(served, handoff)["decision"]["kind"] == "reject"


def test_a_server_that_comes_back_is_found_again(served: Served) -> None:
    async def story(pilot: Pilot[None], app: Inbox) -> None:
        await until(pilot, lambda: "Nothing waits" in case(app), "the inbox")
        url, app._client.url = app._client.url, "http://127.0.0.1:9"
        await app._client.aclose()
        await until(pilot, lambda: "Not connected" in status(app), "the outage")
        app._client.url = url
        await app._client.aclose()
        served.stop()
        await opened(pilot, app, 1)

    play(served, story)


@pytest.mark.parametrize("size", [(120, 44), (60, 24)])
def test_what_an_agent_wrote_stays_text(served: Served, size: tuple[int, int]) -> None:
    hostile = (
        "git push \x1b[2J\x1b[31m \u202e origin [bold red]APPROVED[/] \u200b [@click=app.quit]x[/]"
    )
    served.stop(command=hostile)

    async def story(pilot: Pilot[None], app: Inbox) -> None:
        await opened(pilot, app, 1)
        shown = case(app)
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "\u200b" not in shown
        assert "\u2039U+001B\u203a" in shown
        assert "[bold red]APPROVED[/]" in shown, "markup is shown, not obeyed"
        assert "[@click=app.quit]" in shown
        assert not any("click" in str(s.style) for s in case_text(queue(app).shown or {}).spans)

    play(served, story, size)


DIFF = """diff --git a/a.py b/a.py
index 1..2 100644
--- a/a.py
+++ b/a.py
@@ -10,3 +10,3 @@ def f():
 same
-old\x1b[2J
+new\u202e [red]x[/red]
 last
"""


def test_a_diff_has_colours_line_numbers_and_no_surprises() -> None:
    text = diff_text(DIFF)
    lines = text.plain.split("\n")
    assert "   10    10  same" in lines
    assert any(line.startswith("   11       -old\u2039U+001B\u203a") for line in lines)
    assert any(line.startswith("         11 +new\u2039U+202E\u203a [red]x[/red]") for line in lines)
    styles = {text.plain[s.start : s.end]: str(s.style) for s in text.spans}
    assert any("green" in style and "+new" in part for part, style in styles.items())
    assert any("red" in style and "-old" in part for part, style in styles.items())
    assert any("yellow" in style and "U+202E" in part for part, style in styles.items())
    assert "\x1b" not in text.plain
    assert "cut: 4,000 of" in diff_text("+x\n" * 9_000).plain
