"""Claude Code's settings files: our part in them, and what would switch it off. Pure.

The token stands in the header as text, not in an `env` block: an `env` block becomes the environment of
every command the agent runs, a header does not, and no other settings file can replace it. The file can be
read by the agent all the same, so the token allows no more than to report and to ask.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from handfast.core.domain.errors import UsageError

Json = dict[str, Any]
PATH: Final = "/hooks/claude-code"
GATED: Final = "PreToolUse"
TOOL_EVENTS: Final = (GATED, "PostToolUse", "PostToolUseFailure")
SESSION_EVENTS: Final = ("Stop", "SubagentStop", "SessionEnd", "PreCompact")
SWITCH: Final = "disableAllHooks"
MODES: Final = frozenset(
    {"default", "manual", "plan", "acceptEdits", "dontAsk", "bypassPermissions", "auto", "delegate"}
)


def hook_entries(url: str, token: str, timeout_s: int) -> Json:
    """The `hooks` of a settings file. Only the gate blocks on failure: elsewhere nothing is decided."""
    call: Json = {
        "type": "http",
        "url": url,
        "headers": {"Authorization": f"Bearer {token}"},
        "timeout": timeout_s,
    }
    entries: Json = {}
    for event in (*TOOL_EVENTS, *SESSION_EVENTS):
        one = {**call, "onFailure": "block"} if event == GATED else dict(call)
        entries[event] = [{**({"matcher": "*"} if event in TOOL_EVENTS else {}), "hooks": [one]}]
    return entries


def run_settings(url: str, token: str, timeout_s: int) -> Json:
    """A whole settings file for one run, given to `claude --settings`: it cannot be switched off by the
    project's files, and a running session does not read it again."""
    return {SWITCH: False, "hooks": hook_entries(url, token, timeout_s)}


def with_hook(settings: Mapping[str, Any], url: str, token: str, timeout_s: int) -> Json:
    """The settings with our hook in them, once; everything else stays. Raises UsageError."""
    if settings.get(SWITCH) is True:
        raise UsageError(
            f"`{SWITCH}` is true in this settings file, so no hook runs",
            code="hooks_disabled",
            hint=f"Remove `{SWITCH}` from the file, or set it to false, and install again.",
        )
    made = without_hook(settings)
    hooks = made.setdefault("hooks", {})
    if not isinstance(hooks, dict):
        raise _wrong("hooks", "is not an object")
    for event, groups in hook_entries(url, token, timeout_s).items():
        present = hooks.setdefault(event, [])
        if not isinstance(present, list):
            raise _wrong(f"hooks.{event}", "is not a list")
        present.extend(groups)
    # Stands beside our hook so that a `true` in a weaker file does not count.
    made.setdefault(SWITCH, False)
    return made


def without_hook(settings: Mapping[str, Any]) -> Json:
    """The settings without our hook; empty groups and lists that only held it go too."""
    made: Json = deepcopy(dict(settings))
    hooks = made.get("hooks")
    if not isinstance(hooks, dict):
        return made
    for event in list(hooks):
        if isinstance(hooks[event], list) and any(map(_holds_ours, hooks[event])):
            kept = [group for each in hooks[event] if (group := _without_ours(each)) is not None]
            if kept:
                hooks[event] = kept
            else:
                del hooks[event]
    if not hooks:
        del made["hooks"]
    return made


def _holds_ours(group: object) -> bool:
    return any(map(is_ours, _calls(group)))


def _without_ours(group: object) -> object | None:
    if not isinstance(group, dict) or not _holds_ours(group):
        return group
    rest = [call for call in _calls(group) if not is_ours(call)]
    return {**group, "hooks": rest} if rest else None


def is_ours(call: object) -> bool:
    """A hook that posts to our endpoint on this machine."""
    if not isinstance(call, dict) or call.get("type") != "http":
        return False
    parts = urlsplit(str(call.get("url", "")))
    return parts.path == PATH and parts.hostname in ("127.0.0.1", "localhost", "::1")


def _calls(group: object) -> list[object]:
    found = group.get("hooks") if isinstance(group, dict) else None
    return found if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class OurHook:
    """Our gate as it stands in a file."""

    url: str
    token: str
    timeout: object
    blocks: bool
    covers_all: bool


def our_hook(settings: Mapping[str, Any]) -> OurHook | None:
    for group in _groups(settings, GATED):
        for call in _calls(group):
            if is_ours(call) and isinstance(call, dict):
                headers = call.get("headers")
                header = headers.get("Authorization", "") if isinstance(headers, dict) else ""
                matcher = group.get("matcher") if isinstance(group, dict) else None
                return OurHook(
                    url=str(call.get("url")),
                    token=str(header).removeprefix("Bearer "),
                    timeout=call.get("timeout", 600),
                    blocks=call.get("onFailure") == "block",
                    covers_all=matcher in (None, "", "*"),
                )
    return None


def other_hooks(settings: Mapping[str, Any]) -> list[str]:
    """Other hooks before tool calls: they may rewrite a call after ours has judged it."""
    return [
        str(call.get("url") or call.get("command") or call.get("type") or "?")
        for group in _groups(settings, GATED)
        for call in _calls(group)
        if isinstance(call, dict) and not is_ours(call)
    ]


def _groups(settings: Mapping[str, Any], event: str) -> Sequence[object]:
    hooks = settings.get("hooks")
    found = hooks.get(event) if isinstance(hooks, dict) else None
    return found if isinstance(found, list) else []


def invalid_parts(settings: Mapping[str, Any]) -> list[str]:
    """What makes Claude Code ignore the whole file, silently: then our hook in it is off.

    Covers the values that were seen to do so; a value this version does not know may do it as well.
    """
    wrong: list[str] = []
    hooks = settings.get("hooks")
    if hooks is not None and not isinstance(hooks, dict):
        return ["`hooks` is not an object"]
    for event, groups in (hooks or {}).items():
        if not isinstance(groups, list):
            wrong.append(f"`hooks.{event}` is not a list")
            continue
        for call in (call for group in groups for call in _calls(group)):
            timeout = call.get("timeout") if isinstance(call, dict) else None
            if timeout is not None and not _positive(timeout):
                wrong.append(
                    f"`timeout` of a hook for {event} is {timeout!r}, not a number above 0"
                )
    if SWITCH in settings and not isinstance(settings[SWITCH], bool):
        wrong.append(f"`{SWITCH}` is not true or false")
    permissions = settings.get("permissions")
    mode = permissions.get("defaultMode") if isinstance(permissions, dict) else None
    if mode is not None and mode not in MODES:
        wrong.append(f"`permissions.defaultMode` is {mode!r}")
    days = settings.get("cleanupPeriodDays")
    if days is not None and (not isinstance(days, int | float) or isinstance(days, bool)):
        wrong.append("`cleanupPeriodDays` is not a number")
    env = settings.get("env")
    if env is not None and not isinstance(env, dict):
        wrong.append("`env` is not an object")
    return wrong


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def blocks_url(settings: Mapping[str, Any], url: str) -> bool:
    """Whether a list of allowed hook addresses leaves ours out: then calls are refused, not let through."""
    allowed = settings.get("allowedHttpHookUrls")
    if not isinstance(allowed, list):
        return False
    return not any(
        isinstance(each, str) and url.startswith(each.rstrip("*").rstrip("/")) and each.strip("*/")
        for each in allowed
    )


def _wrong(field: str, what: str) -> UsageError:
    return UsageError(
        f"`{field}` in the settings file {what}",
        code="settings_invalid",
        hint="Repair the file; nothing was changed.",
        details={"field": field},
    )
