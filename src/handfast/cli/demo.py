"""`handfast demo`: the whole way on this machine, with an example agent on a clone of this repository.

Everything is the product itself: a server and runner in a process of their own, the agent under the
hook, decisions over the API. Only the agent is an example: a plain script, see `demo_agent`.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from handfast.cli.control import Control, server
from handfast.cli.output import Json, say, say_json
from handfast.client import calls
from handfast.core.domain.errors import AdapterError, UsageError

AGENT_NAME = "example agent (a script)"
PORT = 8480
READY_WITHIN_S = 30
BRIEF = """\
intent: Readers should find the decision records in one place.
acceptance:
  - docs/decisions/README.md lists every record with its title
  - the template is gone
non_goals:
  - changing what a record says
scope:
  paths: [docs/decisions]
risk: medium
"""
FEEDBACK = "Please add the status of each record to the index."


def demo(
    *,
    answer: Literal["", "approve", "reject", "request-changes"] = "",
    repo: Path | None = None,
    as_json: Json = False,
) -> int:
    """Watch an example agent stop at a gate, wait for you, and hand its work over for review.

    Nothing of yours is touched: the work happens in a clone, in a temporary folder.

    Parameters
    ----------
    answer
        Decide everything this way and end with exit code 0, for scripts.
    repo
        The repository to clone. This project's own checkout when left out.
    """
    source = repo or _checkout()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="handfast-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stage = _Stage(folder, quiet=as_json)
        clone = _clone(source, folder / "clone")
        os.environ["HANDFAST_HOME"] = str(folder / "home")
        os.environ.pop("HANDFAST_DATABASE_URL", None)
        visitor = _set_up()
        url = stack.enter_context(_serving(stage))
        stage.say(f"Server, inbox and runner are ready on {url}")
        run_id = _start(clone, folder)
        ended = _Watch(stage, url, visitor, run_id, answer).to_the_end()
        result = _receipt(stage, clone, ended)
        if as_json:
            say_json(result)
        if not answer:
            _linger(stage, url)
    return 0


@dataclass(frozen=True, slots=True)
class _Stage:
    folder: Path
    quiet: bool

    def say(self, line: str = "") -> None:
        if not self.quiet:
            say(line)
            sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class _Visitor:
    login: str
    password: str
    pin: str


def _checkout() -> Path:
    """The git checkout this module is in."""
    for folder in Path(__file__).resolve().parents:
        if (folder / ".git").exists():
            return folder
    raise UsageError(
        "this Handfast does not run from a git checkout, so there is nothing to clone",
        hint="Name a repository of yours: handfast demo --repo PATH. It is only cloned.",
    )


def _git(*args: str, cwd: Path | None = None) -> str:
    done = subprocess.run(["git", *args], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AdapterError(f"git {args[0]} failed: {done.stderr.strip()[:400]}")
    return done.stdout.strip()


def _clone(source: Path, clone: Path) -> Path:
    """A clone on a branch of its own, whatever the checkout has checked out."""
    _git("clone", "-q", "--no-hardlinks", str(source), str(clone))
    _git("checkout", "-q", "-B", "main", cwd=clone)
    _git("config", "user.name", "Example agent", cwd=clone)
    _git("config", "user.email", "agent@example.invalid", cwd=clone)
    return clone


def _set_up() -> _Visitor:
    """An account for the visitor, through the same one-time invitation that `serve` prints."""
    from handfast.app import open_engine
    from handfast.engine.people import NewPerson

    visitor = _Visitor("visitor", secrets.token_urlsafe(9), f"{secrets.randbelow(10**6):06d}")
    engine = open_engine()
    try:
        new = NewPerson("Visitor", visitor.login, visitor.password, visitor.pin)
        engine.people.set_up(engine.people.invite(), new)
    finally:
        engine.close()
    return visitor


@contextmanager
def _serving(stage: _Stage) -> Iterator[str]:
    """`handfast serve` in a process of its own; the address of its pages. Ended on leaving."""
    log = stage.folder / "serve.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "handfast", "serve", "--runner-port", "0", "--json"]
        process = subprocess.Popen(
            [*command, "--port", str(_free_port())],
            stdout=subprocess.PIPE,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield _ready(process, log)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    """The usual port when it is free, else any."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def _ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address of the pages, from the one JSON document that `serve --json` prints."""
    text = b""
    deadline = time.monotonic() + READY_WITHIN_S
    stream = process.stdout
    while stream is not None and time.monotonic() < deadline:
        line = stream.readline()
        if not line:
            break
        text += line
        try:
            return str(json.loads(text)["pages_url"])
        except ValueError:
            continue
    raise AdapterError(
        f"the server did not start: {log.read_text('utf-8', 'replace').strip()[-600:]}",
        hint="Run `handfast serve` by itself to see what is wrong.",
    )


