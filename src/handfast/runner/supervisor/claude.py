"""Claude Code as an agent: its command line, session file and result.

What the runner relies on here is pinned in `tests/agents`.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from handfast.core.domain.containment import allowed_host
from handfast.core.domain.errors import UsageError
from handfast.core.domain.inert import inert
from handfast.core.domain.takeover import DEFERRED as DEFERRED

HARNESS: Final = "claude-code"
PROGRAM: Final = "claude"
API: Final = "https://api.anthropic.com"
NO_DEFERRED_CALL: Final = "No deferred tool marker"
NO_SESSION: Final = "No conversation found"
KEPT: Final = (
    "ANTHROPIC_*", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_*",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY",
    "DISABLE_AUTOUPDATER", "DISABLE_ERROR_REPORTING", "IS_SANDBOX", "BASH_DEFAULT_TIMEOUT_MS",
    "BASH_MAX_TIMEOUT_MS",
)  # fmt: skip
# They switch hooks off or break the resumption of a paused call.
NEVER: Final = (
    "CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_SAFE_MODE", "CLAUDE_CODE_DISABLE_DEFERRED_TOOL_RESUME",
)  # fmt: skip
_REFUSED: Final = {
    "--bare": "it switches hooks off",
    "--safe-mode": "it switches hooks off",
    "--settings": "the runner passes its own",
    "--bg": "the runner must see the agent end",
    "--background": "the runner must see the agent end",
    "--cloud": "the agent would work on another machine",
    "--no-session-persistence": "the session could not be resumed",
    "--fork-session": "the runner keeps to one session",
    "--continue": "a run starts a session of its own",
    "-c": "a run starts a session of its own",
    "--resume": "a run starts a session of its own",
    "-r": "a run starts a session of its own",
    "--worktree": "the runner makes the worktree",
    "-w": "the runner makes the worktree",
}
_ONE_VALUE: Final = (
    "--agent", "--agents", "--append-system-prompt", "--append-system-prompt-file", "--autocompact",
    "--debug-file", "--effort", "--environment", "--fallback-model", "--input-format", "--json-schema",
    "--max-budget-usd", "--max-turns", "--model", "-n", "--name", "--output-format", "--permission-mode",
    "--permission-prompt-tool", "--permission-prompts", "--plugin-dir", "--plugin-url", "--session-id",
    "--setting-sources", "--system-prompt", "--system-prompt-file", "--system-prompt-snapshot",
)  # fmt: skip
# They take every following word that is no option.
_MANY_VALUES: Final = (
    "--add-dir", "--allowedTools", "--allowed-tools", "--betas", "--disallowedTools", "--disallowed-tools",
    "--file", "--mcp-config", "--tools",
)  # fmt: skip
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """A command line of Claude Code taken apart. `options` is without prompt, `-p` and session id."""

    program: str
    options: tuple[str, ...]
    prompt: str = ""
    session_id: str = ""

    def has(self, name: str) -> bool:
        return any(word == name or word.startswith(f"{name}=") for word in self.options)

    def words(self, prompt: str | None, *more: str) -> list[str]:
        """The whole command line. The prompt comes straight after `-p`: some options swallow what follows."""
        asked = [prompt] if prompt is not None else []
        form = [] if self.has("--output-format") else ["--output-format", "json"]
        return [self.program, "-p", *asked, *more, *form, *self.options]


def is_claude(command: list[str], harness: str) -> bool:
    return harness == HARNESS or Path(command[0]).name == PROGRAM


def parse(command: list[str]) -> Command:
    """Raises UsageError for an option under which the hook or the resumption would not hold."""
    options: list[str] = []
    prompts: list[str] = []
    session_id = ""
    for taken in _groups(command[1:]):
        name, _, value = taken[0].partition("=")
        if name == "--session-id":
            session_id = value or taken[-1]
        elif not taken[0].startswith("-"):
            prompts += taken
        elif name == "--":
            prompts += taken[1:]
        elif name not in ("-p", "--print"):
            _refuse(name)
            options += taken
    if session_id and not _UUID.fullmatch(session_id):
        raise UsageError(f"`--session-id` is `{inert(session_id, 100)}`, which is no UUID")
    return Command(command[0], tuple(options), "\n\n".join(prompts), session_id)


def _groups(words: list[str]) -> Iterator[list[str]]:
    """Each option with its values; each other word by itself; `--` with all that follows."""
    at = 0
    while at < len(words):
        word, size = words[at], 1
        if word == "--":
            size = len(words) - at
        elif word in _ONE_VALUE:
            size = 2
        elif word in _MANY_VALUES:
            following = (n for n, each in enumerate(words[at + 1 :], 1) if each.startswith("-"))
            size = next(following, len(words) - at)
        yield words[at : at + size]
        at += size


def _refuse(name: str) -> None:
    if name in _REFUSED:
        raise UsageError(
            f"`{name}` cannot be used in a run: {_REFUSED[name]}",
            code="option_refused",
            hint=f"Leave `{name}` out.",
        )


def api_hosts(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where the model is asked, as `name:port`."""
    named = [
        v for k, v in environment.items() if re.fullmatch(r"ANTHROPIC_(\w+_)?BASE_URL", k) and v
    ]
    return tuple(dict.fromkeys(map(_host_of, named or [API])))


