"""Claude Code's tools: from a hook's `tool_name` and `tool_input` to the canonical call and its facts.

Decided here: reading tools never wait. WebFetch and WebSearch are network reads and pass; the host and a
long query are recorded. A sub-agent passes, because each of its calls is judged itself. MCP tools and
tools not named here are unknown, so they are gated.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.canonical import JSON, sha256
from handfast.core.domain.change import ChangedFile
from handfast.observe import network
from handfast.observe.case import Case
from handfast.observe.change_edit import edited, named
from handfast.observe.findings import Findings
from handfast.observe.options import names
from handfast.observe.places import Places
from handfast.observe.scope import Scope
from handfast.observe.shell import run_simple, run_text, shell_facts
from handfast.observe.words import MARKS, Word

OUR_TOOLS = frozenset({"mcp__handfast__handoff_open", "mcp__handfast__handoff_get"})

Arguments = dict[str, JSON]


class _Malformed(Exception):
    """The input has not the shape the tool takes."""


def read_call(tool_name: str, tool_input: Mapping[str, object], scope: Scope) -> tuple[Call, Facts]:
    """The call an approval would bind, and what it does.

    Never raises: input of the wrong shape, and any failure while reading it, make the facts opaque, which
    policy gates.
    """
    try:
        return _read(tool_name, tool_input, scope)
    except Exception as error:  # noqa: BLE001 - a reader that fails must gate the call, whatever the reason
        arguments: Arguments = {
            "input": _digest(dict(tool_input) if isinstance(tool_input, Mapping) else tool_input)
        }
        findings = Findings()
        findings.at_least(Effect.EXEC)
        malformed = isinstance(error, _Malformed)
        findings.opaque(
            "malformed" if malformed else "analyser-failed",
            f"calls {tool_name} in a way that cannot be read ({error if malformed else type(error).__name__})",
        )
        return Call(tool_name, arguments, scope.relative_cwd()), findings.facts()


def _read(tool_name: str, tool_input: Mapping[str, object], scope: Scope) -> tuple[Call, Facts]:
    handler = _TOOLS.get(tool_name)
    if handler is None:
        return _unknown(tool_name, tool_input)
    case = Case(Places(scope), Findings(), run_text, run_simple)
    arguments, facts = handler(_Use(tool_name, tool_input, case))
    facts = replace(facts, changes=_changes(tool_name, tool_input, facts, case.places))
    cwd = scope.relative_cwd() if tool_name in _SHELLS else "."
    return Call(tool_name, arguments, cwd, facts.operands), facts


def _changes(
    tool_name: str, tool_input: Mapping[str, object], facts: Facts, places: Places
) -> tuple[ChangedFile, ...]:
    """The files the call changes, with their owners: what a file tool writes, what a command names."""
    scope = places.scope
    if tool_name in _SHELLS:
        return named(facts, scope)
    if tool_name not in _FILE_TOOLS:
        return ()
    typed = _path(tool_input, "file_path", "notebook_path").text
    path = typed if typed.startswith("/") else f"{scope.cwd}/{typed}"
    return edited(tool_name, tool_input, path, places.shown(path), scope)


def _unknown(tool_name: str, tool_input: Mapping[str, object]) -> tuple[Call, Facts]:
    findings = Findings()
    findings.at_least(Effect.EXEC)
    if tool_name in OUR_TOOLS:
        findings.headline(f"asks Handfast: {tool_name.removeprefix('mcp__handfast__')}")
    elif tool_name.startswith("mcp__"):
        server, _, tool = tool_name.removeprefix("mcp__").partition("__")
        findings.opaque("unknown-tool", f"calls {tool or 'a tool'} of the MCP server {server}")
    else:
        findings.opaque("unknown-tool", f"calls {tool_name}, a tool not known here")
    for key, value in list(tool_input.items())[:20]:
        findings.detail(f"{key}: {_short(value)}")
    arguments: Arguments = {str(key): _plain(value) for key, value in tool_input.items()}
    return Call(tool_name, arguments, ".", ()), findings.facts()


# -- values


def _text(tool_input: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = tool_input.get(key, default)
    if not isinstance(value, str):
        raise _Malformed(f"`{key}` is no text")
    return value


def _path(tool_input: Mapping[str, object], *keys: str) -> Word:
    for key in keys:
        if key in tool_input:
            text = _text(tool_input, key)
            if not text or MARKS.search(text) or re.search(r"[\x00-\x1f\x7f]", text):
                raise _Malformed(f"`{key}` is no path")
            return Word(text)
    raise _Malformed(f"`{keys[0]}` is missing")


def _plain(value: object) -> JSON:
    """JSON the canonical form takes: fractions as their shortest text, everything else as it is."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    return repr(value)


