"""Starting and stopping: ports, addresses, links, signals, what is left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from handfast.app import open_engine
from handfast.core.domain.errors import UsageError
from handfast.server import serving
from handfast.server.serving import ServerThread, bind
from handfast.server.site import Site
from tests.served import Served

MAIN = """
import sys
from pathlib import Path
from handfast.app import open_engine
from handfast.server.serving import run
engine = open_engine(home=Path(sys.argv[1]))
run(engine, port=int(sys.argv[2]), say=lambda line: print(line, flush=True))
engine.close()
print("ended", flush=True)
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    arguments = [sys.executable, "-c", MAIN, str(tmp_path / "home"), "0"]
    started = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    yield started
    started.kill()
    with started:
        started.communicate()


def at_pages(pages_url: str) -> tuple[str, dict[str, str]]:
    """How a program without a browser's resolver reaches the pages: the address, and the headers."""
    url = pages_url.replace("handfast.localhost", "127.0.0.1")
    return url, {"Host": pages_url.partition("//")[2], "Origin": pages_url}


def test_it_says_where_it_is_and_how_to_set_up_and_ends_on_sigterm(
    process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    assert process.stdout is not None
    ready = process.stdout.readline()
    pages = ready.split()[-1]
    assert re.fullmatch(r"Handfast is ready on http://handfast\.localhost:\d+\n", ready)
    link = process.stdout.readline().split()[-1]
    assert link.startswith(f"{pages}/setup/")
    url, headers = at_pages(pages)
    assert f"--public-url {url}`" in process.stdout.readline()
    link = link.replace(pages, url)
    assert "Create the account" in httpx.get(link, headers=headers).text
    assert httpx.get(f"{url}/healthz").json()["status"] == "ok"
    with httpx.stream("GET", link, headers=headers):
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert process.stdout.readline() == "ended\n"
    engine = open_engine(home=tmp_path / "home")
    head = engine.heads.latest()
    assert head is not None
    assert head.size == engine.kernel.store.size()
    engine.close()


def test_a_port_in_use_is_named_with_the_remedy(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    with pytest.raises(UsageError) as refused:
        bind("127.0.0.1", port)
    assert f"port {port}" in refused.value.message
    assert "--port" in refused.value.hint
    assert refused.value.code == "port_taken"
    with pytest.raises(UsageError, match="port 70000"):
        bind("127.0.0.1", 70_000)


def test_small_answers_are_sent_at_once() -> None:
    """asyncio switches Nagle's delay off only for sockets that name their protocol."""
    with bind("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_other_machines_are_let_in_only_on_purpose() -> None:
    with pytest.raises(UsageError, match="other machines"):
        bind("0.0.0.0", 0)
    bind("0.0.0.0", 0, allow_remote=True).close()


def test_the_loopback_of_version_6_works_where_there_is_one(tmp_path: Path) -> None:
    try:
        bound = bind("::1", 0)
    except UsageError:
        pytest.skip("no IPv6 loopback here")
    assert serving.url_of(bound).startswith("http://[::1]:")
    bound.close()


def test_a_public_address_is_allowed_and_its_cookies_stay_in_https(
    served: Served, tmp_path: Path
) -> None:
    site = Site(public_url="https://handfast.example")
    with ServerThread(served.engine, site=site) as server:
        headers = {"Host": "handfast.example", "Origin": "https://handfast.example"}
        form = {"name": "noor", "password": "correct horse battery", "next": "/"}
        answer = httpx.post(f"{server.url}/login", data=form, headers=headers)
        assert answer.status_code == 303
        assert "Secure" in answer.headers["set-cookie"]
        other = httpx.get(f"{server.url}/login", headers={"Host": "other.example"})
        assert other.status_code == 421


def test_a_garbled_request_is_refused_and_the_server_goes_on(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 60) as raw:
        raw.sendall(b"NONSENSE\r\n\r\n")
        assert b"400" in raw.recv(100)
    with socket.create_connection(("127.0.0.1", port), 60) as raw:
        raw.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b"421" in raw.recv(100)
    assert served.client().get("/healthz").status_code == 200


def test_each_waiting_handoff_is_announced_once_with_its_link(served: Served) -> None:
    handoff = served.stop()
    said: list[str] = []
    with ServerThread(served.engine, say=said.append, relay=True) as server:
        for _ in range(2400):
            if said:
                break
            time.sleep(0.05)
    assert said == [
        f"Waiting for a person (high risk): pushes main to origin  {server.pages_url}/handoffs/{handoff['handoff_id']}"
    ]
