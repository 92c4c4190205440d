"""The figures of a run that limits are held against, and those nobody can know."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from handfast.core.domain.run import Run
from handfast.core.policy.limits import METRICS, Limits, plain

# What a later run of the agent is measured against.
_KEPT = tuple(m.name for m in METRICS.values() if m.relative)


def measured(run: Run, now: datetime) -> dict[str, Decimal]:
    """What is known of the run's use, by metric. What is not known is not in it, rather than 0."""
    u, c, told = run.usage, run.counts, run.usage.reported
    found: dict[str, Decimal] = {}
    if u.costed:
        found["cost_usd"] = max(Decimal(run.cost_usd), Decimal(told.cost_usd or "0"))
    if c.steps or run.harness != "none":
        found["tool_calls"] = Decimal(c.steps - c.stopped - c.denied)
    if u.heard or run.harness != "none":
        repeats = max((f.times for f in u.failing), default=0)
        found["failing_call_repeats"] = Decimal(repeats)
        found["consecutive_errors"] = Decimal(u.errors_in_a_row)
        found["retries"] = Decimal(u.retries)
    if u.active_since or u.active_ms:
        found["wall_s"] = Decimal(u.worked_ms(now)) / 1000
    if told.reasoning_ms is not None:
        found["reasoning_s"] = Decimal(told.reasoning_ms) / 1000
    if told.compactions is not None:
        found["compactions"] = Decimal(told.compactions)
    if told.context_fill:
        found["context_fill"] = Decimal(told.context_fill)
    if told.confidence:
        found["stated_confidence"] = Decimal(told.confidence)
    return found


def for_history(run: Run, now: datetime) -> Mapping[str, str]:
    """What is kept of a run that ended. A figure of 0 says nothing about how much is usual."""
    known = measured(run, now)
    return {name: plain(known[name]) for name in _KEPT if known.get(name, 0) > 0}


def not_watched(run: Run, held: Limits, now: datetime) -> tuple[str, ...]:
    """Metrics with a limit whose figure is not known: nothing is said about them."""
    known = measured(run, now)
    return tuple(name for name, _ in held.thresholds if name not in known)
