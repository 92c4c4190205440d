"""Limits of a run: how much is much, absolutely or beside the agent's own median, and what follows.

    limits:
      cost_usd: {warn: 2x_median, hand_over: 3x_median, stop: 5.00}
      failing_call_repeats: {hand_over: 2}
      retries: off

`stop` is the hard bound. Merging keeps the strictest bound of each level and each kind, so the order of
policies does not matter. `check` is pure and monotone: more use never meets a milder level.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from handfast.core.domain.brief import Budget
from handfast.core.domain.limit_facts import Crossed, History, Level, Raised

ENOUGH_RUNS = 5
_LEVELS = tuple(Level)
_SOURCES = ("brief", "policy", "first_runs", "default")


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured. `floor`: met at or below the bound instead of at or above. `relative`: may be
    compared with the agent's own median."""

    name: str
    unit: str = ""
    relative: bool = False
    whole: bool = True
    floor: bool = False


METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        Metric("cost_usd", "$", relative=True, whole=False),
        Metric("tool_calls", relative=True),
        Metric("failing_call_repeats"),
        Metric("consecutive_errors"),
        Metric("retries", relative=True),
        Metric("reasoning_s", "s", relative=True),
        Metric("wall_s", "s", relative=True),
        Metric("context_fill", "share", whole=False),
        Metric("compactions"),
        Metric("stated_confidence", "share", whole=False, floor=True),
    )
}


@dataclass(frozen=True, slots=True)
class Bound:
    """An amount, or with `of_median` a multiple of the agent's own median."""

    value: Decimal
    of_median: bool = False
    source: str = "policy"