def _digest(value: object) -> str:
    text = (
        value
        if isinstance(value, str)
        else json.dumps(_plain(value), sort_keys=True, ensure_ascii=True)
    )
    return sha256(text.encode("utf-8", "surrogatepass"))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(_plain(value), sort_keys=True)
    return text if len(text) <= 200 else text[:200] + "…"


# -- tools


@dataclass(frozen=True, slots=True)
class _Use:
    tool: str
    input: Mapping[str, object]
    case: Case


_Answer = tuple[Arguments, Facts]


def _bash(use: _Use) -> _Answer:
    command = _text(use.input, "command")
    facts = shell_facts(command, use.case.places.scope)
    arguments: Arguments = {"command": command}
    if use.input.get("dangerouslyDisableSandbox"):
        arguments["dangerouslyDisableSandbox"] = True
        sentence = "asks to run outside the agent's own sandbox"
        facts = replace(
            facts,
            hazards=(*facts.hazards, "priv.sandbox"),
            details=(sentence, *facts.details),
            reversible=False,
        )
    return arguments, facts


def _powershell(use: _Use) -> _Answer:
    command = _text(use.input, "command")
    use.case.findings.at_least(Effect.EXEC)
    use.case.findings.opaque(
        "unknown-shell", f"runs PowerShell, which is not read here: {command[:100]}"
    )
    return {"command": command}, use.case.findings.facts()


def _written(word: Word, use: _Use, verb: str) -> str:
    """The path as the call binds it. A hazardous write also depends on what stands there now."""
    cwds = (str(use.case.places.scope.cwd),)
    use.case.writes(word, cwds, verb)
    path = word.text if word.text.startswith("/") else f"{use.case.places.scope.cwd}/{word.text}"
    if set(use.case.findings.hazards) - {"fs.write-scratch"}:
        use.case.written.clear()
        use.case.depends_on_file(path)
    return use.case.places.shown(path)


def _write(use: _Use) -> _Answer:
    content = _text(use.input, "content")
    path = _written(_path(use.input, "file_path"), use, "writes")
    use.case.findings.detail(f"{path}: {len(content.splitlines())} lines")
    return {"file_path": path, "content": _digest(content)}, use.case.findings.facts()


def _edit(use: _Use) -> _Answer:
    old, new = _text(use.input, "old_string"), _text(use.input, "new_string")
    path = _written(_path(use.input, "file_path"), use, "edits")
    use.case.findings.detail(
        f"{path}: {len(old.splitlines())} lines become {len(new.splitlines())}"
    )
    arguments: Arguments = {
        "file_path": path,
        "old_string": _digest(old),
        "new_string": _digest(new),
        "replace_all": bool(use.input.get("replace_all")),
    }
    return arguments, use.case.findings.facts()


def _edits(use: _Use) -> _Answer:
    path = _written(_path(use.input, "file_path"), use, "edits")
    return {"file_path": path, "edits": _digest(use.input.get("edits"))}, use.case.findings.facts()


def _notebook(use: _Use) -> _Answer:
    path = _written(_path(use.input, "notebook_path"), use, "edits")
    rest = {key: value for key, value in use.input.items() if key != "notebook_path"}
    return {"notebook_path": path, "change": _digest(rest)}, use.case.findings.facts()


def _reading(use: _Use) -> _Answer:
    """Read, Glob, Grep, LS: what is read is checked for credentials and for our own files."""
    keys = [key for key in ("file_path", "notebook_path", "path") if use.input.get(key) is not None]
    if use.tool in {"Read", "NotebookRead"} and not keys:
        raise _Malformed("`file_path` is missing")
    for key in keys:
        word = _path(use.input, key)
        use.case.reads(word, (str(use.case.places.scope.cwd),))
        use.case.findings.headline(f"reads {word.text}")
    if use.tool == "Grep" and isinstance(use.input.get("glob"), str):
        use.case.reads(
            Word(str(use.input["glob"])), (str(use.input.get("path") or use.case.places.scope.cwd),)
        )
    use.case.findings.headline(f"looks: {use.tool}")
    return {str(key): _plain(value) for key, value in use.input.items()}, use.case.findings.facts()


