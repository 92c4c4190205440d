"""`handfast notify` against a real server with its relay, and a mail server beside it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from handfast.app import open_engine
from handfast.engine.access import PrincipalKind
from handfast.engine.people import NewPerson
from tests.commands import Command, serving
from tests.receivers import Mailbox, mail_server
from tests.told import write_settings

PIN = "123456"
SIGNED = [("Login", "ana"), ("PIN", PIN)]


@dataclass(frozen=True)
class World:
    home: Path
    handfast: Command
    box: Mailbox
    url: str

    def signed(self, *words: str) -> dict[str, object]:
        """A command with Ana's PIN, its JSON."""
        (self.home / "last-login").unlink(missing_ok=True)
        done = self.handfast.typed("notify", *words, "--json", answers=SIGNED)
        assert (done.code, done.err) == (0, ""), done.out + done.err
        return dict(done.json)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("notify")
    home = folder / "data"
    with mail_server() as box:
        smtp = {"host": "127.0.0.1", "port": box.port, "security": "none", "from": "hf@x.example"}
        write_settings(home, {"smtp": smtp})
        engine = open_engine(home=home)
        for kind in (PrincipalKind.OPERATOR, PrincipalKind.RUNNER):
            engine.access.ensure_file_token(home, kind)
        engine.people.set_up(engine.people.invite(), NewPerson("Ana", "ana", "long-enough-1", PIN))
        engine.close()
        handfast = Command(home, folder, {"HANDFAST_RELAY": "on"})
        with serving(handfast, "--no-runner") as started:
            yield World(home, handfast, box, str(started["url"]))


def test_a_contact_is_added_tested_and_told_of_what_waits(world: World) -> None:
    refused = world.handfast("notify", "add", "email", "ana@x.example", stdin=f"ana\n{PIN}\n")
    assert refused.code == 4, "a pipe is no terminal"
    made = world.signed("add", "email", "ana@x.example", "--takes", "all")
    tested = world.signed("test")
    assert (tested["status"], tested["channel"]) == ("delivered", "email")
    assert world.box.mails[-1]["Subject"] == "Handfast: a test"
    shown = world.signed("show")
    assert shown["channels"] == ["email", "webhook"]
    world.signed("quiet", "--days", "sat,sun", "--from", "00:00", "--to", "24:00", "--digest", "30")
    token = (world.home / "operator.token").read_text().strip()
    with httpx.Client(
        base_url=world.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as operator:
        agent = operator.post("/v1/agents", json={"name": "a", "harness": "none"}).json()
        path = f"/v1/agents/{agent['agent_id']}/tokens"
        mine = {"Authorization": f"Bearer {operator.post(path, json={}).json()['token']}"}
        body = {"harness": "none", "session_id": "s", "cwd": "/srv/app"}
        run = operator.post("/v1/runs", json=body, headers=mine).json()["run_id"]
        call = {"tool": "Bash", "arguments": {"command": "git push --force"}}
        facts = {"effect": "network", "summary": "pushes", "hazards": ["git.push-force"]}
        ask = {"key": "k", "call": call, "facts": facts}
        asked = operator.post(f"/v1/runs/{run}/actions", json=ask, headers=mine).json()
    handoff = str(asked["handoff_id"])
    found = _delivered(world, handoff)
    assert (found["person_name"], found["status"]) == ("Ana", "delivered")
    assert "git push --force" in str(world.box.mails[-1].get_body(("plain",)))
    body_part = world.box.mails[-1].get_body(("plain",))
    assert body_part is not None
    link = re.search(r"http://\S+/n/no_\S+", body_part.get_content())
    assert link, "with the address that people reach the pages at"
    assert link[0].startswith(world.url.replace("127.0.0.1", "handfast.localhost"))
    world.box.refuse = "550 gone"
    (world.home / "last-login").unlink(missing_ok=True)
    failed = world.handfast.typed("notify", "test", str(made["contact_id"]), answers=SIGNED)
    assert failed.code == 7
    assert "550" in failed.err
    world.box.refuse = ""
    assert world.signed("remove", str(made["contact_id"]))


def _delivered(world: World, handoff: str) -> dict[str, object]:
    import time

    until = time.monotonic() + 120
    while True:
        done = world.handfast("notify", "status", handoff, "--json")
        items = done.json["items"]
        if items and items[0]["status"] == "delivered":
            return dict(items[0])
        assert time.monotonic() < until, done
        time.sleep(0.2)
