"""A whole installation in real processes: server, runner, agents, and people who decide over the API."""

import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from handfast.app import open_engine
from handfast.cli import main
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.engine.access import PrincipalKind
from handfast.engine.people import NewPerson
from handfast.runner import state
from handfast.server.sessions import COOKIE
from handfast.server.site import PAGES_NAME
from tests.commands import Command, Ran
from tests.faults.checker import Json, Witness, check, read_log
from tests.faults.journal import whole_lines
from tests.faults.parts import DEADLINE_S, SOUND, Given, Part, run, start
from tests.served import _TLS

T = TypeVar("T")
OPERATOR = Actor("operator", "operator", "token")
PIN, PASSWORD = "482913", "correct horse battery"
PERSON = "ana"
COLLECT_S = 0.05
LASTING = ("stop", "full")
AGENT = Path(__file__).with_name("scripted_agent.py")


def prepare(url: str, home: Path) -> Json:
    """An installation with one person and one agent, in enforce mode. Gives its names and tokens."""
    engine = open_engine(url, home)
    try:
        agent_id = str(engine.agents.add(OPERATOR, "scripted", "claude-code")["agent_id"])
        names: Json = {"agent_id": agent_id, "agent": engine.agents.issue(OPERATOR, agent_id).token}
        new = NewPerson("Ana", PERSON, PASSWORD, PIN)
        names["person_id"] = engine.people.set_up(engine.people.invite(), new)["person_id"]
        names["session"] = engine.people.sign_in(PERSON, PASSWORD).secret
        engine.hooks.set_mode(OPERATOR, Mode.ENFORCE)
        for kind in (PrincipalKind.RUNNER, PrincipalKind.OPERATOR):
            names[kind.value] = engine.access.ensure_file_token(home, kind)
    finally:
        engine.close()
    return names


def gated(effects: Path) -> str:
    """A command that waits for a person because of its push, which fails at once, and has an effect."""
    return f"git push -q nowhere main 2> /dev/null; echo ran >> {effects}"


