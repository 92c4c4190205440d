"""Calendars are fetched over real TLS: bounded, on one host, and never inside the server's own network."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.outbound import is_public
from handfast.engine.people import NewPerson
from handfast.server import calendars as module
from handfast.server.calendars import CalendarKeeper, Fetcher, trusted_hosts
from handfast.testing.clock import FrozenClock
from tests.receivers import certificate

GOOD = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:ann\r\nDTSTART:20200101T000000Z\r\nDURATION:P1D\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
HOSTS = frozenset({"localhost"})


@dataclass
class Site:
    """Answers each path with what a test put there."""

    port: int
    tls: ssl.SSLContext
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]]
    asked: list[str]

    def url(self, path: str = "/x.ics", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"

    def gives(self, path: str, body: bytes, status: int = 200, location: str = "") -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            if location:
                handler.send_header("Location", location)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer

    def fetcher(self, hosts: frozenset[str] = HOSTS) -> Fetcher:
        return Fetcher(hosts, self.tls)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    authority, context = certificate(tmp_path)
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answers[self.path](self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    client = ssl.create_default_context(cafile=authority)
    yield Site(server.server_address[1], client, answers, asked)
    server.shutdown()
    server.server_close()


def test_a_calendar_comes_over_tls_and_from_a_file(site: Site, tmp_path: Path) -> None:
    site.gives("/x.ics?key=1", GOOD)
    assert site.fetcher().fetch(site.url("/x.ics?key=1")) == GOOD
    path = tmp_path / "x.ics"
    path.write_bytes(GOOD)
    assert Fetcher().fetch(str(path)) == GOOD
    with pytest.raises(UsageError, match="not a file"):
        Fetcher().fetch(str(tmp_path))
    with pytest.raises(UsageError, match="not a file"):
        Fetcher().fetch("http://localhost/x.ics")


def test_the_servers_own_network_is_refused(site: Site) -> None:
    for host in ("localhost", "127.0.0.1"):
        with pytest.raises(UsageError, match="in a private network"):
            site.fetcher(frozenset()).fetch(site.url(host=host))
    for url in ("https://[::1]/", "https://10.0.0.1/", "https://[::ffff:127.0.0.1]/",
                "https://169.254.169.254/latest", "https://0.0.0.0/"):  # fmt: skip
        with pytest.raises(UsageError, match="in a private network"):
            Fetcher().fetch(url)
    assert site.asked == []
    assert trusted_hosts({"HANDFAST_CALENDAR_HOSTS": " Cal.Intern , x"}) == {"cal.intern", "x"}
    assert trusted_hosts({}) == frozenset()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_addresses_of_the_public_network_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_redirect_stays_on_its_host(site: Site) -> None:
    site.gives("/x.ics", GOOD)
    site.gives("/old", b"", 302, "/x.ics")
    assert site.fetcher().fetch(site.url("/old")) == GOOD
    for location in ("http://localhost/x.ics", "https://127.0.0.1/x", site.url(host="127.0.0.1"),
                     "https://localhost/x", "//other/x", ""):  # fmt: skip
        site.gives("/away", b"", 302, location)
        with pytest.raises(UsageError, match="redirects to another host"):
            site.fetcher().fetch(site.url("/away"))
    site.gives("/loop", b"", 302, "/loop")
    with pytest.raises(UsageError, match="redirects more than 3 times"):
        site.fetcher().fetch(site.url("/loop"))


def test_size_time_and_status_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.gives("/none", b"", 404)
    with pytest.raises(UsageError, match="answered with 404"):
        site.fetcher().fetch(site.url("/none"))
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    site.gives("/large", b"x" * 1_000_001)
    with pytest.raises(UsageError, match="larger than"):
        site.fetcher().fetch(site.url("/large"))
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not ended.wait(0.02):
            handler.wfile.write(b"x")

    def drip_head(handler: BaseHTTPRequestHandler) -> None:
        while not ended.wait(0.02):
            handler.wfile.write(b"H")

    site.answers |= {"/slow": drip, "/head": drip_head}
    monkeypatch.setattr(module, "TIMEOUT_S", 0.4)
    began = time.monotonic()
    for path in ("/slow", "/head"):
        with pytest.raises((OSError, UsageError)):
            site.fetcher().fetch(site.url(path))
    ended.set()
    assert time.monotonic() - began < 60


def test_a_certificate_that_is_not_the_hosts_is_refused(site: Site) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        Fetcher(HOSTS).fetch(site.url())


@pytest.mark.parametrize("url", ["https://a:99999/", "https://[", "https://a b/", "https:///x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises((UsageError, OSError)):
        Fetcher().fetch(url)


def test_the_server_renews_what_is_due_and_keeps_what_it_has(site: Site, tmp_path: Path) -> None:
    clock = FrozenClock()
    engine = open_engine(home=tmp_path / "home", clock=clock)
    new = NewPerson("Ann", "ann", "correct horse battery", "493817")
    made = engine.people.set_up(engine.people.invite(), new)
    me = Actor("person", str(made["person_id"]), "browser")
    engine.policies.propose(
        me, ORGANISATION,
        f'version: 1\nrotations: {{pay: {{calendar: "{site.url()}", refresh: 1h}}}}\n',
    )  # fmt: skip
    keeper = CalendarKeeper(engine, site.fetcher())
    site.gives("/x.ics", b"<html>sign in</html>")
    assert keeper.renew() == 0
    (shown,) = engine.staff.on_call()
    assert (shown["people"], shown["fetched_at"]) == ([], "")
    assert "cannot be read" in str(shown["problem"])
    site.gives("/x.ics", GOOD)
    assert keeper.renew() == 0, "it waits before it tries again"
    keeper = CalendarKeeper(engine, site.fetcher())
    assert keeper.renew() == 1
    assert keeper.renew() == 0
    (shown,) = engine.staff.on_call()
    assert (shown["people"], shown["problem"]) == (["Ann"], "")
    clock.move(3600)
    site.gives("/x.ics", b"", 500)
    keeper = CalendarKeeper(engine, site.fetcher())
    assert keeper.renew() == 0
    (stale,) = engine.staff.on_call()
    assert (stale["people"], stale["fetched_at"]) == (["Ann"], shown["fetched_at"])
    assert "answered with 500" in str(stale["problem"])
    engine.close()
