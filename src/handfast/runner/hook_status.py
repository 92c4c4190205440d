"""`handfast hook status`: every settings file Claude Code reads, and whether the hook in them holds."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.client import Client, calls
from handfast.client.request import Json
from handfast.core.domain.errors import HandfastError
from handfast.runner import hook_settings as pure
from handfast.runner import state

MANAGED: Final = (
    Path("/etc/claude-code/managed-settings.json"),
    Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
)
_PROXIES: Final = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)
_OFF_SWITCHES: Final = ("CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_SAFE_MODE")


@dataclass(frozen=True, slots=True)
class Source:
    """A settings file Claude Code reads, strongest first. `settings` is None when it cannot be read."""

    scope: str
    path: Path
    exists: bool
    settings: Json | None
    problem: str = ""


def claude_folder() -> Path:
    """Claude Code's own folder: CLAUDE_CONFIG_DIR, else `~/.claude`."""
    named = os.environ.get("CLAUDE_CONFIG_DIR")
    return Path(named).expanduser() if named else Path.home() / ".claude"


def project_root(folder: Path) -> Path:
    """The repository a folder lies in, else the folder."""
    ran = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--show-toplevel"],
        capture_output=True,
        text=True,
        check=False,
    )
    top = ran.stdout.removesuffix("\n")
    return Path(top) if ran.returncode == 0 and top.startswith("/") else folder.absolute()


def settings_path(scope: str, project: Path) -> Path:
    if scope == "user":
        return claude_folder() / "settings.json"
    return project / ".claude" / "settings.local.json"


def sources(project: Path) -> list[Source]:
    """Every file that counts for a session in the project, strongest first."""
    places = [("managed", path) for path in MANAGED if path.exists()]
    places += [
        ("local", project / ".claude" / "settings.local.json"),
        ("project", project / ".claude" / "settings.json"),
        ("user", claude_folder() / "settings.json"),
    ]
    return [read_source(scope, path) for scope, path in places]


def read_source(scope: str, path: Path) -> Source:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Source(scope, path, exists=False, settings={})
    except (OSError, UnicodeDecodeError) as error:
        return Source(scope, path, exists=True, settings=None, problem=f"cannot be read: {error}")
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        return Source(scope, path, exists=True, settings=None, problem=f"is not JSON: {error}")
    if not isinstance(found, dict):
        return Source(scope, path, exists=True, settings=None, problem="is not a JSON object")
    return Source(scope, path, exists=True, settings=found)


def status(home: Path, project: Path, client: Client | None) -> Json:
    """Where the hook is, what may switch it off, and whether runner and server answer.

    `covered` is whether a session started in the project now would be stopped by the hook; `why_not` says
    what speaks against it.
    """
    root = project_root(project)
    found = sources(root)
    record = state.hook_at(home, root)
    url = record.url if record else ""
    server = _server(client)
    runner = runner_health(url or state.runner_url(home))
    why_not = reasons_against(found)
    why_not += [
        f"{name} is set: Claude Code runs without hooks"
        for name in _OFF_SWITCHES
        if os.environ.get(name)
    ]
    if not runner["reachable"]:
        why_not.append("the runner does not answer, so every call with an effect is refused")
    return {
        "project": str(root),
        "covered": not why_not,
        "why_not": why_not,
        "warnings": list(warnings(root, url)),
        "files": [_file(source) for source in found],
        "runner": runner,
        "server": server,
        "mode": server.get("mode", ""),
        "paused_until": server.get("paused_until", ""),
        "killed": list(server.get("killed") or []),
    }


def _file(source: Source) -> Json:
    settings = source.settings or {}
    ours = pure.our_hook(settings)
    return {
        "scope": source.scope,
        "path": str(source.path),
        "exists": source.exists,
        "has_hook": ours is not None,
        "problem": source.problem,
        "invalid": pure.invalid_parts(settings),
        "disable_all_hooks": settings.get(pure.SWITCH),
        "other_hooks": pure.other_hooks(settings),
    }


