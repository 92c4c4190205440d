"""A server and a runner on loopback, an agent, a person who decides, and a repository."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from handfast.app import open_engine
from handfast.client import Client
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import Mode
from handfast.engine.access import PrincipalKind
from handfast.engine.clock import SystemClock
from handfast.engine.facade import Engine
from handfast.engine.handoffs import Decision
from handfast.engine.people import NewPerson
from handfast.runner.hooks.endpoint import HookEndpoint
from handfast.runner.hooks.sessions import token_hash
from handfast.runner.hooks.settings import HookSettings
from handfast.runner.serving import RunnerServer
from handfast.server.serving import ServerThread
from tests.prepared import Files, kept, put
from tests.served import _TLS

OPERATOR = Actor("operator", "operator", "token")
PIN = "424242"
Json = dict[str, Any]


@dataclass
class HookBench:
    """`mode` of sessions is enforce. Decisions are made in process, as a person with a PIN."""

    root: Path
    engine: Engine
    server: ServerThread
    runner: RunnerServer
    agent_id: str
    token: str
    person: Actor
    calls: int = 0
    sent: list[Json] = field(default_factory=list)

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def home(self) -> Path:
        return self.root / "data"

    # -- the agent's side

    def event(self, name: str, session_id: str = "s1", **fields: Any) -> Json:
        return {
            "session_id": session_id,
            "cwd": str(self.repo),
            "transcript_path": "",
            "permission_mode": "default",
            "hook_event_name": name,
            **fields,
        }

    def post(
        self, body: Json | bytes, *, token: str | None = None, **headers: str
    ) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {
            "Authorization": f"Bearer {self.token if token is None else token}".strip(),
            **headers,
        }
        return httpx.post(
            self.runner.hook_url,
            content=raw,
            headers=given,
            timeout=60,
            trust_env=False,
            verify=_TLS,
        )

    def asks(self, tool: str, tool_input: Json, call_id: str = "", **fields: Any) -> Json:
        """The decision on one call: `permissionDecision` and its reason."""
        self.calls += 1
        token = fields.pop("token", None)
        event = self.event(
            "PreToolUse",
            tool_name=tool,
            tool_input=tool_input,
            tool_use_id=call_id or f"toolu_{self.calls}",
            **fields,
        )
        answer = self.post(event, token=token)
        assert answer.status_code == 200, answer.text
        output: Json = answer.json()["hookSpecificOutput"]
        assert output["hookEventName"] == "PreToolUse"
        return output

    def bash(self, command: str, call_id: str = "", **fields: Any) -> Json:
        return self.asks("Bash", {"command": command, "description": "run it"}, call_id, **fields)

    @contextmanager
    def asking(self, command: str, call_id: str = "", **fields: Any) -> Iterator[list[Json]]:
        """Ask in a thread; the list holds the answer once there is one, after the block at the latest."""
        with self.asking_tool("Bash", {"command": command}, call_id, **fields) as answers:
            yield answers

    @contextmanager
    def asking_tool(
        self, tool: str, tool_input: Json, call_id: str = "", **fields: Any
    ) -> Iterator[list[Json]]:
        answers: list[Json] = []
        thread = threading.Thread(
            target=lambda: answers.append(self.asks(tool, tool_input, call_id, **fields))
        )
        thread.start()
        yield answers
        thread.join(120)
        assert answers, "no answer"

    def finished(self, command: str, call_id: str, **fields: Any) -> httpx.Response:
        response = {"stdout": "ok", "stderr": "", "interrupted": False}
        event = self.event(
            "PostToolUse",
            **{
                "tool_name": "Bash",
                "tool_input": {"command": command},
                "tool_use_id": call_id,
                "tool_response": response,
                **fields,
            },
        )
        return self.post(event)

    # -- the person's side

    def waiting(self, count: int = 1) -> list[Json]:
        """Handoffs that wait, once there are `count`."""
        deadline = time.monotonic() + 120
        while len(found := self.engine.views.handoffs("waiting").items) < count:
            assert time.monotonic() < deadline, f"{len(found)} handoffs wait"
            time.sleep(0.02)
        return found

    def decide(self, handoff_id: str, kind: str, reason: str = "because", edited: str = "") -> None:
        shown = str(self.engine.views.handoff(handoff_id)["presented_digest"])
        decision = Decision(handoff_id, DecisionKind(kind), shown, reason, edited)
        self.engine.handoffs.decide(self.person, decision)

    def decide_next(self, kind: str, reason: str = "because", edited: str = "") -> str:
        handoff_id = str(self.waiting()[0]["handoff_id"])
        self.decide(handoff_id, kind, reason, edited)
        return handoff_id

    # -- what was recorded

    def runs(self) -> list[Json]:
        return self.engine.views.runs().items

    def steps(self) -> list[Json]:
        return [
            step
            for run in self.runs()
            for step in self.engine.views.steps(str(run["run_id"]))["items"]  # type: ignore[attr-defined]  # JSON
        ]

    def until(self, holds: Any, what: str = "it") -> None:
        deadline = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < deadline, f"{what} never came about"
            time.sleep(0.02)


def _opened(root: Path) -> Engine:
    return open_engine(f"sqlite:///{root / 'handfast.db'}", root / "data")


@cache
def _prepared() -> tuple[Files, str, str]:
    """An installation with Ana and an agent; the agent's id and token."""
    names: list[str] = []

    def make(root: Path) -> None:
        engine = _opened(root)
        agent_id = str(engine.agents.add(OPERATOR, "claude", "claude-code")["agent_id"])
        names.extend((agent_id, engine.agents.issue(OPERATOR, agent_id).token))
        new = NewPerson("Ana", "ana", "password12345", PIN)
        engine.people.set_up(engine.people.invite(), new)
        engine.close()

    return kept(make), names[0], names[1]


@contextmanager
def hook_bench(root: Path, mode: Mode = Mode.ENFORCE, **settings: Any) -> Iterator[HookBench]:
    repo = root / "repo"
    repo.mkdir()
    (repo / "README.md").write_text("hello\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], cwd=repo, check=True)
    home = root / "data"
    files, agent_id, token = _prepared()
    put(files, root)
    engine = _opened(root)
    try:
        person = engine.people.with_pin("ana", PIN)
        if mode is Mode.ENFORCE:
            engine.hooks.set_mode(OPERATOR, mode)
        runner_token = engine.access.ensure_file_token(home, PrincipalKind.RUNNER)
        with ServerThread(engine) as server:
            settings_ = replace(HookSettings(home, server.url), **settings)
            client = Client(server.url, runner_token, tries=2, timeout_s=5)
            endpoint = HookEndpoint(
                client, settings_, SystemClock().now, installed=lambda: dict(known)
            )
            known = {token_hash(token): agent_id}
            with RunnerServer(endpoint, port=0) as runner:
                yield HookBench(root, engine, server, runner, agent_id, token, person)
    finally:
        engine.close()
