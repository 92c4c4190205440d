"""What it takes to approve: how many people of which audience, by when, and what silence means.

An audience is written `reviewers` (everybody whose roles let them decide), `owners` (of the files the
action touches), `team:NAME`, `role:NAME`, `person:LOGIN`, `oncall:ROTATION` or `owner:NAME` (one owner as
the repository's CODEOWNERS names it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from handfast.core.domain.copying import replace
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
    """`approvals` different people, each of at least one of the audiences.

    With `separate`, whoever asked for the work and whoever edited the action do not count for it.
    """

    approvals: int = 1
    audience: tuple[str, ...] = (REVIEWERS,)
    separate: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """Who is asked, and how many seconds they have to acknowledge before the next level is asked.
    They are asked `repeat` times. The last level has all the time that is left."""

    to: tuple[str, ...] = (REVIEWERS,)
    ack_within_s: int = 0
    repeat: int = 1


@dataclass(frozen=True, slots=True)
class Requirement:
    """Every clause must be met. One person may count for several clauses, but once within each.

    `within_s` 0 means the installation's default. Without `levels` everybody who may count is asked at
    once. `scope` is the most that one approval may cover. With
    `passkey` each approval is signed by the person's passkey.
    """

    clauses: tuple[Clause, ...] = (Clause(),)
    within_s: int = 0
    silence: Silence = Silence.EXPIRE
    levels: tuple[Level, ...] = ()
    scope: Scope = ONCE
    passkey: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """One time that people are asked. `round` counts the times the last level is asked again."""

    to: tuple[str, ...]
    seconds: int
    level: int = 0
    round: int = 0


def askings(requirement: Requirement, within_s: int) -> tuple[Asking, ...]:
    """Who is asked one after the other; the times add up to `within_s`. Never empty."""
    found: list[Asking] = []
    left = within_s
    for level in requirement.levels:
        for _ in range(level.repeat):
            seconds = level.ack_within_s
            if not 0 < seconds < left:
                return (*found, Asking(level.to, left, len(found)))
            found.append(Asking(level.to, seconds, len(found)))
            left -= seconds
    if not found:
        return (Asking(everybody(requirement), within_s),)
    last = found.pop()
    return (*found, Asking(last.to, last.seconds + left, last.level))


def everybody(requirement: Requirement) -> tuple[str, ...]:
    """The audiences of all clauses."""
    return tuple(sorted({name for clause in requirement.clauses for name in clause.audience}))


def in_words(requirement: Requirement) -> str:
    """`2 approvals of team:dba and 1 of owner:@ann or owner:@bob`."""
    parts = [f"{c.approvals} of {' or '.join(c.audience)}" for c in requirement.clauses]
    first, *rest = parts or ["1 of reviewers"]
    n, _, who = first.partition(" of ")
    said = " and ".join([f"{n} approval{'' if n == '1' else 's'} of {who}", *rest])
    return f"{said}, signed with a passkey" if requirement.passkey else said


def covers(given: Requirement, wanted: Requirement) -> bool:
    """Whether whatever meets `given` meets `wanted` too, as far as the clauses alone can tell."""
    if wanted.passkey and not given.passkey:
        return False
    return all(any(_implies(g, w) for g in given.clauses) for w in wanted.clauses)


def _implies(given: Clause, wanted: Clause) -> bool:
    """Everybody in an audience is a reviewer too: only those who may decide are in any."""
    inside = set(given.audience) <= set(wanted.audience) or REVIEWERS in wanted.audience
    apart = given.separate or not wanted.separate
    return inside and apart and given.approvals >= wanted.approvals


def with_owners(requirement: Requirement, changed: "list[tuple[str, ...]]") -> Requirement:
    """`owners` replaced by whom it means: `changed` holds the owners of each changed file.

    Every file needs one of its owners, so there is a clause for each different set of them. Files without
    an owner need none of their own; where no file has one, `owners` means all reviewers.
    """
    sets = sorted({tuple(sorted(set(owners))) for owners in changed if owners})
    clauses = [c for clause in requirement.clauses for c in _owned(clause, sets)]
    everyone = sorted({name for owners in sets for name in owners})
    levels = tuple(replace(v, to=_named(v.to, everyone)) for v in requirement.levels)
    return merged((replace(requirement, clauses=tuple(clauses), levels=levels),))


def asks_owners(requirement: Requirement) -> bool:
    named = [clause.audience for clause in requirement.clauses]
    return any(OWNERS in audience for audience in [*named, *(v.to for v in requirement.levels)])


def _owned(clause: Clause, sets: "list[tuple[str, ...]]") -> "list[Clause]":
    if OWNERS not in clause.audience:
        return [clause]
    return [replace(clause, audience=_named(clause.audience, owners)) for owners in sets or [()]]


def _named(audience: tuple[str, ...], owners: Sequence[str]) -> tuple[str, ...]:
    if OWNERS not in audience:
        return audience
    others = {name for name in audience if name != OWNERS}
    return tuple(sorted(others | ({f"owner:{name}" for name in owners} or {REVIEWERS})))


def is_audience(name: str) -> bool:
    """Whether `name` is written as an audience is. Says nothing about anybody being in it."""
    if name in (REVIEWERS, OWNERS):
        return True
    return any(name.startswith(p) and len(name) > len(p) and name.isprintable() for p in PREFIXES)


@lru_cache(maxsize=1024)
def merged(requirements: tuple[Requirement, ...]) -> Requirement:
    """All of them at once: every clause, the shortest time, the strictest silence, the narrowest scope.

    Order-independent. A clause that another one implies is dropped: whoever counts as `team:dba` counts as
    a reviewer too. Levels are those of the requirement that has most of them, then by text.
    """
    if not requirements:
        return Requirement()
    wanted: dict[tuple[str, ...], Clause] = {}
    for clause in (c for r in requirements for c in r.clauses):
        named = set(clause.audience)
        audience = (REVIEWERS,) if REVIEWERS in named else tuple(sorted(named))
        known = wanted.get(audience, Clause(0, audience))
        most = max(known.approvals, clause.approvals)
        wanted[audience] = Clause(most, audience, known.separate or clause.separate)
    every = [clause for _, clause in sorted(wanted.items())]
    clauses = tuple(c for c in every if not any(o is not c and _implies(o, c) for o in every))
    times = [r.within_s for r in requirements if r.within_s]
    ranks = list(Silence)
    leveled = sorted((r.levels for r in requirements if r.levels), key=lambda v: (-len(v), repr(v)))
    return Requirement(
        clauses=clauses,
        within_s=min(times, default=0),
        silence=max((r.silence for r in requirements), key=ranks.index),
        levels=leveled[0] if leveled else (),
        scope=narrowest([r.scope for r in requirements]),
        passkey=any(r.passkey for r in requirements),
    )
