"""A PostgreSQL of a test's own that is durable and can be killed, frozen, filled up and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests import postgres
from tests.postgres import FAST, NOBODY, PARENT, Postgres, _User
from tests.stillness import freeze

DURABLE = {
    **FAST,
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "16MB",
    "max_wal_size": "4MB",
    "min_wal_size": "2MB",
}
RESTART_S = 60.0


@dataclass
class Durable:
    """It survives what is done to it. `home` holds its data folder, socket and log."""

    binaries: Path
    home: Path
    user: _User
    settings: dict[str, str] = field(default_factory=lambda: dict(DURABLE))
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.home}"

    @property
    def socket(self) -> str:
        return str(self.home / ".s.PGSQL.5432")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it takes connections, after whatever it had to recover."""
        deadline = time.monotonic() + RESTART_S
        while not self._started():
            assert time.monotonic() < deadline, (self.home / "log").read_text()[-3000:]
            time.sleep(0.05)

    def _started(self) -> bool:
        """A killed one's children may still hold its memory; then it does not start yet."""
        if self._process is None or self._process.poll() is not None:
            with (self.home / "log").open("ab") as log:
                self._process = postgres._start(
                    self.binaries, self.home, self.user, log.fileno(), self.settings
                )
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self, *, children: bool = False) -> None:
        """SIGKILL to the postmaster; its children end when they notice, or are killed with it."""
        assert self._process is not None
        before = self.family() if children else []
        self._process.kill()
        self._process.wait()
        for pid in before:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def family(self) -> list[int]:
        """The postmaster's children."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(word) for word in path.read_text().split()]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of it moves."""
        pids = [self.pid, *self.family()]
        for pid in pids:
            freeze(pid)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def cut_connections(self) -> None:
        """End every other session, as an administrator may."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    @contextmanager
    def used_up(self) -> Iterator[int]:
        """Every connection that it gives is taken by somebody else. Gives how many those are."""
        taken: list[psycopg.Connection] = []
        try:
            self.cut_connections()
            while True:
                try:
                    taken.append(psycopg.connect(self.url, connect_timeout=2))
                except psycopg.OperationalError as error:
                    if "too many clients" in str(error) or "reserved" in str(error):
                        break
            yield len(taken)
        finally:
            for each in taken:
                each.close()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(RESTART_S)


@contextmanager
def durable(binaries: Path, *, space: str = "", **settings: str) -> Iterator[Durable]:
    """A fresh one, started. With `space` (`64m`) it lies on a disk of that size: root only."""
    home = Path(tempfile.mkdtemp(prefix="hf-pg-", dir=PARENT))
    user = _User()
    with _disk(home, space):
        if os.geteuid() == 0:
            os.chown(home, NOBODY, NOBODY)
            user = _User(user=NOBODY, group=NOBODY, extra_groups=[])
        made = Durable(binaries, home, user, {**DURABLE, **settings})
        try:
            postgres._initialise(binaries, home, user, "--wal-segsize=1")
            made.start()
            yield made
        finally:
            made.stop()


@contextmanager
def _disk(home: Path, space: str) -> Iterator[None]:
    """A file system in memory; what is asked of it is only that it becomes full."""
    if space:
        options = f"size={space}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "handfast", home], check=True)
    try:
        yield
    finally:
        if space:
            subprocess.run(["umount", "-l", home], check=True)
        shutil.rmtree(home)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Nothing more goes onto the disk of this folder."""
    balloon = folder / "balloon"
    block = bytes(65_536)
    try:
        with balloon.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(block)
        with balloon.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x")
        yield
    finally:
        balloon.unlink()


@contextmanager
def copied(server: Postgres, original: str) -> Iterator[str]:
    """The URL of a copy of a database that nothing is connected to. It is gone afterwards."""
    url = server.create()
    names = [sql.Identifier(str(conninfo_to_dict(each)["dbname"])) for each in (url, original)]
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(names[0]))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    try:
        yield url
    finally:
        server.drop(url)