def _start(clone: Path, folder: Path) -> str:
    from handfast.cli.start import Order, place

    brief = folder / "brief.yaml"
    brief.write_text(BRIEF)
    agent = (sys.executable, "-m", "handfast.cli.demo_agent")
    order = Order(agent, str(clone), brief, "main", AGENT_NAME, "none", "enforce")
    return str(place(order, quiet=True).run["run_id"])


@dataclass(slots=True)
class _Watch:
    """Follows the run; tells the visitor what waits, or answers by itself."""

    stage: _Stage
    url: str
    visitor: _Visitor
    run_id: str
    answer: str
    control: Control = field(init=False)
    seen: set[str] = field(default_factory=set)
    told_login: bool = False
    reviews: int = 0

    def __post_init__(self) -> None:
        self.control = server()

    def to_the_end(self) -> dict[str, Any]:
        while True:
            run = self.control.send(calls.run(self.run_id))
            for handoff in self._all():
                self._look(handoff)
            if run["status"] == "ended":
                return run
            time.sleep(0.1)

    def _all(self) -> list[dict[str, Any]]:
        found = self.control.send(calls.handoffs("all", run_id=self.run_id))
        return list(reversed(found["items"]))

    def _look(self, handoff: dict[str, Any]) -> None:
        handoff_id = handoff["handoff_id"]
        if handoff["waiting"] and handoff_id not in self.seen:
            self.seen.add(handoff_id)
            self.stage.say()
            self.stage.say(f"A handoff waits ({handoff['kind']}): {handoff['ask']}")
            if self.answer:
                self._decide(handoff_id)
            else:
                self._tell(handoff_id)
        decided = f"{handoff_id}:decided"
        if handoff["decision"] and decided not in self.seen:
            self.seen.add(decided)
            decision = handoff["decision"]
            words = f": {decision['reason']}" if decision["reason"] else ""
            self.stage.say(f"  decided by {decision['by_name']}: {decision['kind']}{words}")

    def _tell(self, handoff_id: str) -> None:
        self.stage.say(f"  Open it:  {self.url}/handoffs/{handoff_id}")
        if not self.told_login:
            self.told_login = True
            self.stage.say(f"  Sign in as `{self.visitor.login}` with `{self.visitor.password}`.")
            self.stage.say("  The agent waits until you decide. Ctrl-C ends the demo.")

    def _decide(self, handoff_id: str) -> None:
        """The given answer. Asked for changes once, a second review is approved."""
        full = self.control.send(calls.handoff(handoff_id))
        kind = self.answer.replace("-", "_")
        if full["kind"] == "review":
            self.reviews += 1
            kind = "approve" if kind == "request_changes" and self.reviews > 1 else kind
        reason = {"approve": "As the brief asks.", "request_changes": FEEDBACK}
        self.control.send(
            calls.decide(
                handoff_id,
                kind,
                full["presented_digest"],
                reason=reason.get(kind, "Not wanted."),
                person=self.visitor.login,
                pin=self.visitor.pin,
            )
        )


def _receipt(stage: _Stage, clone: Path, run: dict[str, Any]) -> dict[str, Any]:
    """What came of it, and the record of it, verified."""
    outcome = str(run.get("outcome", ""))
    head = _git("log", "-1", "--format=%h %s", "main", cwd=clone)
    entries, verified = _verified(stage.folder)
    stage.say()
    stage.say(f"The run ended: {outcome}. main of the clone is now at: {head}")
    stage.say(f"The record of it: {entries} entries, {verified}.")
    return {"run_id": run["run_id"], "outcome": outcome, "head": head, "entries": entries}


def _verified(folder: Path) -> tuple[int, str]:
    """Export the log as an auditor would get it, and verify that file with the public key."""
    bundle = folder / "record.hfbundle"
    _handfast("audit", "export", str(bundle))
    key = folder / "home" / "keys" / "signing.pub"
    report = json.loads(_handfast("audit", "verify", str(bundle), "--key", str(key), "--json"))
    if not report["ok"]:
        raise AdapterError("the exported record did not verify", hint=str(bundle))
    return int(report["entries"]), "exported and verified with the public key"


def _handfast(*args: str) -> str:
    command = [sys.executable, "-m", "handfast", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AdapterError(f"handfast {' '.join(args[:2])}: {done.stderr.strip()[-400:]}")
    return done.stdout


def _linger(stage: _Stage, url: str) -> None:
    stage.say()
    stage.say(f"Look around: {url} . Ctrl-C ends the demo and removes its folder.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        stage.say("The demo is over.")