def reasons_against(found: list[Source]) -> list[str]:
    """Why the hook would not stop a call, from the files alone. Empty when it would."""
    holding = [s for s in found if s.settings is not None and pure.our_hook(s.settings)]
    reasons: list[str] = []
    usable = [s for s in holding if not pure.invalid_parts(s.settings or {})]
    for source in holding:
        if source not in usable:
            parts = "; ".join(pure.invalid_parts(source.settings or {}))
            reasons.append(f"`{source.path}` is ignored by Claude Code: {parts}")
    if not holding:
        reasons.append("no settings file has the hook")
    if reasons and not usable:
        return reasons
    off = _switched_off_by(found)
    if off is not None:
        reasons.append(f"`{pure.SWITCH}` is true in `{off.path}`")
    for source in usable:
        ours = pure.our_hook(source.settings or {})
        if ours and not ours.blocks:
            reasons.append(f'the hook in `{source.path}` lacks `"onFailure": "block"`')
        if ours and not ours.covers_all:
            reasons.append(
                f"the hook in `{source.path}` does not match every tool that may have an effect"
            )
    return reasons


def _switched_off_by(found: list[Source]) -> Source | None:
    """The strongest file that says anything about it decides."""
    for source in found:
        said = (source.settings or {}).get(pure.SWITCH)
        if isinstance(said, bool) and not pure.invalid_parts(source.settings or {}):
            return source if said else None
    return None


def warnings(root: Path, url: str) -> tuple[str, ...]:
    """What weakens the hook or makes it refuse everything, without switching it off."""
    said: list[str] = []
    for source in sources(root):
        settings = source.settings or {}
        if source.problem:
            said.append(f"`{source.path}` {source.problem}")
        if others := pure.other_hooks(settings):
            said.append(
                f"`{source.path}` has other hooks before tool calls ({', '.join(others[:3])}): they may "
                "rewrite a call after it was judged; such a call is recorded as a gap"
            )
        if url and pure.blocks_url(settings, url):
            said.append(
                f"`allowedHttpHookUrls` in `{source.path}` leaves {url} out: every call is refused"
            )
    said += [
        f"{name} is set: Claude Code runs without hooks"
        for name in _OFF_SWITCHES
        if os.environ.get(name)
    ]
    if _proxied():
        said.append("a proxy is set and NO_PROXY leaves out 127.0.0.1: every call is refused")
    if os.environ.get("CLAUDE_CONFIG_DIR"):
        said.append(f"CLAUDE_CONFIG_DIR is set: the user's settings are those in {claude_folder()}")
    return tuple(said)


def _proxied() -> bool:
    if not any(os.environ.get(name) for name in _PROXIES):
        return False
    direct = f"{os.environ.get('NO_PROXY', '')},{os.environ.get('no_proxy', '')}".split(",")
    return not {"127.0.0.1", "*"} & {each.strip() for each in direct}


def _server(client: Client | None) -> Json:
    if client is None:
        return {"reachable": False, "problem": "no server is known"}
    try:
        said = client.send(calls.hook_status())
    except HandfastError as error:
        return {"reachable": False, "url": client.url, "problem": error.message}
    return {"reachable": True, "url": client.url, **said}


def runner_health(url: str) -> Json:
    """What the runner says of itself. `url` may be that of the hook."""
    if not url:
        return {"reachable": False, "problem": "no runner is known"}
    address = url.removesuffix(pure.PATH)
    with Client(address, timeout_s=3, tries=1) as client:
        try:
            said = client.send(calls.health())
        except HandfastError as error:
            return {"reachable": False, "url": address, "problem": error.message}
    if said.get("runner") is not True:
        return {"reachable": False, "url": address, "problem": "something else answers there"}
    return {
        "reachable": True,
        "url": address,
        "spool": said.get("spool", {}),
        "trouble": said.get("trouble", ""),
    }
