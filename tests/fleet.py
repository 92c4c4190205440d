"""Runners in processes and folders of their own, as on several machines, and agents that know no harness.

The server runs in the test. Each runner has a home, a data folder, a token and a host name of its own; what
they share is the network and the repository. `place` is the folder where agents leave their traces.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handfast.core.domain.events import SYSTEM, from_bytes
from handfast.core.domain.events_work import CoverageGap, RunLeased, RunReleased
from handfast.engine.runners import NewRunner
from tests.repositories import git
from tests.run_bench import Json, RunBench, plain_environment

SRC = Path(__file__).parents[1] / "src"
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
    process: "subprocess.Popen[bytes]"

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
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def told_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ends(self) -> int:
        return self.process.wait(60)


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
            "HANDFAST_AGENT_ENV": "PLACE",
            "PLACE": str(self.root),
            "PYTHONPATH": str(SRC),
            **({"HANDFAST_FAULT": fault} if fault else {}),
            **variables,
        }
        given = ["--server", self.server.url, "--token-file", str(home / "token"), "--port", "0"]
        log = home / "log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "handfast", "runner", *given, *map(str, words)],
                env=environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        machine = Machine(name, home, log, process)
        self.machines.append(machine)
        return machine

    def machine(self, name: str, *words: object, host: str = "", fault: str = "") -> Machine:
        self.add(name)
        return self.start(name, *words, host=host, fault=fault)

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

    def _events(self, run_id: str) -> list[object]:
        return list(self.engine.kernel.store.events(stream=f"run/{run_id}", limit=5000))  # type: ignore[return-value]

    def listed(self, name: str) -> Json:
        return next(dict(r) for r in self.engine.runners.all() if r["name"] == name)

    def known(self, name: str) -> None:
        self.until(f"{name} at work", lambda: self.listed(name)["state"] in ("idle", "working"))


@contextlib.contextmanager
def fleet(root: Path, repository: Path, *, shared: bool) -> Iterator[Fleet]:
    """With a folder that all see, or with an origin that each of them fetches from and pushes to."""
    made = Fleet(root, repository, plain_environment())
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
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


