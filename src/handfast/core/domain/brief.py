"""The delegation brief: what is wanted, what is not, within which bounds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from handfast.core.domain.action import Risk
from handfast.core.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class Scope:
    """Globs of paths, names of tools and environments the work may touch. Empty means any."""

    paths: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds of a run. Money is a decimal string, times are seconds."""

    cost_usd: str = ""
    tool_calls: int = 0
    retries: int = 0
    reasoning_s: int = 0
    wall_s: int = 0


@dataclass(frozen=True, slots=True)
class Brief:
    intent: str
    acceptance: tuple[str, ...] = ()
    non_goals: tuple[str, ...] = ()
    scope: Scope = Scope()
    budget: Budget = Budget()
    risk: Risk = Risk.MEDIUM
    contacts: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


_TEXTS = ("acceptance", "non_goals", "contacts", "context")
_KNOWN = {"intent", "scope", "budget", "risk", *_TEXTS}
MAX_TEXT = 20_000


def parse_brief(data: object) -> Brief:
    """A brief from decoded YAML or JSON. Raises UsageError naming the field and the remedy."""
    top = _mapping(data, "brief")
    _no_unknown(top, _KNOWN, "")
    intent = top.get("intent")
    if not isinstance(intent, str) or not intent.strip():
        raise UsageError(
            "`intent` is missing or empty", hint="Say in one sentence why this is done."
        )
    risk = top.get("risk", Risk.MEDIUM.value)
    if risk not in [r.value for r in Risk]:
        raise UsageError(f"`risk` is {risk!r}", hint="One of: low, medium, high, critical.")
    texts = {name: _texts(top.get(name), name) for name in _TEXTS}
    return Brief(
        intent=_bounded(intent.strip(), "intent"),
        scope=_scope(top.get("scope")),
        budget=_budget(top.get("budget")),
        risk=Risk(risk),
        **texts,
    )


def _mapping(data: object, name: str) -> Mapping[str, object]:
    if not isinstance(data, Mapping) or not all(isinstance(k, str) for k in data):
        raise UsageError(
            f"`{name}` is not a mapping of names to values",
            hint="Write one `name: value` a line; `handfast brief new` prints a template.",
        )
    return cast("Mapping[str, object]", data)


def _no_unknown(data: Mapping[str, object], known: set[str], prefix: str) -> None:
    unknown = sorted(set(data) - known)
    if unknown:
        raise UsageError(
            f"`{prefix}{unknown[0]}` is not a field of a brief",
            hint=f"Known here: {', '.join(sorted(known))}.",
        )


def _bounded(text: str, name: str) -> str:
    if len(text) > MAX_TEXT:
        raise UsageError(f"`{name}` has {len(text)} characters; at most {MAX_TEXT} are taken")
    return text


def _texts(value: object, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise UsageError(f"`{name}` is not a list", hint=f"Write `{name}:` and one `- …` a line.")
    if len(value) > 100:
        raise UsageError(f"`{name}` has {len(value)} entries; at most 100 are taken")
    for item in value:
        if not isinstance(item, str) or not item.strip():
            raise UsageError(f"`{name}` has an entry that is not text: {item!r}")
    return tuple(_bounded(item.strip(), name) for item in value)


def _scope(value: object) -> Scope:
    if value is None:
        return Scope()
    data = _mapping(value, "scope")
    _no_unknown(data, {"paths", "tools", "environments"}, "scope.")
    return Scope(**{k: _texts(v, f"scope.{k}") for k, v in data.items()})


def _budget(value: object) -> Budget:
    if value is None:
        return Budget()
    data = dict(_mapping(value, "budget"))
    _no_unknown(data, {"cost_usd", "tool_calls", "retries", "reasoning_s", "wall_s"}, "budget.")
    cost = data.pop("cost_usd", None)
    if cost is not None and (isinstance(cost, bool) or not isinstance(cost, int | float | str)):
        raise UsageError("`budget.cost_usd` is not an amount", hint="Write it like `5.00`.")
    for name, number in data.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise UsageError(f"`budget.{name}` is not a whole number of 0 or more")
    whole = {k: v for k, v in data.items() if isinstance(v, int)}
    return Budget(cost_usd=_money(cost), **whole)


def _money(cost: float | str | None) -> str:
    if cost is None or cost == "":
        return ""
    text = str(cost)
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text):
        raise UsageError(f"`budget.cost_usd` is {text!r}", hint="Write it like `5.00`.")
    return text
