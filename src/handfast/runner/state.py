"""What the runner keeps in files of the data folder: its address, and the hooks that were installed."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

RUNNER_FILE: Final = "runner.json"
HOOKS_FILE: Final = "hooks.json"


@dataclass(frozen=True, slots=True)
class InstalledHook:
    """A hook written into a settings file. Holds the agent's token, so the file is the owner's alone.

    `project` is the repository's folder, empty for a hook of the whole account.
    """

    harness: str
    scope: str  # project, user
    settings_path: str
    project: str
    url: str
    agent_id: str
    agent_name: str
    token: str
    token_id: str
    expires_at: str = ""


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; readable by its owner alone."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def installed_hooks(home: Path) -> list[InstalledHook]:
    """Empty when there is no record that can be read."""
    found = _object(home / HOOKS_FILE).get("hooks")
    hooks: list[InstalledHook] = []
    for each in found if isinstance(found, list) else []:
        try:
            hooks.append(InstalledHook(**each))
        except TypeError:
            continue
    return hooks


def remember_hook(home: Path, hook: InstalledHook) -> None:
    """One record for each settings file: a new one replaces the old."""
    others = [h for h in installed_hooks(home) if h.settings_path != hook.settings_path]
    _write_hooks(home, [*others, hook])


def forget_hook(home: Path, settings_path: str) -> InstalledHook | None:
    """The record that was removed."""
    hooks = installed_hooks(home)
    found = next((h for h in hooks if h.settings_path == settings_path), None)
    if found is not None:
        _write_hooks(home, [h for h in hooks if h is not found])
    return found


def hook_at(home: Path, folder: Path) -> InstalledHook | None:
    """The hook that covers a folder: the innermost project's, else the account's."""
    covering = [
        h
        for h in installed_hooks(home)
        if not h.project or folder == Path(h.project) or Path(h.project) in folder.parents
    ]
    return max(covering, key=lambda h: len(h.project), default=None)


def _write_hooks(home: Path, hooks: list[InstalledHook]) -> None:
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(
        home / HOOKS_FILE, json.dumps({"hooks": [asdict(h) for h in hooks]}, indent=2) + "\n"
    )


class InstalledTokens:
    """Agents of installed hooks by hash of their token; read again when the record changes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._seen: tuple[int, int] = (-1, -1)
        self._agents: dict[str, str] = {}

    def __call__(self) -> Mapping[str, str]:
        with self._lock:
            try:
                status = (self._home / HOOKS_FILE).stat()
                seen = (status.st_mtime_ns, status.st_ino)
            except OSError:
                seen = (0, 0)
            if seen != self._seen:
                self._seen = seen
                self._agents = {
                    sha256(h.token.encode()).hexdigest(): h.agent_id
                    for h in installed_hooks(self._home)
                }
            return self._agents


def write_runner_file(home: Path, url: str, pid: int) -> None:
    """Leave the runner's address for `hook status` and `doctor`."""
    write_private(home / RUNNER_FILE, json.dumps({"url": url, "pid": pid}) + "\n")


def remove_runner_file(home: Path, pid: int) -> None:
    if _object(home / RUNNER_FILE).get("pid") == pid:
        (home / RUNNER_FILE).unlink(missing_ok=True)


def runner_url(home: Path) -> str:
    """Where the runner said it listens; '' when it did not."""
    url = _object(home / RUNNER_FILE).get("url")
    return url if isinstance(url, str) else ""


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
