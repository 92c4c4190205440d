"""An action as a script or an example file writes it, made into what policy judges.

    "git push"                                                  a shell command
    {"command": "git push", "run": {"cost_usd": 4.5}}           with what else is known
    {"tool": "deploy", "arguments": {"env": "prod"}, "facts": {"effect": "network", "hazards": ["deploy"]}}

Without `facts` the call is read as a runner would read it, by its text alone or on a worktree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import UsageError
from handfast.core.policy.subject import (
    AgentFacts,
    ChangeFacts,
    Moment,
    RunFacts,
    Subject,
    TaskFacts,
    call_facts,
    change_facts,
)

T = TypeVar("T")
SHELL = "Bash"
_KNOWN = (
    "tool",
    "command",
    "arguments",
    "cwd",
    "facts",
    "change",
    "agent",
    "run",
    "task",
    "time",
    "executor",
    "subagent",
)


@dataclass(frozen=True, slots=True)
class Action:
    call: Call
    facts: Facts
    subject: Subject


def action_from(data: object, now: datetime, worktree: Path | None = None) -> Action:
    """Raises UsageError naming the field and the remedy."""
    if isinstance(data, str):
        data = {"command": data}
    if not isinstance(data, Mapping):
        raise UsageError(
            "an action is neither a text nor an object",
            hint='Write "git push" or {"command": "git push"}.',
        )
    unknown = sorted(set(map(str, data)) - set(_KNOWN))
    if unknown:
        raise UsageError(
            f"`{unknown[0]}` is not a field of an action", hint=f"Known: {', '.join(_KNOWN)}."
        )
    call, facts = _call(data, worktree)
    subject = Subject(
        call=call_facts(
            call,
            facts,
            executor=str(data.get("executor", "hooked")),
            subagent=str(data.get("subagent", "")),
        ),
        request=Moment(_time(data.get("time"), now)),
        change=_filled(ChangeFacts, data["change"], "change")
        if "change" in data
        else change_facts(facts),
        agent=_filled(AgentFacts, data.get("agent", {}), "agent"),
        run=_filled(RunFacts, data.get("run", {}), "run"),
        task=_filled(TaskFacts, data.get("task", {}), "task"),
    )
    return Action(call, facts, subject)


def _call(data: Mapping[str, Any], worktree: Path | None) -> tuple[Call, Facts]:
    tool = data.get("tool", SHELL)
    arguments = data.get("arguments", {})
    if not isinstance(tool, str) or not tool or not isinstance(arguments, Mapping):
        raise UsageError("`tool` is not a text, or `arguments` is not an object")
    if "command" in data:
        arguments = {**arguments, "command": data["command"]}
    if not arguments and "facts" not in data:
        raise UsageError("`command` is missing", hint="Or write `tool` and `arguments`.")
    if "facts" in data:
        call = Call(tool, cast("Mapping[str, Any]", arguments), str(data.get("cwd", ".")))
        call.canonical()
        return call, _facts(data["facts"])
    from handfast.observe.claude_code import read_call
    from handfast.observe.scope import Scope
    from handfast.observe.textonly import text_scope

    scope = Scope(worktree=worktree, cwd=worktree) if worktree else text_scope()
    return read_call(tool, arguments, scope.at(str(data.get("cwd", "."))))


def _facts(data: object) -> Facts:
    """`effect` is needed; a summary is not, because nobody reads it here."""
    if not isinstance(data, Mapping):
        raise UsageError("`facts` is not an object")
    effects = [e.value for e in Effect]
    if data.get("effect") not in effects:
        raise UsageError(
            f"`facts.effect` is {data.get('effect')!r}", hint=f"One of: {', '.join(effects)}."
        )
    given = {"summary": "", **data, "effect": Effect(data["effect"])}
    return _filled(Facts, given, "facts")


def _time(value: object, now: datetime) -> datetime:
    if value is None:
        return now
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UsageError(f"`time` is {value!r}", hint="Like 2026-03-04T17:30:00+01:00.")
    return at


def _filled(kind: type[T], data: object, path: str) -> T:
    """A dataclass from an object of JSON, its types checked."""
    if not isinstance(data, Mapping):
        raise UsageError(f"`{path}` is not an object")
    hints = get_type_hints(kind)
    known = [f.name for f in fields(cast("Any", kind))]
    given: dict[str, object] = {}
    for name, value in data.items():
        if name not in known:
            raise UsageError(f"`{path}.{name}` is unknown", hint=f"Known: {', '.join(known)}.")
        given[name] = _value(hints[name], value, f"{path}.{name}")
    try:
        return kind(**given)
    except TypeError as e:
        raise UsageError(f"`{path}` lacks a field: {e}") from None


def _value(hint: object, value: object, path: str) -> object:
    options = get_args(hint) if get_origin(hint) not in (tuple, None) else (hint,)
    for option in options:
        if (
            get_origin(option) is tuple
            and isinstance(value, Sequence)
            and not isinstance(value, str)
        ):
            item = get_args(option)[0]
            return tuple(_value(item, each, f"{path}[{i}]") for i, each in enumerate(value))
        if is_dataclass(option) and isinstance(value, Mapping):
            return _filled(cast("type", option), value, path)
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(option, type) and type(value) is option:
            return value
    raise UsageError(f"`{path}` is {value!r}, which has another type than it should")
