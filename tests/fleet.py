"""Runners in processes and folders of their own, as on several machines, and agents that know no harness.

The server runs in the test. Each runner has a home, a data folder, a token and a host name of its own; what
they share is the network and the repository. `place` is the folder where agents leave their traces.
"""

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handfast.core.domain.events import SYSTEM, from_bytes
from handfast.core.domain.events_work import CoverageGap, RunLeased, RunReleased
from handfast.engine.runners import NewRunner
from handfast.storage.api import EventRow
from tests.nursery import SRC, Born, nursery
from tests.repositories import git
from tests.run_bench import Json, RunBench, plain_environment
from tests.stillness import freeze, state_of_process

STUB = Path(__file__).with_name("stub_claude.py")
LEASE_S = 2
# One gated command through the hook, then the end; notes each start.
HOOKED = """
import os, sys
from handfast.cli.demo_agent import Session
with open(os.environ["PLACE"] + "/starts", "a") as notes:
    notes.write(os.environ["HANDFAST_RUN_ID"] + "\\n")
sys.exit(0 if Session().run(sys.argv[1]) else 4)
"""


@dataclass
class Machine:
    """A runner's process and what is its own."""

    name: str
    home: Path
    log: Path
    process: Born

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        freeze(self.process.pid)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def told_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ends(self) -> int:
        return self.process.wait(120)


class Fleet(RunBench):
    machines: list[Machine]
    origin: str = ""

    def add(self, name: str, **terms: tuple[str, ...]) -> Path:
        """Register a runner. Gives the file with its token."""
        made = self.engine.runners.add(SYSTEM, NewRunner(name, **terms))
        home = self.root / name
        home.mkdir(exist_ok=True)
        path = home / "token"
        path.write_text(f"{made['token']}\n")
        path.chmod(0o600)
        return path

    def start(
        self, name: str, *words: object, host: str = "", fault: str = "", **variables: str
    ) -> Machine:
        """A process for a registered runner, on a machine of its own name unless `host` says another."""
        home = self.root / name
        environment = {
            **self.environment,
            "HOME": str(home),
            "HANDFAST_HOME": str(home / "data"),
            "HANDFAST_HOST": host or name,
            "HANDFAST_AGENT_ENV": "PLACE,STUB_*",
            "PLACE": str(self.root),
            "PYTHONPATH": str(SRC),
            **({"HANDFAST_FAULT": fault} if fault else {}),
            **variables,
        }
        given = ["--token-file", str(home / "token"), "--port", "0"]
        if "--server" not in words:
            given += ["--server", self.server.url]
        log = home / "log"
        with log.open("ab") as out:
            process = nursery().start(
                ["runner", *given, *words], environment, home, stdout=out, stderr=out
            )
        machine = Machine(name, home, log, process)
        self.machines.append(machine)
        return machine

    def machine(
        self, name: str, *words: object, host: str = "", fault: str = "", **variables: str
    ) -> Machine:
        """Registered and started."""
        self.add(name)
        return self.start(name, *words, host=host, fault=fault, **variables)

    def close(self) -> None:
        for machine in self.machines:
            if machine.process.poll() is None:
                machine.thaw()
                machine.kill()

    # -- what agents do and leave

    def hooked(self, command: str) -> list[str]:
        path = self.root / "agent.py"
        path.write_text(HOOKED)
        return [sys.executable, str(path), command.replace("PLACE", str(self.root))]

    def claude(self) -> list[str]:
        """The stand-in, which makes one call: STUB_COMMAND."""
        path = self.root / "claude"
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{STUB}" "$@"\n')
        path.chmod(0o755)
        return [str(path), "-p", "go"]

    def lines(self, name: str) -> list[str]:
        path = self.root / name
        return path.read_text().split() if path.exists() else []

    # -- what is on record

    def held(self, run_id: str) -> list[tuple[str, int]]:
        """Who leased it, by host, with each epoch."""
        events = [from_bytes(row.data).event for row in self._events(run_id)]
        return [(e.host, e.epoch) for e in events if isinstance(e, RunLeased)]

    def gaps(self, run_id: str, kind: str) -> list[str]:
        events = [from_bytes(row.data).event for row in self._events(run_id)]
        return [e.detail for e in events if isinstance(e, CoverageGap) and e.kind == kind]

    def released(self, run_id: str) -> list[str]:
        events = [from_bytes(row.data).event for row in self._events(run_id)]
        return [e.reason for e in events if isinstance(e, RunReleased)]

    def _events(self, run_id: str) -> list[EventRow]:
        return self.engine.kernel.store.events(stream=f"run/{run_id}", limit=5000)

    def listed(self, name: str) -> Json:
        return next(dict(r) for r in self.engine.runners.all() if r["name"] == name)

    def known(self, name: str) -> None:
        self.until(f"{name} at work", lambda: self.listed(name)["state"] in ("idle", "working"))


class Wire:
    """The network between a runner and the server, which can be cut: nothing comes through, and nobody says so."""

    def __init__(self, url: str) -> None:
        self._to = url.rpartition("/")[2].partition(":")[::2]
        self._cut = False
        self._pairs: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._cut = True

    def mend(self) -> None:
        """Connections from before are dead."""
        pairs, self._pairs = self._pairs, []
        self._cut = False
        for each in pairs:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.mend()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection((self._to[0], int(self._to[1])))
            self._pairs += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._cut:
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def fleet(root: Path, repository: Path, *, shared: bool, database: str = "") -> Iterator[Fleet]:
    """With a folder that all see, or with an origin that each of them fetches from and pushes to."""
    made = Fleet(root, repository, plain_environment())
    made.database = database or made.database
    made.machines = []
    if not shared:
        origin = root / "origin.git"
        git(root, "clone", "-q", "--bare", str(repository), str(origin))
        made.origin = f"file://{origin}"
    with made.serving(supervise=False):
        try:
            yield made
        finally:
            made.close()


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    return state_of_process(pid) not in ("", "Z")
