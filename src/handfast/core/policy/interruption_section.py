"""The `interruptions` section of a policy: what may wait to be asked together, and how long.

interruptions:
  cost: 20                # reviewer-minutes that one interruption costs; 0 (the default): nothing waits
  per_day: 3              # checkpoints a person is told of in 24 hours, urgent ones left out
  wait_at_most: 2h
  sitting: 15m            # asks that come while people look at a checkpoint join it
  rates: {blocking: 0.15, other: 0.02}      # reviewer-minutes that a minute of waiting costs
  planned: [plan, change, release]          # stages whose end opens a checkpoint
  urgent: [{risk: [high]}, {rules: [push]}] # never wait, beside what never does anyway
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from handfast.core.domain.action import Risk
from handfast.core.domain.copying import replace
from handfast.core.domain.events_checkpoint import Stage
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.policy import sections
from handfast.core.policy.interruption import MILS
from handfast.core.policy.routes import KEYS, values
from handfast.core.policy.sections import Path, Wrong

MAX_COST = 1_000
NEVER_WAITS = frozenset({HandoffKind.DOUBT, HandoffKind.TAKEOVER})
LEAVES = frozenset(
    {"git.push", "git.push-force", "publish", "deploy", "forge.write", "host.control"}
)
"""Hazards whose effect is outside the repository: an ask about one that may have no undo is a release."""
_KEYS = ("cost", "per_day", "wait_at_most", "sitting", "rates", "planned", "urgent")


@dataclass(frozen=True, slots=True)
class Budget:
    """What interruptions cost. `cost_mils` 0: every ask interrupts at once, and nothing else here counts.

    `urgent` holds conditions of which one is enough, each by key as in `routes`.
    """

    cost_mils: int = 0
    per_day: int = 3
    wait_at_most_s: int = 7_200
    sitting_s: int = 900
    blocking_mils: int = 150
    other_mils: int = 20
    planned: tuple[Stage, ...] = tuple(Stage)
    urgent: tuple[Mapping[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of an ask when it comes. `facts` has a value for every key of `routes`.

    `stated`: its gate names a time within which it is to be decided. `review_of_override`: another person
    looks at what was overridden. `worked`: its run had an effect before.
    """

    kind: HandoffKind
    risk: str
    facts: Mapping[str, tuple[str, ...]]
    reversible: bool | None
    blocking: bool
    stated: bool = False
    review_of_override: bool = False
    worked: bool = False
    hazards: tuple[str, ...] = ()

    @property
    def stage(self) -> Stage:
        if self.reversible is not True and LEAVES.intersection(self.hazards):
            return Stage.RELEASE
        early = self.kind in (HandoffKind.QUESTION, HandoffKind.DELEGATION)
        return Stage.PLAN if early and not self.worked else Stage.CHANGE

    def ends_stage(self, planned: Sequence[Stage]) -> bool:
        """Whether the work stops here until people have decided: the plan, finished work, what has no undo."""
        stage = self.stage
        stops = self.kind is HandoffKind.REVIEW if stage is Stage.CHANGE else self.blocking
        return stops and stage in planned


def urgent_because(budget: Budget, asked: Asked) -> str:
    """Why it cannot wait, in words; '' when it can. No policy makes the first four wait."""
    if asked.risk == Risk.CRITICAL.value:
        return "critical risk"
    if asked.kind in NEVER_WAITS:
        return "something may have happened that nobody knows" if _doubt(asked) else "a take-over"
    if asked.review_of_override:
        return "the review of an emergency"
    if asked.blocking and asked.stated and asked.reversible is False:
        return "it has no undo, and its rule names a deadline"
    for wanted in budget.urgent:
        if all(set(found) & set(asked.facts[key]) for key, found in wanted.items()):
            said = "; ".join(f"{key} {', '.join(found)}" for key, found in sorted(wanted.items()))
            return f"the policy calls it urgent: {said}"
    return ""


def _doubt(asked: Asked) -> bool:
    return asked.kind is HandoffKind.DOUBT


