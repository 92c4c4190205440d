"""The browser script alone, under the policy the server sends: keys, drafts, live updates."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from playwright.sync_api import Page, expect

SCRIPT = Path(__file__).parents[2] / "src/handfast/server/web/dist/app.js"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'"
PAGE = """<!doctype html><html lang="en"><head><title>t</title><script src="/app.js" type="module"></script></head>
<body hx-sse:connect="/events" hx-swap="none">
<table><tbody id="rows" hx-get="/rows" hx-trigger="handoff from:body" hx-swap="innerHTML">
<tr><td><a href="#one">one</a></td></tr><tr><td><a href="#two">two</a></td></tr></tbody></table>
<form id="decision"><textarea id="reason" data-draft="ho_1.reason"></textarea>
<button type="button" id="approve" data-key="a">Approve <kbd>a</kbd></button>
<button type="button" id="gone" data-key="g" disabled>Gone</button>
<a id="next" href="#next" data-key="n">Next</a></form>
</body></html>"""


class Pages(BaseHTTPRequestHandler):
    """`/` is the page, `/rows` what it asks for after an event, `/events` the stream."""

    protocol_version = "HTTP/1.1"
    news: ClassVar[threading.Event]
    closing: ClassVar[threading.Event]

    def do_GET(self) -> None:
        match self.path:
            case "/":
                self._answer("text/html", PAGE.encode())
            case "/app.js":
                self._answer("text/javascript", SCRIPT.read_bytes())
            case "/rows":
                self._answer("text/html", b'<tr><td><a href="#three">three</a></td></tr>')
            case "/events":
                self._stream()
            case _:
                self._answer("text/plain", b"")

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": open\n\n")
        while not self.closing.is_set():
            if self.news.wait(0.05):
                self.news.clear()
                self.wfile.write(b"id: 1\nevent: handoff\ndata: {}\n\n")

    def log_message(self, *_args: object) -> None:
        """Keep the test output quiet."""


@pytest.fixture
def site() -> Iterator[str]:
    assert SCRIPT.exists(), (
        "the browser script is not built: install the package without HANDFAST_BUILD_WEB=0"
    )
    Pages.news, Pages.closing = threading.Event(), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    Pages.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


pytestmark = pytest.mark.browser


def clicks(page: Page) -> int:
    count: int = page.evaluate("window.clicks ?? 0")
    return count


def count_clicks(page: Page) -> None:
    page.evaluate(
        "document.querySelector('#approve').addEventListener('click', () => { window.clicks = (window.clicks ?? 0) + 1 })"
    )


def test_j_and_k_move_through_the_rows(page: Page, site: str) -> None:
    page.goto(site)
    page.keyboard.press("j")
    expect(page.locator("a[href='#one']")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("a[href='#two']")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("a[href='#one']")).to_be_focused()


def test_a_key_presses_its_button_once_however_long_it_is_held(page: Page, site: str) -> None:
    page.goto(site)
    count_clicks(page)
    page.keyboard.down("a")
    page.keyboard.down("a")
    page.keyboard.up("a")
    assert clicks(page) == 1
    page.keyboard.press("g")
    page.keyboard.press("n")
    assert page.url.endswith("#next")


def test_keys_are_letters_while_someone_types(page: Page, site: str) -> None:
    page.goto(site)
    count_clicks(page)
    page.locator("#reason").press_sequentially("a j ?")
    assert clicks(page) == 0
    assert page.locator("dialog").count() == 0
    assert page.locator("#reason").input_value() == "a j ?"


def test_a_key_with_a_modifier_is_left_to_the_browser(page: Page, site: str) -> None:
    page.goto(site)
    count_clicks(page)
    page.keyboard.press("Control+a")
    page.keyboard.press("Alt+a")
    assert clicks(page) == 0


def test_the_question_mark_lists_the_keys_of_the_page(page: Page, site: str) -> None:
    page.goto(site)
    count_clicks(page)
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keys")
    expect(listed).to_contain_text("Approve")
    expect(listed).to_contain_text("next row")
    page.keyboard.press("a")
    assert clicks(page) == 0, "behind the list nothing is pressed"
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_have_count(0)


def test_a_half_typed_reason_survives_a_reload_and_no_other_field_gets_it(
    page: Page, site: str
) -> None:
    page.goto(site)
    page.locator("#reason").fill("because of")
    page.reload()
    expect(page.locator("#reason")).to_have_value("because of")
    page.evaluate("document.querySelector('#reason').dataset.draft = 'ho_2.reason'")
    page.locator("#reason").fill("")
    page.reload()
    expect(page.locator("#reason")).to_have_value("because of")
    page.locator("#reason").fill("")
    page.reload()
    expect(page.locator("#reason")).to_have_value("")


def test_an_event_of_the_server_brings_new_rows(page: Page, site: str) -> None:
    page.goto(site)
    page.locator("#reason").fill("half")
    Pages.news.set()
    expect(page.locator("#rows")).to_contain_text("three")
    expect(page.locator("#reason")).to_have_value("half")
