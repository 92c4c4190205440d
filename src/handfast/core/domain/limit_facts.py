"""What is said about a run and its limits: figures, the limit they met, what a person allowed beyond it.

Amounts are decimal strings, so that the log never holds a binary fraction.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from handfast.core.domain.errors import UsageError

AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


class Level(StrEnum):
    """What meeting a limit leads to. Ordered from mildest to strictest."""

    WARN = "warn"
    HAND_OVER = "hand_over"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Crossed:
    """A figure that has met its limit. `step` is the limit as it was set, before anybody raised it: going
    on adds it once more. `times` and `median` are set where the limit is a multiple of the agent's own
    median over `runs` earlier runs; `source` is default, first_runs, policy, brief or raised."""

    metric: str
    level: Level
    figure: str
    limit: str
    step: str
    source: str = "default"
    times: str = ""
    median: str = ""
    runs: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """The agent's own medians over its earlier runs, as they were when the run began. `runs` counts the
    runs in which each was known."""

    medians: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raised:
    """A person let the run go on: no limit of this metric up to `level` holds below `bound` any more."""

    metric: str
    level: Level
    bound: str


@dataclass(frozen=True, slots=True)
class Reported:
    """What a harness or a program told of a run. Totals since its start; '' and None mean not known.

    `context_fill` and `confidence` are from 0 to 1 and the latest; the others never fall.
    """

    cost_usd: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    reasoning_ms: int | None = None
    compactions: int | None = None
    context_fill: str = ""
    confidence: str = ""


def check_reported(r: Reported) -> None:
    """Raises UsageError naming the field that is no amount, or no share from 0 to 1."""
    for name in ("cost_usd", "context_fill", "confidence"):
        text = getattr(r, name)
        if text and not AMOUNT.fullmatch(text):
            raise UsageError(
                f"`{name}` is {text[:40]!r}", hint="Write a decimal number like `0.25`."
            )
    if r.confidence and Decimal(r.confidence) > 1:
        raise UsageError(f"`confidence` is {r.confidence}", hint="From 0 to 1.")
    if r.context_fill and Decimal(r.context_fill) > 10:
        raise UsageError(f"`context_fill` is {r.context_fill}", hint="1 is a full context.")
    for name in ("tokens_in", "tokens_out", "reasoning_ms", "compactions"):
        number = getattr(r, name)
        if number is not None and not 0 <= number < 2**53:
            raise UsageError(f"`{name}` is {number}", hint="A whole number of 0 or more.")


def later(known: Reported, told: Reported) -> Reported:
    """Both together: a total that is told lower than before does not fall, what is not told stays."""
    return Reported(
        cost_usd=_more(known.cost_usd, told.cost_usd),
        tokens_in=_most(known.tokens_in, told.tokens_in),
        tokens_out=_most(known.tokens_out, told.tokens_out),
        reasoning_ms=_most(known.reasoning_ms, told.reasoning_ms),
        compactions=_most(known.compactions, told.compactions),
        context_fill=told.context_fill or known.context_fill,
        confidence=told.confidence or known.confidence,
    )


def _more(known: str, told: str) -> str:
    if not (known and told):
        return told or known
    return told if Decimal(told) > Decimal(known) else known


def _most(known: int | None, told: int | None) -> int | None:
    if known is None or told is None:
        return told if known is None else known
    return max(known, told)
