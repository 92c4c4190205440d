"""The form that delegates a task: its fields, and the brief that was typed into it."""

from collections.abc import Mapping
from dataclasses import dataclass

LISTS = ("acceptance", "non_goals", "contacts", "context")
SCOPE = ("paths", "tools", "environments")
BOUNDS = ("tool_calls", "retries", "reasoning_s", "wall_s")
_FIELDS = (
    "intent",
    *LISTS,
    *SCOPE,
    "cost_usd",
    *BOUNDS,
    "risk",
    "repository",
    "target_branch",
    "parent",
)


@dataclass(frozen=True, slots=True)
class TaskForm:
    """`typed` has every field. `field` is the one that `error` is about, as a brief names it."""

    typed: Mapping[str, str]
    error: str = ""
    field: str = ""


def task_form(typed: Mapping[str, str], error: str = "", field: str = "") -> TaskForm:
    found = {name: typed.get(name, "") for name in _FIELDS}
    found["risk"] = found["risk"] or "medium"
    return TaskForm(found, error, field.rpartition(".")[2])


def typed_brief(form: Mapping[str, str]) -> dict[str, object]:
    """The brief as `parse_brief` takes it. Lists are one entry a line; a bound that is no number stays text, so
    that its refusal names it."""
    brief: dict[str, object] = {
        "intent": form.get("intent", ""),
        "risk": form.get("risk") or "medium",
    }
    brief |= {name: _lines(form.get(name, "")) for name in LISTS}
    brief["scope"] = {name: _lines(form.get(name, "")) for name in SCOPE}
    budget: dict[str, object] = {
        name: int(text) if text.isascii() and text.isdigit() and len(text) < 12 else text
        for name in BOUNDS
        if (text := form.get(name, "").strip())
    }
    brief["budget"] = {"cost_usd": form.get("cost_usd", "").strip(), **budget}
    return brief


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
