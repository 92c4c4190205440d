"""What Claude Code posts to a hook, read strictly: a field that is not as expected is an error.

Format: the hook input of Claude Code 2.1 (session_id, transcript_path, cwd, hook_event_name, and the
fields of each event).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from handfast.core.domain.errors import UsageError

Json = dict[str, Any]
MAX_NAME: Final = 300
PRE_TOOL_USE: Final = "PreToolUse"


@dataclass(frozen=True, slots=True)
class Event:
    """One hook call. `tool_use_id` and `tool_name` are empty where the event is not about a tool."""

    name: str
    session_id: str
    cwd: Path
    transcript_path: str
    permission_mode: str
    tool_name: str
    tool_use_id: str
    tool_input: Mapping[str, Any]
    subagent: str
    fields: Mapping[str, Any]

    @property
    def about_tool(self) -> bool:
        return bool(self.tool_use_id)


def read_event(raw: bytes) -> Event:
    """Raises UsageError for anything that is not a hook event, naming the field."""
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        raise UsageError("the hook's body is not JSON", code="bad_hook_body") from None
    if not isinstance(fields, dict):
        raise UsageError("the hook's body is not a JSON object", code="bad_hook_body")
    name = _text(fields, "hook_event_name")
    about_tool = name in (PRE_TOOL_USE, "PostToolUse", "PostToolUseFailure")
    cwd = Path(_text(fields, "cwd", limit=4096))
    if not cwd.is_absolute():
        raise _wrong("cwd", "is not an absolute path")
    tool_input = fields.get("tool_input", {})
    if not isinstance(tool_input, dict):
        raise _wrong("tool_input", "is not an object")
    return Event(
        name=name,
        session_id=_text(fields, "session_id"),
        cwd=cwd,
        transcript_path=_optional(fields, "transcript_path", 4096),
        permission_mode=_optional(fields, "permission_mode"),
        tool_name=_text(fields, "tool_name") if about_tool else "",
        tool_use_id=_text(fields, "tool_use_id") if about_tool else "",
        tool_input=tool_input,
        subagent=_subagent(fields),
        fields=fields,
    )


def _subagent(fields: Mapping[str, Any]) -> str:
    agent_id = _optional(fields, "agent_id")
    kind = _optional(fields, "agent_type")
    return f"{kind} {agent_id}".strip() if agent_id else ""


def _text(fields: Mapping[str, Any], name: str, limit: int = MAX_NAME) -> str:
    found = _optional(fields, name, limit)
    if not found:
        raise _wrong(name, "is missing")
    return found


def _optional(fields: Mapping[str, Any], name: str, limit: int = MAX_NAME) -> str:
    found = fields.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise _wrong(name, "is not text")
    if len(found) > limit or not found.isprintable():
        raise _wrong(name, f"is longer than {limit} characters or has hidden ones")
    return found


def _wrong(name: str, what: str) -> UsageError:
    return UsageError(
        f"the hook's field `{name}` {what}",
        code="bad_hook_body",
        hint="This version of the agent is not known to work: run `handfast doctor`.",
        details={"field": name},
    )


def session_root(cwd: Path, transcript_path: str) -> Path:
    """The folder a session was started in: its `cwd` moves when the agent changes folder.

    Claude Code names the transcript's folder after the first folder, with every character that is not a
    letter or digit as `-`. The nearest ancestor of `cwd` with that name is taken; without one, `cwd`.
    """
    wanted = Path(transcript_path).parent.name if transcript_path else ""
    for folder in (cwd, *cwd.parents):
        if wanted and slug(str(folder)) == wanted:
            return folder
    return cwd


def slug(folder: str) -> str:
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in folder)
