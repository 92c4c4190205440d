"""Reads the `limits` section of a policy."""

import re
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from handfast.core.domain.limit_facts import Level
from handfast.core.policy import sections
from handfast.core.policy.limits import METRICS, Bound, Limits, Metric, Threshold, limits
from handfast.core.policy.sections import Path, Wrong

_MULTIPLE = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)x_median")
_MOST = Decimal(1_000_000_000)
_LEVELS = tuple(level.value for level in Level)


def read_limits(value: object, path: Path = ("limits",)) -> Limits:
    """Raises Wrong with the path of the first thing that is wrong."""
    found = sections.mapping(value, path, tuple(METRICS))
    off = [name for name, given in found.items() if given is False or given == "off"]
    return limits(
        {
            name: _threshold(METRICS[name], given, (*path, name))
            for name, given in found.items()
            if name not in off
        },
        off,
    )


def _threshold(metric: Metric, value: object, path: Path) -> Threshold:
    found = sections.mapping(value, path, _LEVELS)
    if not found:
        raise Wrong(path, f"`{sections.shown(path)}` has no limit", "`off` switches it off.")
    bounds = {level: _bound(metric, found[level], (*path, level)) for level in found}
    _ordered(metric, bounds, path)
    return Threshold(*((bounds[level],) if level in bounds else () for level in _LEVELS))


def _bound(metric: Metric, value: object, path: Path) -> Bound:
    multiple = _MULTIPLE.fullmatch(value) if isinstance(value, str) else None
    if multiple is not None:
        if not metric.relative or Decimal(multiple[1]) <= 0:
            raise Wrong(
                path,
                f"`{value}` cannot be a limit of `{metric.name}`",
                "A multiple above 0 of the agent's median is known for: "
                + ", ".join(m.name for m in METRICS.values() if m.relative)
                + ".",
            )
        return Bound(Decimal(multiple[1]), of_median=True)
    amount = _amount(metric, value)
    if amount is None or not 0 < amount <= _MOST:
        raise Wrong(path, f"`{sections.shown(path)}` is {value!r}", _form(metric))
    if metric.whole and amount != amount.to_integral_value():
        raise Wrong(path, f"`{sections.shown(path)}` is {value!r}", "A whole number of 1 or more.")
    if metric.unit == "share" and amount > 1:
        raise Wrong(path, f"`{sections.shown(path)}` is {value!r}", "A share above 0, at most 1.")
    return Bound(amount)


def _amount(metric: Metric, value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if metric.unit == "s" and isinstance(value, str):
        try:
            return Decimal(sections.seconds(value, ()))
        except Wrong:
            pass
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _form(metric: Metric) -> str:
    if metric.unit == "s":
        return "Seconds, a length of time like 45s, 15m, 4h, or a multiple like 2x_median."
    if metric.unit == "share":
        return "A share above 0, at most 1."
    return f"A number above 0{', or a multiple like 2x_median' if metric.relative else ''}."


def _ordered(metric: Metric, bounds: dict[str, Bound], path: Path) -> None:
    """A milder level that is met later than a stricter one would never be heard of."""
    for of_median in (False, True):
        same = [(level, b.value) for level, b in bounds.items() if b.of_median is of_median]
        same.sort(key=lambda pair: _LEVELS.index(pair[0]))
        for (mild, first), (strict, second) in pairwise(same):
            if (second < first) is not metric.floor and second != first:
                raise Wrong(
                    (*path, mild),
                    f"`{mild}` of `{metric.name}` is met after `{strict}`, so it never counts",
                    "Write warn, hand_over and stop from mild to strict.",
                )
