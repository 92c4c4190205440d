"""How far one approval reaches: once, several times, for a run or a task, until a time.

A rule says the most that a reviewer may give; without a word of it that is one start. Whatever the rule says,
what cannot be undone, and what is critical, is approved one start at a time. Each use is a start of exactly
the approved call, operands included: a changed script is a new question under any scope.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from handfast.core.domain.errors import UsageError

MAX_TIMES = 100
CRITICAL = "critical"


class Span(StrEnum):
    """Whose calls a grant covers. Ordered from narrow to wide."""

    RUN = "run"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Scope:
    """`times` starts, one after the other. `within_s` 0 means the time any grant has."""

    times: int = 1
    span: Span = Span.RUN
    within_s: int = 0

    @property
    def wider_than_once(self) -> bool:
        return self.times > 1


ONCE = Scope()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reviewer asks for. 0 and None leave it to the rule. `sent` is how they said a time that another
    moment makes other seconds of: by it a repeat is known."""

    times: int = 0
    span: Span | None = None
    within_s: int = 0
    sent: str = field(default="", compare=False)

    @property
    def said(self) -> bool:
        return bool(self.times or self.span or self.within_s)

    @property
    def as_sent(self) -> "Wanted":
        """The same at whatever moment it was read."""
        return replace(self, within_s=0) if self.sent else self

    @property
    def signed(self) -> str:
        """As a passkey signs it; '' for what the rule says. `wanted_of` is the inverse."""
        return f"{self.times} {self.span or ''} {self.within_s}" if self.said else ""


AS_THE_RULE_SAYS = Wanted()


def wanted_of(signed: str) -> Wanted:
    """The inverse of `Wanted.signed`. Raises ValueError for a text that is none."""
    if not signed:
        return AS_THE_RULE_SAYS
    times, span, within_s = signed.split(" ")
    return Wanted(int(times), Span(span) if span else None, int(within_s))


def narrowest(scopes: Sequence[Scope]) -> Scope:
    """What all of them allow. Order-independent; ONCE for none."""
    if not scopes:
        return ONCE
    spans = list(Span)
    times = [s.within_s for s in scopes if s.within_s]
    return Scope(
        times=min(s.times for s in scopes),
        span=min((s.span for s in scopes), key=spans.index),
        within_s=min(times, default=0),
    )


def no_wider(new: Scope, old: Scope) -> bool:
    """Whether whatever `new` allows was allowed by `old`. The time of a scope that names none is not known."""
    spans = list(Span)
    in_time = new.within_s == old.within_s or 0 < new.within_s <= old.within_s
    narrower = spans.index(new.span) <= spans.index(old.span) or new.times == 1
    return in_time and narrower and new.times <= old.times


def most(scope: Scope, *, reversible: bool | None, risk: str) -> Scope:
    """The most that may be given for an action: the rule's scope, but one start of what cannot be undone."""
    if reversible is not True or risk == CRITICAL:
        return Scope(within_s=scope.within_s)
    return scope


def given(wanted: Wanted, allowed: Scope, *, has_task: bool) -> Scope:
    """The scope of a grant. Nothing wanted is one start; a time or a span alone takes the most starts.

    Raises UsageError (`scope_too_wide`) for anything beyond what is allowed.
    """
    if not wanted.said:
        return Scope(within_s=allowed.within_s)
    spans = list(Span)
    span = wanted.span or Span.RUN
    if wanted.times > allowed.times:
        raise _too_wide(f"{wanted.times} times", allowed)
    if spans.index(span) > spans.index(allowed.span) or (span is Span.TASK and not has_task):
        raise _too_wide(f"for the {span.value}", allowed)
    if allowed.within_s and wanted.within_s > allowed.within_s:
        raise _too_wide(f"for {wanted.within_s} s", allowed)
    return Scope(wanted.times or allowed.times, span, wanted.within_s or allowed.within_s)


def _too_wide(what: str, allowed: Scope) -> UsageError:
    return UsageError(
        f"`scope` is wider than the rule allows: {what}",
        code="scope_too_wide",
        hint=f"At most: {shown(allowed)}.",
        details={"field": "scope"},
    )


def shown(scope: Scope) -> str:
    """`once`, or `5 times, for this run, within 2 h`."""
    words = ["once" if scope.times == 1 else f"{scope.times} times"]
    if scope.times > 1:
        words.append(f"for this {scope.span.value}")
    if scope.within_s:
        words.append(f"within {lasting(scope.within_s)}")
    return ", ".join(words)


def lasting(seconds: int) -> str:
    """`2 h`, in the largest unit that fits without a rest."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