_LONG_QUERY = 256


def _fetch(use: _Use) -> _Answer:
    url = _text(use.input, "url")
    use.case.findings.at_least(Effect.NETWORK)
    host, _ = network.check_url(url, use.case)
    use.case.findings.headline(f"fetches {url.split('?', 1)[0]}")
    use.case.findings.detail(f"reaches {host}")
    if len(url.partition("?")[2]) > _LONG_QUERY:
        use.case.findings.detail(
            f"the address carries {len(url.partition('?')[2])} characters of query"
        )
    return {"url": url}, use.case.findings.facts()


def _search(use: _Use) -> _Answer:
    query = _text(use.input, "query")
    use.case.findings.at_least(Effect.NETWORK)
    use.case.findings.headline(f"searches the web for {query[:120]}")
    return {"query": query}, use.case.findings.facts()


def _agent(use: _Use) -> _Answer:
    """Starts work whose calls reach the hook one by one, unless it runs somewhere else."""
    use.case.findings.at_least(Effect.EXEC)
    label = use.input.get("description") or use.input.get("skill") or use.input.get("command") or ""
    use.case.findings.headline(f"starts {use.tool}: {_short(label)}")
    use.case.findings.detail("each call of the work it starts is judged by itself")
    if use.input.get("isolation") == "remote":
        use.case.findings.opaque(
            "remote-agent", "starts an agent on another machine, where its calls are not seen"
        )
    kept = {
        key: value
        for key, value in use.input.items()
        if key not in {"description", "run_in_background"}
    }
    return {"input": _digest(kept)}, use.case.findings.facts()


def _session(use: _Use) -> _Answer:
    use.case.findings.headline(f"changes only the session: {use.tool}")
    return {"input": _digest(dict(use.input))}, use.case.findings.facts()


def _stops(use: _Use) -> _Answer:
    use.case.findings.at_least(Effect.EXEC)
    use.case.findings.headline(f"acts inside the session: {use.tool}")
    return {"input": _digest(dict(use.input))}, use.case.findings.facts()


def _later(use: _Use) -> _Answer:
    use.case.findings.at_least(Effect.EXEC)
    use.case.findings.opaque(
        "acts-elsewhere", f"{use.tool}: has its effect later or in another place"
    )
    for key, value in list(use.input.items())[:20]:
        use.case.findings.detail(f"{key}: {_short(value)}")
    return {str(key): _plain(value) for key, value in use.input.items()}, use.case.findings.facts()


_Tool = Callable[[_Use], _Answer]
_SHELLS = frozenset({"Bash", "Monitor", "PowerShell"})
_FILE_TOOLS = frozenset({"Write", "Edit", "MultiEdit", "NotebookEdit"})
_TOOLS: dict[str, _Tool] = {
    "Bash": _bash,
    "Monitor": _bash,
    "PowerShell": _powershell,
    "Write": _write,
    "Edit": _edit,
    "MultiEdit": _edits,
    "NotebookEdit": _notebook,
    **dict.fromkeys(("Read", "NotebookRead", "Glob", "Grep", "LS"), _reading),
    "WebFetch": _fetch,
    "WebSearch": _search,
    **dict.fromkeys(("Agent", "Task", "Skill", "SlashCommand", "Workflow"), _agent),
    **dict.fromkeys(
        names(
            "TodoWrite TodoRead TaskCreate TaskUpdate TaskList TaskGet TaskOutput AgentOutputTool BashOutput"
            " ListAgents CronList ToolSearch ReportFindings ExitPlanMode EnterPlanMode AskUserQuestion"
        ),
        _session,
    ),
    **dict.fromkeys(
        ("TaskStop", "KillShell", "KillBash", "ScheduleWakeup", "SendMessage", "CronDelete"), _stops
    ),
    **dict.fromkeys(
        ("CronCreate", "RemoteTrigger", "PushNotification", "EnterWorktree", "ExitWorktree"), _later
    ),
}
