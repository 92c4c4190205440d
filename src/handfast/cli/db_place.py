"""Which database a `handfast db` command works on, and how far it is."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from handfast.cli.place import find
from handfast.client.discovery import data_folder
from handfast.core.domain.errors import InvalidTransition, UsageError

if TYPE_CHECKING:
    from handfast.engine.database.secrets import Secrets

EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """`shown` is the URL without its password."""

    home: Path
    url: str
    shown: str

    @property
    def file(self) -> Path | None:
        """Of SQLite."""
        kind, _, path = self.url.partition(":///")
        return Path(path) if kind == "sqlite" and path else None

    def must_exist(self) -> None:
        """Raises UsageError: a look at nothing does not make a database."""
        if self.file is not None and not self.file.exists():
            raise UsageError(
                f"there is no database `{self.file}`",
                hint="`handfast serve` makes one. HANDFAST_DATABASE_URL or HANDFAST_HOME says where it is.",
            )

    def nobody_serves(self, why: str) -> None:
        """Raises InvalidTransition while a server of this data folder runs."""
        other = find(self.home)
        if other is not None:
            raise InvalidTransition(
                f"a server runs for `{self.home}`: {other.url}, process {other.pid}",
                code="server_running",
                hint=f"Stop it first: {why}",
            )


def place_of(database: str) -> DatabasePlace:
    """The option, else HANDFAST_DATABASE_URL, else the file in the data folder."""
    from handfast.app import database_url, shown_url

    home = data_folder()
    url = database or database_url(home)
    return DatabasePlace(home, url, shown_url(url))


def keys_at_hand(home: Path) -> "Secrets":
    from handfast.engine.database.secrets import Secrets

    return Secrets.of(home)


class Progress:
    """One line on a terminal, rewritten; nothing anywhere else."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._width = 0
        self._on = sys.stderr.isatty()

    def told(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if not self._on or now - self._shown < EVERY_S:
            return
        self._shown = now
        share = f" {100 * done // of}%" if of else ""
        self._write(f"{what}: {done:,} of {of:,}{share}")

    def _write(self, line: str) -> None:
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._width:
            self._write("")
            sys.stderr.write("\r")
