"""An installation whose agents are contained: a home folder with secrets, and agents that say what they could do."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handfast.core.domain.containment import Contained, Containment
from handfast.runner.containment.probe import probe
from tests import needs
from tests.repositories import new_repository
from tests.run_bench import RunBench, plain_environment

SECRETS = (
    ".ssh/id_ed25519", ".aws/credentials", ".config/gh/hosts.yml", ".netrc", ".git-credentials",
    ".mozilla/firefox/cookies.sqlite", ".local/share/keyrings/login.keyring", ".cargo/credentials.toml",
    ".bash_history",
)  # fmt: skip
# Tries each thing by its name and writes what became of it.
PRELUDE = """
import json, os, socket, subprocess, sys, urllib.request
found = {}
def tried(name, act):
    try:
        found[name] = act()
    except BaseException as error:
        found[name] = type(error).__name__
def sh(command):
    return subprocess.run(command, shell=True, capture_output=True).returncode
def put(path):
    with open(path, 'a') as file: file.write('x')
    return 'written'
def reach(host, port):
    with socket.create_connection((host, port), 5): return 'reached'
"""
EPILOGUE = """
with open('found.json', 'w') as file: json.dump(found, file)
"""


def needs_bwrap() -> None:
    """Skip where no sandbox can be made, or fail where it must."""
    found = probe(os.environ.get("PATH", ""))
    if not found.works:
        needs.missing("bwrap", found.reason)


class ContainedBench(RunBench):
    """`person` owns a home folder outside the sandbox's own folders as well as inside."""

    @classmethod
    def made(cls, root: Path, **variables: str) -> "ContainedBench":
        home = root / "home"
        for name in (*SECRETS, "notes.txt", ".cargo/bin/tool"):
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("secret" if name in SECRETS else "plain")
        environment = {**plain_environment(), "HOME": str(home), **variables}
        return cls(root, new_repository(root / "repo"), environment)

    @contextmanager
    def open(self) -> Iterator["ContainedBench"]:
        with self.serving():
            yield self

    @property
    def person_home(self) -> Path:
        return self.root / "home"

    def worktree(self, run_id: str) -> Path:
        return self.home / "worktrees" / run_id

    def start(self, *command: str, hosts: tuple[str, ...] = (), require: bool = True) -> str:
        want = Contained.REQUIRE if require else Contained.AUTO
        return self.order(*command, contain=Containment(want, hosts))

    def tries(self, script: str, hosts: tuple[str, ...] = ()) -> dict[str, Any]:
        """What an agent found that ran the lines of `script`, each a `tried(name, function)`."""
        run_id = self.start(sys.executable, "-c", PRELUDE + script + EPILOGUE, hosts=hosts)
        self.until("its end", lambda: self.run(run_id)["status"] in ("paused", "ended"))
        run = self.run(run_id)
        assert run["status"] == "paused", run
        self.last = run_id
        found = json.loads((self.worktree(run_id) / "found.json").read_text())
        assert isinstance(found, dict)
        return found
