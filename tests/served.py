"""A real server on a loopback port, with one person, one agent and the credentials of each kind."""

import shutil
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from handfast.app import open_engine
from handfast.core.domain.events import Actor
from handfast.engine.access import PrincipalKind
from handfast.engine.facade import Engine
from handfast.engine.people import NewPerson
from handfast.server.serving import ServerThread
from handfast.server.sessions import COOKIE
from tests.prepared import quick_hashes

Json = dict[str, Any]
LOGIN, PASSWORD, PIN = "noor", "correct horse battery", "402613"
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used: saves loading certificates each time
OPERATOR = Actor("operator", "operator", "token")
PUSH: Json = {
    "call": {"tool": "Bash", "arguments": {"command": "git push origin main"}},
    "facts": {"effect": "network", "summary": "pushes main to origin", "hazards": ["git.push"]},
}


@dataclass
class Served:
    """An installation and the ways to talk to it."""

    engine: Engine
    server: ServerThread
    tokens: dict[str, str] = field(repr=False)
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def agent_id(self) -> str:
        return self.tokens["agent_id"]

    @property
    def person_id(self) -> str:
        return self.tokens["person_id"]

    @property
    def url(self) -> str:
        return self.server.url

    def client(self, kind: str = "", **headers: str) -> httpx.Client:
        """With the token of a kind (agent, runner, operator), or without any."""
        if kind:
            headers["Authorization"] = f"Bearer {self.tokens[kind]}"
        made = httpx.Client(
            base_url=self.url, headers=headers, timeout=90, trust_env=False, verify=_TLS
        )
        return self._open.enter_context(made)

    def browser(self) -> httpx.Client:
        """Signed in, as a page of this server would be."""
        session = self.engine.people.sign_in(LOGIN, PASSWORD)
        pages = self.server.pages_url
        host = pages.partition("://")[2]
        client = self.client(Host=host, Origin=pages, Accept="text/html")
        client.cookies.set(COOKIE, session.secret)
        return client

    def session_run(self, session_id: str = "s1") -> str:
        """The id of an enforced run of the agent's own session."""
        body = {"session_id": session_id, "cwd": "/srv/checkout", "mode": "enforce"}
        made = self.client("runner").post("/v1/runs", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["run_id"])

    def stop(
        self, run_id: str = "", key: str = "t1", command: str = "git push origin main"
    ) -> Json:
        """Propose a push that waits for a person, and read its handoff."""
        run_id = run_id or self.session_run()
        call = {"tool": "Bash", "arguments": {"command": command}}
        body = {"key": key, "call": call, "facts": PUSH["facts"]}
        asked = self.client("runner").post(f"/v1/runs/{run_id}/actions", json=body)
        assert asked.json()["verdict"] == "wait", asked.text
        shown = self.client("operator").get(f"/v1/handoffs/{asked.json()['handoff_id']}")
        found: Json = shown.json()
        return found

    def close(self) -> None:
        self._open.close()


def decision(handoff: Json, kind: str = "approve", **more: object) -> Json:
    """The body of a decision that a person makes beside the operator's token."""
    digest = handoff["presented_digest"]
    proof = {"person": LOGIN, "pin": PIN, "reason": "looked at it"}
    return {"kind": kind, "presented_digest": digest, **proof, **more}


def set_up(engine: Engine) -> str:
    """The first person. Gives their id."""
    made = engine.people.set_up(
        engine.people.invite(), NewPerson("Noor Haddad", LOGIN, PASSWORD, PIN)
    )
    return str(made["person_id"])


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data folder with one person and one agent, made once: each test gets its own copy."""
    home = tmp_path_factory.mktemp("prepared") / "installation"
    engine = open_engine(home=home)
    agent_id = str(engine.agents.add(OPERATOR, "claude-billing", "claude-code")["agent_id"])
    with quick_hashes():
        names = {"agent_id": agent_id, "person_id": set_up(engine)}
    names["agent"] = engine.agents.issue(OPERATOR, agent_id).token
    for kind in (PrincipalKind.RUNNER, PrincipalKind.OPERATOR):
        names[kind.value] = engine.access.ensure_file_token(home, kind)
    engine.close()
    return home, names


@contextmanager
def served_from(
    folder: Path, prepared: tuple[Path, dict[str, str]], *, at_address: bool
) -> Iterator[Served]:
    """A server on a copy of the prepared installation. `at_address` is not how people start one: its pages
    are at 127.0.0.1, where a plain HTTP client finds them."""
    home = folder / "installation"
    shutil.copytree(prepared[0], home)
    engine = open_engine(home=home)
    with ServerThread(engine, at_address=at_address) as server:
        running = Served(engine, server, tokens=prepared[1])
        yield running
        running.close()
    engine.close()


@pytest.fixture
def served(tmp_path: Path, prepared: tuple[Path, dict[str, str]]) -> Iterator[Served]:
    with served_from(tmp_path, prepared, at_address=True) as running:
        yield running