def _ports() -> Iterator[int]:
    """Each once, from a place by chance: below the range the system takes ports for outgoing connections
    from, and of several processes of the tests each has its own. A part may be away while it has one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    every = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(20_000 + worker % every, 32_000, every)
    first = random.randrange(len(ports))  # noqa: S311 - no secret
    yield from ports[first:]
    yield from ports[:first]


_PORTS = _ports()


def free_port() -> int:
    """Nobody takes it by chance, and a client that knocks while nobody listens cannot be connected to
    itself."""
    for port in _PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port was given away")


@dataclass
class Agent:
    """A scripted agent and what it noted."""

    process: "subprocess.Popen[bytes]"
    journal: Path
    effects: Path
    session: str

    @property
    def notes(self) -> list[Json]:
        return [json.loads(line) for line in whole_lines(self.journal)]

    def events(self, name: str) -> list[Json]:
        return [note for note in self.notes if note["event"] == name]

    @property
    def words(self) -> list[str]:
        """What the hook said, one for each time it was asked."""
        return [note["word"] for note in self.events("answered")]

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    @property
    def lines(self) -> int:
        return len(self.effects.read_text().splitlines()) if self.effects.exists() else 0


@dataclass
class Installation:
    """Server and runner keep their ports over restarts. `restarts` names the faults that struck."""

    root: Path
    database: str
    names: Json
    settings: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    restarts: list[str] = field(default_factory=list)
    effects: dict[str, Path] = field(default_factory=dict)
    agents: list[Agent] = field(default_factory=list)
    server_port: int = field(default_factory=free_port)
    runner_port: int = field(default_factory=free_port)
    server_sees: str = ""  # where the server finds the database, when something stands between them
    runner_sees: str = ""  # where the runner finds the server, when something stands between them
    plant: str = ""  # a bug in the server, see `plants`
    lasts_s: float = (
        0.7  # how long a process stands still, or its disk is full, when its fault says so
    )
    witness: Witness = field(default_factory=Witness)
    _executed: int = 0

    # -- places

    @property
    def clock(self) -> Path:
        return self.root / "clock"

    @property
    def home(self) -> Path:
        return self.root / "data"

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def hook(self) -> str:
        return f"http://127.0.0.1:{self.runner_port}/hooks/claude-code"

    def command(self, **more: str) -> Command:
        found = {"HANDFAST_DATABASE_URL": self.database, **self.settings, **more}
        return Command(self.home, self.root, found)

    # -- processes of the product

    def serve(self, fault: str = "", *, ready: bool = True) -> None:
        self._start("server", fault, "serve", "--no-runner", "--port", self.server_port)
        if ready:
            self.parts["server"].ready()

    def run_runner(self, fault: str = "", *, ready: bool = True) -> None:
        token = self.home / "runner.token"
        words = ("--token-file", token, "--port", self.runner_port)
        self._start("runner", fault, "runner", "--server", self.runner_sees or self.url, *words)
        if ready:
            self.parts["runner"].ready()

    def start(self, *, server: str = "", runner: str = "") -> None:
        """Both, each with its fault; at the same time, because that is faster."""
        self.serve(server, ready=False)
        self.run_runner(runner, ready=False)
        for part in self.parts.values():
            part.ready()

    def _start(self, name: str, fault: str, *words: object) -> None:
        clock = self.clock if self.clock.exists() else None
        plant = self.plant if name == "server" else ""
        given = Given(fault, clock, plant)
        command = self.command()
        if name == "server" and self.server_sees:
            command = self.command(HANDFAST_DATABASE_URL=self.server_sees)
        part = start(command, [*words, "--json"], self.root / f"{name}.log", given)
        self.parts[name] = part

    def set_clock(self, shift_s: float) -> None:
        """The clock of server and runner, those there are and those to come, beside the machine's.

        Must be called once before they start."""
        part = self.clock.with_suffix(".part")
        part.write_text(str(shift_s))
        part.replace(self.clock)

    def mend(self) -> None:
        """End the faults that have struck: start again, without one, what is gone; thaw the rest after a
        while, or give its disk room again. Any other end of a process is an error."""
        for name, part in list(self.parts.items()):
            gone = part.process.poll() is not None
            assert part.struck or not gone, (
                f"{name} ended with {part.process.returncode}:\n{part.log.read_text()[-3000:]}"
            )
            if not part.struck:
                continue
            if gone:
                part.end()
                self.restarts.append(part.fault)
                self.again(name)
            elif part.lifted or part.action == "raise":
                self._past(part)

    def _past(self, part: Part) -> None:
        self.restarts.append(part.fault)
        part.given, part.struck_at, part.lifted = SOUND, 0.0, False

    def thaw(self) -> None:
        """End the faults that have lasted long enough. Not left to who waits for a frozen process."""
        for part in list(self.parts.values()):
            if part.action in LASTING and part.struck and not part.lifted:
                part.lifted = time.monotonic() > part.struck_at + self.lasts_s
                if part.lifted:
                    part.lift()

    def again(self, name: str, fault: str = "") -> None:
        """Start one of the two anew."""
        {"server": self.serve, "runner": self.run_runner}[name](fault)

    def kill(self, name: str) -> None:
        self.parts.pop(name).end()

    def close(self) -> None:
        for agent in self.agents:
            if not agent.over:
                agent.process.kill()
            agent.process.wait(DEADLINE_S)
        for part in self.parts.values():
            part.end()

    # -- agents

    def agent(self, session: str, *, command: str = "", asks: int = 20, place: str = "") -> Agent:
        """Start one. Its command appends a line to a file outside the worktree, which counts the effect."""
        effects = self.root / "effects" / (place or session)
        effects.parent.mkdir(exist_ok=True)
        order = {
            "hook": self.hook,
            "token": self.names["agent"],
            "session": session,
            "cwd": str(self.repo),
            "command": command or gated(effects),
            "journal": str(self.root / f"{session}.journal"),
            "asks": asks,
        }
        process = subprocess.Popen(
            [sys.executable, "-I", AGENT, json.dumps(order)],
            cwd=self.repo,
            env={"PATH": os.environ["PATH"], "HOME": str(self.root)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        made = Agent(process, Path(str(order["journal"])), effects, session)
        self.agents.append(made)
        return made

    def exec(self, grant_id: str, fault: str = "") -> Ran:
        """`handfast exec` as the agent would call it."""
        self._executed += 1
        log = self.root / f"exec-{self._executed}.log"
        command = self.command(HANDFAST_TOKEN=self.names["agent"], HANDFAST_URL=self.url)
        return run(command, ["exec", grant_id, "--json"], log, Given(fault))

    # -- the API

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        token: str = "operator",
        key: str = "",
    ) -> httpx.Response:
        """One request, sent once. Raises httpx.HTTPError when no answer comes."""
        headers = self.credentials(token)
        if key:
            headers["Idempotency-Key"] = key
        with httpx.Client(timeout=DEADLINE_S, trust_env=False, verify=_TLS) as client:
            return client.request(method, self.url + path, json=body, headers=headers)

    def credentials(self, token: str) -> dict[str, str]:
        """Of an agent, a runner or an operator; `session` is Ana in her browser."""
        if token == "session":
            pages = f"{PAGES_NAME}:{self.server_port}"
            cookie = f"{COOKIE}={self.names['session']}"
            return {"Cookie": cookie, "Host": pages, "Origin": f"http://{pages}"}
        return {"Authorization": f"Bearer {self.names.get(token, token)}"}

    def ask(self, event: Json) -> httpx.Response:
        """One event at the runner's hook, as the agent's harness posts it."""
        headers = {"Authorization": f"Bearer {self.names['agent']}"}
        with httpx.Client(timeout=DEADLINE_S, trust_env=False, verify=_TLS) as client:
            return client.post(self.hook, json=event, headers=headers)

    def get(self, path: str) -> Json:
        answer = self.sure(lambda: self.call("GET", path))
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def sure(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send until it is answered, as a client with an idempotency key does."""

        def answered() -> httpx.Response | None:
            try:
                answer = send()
            except httpx.HTTPError:
                return None
            return None if answer.status_code == 503 else answer

        return self.until(answered, "an answer")

    def until(self, holds: Callable[[], T | None], what: str, within_s: float = DEADLINE_S) -> T:
        """What `holds` gives once it gives something, while killed processes are started again."""
        deadline = time.monotonic() + within_s
        while True:
            self.mend()
            found = holds()
            if found:
                return found
            assert time.monotonic() < deadline, f"{what} never came about: {self.story()}"
            time.sleep(0.03)

    def story(self) -> str:
        """What happened so far, for a failure's message."""
        rows = read_log(self.database).rows
        told = [f"{row.type} {row.stream}" for row in rows if row.type.partition(".")[0] in _TOLD]
        notes = [note for agent in self.agents for note in agent.notes]
        logs = [path.read_text()[-1500:] for path in self.root.glob("*.log")]
        return "\n".join(map(str, [self.restarts, *told, *notes, *logs]))

    # -- people

    def waiting(self, kind: str = "") -> list[Json]:
        found: list[Json] = self.get("/v1/handoffs?status=waiting")["items"]
        return [h for h in found if not kind or h["kind"] == kind]

    def handoffs(self) -> list[Json]:
        found: list[Json] = self.get("/v1/handoffs?status=all&limit=200")["items"]
        return found

    def handoff(self, handoff_id: str) -> Json:
        return self.get(f"/v1/handoffs/{handoff_id}")

    def decide(self, handoff: Json, kind: str = "approve", **more: object) -> Json:
        """Decide as Ana, in her browser; with her PIN where a clock may end her session. Sent with one key until it is answered; the answer must be 201."""
        handoff_id = handoff["handoff_id"]
        body = decision(self.handoff(handoff_id), kind, **more)
        path = f"/v1/handoffs/{handoff_id}/decisions"
        key, token = f"decide-{handoff_id}", "operator" if self.clock.exists() else "session"
        answer = self.sure(lambda: self.call("POST", path, body, token=token, key=key))
        assert answer.status_code == 201, answer.text
        self.witness.decided(handoff_id, key, kind)
        found: Json = answer.json()
        return found

    def collect(self) -> None:
        """Keep the newest published head, and whom people were told of, before a fault can undo either."""
        latest = self.home / "heads" / "latest"
        with suppress(FileNotFoundError):
            note = latest.read_text()
            if note not in self.witness.heads:
                self.witness.heads.append(note)
        log = self.root / "server.log"
        if log.exists():
            self.witness.told = set(_TOLD_OF.findall(log.read_text()))

    # -- what must hold

    def expect(self, effects: Path) -> None:
        """All actions that were asked so far and are not yet counted write to this file."""
        for row in read_log(self.database).rows:
            if row.type == "handoff.requested":
                digest = json.loads(row.data)["data"]["action_digest"]
                self.effects.setdefault(digest, effects)

    def prove(self) -> None:
        """The log is right now, and comes to rest right; each stored state is the fold of its events."""
        assert self.wrong(settled=False) == []
        self.until(lambda: not self.wrong(), "a log at rest")
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
            for name, value in self.command().environment.items():
                patch.setenv(name, value)
            code = main(["run", "replay", "--all", "--verify", "--json"])
        assert (code, json.loads(said.getvalue())["ok"]) == (0, True), said.getvalue()

    def wrong(self, *, settled: bool = True) -> list[str]:
        """What the checker says now."""
        self.collect()
        seen, effects = self.witness.until_now(), dict(self.effects)
        return check(read_log(self.database), effects, seen, settled=settled)

    def events(self, *types: str) -> list[Json]:
        rows = read_log(self.database).rows
        return [json.loads(row.data)["data"] for row in rows if row.type in types]