def _host_of(url: str) -> str:
    found = urlsplit(url)
    try:
        port = found.port or (80 if found.scheme == "http" else 443)
    except ValueError:
        port = 0
    name = found.hostname or ""
    return allowed_host(f"[{name}]:{port}" if ":" in name else f"{name}:{port}")


# -- the session file


def config_folder(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - the account's own
    return Path(environment.get("CLAUDE_CONFIG_DIR") or home / ".claude")


def projects_folder(environment: Mapping[str, str]) -> Path:
    return config_folder(environment) / "projects"


def project_name(worktree: Path) -> str:
    """The folder below `projects` for the sessions of a worktree."""
    return re.sub(r"[^A-Za-z0-9]", "-", str(worktree))


def session_file(environment: Mapping[str, str], session_id: str) -> Path | None:
    """The newest transcript of a session; None when there is none here."""
    if not _UUID.fullmatch(session_id):
        return None
    found = [p for p in projects_folder(environment).glob(f"*/{session_id}.jsonl") if p.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def place_session(
    environment: Mapping[str, str], session_id: str, worktree: Path, content: bytes
) -> Path:
    """Put a transcript where a session of this worktree is looked for."""
    path = projects_folder(environment) / project_name(worktree) / f"{session_id}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


# -- the result


@dataclass(frozen=True, slots=True)
class Result:
    """What the agent printed at its end; all empty when it printed nothing that can be read."""

    text: str = ""
    stop_reason: str = ""
    cost_usd: str = ""
    turns: int = 0
    is_error: bool = False
    subtype: str = ""

    @property
    def deferred(self) -> bool:
        return self.stop_reason == DEFERRED


def result_in(stdout: str) -> Result:
    """The last result object of `--output-format json` or `stream-json`."""
    for line in reversed(stdout.splitlines()):
        if not line.startswith("{"):
            continue
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("type") == "result":
            return _result(found)
    return Result()


def _result(found: dict[str, Any]) -> Result:
    turns = found.get("num_turns")
    return Result(
        text=str(found.get("result") or ""),
        stop_reason=str(found.get("stop_reason") or ""),
        cost_usd=_money(found.get("total_cost_usd")),
        turns=turns if isinstance(turns, int) and turns >= 0 else 0,
        is_error=found.get("is_error") is True,
        subtype=str(found.get("subtype") or ""),
    )


def _money(value: object) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    return _decimal(Decimal(str(value)))


def cost_since(total: str, before: str) -> str:
    """The cost of one start: a resumed session counts from its beginning."""
    try:
        return _decimal(max(Decimal(total or "0") - Decimal(before or "0"), Decimal(0)))
    except InvalidOperation:
        return ""


def _decimal(value: Decimal) -> str:
    if not value.is_finite() or value < 0:
        return ""
    return f"{value:.12f}".rstrip("0").rstrip(".") or "0"