@dataclass(frozen=True, slots=True)
class Threshold:
    """The bounds of one metric, by level. At most one amount and one multiple each; any of them counts."""

    warn: tuple[Bound, ...] = ()
    hand_over: tuple[Bound, ...] = ()
    stop: tuple[Bound, ...] = ()

    def at(self, level: Level) -> tuple[Bound, ...]:
        return {Level.WARN: self.warn, Level.HAND_OVER: self.hand_over, Level.STOP: self.stop}[
            level
        ]


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds by metric, sorted by name. `off` names metrics whose defaults do not hold."""

    thresholds: tuple[tuple[str, Threshold], ...] = ()
    off: tuple[str, ...] = ()

    def of(self, metric: str) -> Threshold | None:
        return next((t for name, t in self.thresholds if name == metric), None)


def limits(thresholds: Mapping[str, Threshold], off: Iterable[str] = ()) -> Limits:
    return Limits(tuple(sorted(thresholds.items())), tuple(sorted(set(off))))


def _default(warn: str = "", hand_over: str = "") -> Threshold:
    def bounds(text: str) -> tuple[Bound, ...]:
        amount = text.removesuffix("x")
        return (Bound(Decimal(amount), amount != text, "default"),) if text else ()

    return Threshold(bounds(warn), bounds(hand_over))


# docs/limits.md has the figures behind them.
DEFAULTS = limits(
    {
        "cost_usd": _default("2x", "3x"),
        "tool_calls": _default("2x", "3x"),
        "failing_call_repeats": _default(hand_over="2"),
        "consecutive_errors": _default(hand_over="3"),
        "retries": _default("6"),
        "reasoning_s": _default("2x", "3x"),
        "wall_s": _default("2x", "3x"),
        "context_fill": _default("0.75"),
        "compactions": _default("1", "2"),
    }
)
# What a multiple of the median means while the agent has too few earlier runs to have one.
FIRST_RUNS: Mapping[str, Mapping[Level, Decimal]] = {
    metric: dict(zip(_LEVELS, map(Decimal, amounts), strict=True))
    for metric, amounts in {
        "cost_usd": ("2", "5", "10"),
        "tool_calls": ("150", "300", "600"),
        "retries": ("6", "12", "24"),
        "reasoning_s": ("1800", "5400", "10800"),
        "wall_s": ("3600", "10800", "21600"),
    }.items()
}


def merged(one: Limits, other: Limits) -> Limits:
    """Both at once. Commutative, associative, and a part of it is never loosened by the rest."""
    known, more = dict(one.thresholds), dict(other.thresholds)
    found = {
        name: Threshold(
            *(_strictest(METRICS[name], (*t.at(level), *o.at(level))) for level in _LEVELS)
        )
        for name in known.keys() | more.keys()
        for t, o in [(known.get(name, Threshold()), more.get(name, Threshold()))]
    }
    return limits(found, set(one.off) & set(other.off))


def _strictest(metric: Metric, bounds: tuple[Bound, ...]) -> tuple[Bound, ...]:
    """Of the amounts and of the multiples the strictest one each."""
    sign = -1 if metric.floor else 1
    kinds = (
        sorted(
            (b for b in bounds if b.of_median is multiple),
            key=lambda b: (sign * b.value, _SOURCES.index(b.source)),
        )
        for multiple in (False, True)
    )
    return tuple(kind[0] for kind in kinds if kind)


@lru_cache(maxsize=256)
def effective(organisation: Limits | None, repository: Limits | None, budget: Budget) -> Limits:
    """What holds for a run. The organisation's word on a metric replaces its default; the repository and
    the brief only tighten. A budget of the brief is a hard bound."""
    said = organisation or Limits()
    base = {
        name: t for name, t in DEFAULTS.thresholds if name not in said.off and said.of(name) is None
    }
    held = limits({**base, **dict(said.thresholds)})
    return merged(merged(held, repository or Limits()), of_budget(budget))


def of_budget(budget: Budget) -> Limits:
    amounts: dict[str, int | str] = {
        "cost_usd": budget.cost_usd or "0",
        "tool_calls": budget.tool_calls,
        "retries": budget.retries,
        "reasoning_s": budget.reasoning_s,
        "wall_s": budget.wall_s,
    }
    found = {name: Decimal(amount) for name, amount in amounts.items()}
    return limits(
        {n: Threshold(stop=(Bound(v, source="brief"),)) for n, v in found.items() if v > 0}
    )


def check(
    usage: Mapping[str, Decimal],
    held: Limits,
    history: History,
    raised: Mapping[str, Raised] | None = None,
) -> tuple[Crossed, ...]:
    """The limits that are met, the strictest level of each metric. What is not in `usage` is not known,
    and meets nothing."""
    found = (
        _met(METRICS[name], usage[name], threshold, history, (raised or {}).get(name))
        for name, threshold in held.thresholds
        if name in usage
    )
    return tuple(crossed for crossed in found if crossed is not None)


def _met(
    metric: Metric, figure: Decimal, threshold: Threshold, history: History, raised: Raised | None
) -> Crossed | None:
    for level in reversed(_LEVELS):
        bounds = threshold.at(level)
        if not any(_reaches(metric, figure, _value(metric, level, b, history)) for b in bounds):
            continue  # most calls end here; raising a bound only moves it away
        limit = bound_at(metric, level, threshold, history, raised, figure)
        if limit is not None and _reaches(metric, figure, Decimal(limit.limit)):
            return limit
    return None


def bound_at(
    metric: Metric,
    level: Level,
    threshold: Threshold,
    history: History,
    raised: Raised | None,
    figure: Decimal,
) -> Crossed | None:
    """The bound that holds at this level beside `figure`, whether it is met or not; None without one."""
    resolved = [_resolved(metric, level, b, history, figure) for b in threshold.at(level)]
    if not resolved:
        return None
    sign = -1 if metric.floor else 1
    strictest = min(resolved, key=lambda c: sign * Decimal(c.limit))
    return _lifted(metric, strictest, raised)


def _resolved(
    metric: Metric, level: Level, bound: Bound, history: History, figure: Decimal
) -> Crossed:
    def crossed(limit: Decimal, source: str, times: str = "", median: str = "") -> Crossed:
        text = plain(limit)
        runs = history.runs.get(metric.name, 0)
        return Crossed(metric.name, level, plain(figure), text, text, source, times, median, runs)

    value = _value(metric, level, bound, history)
    if not bound.of_median:
        return crossed(value, bound.source)
    if not _known(metric, history):
        return crossed(value, "first_runs")
    median = Decimal(history.medians[metric.name])
    return crossed(value, bound.source, plain(bound.value), plain(median))


def _value(metric: Metric, level: Level, bound: Bound, history: History) -> Decimal:
    if not bound.of_median:
        return bound.value
    if not _known(metric, history):
        return FIRST_RUNS[metric.name][level]
    return bound.value * Decimal(history.medians[metric.name])


def _known(metric: Metric, history: History) -> bool:
    """Whether the agent has enough earlier runs for a median that says something."""
    enough = history.runs.get(metric.name, 0) >= ENOUGH_RUNS
    return enough and Decimal(history.medians.get(metric.name, "0")) > 0


def _lifted(metric: Metric, c: Crossed, raised: Raised | None) -> Crossed:
    if raised is None or _LEVELS.index(raised.level) < _LEVELS.index(c.level):
        return c
    bound = Decimal(raised.bound)
    if (bound >= Decimal(c.limit)) is metric.floor:
        return c
    return Crossed(c.metric, c.level, c.figure, plain(bound), c.step, "raised")


def raise_of(crossed: Crossed, figure: Decimal) -> Raised:
    """What going on means: the limit as it was set once more, on top of what is used by then."""
    metric, step = METRICS[crossed.metric], Decimal(crossed.step)
    known = (Decimal(crossed.limit), Decimal(crossed.figure), figure)
    bound = min(known) - step if metric.floor else max(known) + step
    return Raised(crossed.metric, crossed.level, plain(bound))


def _reaches(metric: Metric, figure: Decimal, limit: Decimal) -> bool:
    return figure <= limit if metric.floor else figure >= limit


def plain(value: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{value:.12f}".rstrip("0").rstrip(".")
    return text if text not in ("", "-0") else "0"