_TOLD_OF = re.compile(r"Waiting for a person .*/handoffs/(ho_\w+)")
_TOLD = ("handoff", "grant", "effect", "step", "run", "access", "coverage")


def decision(handoff: Json, kind: str, **more: object) -> Json:
    digest = handoff["presented_digest"]
    proof = {"person": PERSON, "pin": PIN, "reason": "looked at it"}
    return {"kind": kind, "presented_digest": digest, **proof, **more}


@contextmanager
def installed(
    root: Path,
    database: str,
    names: Json,
    made_as: type[Installation] = Installation,
    **settings: str,
) -> Iterator[Installation]:
    """An installation on a prepared database. Nothing runs yet; everything has ended afterwards.

    Its servers deliver: whatever waits must have been announced.
    """
    settings = {"RELAY": "on", **settings}
    repo = root / "repo"
    repo.mkdir()
    (repo / "README.md").write_text("hello\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *words], cwd=repo, check=True)
    made = made_as(root, database, names, {f"HANDFAST_{k}": v for k, v in settings.items()})
    made.witness.verifier = (made.home / "keys" / "signing.pub").read_text()
    remember(made)
    over = threading.Event()

    def collect() -> None:
        while not over.wait(COLLECT_S):
            made.collect()
            made.thaw()

    collecting = threading.Thread(target=collect, daemon=True)
    collecting.start()
    try:
        yield made
    finally:
        over.set()
        collecting.join()
        made.close()


def remember(made: Installation) -> None:
    """The record that `handfast hook install` leaves for the runner."""
    hook = state.InstalledHook(
        harness="claude-code",
        scope="project",
        settings_path=str(made.repo / ".claude" / "settings.local.json"),
        project=str(made.repo),
        url=made.hook,
        agent_id=made.names["agent_id"],
        agent_name="scripted",
        token=made.names["agent"],
        token_id="tok_00000000000000000000000000",
    )
    state.remember_hook(made.home, hook)
