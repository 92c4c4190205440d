"""A PostgreSQL server to throw away: its own data folder, a Unix socket, no port.

For tests it runs without durability; a benchmark takes `DURABLE`, where a commit is on the disk.

Runs as the current user, or as `nobody` where the tests run as root (PostgreSQL refuses root).
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NotRequired, TypedDict

import psycopg
from psycopg import sql

NOBODY = 65534
START_TIMEOUT_S = 30
# A Unix socket's path has room for 107 bytes: the system's short folder, not TMPDIR.
PARENT = "/tmp"
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "listen_addresses": "",
}
DURABLE = {
    **FAST,
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
}


class _User(TypedDict):
    user: NotRequired[int]
    group: NotRequired[int]
    extra_groups: NotRequired[list[int]]


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest of Debian's first, else from PATH."""
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    found = [
        *sorted(installed, key=lambda path: _version(path.parent.name), reverse=True),
        *(Path(program).resolve().parent for program in [shutil.which("initdb")] if program),
    ]
    return next((path for path in found if os.access(path / "initdb", os.X_OK)), None)


def _version(name: str) -> int:
    digits = re.match(r"\d+", name)
    return int(digits[0]) if digits else 0


@dataclass
class Postgres:
    """A running server. `create` and `drop` make and remove databases on it."""

    url: str
    _made: int = field(default=0, init=False)

    def create(self, like: str = "") -> str:
        """A fresh database, empty or a copy of the one behind the URL `like`, which nobody uses meanwhile;
        returns its URL."""
        self._made += 1
        name = f"t{os.getpid()}_{self._made}"
        if like:
            self._run("CREATE DATABASE {} TEMPLATE {}", name, _name(like))
        else:
            self._run("CREATE DATABASE {}", name)
        return re.sub(r"/[^/?]+(\?|$)", rf"/{name}\1", self.url, count=1)

    def drop(self, url: str) -> None:
        """Remove the database behind `url`, cutting connections that are still open."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(url))

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _name(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


@contextmanager
def running(
    folder_of_binaries: Path, settings: Mapping[str, str] = MappingProxyType(FAST)
) -> Iterator[Postgres]:
    """A fresh server until the block ends; then nothing of it is left."""
    home = Path(tempfile.mkdtemp(prefix="hf-pg-", dir=PARENT))
    user = _User()
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
        user = _User(user=NOBODY, group=NOBODY, extra_groups=[])
    try:
        _initialise(folder_of_binaries, home, user)
        with (home / "log").open("wb") as log:
            server = _start(folder_of_binaries, home, user, log.fileno(), settings)
        try:
            _wait(server, home)
            yield Postgres(f"postgresql://postgres@/postgres?host={home}")
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait()
    finally:
        shutil.rmtree(home)


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "HOME": str(home), "TZ": "UTC"}


def _initialise(folder: Path, home: Path, user: _User, *more: str) -> None:
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale", *more]
    done = subprocess.run(
        [folder / "initdb", "-D", home / "data", *options],
        cwd="/",
        env=_environment(home),
        capture_output=True,
        text=True,
        check=False,
        **user,
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed: {done.stderr[-1500:]}")


def _start(
    folder: Path, home: Path, user: _User, log: int, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return subprocess.Popen(
        [folder / "postgres", "-D", home / "data", "-k", home, *options],
        cwd="/",
        env=_environment(home),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        **user,
    )


def _wait(server: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _accepts(home):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {(home / 'log').read_text()[-1500:]}")
        time.sleep(0.02)


def _accepts(home: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(home / ".s.PGSQL.5432"))
    except OSError:
        return False
    return "ready to accept connections" in (home / "log").read_text()
