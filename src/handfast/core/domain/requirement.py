"""What it takes to approve: how many people of which audience, by when, and what silence means.

An audience is written `reviewers` (everybody whose roles let them decide), `owners` (of the files the
action touches), `team:NAME`, `role:NAME`, `person:LOGIN`, `oncall:ROTATION` or `owner:NAME` (one owner as
the repository's CODEOWNERS names it).
"""

from dataclasses import dataclass
from enum import StrEnum

from handfast.core.domain.grant_scope import ONCE, Scope, narrowest

REVIEWERS = "reviewers"
OWNERS = "owners"
PREFIXES = ("team:", "role:", "person:", "oncall:", "owner:")


class Silence(StrEnum):
    """What the last deadline leads to. Ordered from loosest to strictest; none of them is an approval
    by a person, and `auto_proceed` holds only for what is low risk and reversible."""

    AUTO_PROCEED = "auto_proceed"
    ESCALATE = "escalate"
    EXPIRE = "expire"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Clause:
    """`approvals` different people, each of at least one of the audiences."""

    approvals: int = 1
    audience: tuple[str, ...] = (REVIEWERS,)


@dataclass(frozen=True, slots=True)
class Level:
    """Who is asked, and how many seconds they have to acknowledge before the next level is asked."""

    to: tuple[str, ...] = (REVIEWERS,)
    ack_within_s: int = 0


@dataclass(frozen=True, slots=True)
class Requirement:
    """Every clause must be met. One person may count for several clauses, but once within each.

    `within_s` 0 means the installation's default. Without `levels` everybody who may count is asked at
    once. The requester, the implementer and the editor of what is decided never count. `scope` is the most
    that one approval may cover.
    """

    clauses: tuple[Clause, ...] = (Clause(),)
    within_s: int = 0
    silence: Silence = Silence.EXPIRE
    levels: tuple[Level, ...] = ()
    scope: Scope = ONCE


def is_audience(name: str) -> bool:
    """Whether `name` is written as an audience is. Says nothing about anybody being in it."""
    if name in (REVIEWERS, OWNERS):
        return True
    return any(name.startswith(p) and len(name) > len(p) and name.isprintable() for p in PREFIXES)


def merged(requirements: "list[Requirement]") -> Requirement:
    """All of them at once: every clause, the shortest time, the strictest silence, the narrowest scope.

    Order-independent.

    A clause that another one implies (the same audience, no more approvals) is dropped. Levels are those
    of the requirement that asks the most people first, then by text, so that the order does not matter.
    """
    if not requirements:
        return Requirement()
    wanted: dict[tuple[str, ...], int] = {}
    for clause in (c for r in requirements for c in r.clauses):
        audience = tuple(sorted(set(clause.audience)))
        wanted[audience] = max(wanted.get(audience, 0), clause.approvals)
    clauses = tuple(Clause(n, audience) for audience, n in sorted(wanted.items()))
    times = [r.within_s for r in requirements if r.within_s]
    ranks = list(Silence)
    leveled = sorted((r.levels for r in requirements if r.levels), key=lambda v: (-len(v), repr(v)))
    return Requirement(
        clauses=clauses,
        within_s=min(times, default=0),
        silence=max((r.silence for r in requirements), key=ranks.index),
        levels=leveled[0] if leveled else (),
        scope=narrowest([r.scope for r in requirements]),
    )
