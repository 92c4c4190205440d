"""`handfast relay`, the API below it, and `handfast serve` with its relay."""

import os
import select
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

from handfast.core.domain.events import SYSTEM
from handfast.engine.kernel import Result, Unit
from tests.commands import DEADLINE_S, Command
from tests.served import _TLS, PUSH, Served
from tests.served import prepared as prepared
from tests.served import served as served


@pytest.fixture
def handfast(served: Served, tmp_path: Path) -> Command:
    more = {"HANDFAST_URL": served.url, "HANDFAST_TOKEN": served.tokens["operator"]}
    return Command(tmp_path / "elsewhere", tmp_path, more)


def post(served: Served, topic: str) -> int:
    """Gives the outbox id."""

    def work(unit: Unit) -> Result:
        unit.post(topic, {"number": 1})
        return {}

    served.engine.kernel.run(SYSTEM, work)
    return served.engine.kernel.store.outbox(1000)[-1].id


def test_what_was_given_up_is_listed_and_tried_again(served: Served, handfast: Command) -> None:
    number = post(served, "t.x")
    post(served, "t.y")
    row = served.engine.kernel.store.outbox_row(number)
    assert row is not None
    served.engine.deliveries.bury(row, "chat: TimeoutError: no answer\x1b[2J")
    lines = handfast("relay", "status").out.splitlines()
    assert lines[1:] == ["handoff.requested\t1\t0\t0", "t.x\t0\t0\t1", "t.y\t1\t0\t0"]
    counts = handfast("relay", "status", "--json").json["topics"]
    assert counts[1] == {"topic": "t.x", "waiting": 0, "handed": 0, "dead": 1}
    said = handfast("relay", "dead").out
    assert f"{number}\tt.x\t1\tchat: TimeoutError: no answer" in said
    assert "\x1b" not in said
    (item,) = handfast("relay", "dead", "--json").json["items"]
    assert (item["delivery_id"], item["attempts"]) == (number, 1)
    assert handfast("relay", "dead", "--after", number, "--json").json == {"items": []}
    done = handfast("relay", "retry", number)
    assert (done.code, done.out) == (0, f"delivery `{number}` of t.x is tried again\n")
    again = handfast("relay", "retry", number, "--json")
    assert (again.code, again.problem["code"]) == (3, "invalid_transition")
    unknown = handfast("relay", "retry", number + 1000, "--json")
    assert (unknown.code, unknown.problem["code"]) == (3, "not_found")
    types = [e.type for e in served.engine.kernel.store.events(stream="topic/t.x")]
    assert types == ["delivery.dead_lettered", "delivery.retried"]


def test_the_page_is_in_the_inbox_of_who_decides_and_reads_well(served: Served) -> None:
    number = post(served, "t.<script>")
    row = served.engine.kernel.store.outbox_row(number)
    assert row is not None
    page = served.engine.deliveries.bury(row, "chat: <b>no</b> answer")
    browser = served.browser()
    assert "Deliveries of t.&lt;script&gt; do not arrive" in browser.get("/").text
    case = browser.get(f"/handoffs/{page}")
    assert case.status_code == 200
    assert "chat: &lt;b&gt;no&lt;/b&gt; answer" in case.text
    assert f"handfast relay retry {number}" in case.text


def test_the_server_delivers_and_ends_when_it_is_told_to(
    prepared: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    home, tokens = tmp_path / "home", prepared[1]
    shutil.copytree(prepared[0], home)
    handfast = Command(home, tmp_path, {"HANDFAST_RELAY": "on"})
    with handfast.start("serve", "--no-runner", "--port", "0") as process:
        assert process.stdout is not None
        pages = process.stdout.readline().split()[-1]
        url = pages.replace("handfast.localhost", "127.0.0.1")
        headers = {"Authorization": f"Bearer {tokens['runner']}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, verify=_TLS) as client:
            session = {"session_id": "s1", "cwd": "/srv/checkout", "mode": "enforce"}
            run = client.post("/v1/runs", json=session).json()["run_id"]
            asked = client.post(f"/v1/runs/{run}/actions", json={"key": "t1", **PUSH})
        expected = f"{pages}/handoffs/{asked.json()['handoff_id']}"
        seen, until = "", time.monotonic() + DEADLINE_S
        while expected not in seen and time.monotonic() < until:
            if select.select([process.stdout], [], [], 1)[0]:
                seen += os.read(process.stdout.fileno(), 4096).decode()
        assert expected in seen
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert (home / "handfast.relay.db").exists()


def test_a_server_without_a_relay_leaves_deliveries_to_others(tmp_path: Path) -> None:
    wrong = Command(tmp_path / "home", tmp_path, {"HANDFAST_RELAY": "maybe"})
    done = wrong("serve", "--no-runner", "--port", "0", "--json")
    assert (done.code, "HANDFAST_RELAY" in done.problem["detail"]) == (2, True)