def together(budgets: Sequence[Budget]) -> Budget:
    """Of several policies: whatever makes people hear of it sooner. None at all: everything interrupts."""
    if not budgets:
        return Budget()
    first, *others = budgets
    for other in others:
        first = replace(
            first,
            cost_mils=min(first.cost_mils, other.cost_mils),
            per_day=max(first.per_day, other.per_day),
            wait_at_most_s=min(first.wait_at_most_s, other.wait_at_most_s),
            sitting_s=min(first.sitting_s, other.sitting_s),
            blocking_mils=max(first.blocking_mils, other.blocking_mils),
            other_mils=max(first.other_mils, other.other_mils),
            planned=tuple(s for s in Stage if s in first.planned or s in other.planned),
            urgent=(*first.urgent, *other.urgent),
        )
    return first


def read_budget(value: object, path: Path) -> Budget:
    """Raises Wrong with the path of the first thing that is wrong."""
    found = sections.mapping(value, path, _KEYS)
    if "cost" not in found:
        raise Wrong(
            path, "`interruptions` needs a `cost`", "20 reviewer-minutes, or 0: nothing waits."
        )
    rates = sections.mapping(found.get("rates", {}), (*path, "rates"), ("blocking", "other"))
    default = Budget()
    budget = Budget(
        cost_mils=_mils(found["cost"], (*path, "cost"), MAX_COST),
        per_day=sections.whole(found.get("per_day", default.per_day), (*path, "per_day"), 1, 100),
        wait_at_most_s=_time(found, "wait_at_most", path, default.wait_at_most_s, 7 * 86_400),
        sitting_s=_time(found, "sitting", path, default.sitting_s, 86_400),
        blocking_mils=_rate(rates, "blocking", path, default.blocking_mils),
        other_mils=_rate(rates, "other", path, default.other_mils),
        planned=_planned(found.get("planned", list(Stage)), (*path, "planned")),
        urgent=tuple(
            _condition(item, (*path, "urgent", i))
            for i, item in enumerate(sections.entries(found.get("urgent"), (*path, "urgent")))
        ),
    )
    if budget.other_mils > budget.blocking_mils:
        raise Wrong(
            (*path, "rates"),
            "what blocks nobody would cost more than what blocks an agent",
            "`other` is at most `blocking`.",
        )
    return budget


def _mils(value: object, path: Path, most: int) -> int:
    """Reviewer-minutes with at most three decimals, in thousandths."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    try:
        mils = Decimal(str(number)) * MILS
    except InvalidOperation:
        mils = Decimal("NaN")
    if not mils.is_finite() or mils != mils.to_integral_value() or not 0 <= mils <= most * MILS:
        raise Wrong(
            path,
            f"`{sections.shown(path)}` is {value!r}",
            f"Reviewer-minutes from 0 to {most}, with at most three decimals.",
        )
    return int(mils)


def _rate(rates: Mapping[str, object], name: str, path: Path, default: int) -> int:
    return _mils(rates[name], (*path, "rates", name), 100) if name in rates else default


def _time(found: Mapping[str, object], name: str, path: Path, default: int, most: int) -> int:
    if name not in found:
        return default
    seconds = sections.seconds(found[name], (*path, name))
    if seconds > most:
        raise Wrong((*path, name), f"`{sections.shown((*path, name))}` is longer than {most} s")
    return seconds


def _planned(value: object, path: Path) -> tuple[Stage, ...]:
    known = [s.value for s in Stage]
    words = sections.texts(value, path)
    named = {sections.one_of(word, (*path, i), known) for i, word in enumerate(words)}
    return tuple(s for s in Stage if s.value in named)


def _condition(value: object, path: Path) -> Mapping[str, tuple[str, ...]]:
    found = sections.mapping(value, path, KEYS)
    if not found:
        raise Wrong(path, f"`{sections.shown(path)}` is empty", f"Name one of: {', '.join(KEYS)}.")
    return {key: values(given, key, (*path, key)) for key, given in found.items()}
