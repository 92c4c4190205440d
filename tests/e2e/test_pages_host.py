"""In a real browser: what a program that listens on another port of this machine is sent, and what not."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from handfast.server.sessions import COOKIE
from tests.served import LOGIN, PASSWORD, Json, Served, served_from

pytestmark = pytest.mark.browser


@dataclass
class DevServer:
    """What an agent asks a person to look at. Keeps the cookies that come with each request for its page."""

    port: int = 0
    sent: list[str] = field(default_factory=list)

    @property
    def sessions(self) -> list[str]:
        """The secrets of Handfast's sessions that it was sent."""
        cookies = [c.strip() for line in self.sent for c in line.split(";")]
        return [c.partition("=")[2] for c in cookies if c.startswith(f"{COOKIE}=")]


@pytest.fixture
def dev_server() -> Iterator[DevServer]:
    made = DevServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.sent.append(self.headers.get("Cookie", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Set-Cookie", "its_own=1")
            self.end_headers()
            self.wfile.write(b"<h1>The app that you asked for</h1>")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def visit(page: Page, dev_server: DevServer, name: str) -> None:
    """Twice, so that the server's own cookie shows that cookies are sent at all."""
    before = len(dev_server.sent)
    for _ in range(2):
        page.goto(f"http://{name}:{dev_server.port}/")
        expect(page.get_by_role("heading")).to_have_text("The app that you asked for")
    assert "its_own=1" in "".join(dev_server.sent[before:])


def sign_in(page: Page, served: Served) -> None:
    """By the address that a person may have typed: it leads to the pages' own."""
    page.goto(served.url)
    page.wait_for_url(f"{served.server.pages_url}/login")
    page.get_by_label("Login").fill(LOGIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def decided(served: Served, handoff: Json, secret: str, origin: str) -> int:
    """As a program would that got hold of a cookie: with the headers of a page, set by hand."""
    host = origin.partition("://")[2]
    program = served.client(Host=host, Origin=origin, Cookie=f"{COOKIE}={secret}")
    body = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "agent"}
    answer = program.post(f"/v1/handoffs/{handoff['handoff_id']}/decisions", json=body)
    return answer.status_code


def test_a_server_on_another_port_is_sent_no_session(
    page: Page, tmp_path: Path, prepared: tuple[Path, dict[str, str]], dev_server: DevServer
) -> None:
    with served_from(tmp_path, prepared, at_address=False) as served:
        handoff = served.stop()
        sign_in(page, served)
        expect(page.get_by_role("link", name="Pushes main to origin")).to_be_visible()
        for name in ("127.0.0.1", "localhost"):
            visit(page, dev_server, name)
        assert dev_server.sessions == []
        (cookie,) = [c for c in page.context.cookies() if c["name"] == COOKIE]
        assert cookie["domain"] == "handfast.localhost"
        page.goto(f"{served.url}/handoffs/{handoff['handoff_id']}")
        page.get_by_label("Your reason").fill("looked at it")
        page.get_by_role("button", name="Approve", exact=False).first.click()
        expect(page.get_by_role("heading", name="Approved by Noor Haddad")).to_be_visible()


def test_what_is_left_is_the_same_name_on_another_port(
    page: Page, tmp_path: Path, prepared: tuple[Path, dict[str, str]], dev_server: DevServer
) -> None:
    """As docs/containment.md says it. It falls when browsers keep cookies apart by port: then say so there."""
    with served_from(tmp_path, prepared, at_address=False) as served:
        handoff = served.stop()
        sign_in(page, served)
        page.wait_for_url(f"{served.server.pages_url}/")
        visit(page, dev_server, "handfast.localhost")
        secret = dev_server.sessions[0]
        assert decided(served, handoff, secret, served.url) == 401
        assert decided(served, handoff, secret, served.server.pages_url) == 201


def test_with_the_pages_at_the_address_itself_every_port_gets_the_session(
    page: Page, served: Served, dev_server: DevServer
) -> None:
    """What `--public-url http://127.0.0.1:8480` means, and what the pages' own name is for."""
    handoff = served.stop()
    page.goto(f"{served.url}/login")
    page.get_by_label("Login").fill(LOGIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{served.url}/")
    visit(page, dev_server, "127.0.0.1")
    assert decided(served, handoff, dev_server.sessions[0], served.url) == 201
