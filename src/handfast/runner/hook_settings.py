"""Claude Code's settings files: our part in them, and what would switch it off. Pure.

The token stands in the header as text, not in an `env` block: an `env` block becomes the environment of
every command the agent runs, a header does not, and no other settings file can replace it. The file can be
read by the agent all the same, so the token allows no more than to report and to ask.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from handfast.core.domain.errors import UsageError

Json = dict[str, Any]
PATH: Final = "/hooks/claude-code"
GATED: Final = "PreToolUse"
TOOL_EVENTS: Final = (GATED, "PostToolUse", "PostToolUseFailure")
SESSION_EVENTS: Final = ("Stop", "SubagentStop", "SessionEnd", "PreCompact")
SWITCH: Final = "disableAllHooks"
# Tools that only look. A failing hook lets them go on: a person whose runner is not up can still work.
READ_TOOLS: Final = ("Read", "NotebookRead", "Glob", "Grep", "LS", "ToolSearch")
_READS: Final = "|".join(READ_TOOLS)
_THE_REST: Final = f"^(?!(?:{_READS})$)"
_EVERY_TOOL: Final = "*"
_GUARDED: Final = ("keys/**", "backups/**", "spool/**", "*.token", "*.json", "*.db*")
MODES: Final = frozenset(
    {"default", "manual", "plan", "acceptEdits", "dontAsk", "bypassPermissions", "auto", "delegate"}
)


def hook_entries(url: str, token: str, timeout_s: int, *, reads_go_on: bool = False) -> Json:
    """The `hooks` of a settings file. Only the gate blocks on failure: elsewhere nothing is decided.

    With `reads_go_on` tools that only look are asked about too, but a runner that is away does not stop
    them.
    """
    call: Json = {
        "type": "http",
        "url": url,
        "headers": {"Authorization": f"Bearer {token}"},
        "timeout": timeout_s,
    }
    blocking = {**call, "onFailure": "block"}
    entries: Json = {GATED: [_group(blocking, _THE_REST if reads_go_on else _EVERY_TOOL)]}
    if reads_go_on:
        entries[GATED].append(_group(dict(call), _READS))
    for event in (*TOOL_EVENTS[1:], *SESSION_EVENTS):
        entries[event] = [_group(dict(call), _EVERY_TOOL if event in TOOL_EVENTS else "")]
    return entries


def _group(call: Json, matcher: str) -> Json:
    return {**({"matcher": matcher} if matcher else {}), "hooks": [call]}


def guard_rules(home: Path) -> tuple[str, ...]:
    """Permission rules that keep Claude Code's own reading tools from our secrets, hook or no hook."""
    return tuple(f"Read(/{home.as_posix()}/{each})" for each in _GUARDED)


def run_settings(url: str, token: str, timeout_s: int) -> Json:
    """A whole settings file for one run, given to `claude --settings`: it cannot be switched off by the
    project's files, and a running session does not read it again. Without its runner nothing goes on."""
    return {SWITCH: False, "hooks": hook_entries(url, token, timeout_s)}


def with_hook(
    settings: Mapping[str, Any], url: str, token: str, timeout_s: int, rules: tuple[str, ...] = ()
) -> Json:
    """The settings with our hook and `rules` in them, once; everything else stays. Raises UsageError."""
    if settings.get(SWITCH) is True:
        raise UsageError(
            f"`{SWITCH}` is true in this settings file, so no hook runs",
            code="hooks_disabled",
            hint=f"Remove `{SWITCH}` from the file, or set it to false, and install again.",
        )
    made = without_hook(settings, rules)
    hooks = _object(made, "hooks")
    for event, groups in hook_entries(url, token, timeout_s, reads_go_on=True).items():
        _list(hooks, event, "hooks").extend(groups)
    if rules:
        _list(_object(made, "permissions"), "deny", "permissions").extend(rules)
    # Stands beside our hook so that a `true` in a weaker file does not count.
    made.setdefault(SWITCH, False)
    return made


def _object(holder: Json, name: str) -> Json:
    found = holder.setdefault(name, {})
    if not isinstance(found, dict):
        raise _wrong(name, "is not an object")
    return found


def _list(holder: Json, name: str, of: str) -> list[Any]:
    found = holder.setdefault(name, [])
    if not isinstance(found, list):
        raise _wrong(f"{of}.{name}", "is not a list")
    return found


def without_hook(settings: Mapping[str, Any], rules: tuple[str, ...] = ()) -> Json:
    """The settings without our hook and `rules`; what only held them goes too."""
    made: Json = deepcopy(dict(settings))
    hooks = made.get("hooks")
    if isinstance(hooks, dict) and _drop_hooks(hooks):
        del made["hooks"]
    permissions = made.get("permissions")
    if isinstance(permissions, dict) and _drop_rules(permissions, rules):
        del made["permissions"]
    return made


def _drop_hooks(hooks: Json) -> bool:
    """Whether nothing is left, and something of ours was there."""
    found = False
    for event in list(hooks):
        if isinstance(hooks[event], list) and any(map(_holds_ours, hooks[event])):
            found = True
            kept = [group for each in hooks[event] if (group := _without_ours(each)) is not None]
            if kept:
                hooks[event] = kept
            else:
                del hooks[event]
    return found and not hooks


def _drop_rules(permissions: Json, rules: tuple[str, ...]) -> bool:
    """Whether nothing is left, and something of ours was there."""
    denied = permissions.get("deny")
    if not isinstance(denied, list) or not any(each in rules for each in denied):
        return False
    permissions["deny"] = [each for each in denied if each not in rules]
    if not permissions["deny"]:
        del permissions["deny"]
    return not permissions


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
    """Our gate as it stands in a file. `covers_all`: every tool that may have an effect is asked about."""

    url: str
    token: str
    blocks: bool
    covers_all: bool


def our_hook(settings: Mapping[str, Any]) -> OurHook | None:
    """The entry that covers most. None when there is none of ours."""
    found = [
        _read_hook(group, call)
        for group in _groups(settings, GATED)
        for call in _calls(group)
        if is_ours(call)
    ]
    return max(found, key=lambda each: (each.covers_all, each.blocks), default=None)


def _read_hook(group: object, call: object) -> OurHook:
    fields = call if isinstance(call, dict) else {}
    headers = fields.get("headers")
    header = headers.get("Authorization", "") if isinstance(headers, dict) else ""
    matcher = group.get("matcher") if isinstance(group, dict) else None
    return OurHook(
        url=str(fields.get("url")),
        token=str(header).removeprefix("Bearer "),
        blocks=fields.get("onFailure") == "block",
        covers_all=matcher in (None, "", _EVERY_TOOL, _THE_REST),
    )


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
