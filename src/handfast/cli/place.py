"""Where a server of this installation runs: `server.json` in the data folder, written by `serve`."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = "server.json"


@dataclass(frozen=True, slots=True)
class Place:
    """A server that runs now. `started_at` is RFC 3339."""

    url: str
    pid: int
    started_at: str


def find(home: Path) -> Place | None:
    """The server of this data folder, or None when none runs: the file of a dead one is stale."""
    try:
        data = json.loads((home / FILE).read_bytes())
        place = Place(str(data["url"]), int(data["pid"]), str(data["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return place if _alive(place.pid) else None


def announce(home: Path, place: Place) -> None:
    """Write the file: complete or not at all, readable by its owner only."""
    aside = home / f".{FILE}.{os.getpid()}"
    text = json.dumps({"url": place.url, "pid": place.pid, "started_at": place.started_at})
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    aside.replace(home / FILE)


def withdraw(home: Path, pid: int) -> None:
    """Remove the file if it is still ours."""
    place = find(home)
    if place is not None and place.pid == pid:
        with suppress(OSError):
            (home / FILE).unlink()


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
