"""What came of a call, read from Claude Code's PostToolUse and PostToolUseFailure. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from handfast.observe.secrets import redact
from handfast.runner.hooks.payload import Event, Json

HEAD_CHARS, TAIL_CHARS = 4_000, 12_000
_EXIT_CODE: Final = re.compile(r"Exit code (\d{1,3})(?:\n|$)")
_SHELLS: Final = ("Bash", "PowerShell")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`known` is false while the command may still run: then nothing may be said about its end."""

    key: str
    known: bool
    failed: bool = False
    exit_code: int | None = None
    duration_ms: int = 0
    output: str = ""

    def fields(self) -> Json:
        """As the API takes it."""
        found: Json = {"key": self.key, "failed": self.failed, "duration_ms": self.duration_ms}
        if self.exit_code is not None:
            found["exit_code"] = self.exit_code
        if self.output:
            found["output"] = self.output
        return found


def outcome_of(event: Event) -> Outcome:
    """Output is redacted and bounded. A shell command in the background has only started."""
    duration = event.fields.get("duration_ms")
    duration_ms = duration if isinstance(duration, int) and duration >= 0 else 0
    if event.name == "PostToolUseFailure":
        return _failure(event, duration_ms)
    response = event.fields.get("tool_response")
    fields = response if isinstance(response, dict) else {}
    if fields.get("backgroundTaskId"):
        return Outcome(event.tool_use_id, known=False, duration_ms=duration_ms)
    interrupted = fields.get("interrupted") is True
    return Outcome(
        key=event.tool_use_id,
        known=True,
        failed=interrupted,
        exit_code=_code_of_success(event.tool_name, fields, interrupted=interrupted),
        duration_ms=duration_ms,
        output=bounded(_said(event.tool_name, response)),
    )


def _failure(event: Event, duration_ms: int) -> Outcome:
    error = event.fields.get("error")
    text = error if isinstance(error, str) else ""
    code = _EXIT_CODE.match(text) if event.tool_name in _SHELLS else None
    return Outcome(
        key=event.tool_use_id,
        known=True,
        failed=True,
        exit_code=int(code[1]) if code else None,
        duration_ms=duration_ms,
        output=bounded(text[code.end() :] if code else text),
    )


def _code_of_success(tool: str, fields: Mapping[str, Any], *, interrupted: bool) -> int | None:
    """0 only where the tool is a shell that ended by itself: 'no matches' of grep is exit 1, and a success."""
    if tool not in _SHELLS or interrupted or fields.get("returnCodeInterpretation"):
        return None
    return 0


def _said(tool: str, response: object) -> str:
    if isinstance(response, str):
        return response
    if not isinstance(response, dict):
        return _json(response) if response is not None else ""
    if tool in _SHELLS:
        parts = [response.get("stdout"), response.get("stderr")]
        return "\n".join(part for part in parts if isinstance(part, str) and part)
    if tool in ("Write", "Edit", "MultiEdit", "NotebookEdit"):
        # The content is in the worktree; the record of it is the diff.
        return f"{response.get('type', 'update')} {response.get('filePath', '')}".strip()
    return _json(response)


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""


def bounded(text: str) -> str:
    """Without known secrets; the first and the last part of a long text, the cut stated."""
    shown, _ = redact(text[: 20 * (HEAD_CHARS + TAIL_CHARS)])
    if len(text) > 20 * (HEAD_CHARS + TAIL_CHARS):
        shown += redact(text[-TAIL_CHARS:])[0]
    if len(shown) <= HEAD_CHARS + TAIL_CHARS:
        return shown
    left_out = len(text) - HEAD_CHARS - TAIL_CHARS
    return (
        f"{shown[:HEAD_CHARS]}\n… {max(left_out, 0):,} characters left out …\n{shown[-TAIL_CHARS:]}"
    )
