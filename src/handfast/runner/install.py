"""`handfast hook install` and `uninstall`: our hook in Claude Code's settings files."""

import hashlib
import json
import os
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from handfast.client import Client, calls
from handfast.client.request import Json
from handfast.core.domain.errors import HandfastError, UsageError
from handfast.runner import hook_settings as pure
from handfast.runner import state
from handfast.runner.hook_status import (
    Source,
    project_root,
    read_source,
    settings_path,
    warnings,
)
from handfast.runner.state import InstalledHook

HARNESS: Final = "claude-code"
TIMEOUT_S: Final = 600


@dataclass(frozen=True, slots=True)
class Installed:
    """`changed` is false when everything stood there already. `notes` are for the person."""

    path: Path
    scope: str
    agent_id: str
    agent_name: str
    mode: str
    changed: bool
    notes: tuple[str, ...] = ()


def install(
    client: Client,
    home: Path,
    runner_url: str,
    *,
    scope: str,
    project: Path,
    agent_name: str = "",
) -> Installed:
    """Write the hook into the project's local settings, or the user's. Idempotent.

    Other settings stay as they are, the file as it was is kept in the data folder. Needs the operator's
    credential, for the agent's token. Raises UsageError for a file that cannot be read or has hooks
    switched off; then nothing was changed.
    """
    root = project_root(project)
    source = read_source(scope, _real(settings_path(scope, root)))
    if source.settings is None:
        raise UsageError(
            f"`{source.path}` {source.problem}",
            code="settings_unreadable",
            hint="Repair the file, then install again; nothing was changed.",
        )
    url = runner_url.rstrip("/") + pure.PATH
    rules = pure.guard_rules(home)
    pure.with_hook(source.settings, url, "", TIMEOUT_S, rules)  # refuses before a token is made
    name = agent_name or f"{HARNESS}@{socket.gethostname()}"[:100]
    record, old = _credential(client, home, source.path, name, url, scope, root)
    made = pure.with_hook(source.settings, url, record.token, TIMEOUT_S, rules)
    changed = made != source.settings
    if changed:
        _keep_original(home, source)
        _write(source.path, made)
    state.remember_hook(home, record)
    mode = str(client.send(calls.hook_status())["mode"])
    client.send(calls.hook_installed(HARNESS, scope, record.agent_id, mode))
    if old is not None and old.token_id != record.token_id:
        _revoke(client, old.token_id)
    notes = (*_ignore(root, source.path, scope), *warnings(root, url))
    return Installed(source.path, scope, record.agent_id, name, mode, changed, notes)


def _credential(
    client: Client, home: Path, path: Path, name: str, url: str, scope: str, root: Path
) -> tuple[InstalledHook, InstalledHook | None]:
    """The record with a token that works now: the one at hand, or a new one. And the record before."""
    old = next((h for h in state.installed_hooks(home) if h.settings_path == str(path)), None)
    agent_id = _agent(client, name)
    project = str(root) if scope == "project" else ""
    if old is not None and old.agent_id == agent_id and _works(client, old.token):
        return InstalledHook(**{**asdict(old), "url": url, "project": project}), old
    issued = client.send(calls.issue_token(agent_id))
    made = InstalledHook(
        harness=HARNESS,
        scope=scope,
        settings_path=str(path),
        project=project,
        url=url,
        agent_id=agent_id,
        agent_name=name,
        token=str(issued["token"]),
        token_id=str(issued["token_id"]),
        expires_at=str(issued.get("expires_at", "")),
    )
    return made, old


def _agent(client: Client, name: str) -> str:
    for agent in client.send(calls.agents()):
        if agent.get("name") == name:
            return str(agent["agent_id"])
    return str(client.send(calls.add_agent(name, HARNESS))["agent_id"])


def _works(client: Client, token: str) -> bool:
    with client.with_token(token) as as_agent:
        try:
            as_agent.send(calls.hook_status())
        except HandfastError:
            return False
    return True


def _revoke(client: Client, token_id: str) -> bool:
    try:
        client.send(calls.revoke_token(token_id))
    except HandfastError:
        return False
    return True


def _keep_original(home: Path, source: Source) -> None:
    if not source.exists:
        return
    folder = home / "backups"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = hashlib.sha256(str(source.path).encode()).hexdigest()[:12]
    kept = folder / f"{mark}-{source.path.name}"
    if not kept.exists():
        state.write_private(kept, source.path.read_text("utf-8"))


def _write(path: Path, settings: Json) -> None:
    """The file holds a token, so it is its owner's alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state.write_private(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def _real(path: Path) -> Path:
    """A link stays a link: what it points to is written."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _ignore(root: Path, path: Path, scope: str) -> tuple[str, ...]:
    """Keep the file with the token out of commits, in this clone only."""
    if scope != "project" or not path.is_relative_to(root):
        return ()
    git = ["git", "-C", str(root)]
    name = path.relative_to(root).as_posix()
    tracked = subprocess.run(
        [*git, "ls-files", "--error-unmatch", name], capture_output=True, check=False
    )
    if tracked.returncode == 0:
        return (f"git tracks `{name}`, and it now holds a token: do not commit it.",)
    ignored = subprocess.run([*git, "check-ignore", "-q", name], capture_output=True, check=False)
    if ignored.returncode != 1:
        return ()
    found = subprocess.run(
        [*git, "rev-parse", "--git-path", "info/exclude"],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        return ()
    exclude = root / found.stdout.removesuffix("\n")
    exclude.parent.mkdir(parents=True, exist_ok=True)
    text = exclude.read_text("utf-8") if exclude.exists() else ""
    gap = "" if not text or text.endswith("\n") else "\n"
    exclude.write_text(f"{text}{gap}/{name}\n", encoding="utf-8")
    return (f"`{name}` was added to `.git/info/exclude`, because it holds a token.",)


def uninstall(client: Client | None, home: Path, *, scope: str, project: Path) -> Json:
    """Take our hook out of the file, and only that; revoke its token. Idempotent.

    Works without a server: then the token stays valid until it expires, and the answer says so.
    """
    root = project_root(project)
    source = read_source(scope, _real(settings_path(scope, root)))
    if source.settings is None:
        raise UsageError(
            f"`{source.path}` {source.problem}",
            code="settings_unreadable",
            hint="Take the hook out by hand: it is the entry that posts to `/hooks/claude-code`.",
        )
    made = pure.without_hook(source.settings, pure.guard_rules(home))
    changed = made != source.settings
    if changed:
        if made.get(pure.SWITCH) is False:
            del made[pure.SWITCH]  # stood there for our hook
        if made:
            _write(source.path, made)
        else:
            source.path.unlink()
    record = state.forget_hook(home, str(source.path))
    revoked = bool(record and client is not None and _revoke(client, record.token_id))
    return {
        "path": str(source.path),
        "changed": changed,
        "token_revoked": revoked,
        "token_left": bool(record) and not revoked,
    }
