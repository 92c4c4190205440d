"""What is said about limits, to people and to agents. Drawn from figures only."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from handfast.core.domain.events_work import Mode
from handfast.core.domain.limit_facts import Crossed, History, Level, Raised
from handfast.core.domain.run import Run
from handfast.core.policy.limits import ENOUGH_RUNS, METRICS, Limits, bound_at, raise_of

LABELS = {
    "cost_usd": "cost",
    "tool_calls": "tool calls",
    "failing_call_repeats": "identical failures of one call",
    "consecutive_errors": "errors in a row",
    "retries": "repeats of calls that had failed",
    "reasoning_s": "time the model took",
    "wall_s": "working time",
    "context_fill": "share of the context in use",
    "compactions": "compactions of the context",
    "stated_confidence": "confidence the agent stated",
}
_LEADS_TO = {Level.WARN: "warns", Level.HAND_OVER: "hands over", Level.STOP: "stops"}
_MINUTE, _HOUR = 60, 3600


def amount(metric: str, value: str) -> str:
    """`$1.80`, `12`, `1 h 30 min`, `0.75`."""
    number = Decimal(value)
    match METRICS[metric].unit:
        case "$":
            places = "0.01" if number >= Decimal("0.01") or not number else "0.0001"
            return f"${number.quantize(Decimal(places), ROUND_HALF_UP)}"
        case "s":
            return _time(int(number))
        case "share":
            return f"{number.quantize(Decimal('0.01'), ROUND_HALF_UP)}"
        case _:
            return f"{number.normalize():f}"


def _time(seconds: int) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds} s"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE} min"
    rest = seconds % _HOUR // _MINUTE
    return f"{seconds // _HOUR} h {rest} min" if rest else f"{seconds // _HOUR} h"


def figure(c: Crossed) -> str:
    """`cost $1.85 of $1.80`."""
    joint = "at most" if METRICS[c.metric].floor else "of"
    return f"{LABELS[c.metric]} {amount(c.metric, c.figure)} {joint} {amount(c.metric, c.limit)}"


def because(c: Crossed) -> str:
    """Where the limit comes from."""
    if c.source == "raised":
        return "raised for this run by a person"
    if c.times:
        middle = amount(c.metric, c.median)
        return f"{c.times}x this agent's own median of {middle} over {c.runs} earlier runs"
    if c.source == "first_runs":
        return (
            f"a fixed amount: this agent has {c.runs} earlier run{'' if c.runs == 1 else 's'} to "
            f"compare with, {ENOUGH_RUNS} are needed"
        )
    sources = {"brief": "the budget of the brief", "policy": "set by the policy"}
    return sources.get(c.source, "the default")


def sentence(c: Crossed) -> str:
    """The figure, the limit and the history behind it."""
    text = figure(c)
    return f"{text[:1].upper()}{text[1:]} ({because(c)})."


def observed_sentence(c: Crossed) -> str:
    """For a run that only watches."""
    word = "have been stopped" if c.level is Level.STOP else "have been handed over"
    return f"{sentence(c)} In enforce mode the run would {word}."


def warnings(run: Run) -> tuple[str, ...]:
    """What the run was warned of, by metric."""
    return tuple(
        observed_sentence(c)
        if run.mode is Mode.OBSERVE and c.level is not Level.WARN
        else sentence(c)
        for c in run.limits.met.values()
    )


def going_on(crossed: Iterable[Crossed]) -> str:
    """What letting the run go on means, in figures."""
    parts = []
    for c in crossed:
        raised = raise_of(c, Decimal(c.figure))
        parts.append(f"{LABELS[c.metric]} {_next(c, raised)}")
    return f"The limit of this run becomes: {'; '.join(parts)}."


def _next(c: Crossed, raised: Raised) -> str:
    if METRICS[c.metric].unit == "share":
        return "not watched any more"
    return f"{amount(c.metric, raised.bound)} ({amount(c.metric, c.step)} more)"


def beside(
    metric: str, held: Limits, history: History, raised: Raised | None, known: Decimal | None
) -> str:
    """What stands beside a figure: `warns at $1.20, hands over at $1.80 (2x, 3x its median of $0.60)`.

    A bound that a stronger one comes before is never met, and not said.
    """
    threshold = held.of(metric)
    if threshold is None:
        return ""
    at: list[str] = []
    why: list[Crossed] = []
    for level in reversed(Level):
        found = bound_at(METRICS[metric], level, threshold, history, raised, known or Decimal(0))
        if found is not None and all(Decimal(found.limit) < Decimal(s.limit) for s in why):
            at.insert(0, f"{_LEADS_TO[level]} at {amount(metric, found.limit)}")
            why.insert(0, found)
    reasons = _reasons(why)
    return ", ".join(at) + (f" ({reasons})" if reasons else "")


def _reasons(bounds: list[Crossed]) -> str:
    """Where the bounds come from, shortly, each reason once."""
    multiples = [c for c in bounds if c.times]
    found = []
    if multiples:
        times = ", ".join(f"{c.times}x" for c in multiples)
        middle = amount(multiples[0].metric, multiples[0].median)
        found.append(f"{times} its median of {middle} over {multiples[0].runs} runs")
    if any(c.source == "first_runs" for c in bounds):
        runs = next(c.runs for c in bounds if c.source == "first_runs")
        found.append(f"fixed until {ENOUGH_RUNS} earlier runs give a median, {runs} so far")
    words = {"brief": "the brief's budget", "policy": "policy", "raised": "raised by a person"}
    sources = dict.fromkeys(c.source for c in bounds if not c.times)
    return "; ".join([*found, *(words[s] for s in sources if s in words)])
