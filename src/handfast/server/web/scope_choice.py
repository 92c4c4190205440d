"""What a reviewer may give beyond one start, as a part of the decision form."""

from collections.abc import Mapping
from dataclasses import dataclass

from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Span, Wanted
from handfast.server.web.reading import Record, mapping, number, records, text

_HOURS = (1, 2, 8, 24)


@dataclass(frozen=True, slots=True)
class ScopeChoice:
    """`words` says the most; `spans` and `hours` are what can be chosen. Typed values come back."""

    words: str
    most: int
    spans: tuple[tuple[str, str], ...]
    hours: tuple[int, ...]
    times: str = "1"
    span: str = "run"
    hour: str = ""


def still_missing(handoff: Record) -> int:
    """How many approvals are missing, over all that it takes."""
    clauses = records(mapping(handoff, "takes"), "clauses", 50)
    return sum(number(clause, "missing") or 0 for clause in clauses)


def scope_choice(handoff: Record, typed: Mapping[str, str]) -> ScopeChoice | None:
    """None where only one start may be given, or where this approval is not the last that it takes."""
    allowed = mapping(handoff, "may_give")
    most = number(allowed, "times") or 1
    if most < 2 or still_missing(handoff) > 1:
        return None
    within = number(allowed, "within_s") or 0
    spans = [("run", "this run")]
    if text(allowed, "span") == "task":
        spans.append(("task", "this task, later runs too"))
    return ScopeChoice(
        words=text(allowed, "words"),
        most=most,
        spans=tuple(spans),
        hours=tuple(h for h in _HOURS if not within or h * 3600 <= within),
        times=typed.get("scope_times", "1"),
        span=typed.get("scope_span", "run"),
        hour=typed.get("scope_hours", ""),
    )


def read_scope(handoff: Record, form: Mapping[str, str]) -> Wanted | str:
    """What the form asks for, or what is wrong with it. The engine checks it against the rule again."""
    choice = scope_choice(handoff, {})
    times, span, hours = (form.get(f"scope_{n}", "") for n in ("times", "span", "hours"))
    if choice is None:
        return AS_THE_RULE_SAYS
    if not times.isascii() or not times.isdigit() or not 1 <= int(times[:6]) <= choice.most:
        return f"Choose between 1 and {choice.most} times."
    if int(times) == 1 and not hours:
        return AS_THE_RULE_SAYS
    if span not in {name for name, _ in choice.spans} or hours not in {"", *map(str, choice.hours)}:
        return "Choose one of the offered scopes."
    return Wanted(int(times), Span(span), int(hours or 0) * 3600)
