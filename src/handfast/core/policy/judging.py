"""The verdict on an action: the built-in policy and every published one together, strictest wins.

The order of policies, gates and hazards does not matter, and one more gate never loosens anything. A
condition that cannot be evaluated counts as matched and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from handfast.core.domain.action import Facts, Judgement, MatchedRule, Risk, Verdict
from handfast.core.domain.canonical import digest
from handfast.core.domain.copying import replace
from handfast.core.domain.requirement import Requirement, Silence, merged
from handfast.core.policy import builtin
from handfast.core.policy.document import Gate, Policy
from handfast.core.policy.kinds import ActionKind
from handfast.core.policy.subject import Subject

_VERDICTS = tuple(Verdict)
_RISKS = {risk: rank for rank, risk in enumerate(Risk)}
_WAIT = "Wait for the decision, or reach the goal without this."


@dataclass(frozen=True, slots=True)
class Match:
    """A gate that applies. `problem` says why its condition could not be evaluated, if it could not."""

    gate: Gate
    problem: str = ""


class Rulebook(Protocol):
    """A policy whose conditions can be asked. The implementation brings the expression language."""

    @property
    def policy(self) -> Policy: ...

    @property
    def digest(self) -> str:
        """Of the exact text that was published."""
        ...

    def matches(self, subject: Subject) -> tuple[Match, ...]:
        """Every gate that applies to `subject`, and every one that cannot tell. Never raises."""
        ...

    def kinds(self, subject: Subject) -> tuple[ActionKind, ...]:
        """The kinds of action that `subject` is. One that cannot tell only says 'not reversible'."""
        ...


def judge(facts: Facts, subject: Subject, books: Sequence[Rulebook]) -> Judgement:
    """The verdict, its reasons, and what an approval takes. Pure and total.

    `books` are the organisation's and the repository's; none means that only the built-in policy holds.
    """
    off = frozenset().union(*(book.policy.off for book in books)) if books else frozenset()
    judged = builtin.judge(facts, off)
    if not books:
        return judged
    found = [match for book in books for match in book.matches(subject)]
    if not found:
        return replace(judged, policy_digest=digest_of(books))
    rules = {r.id: r for r in judged.rules if r.verdict is not Verdict.ALLOW}
    for match in found:
        _add(rules, _matched(match))
    gated = merged(tuple(m.gate.require for m in found if not m.gate.deny))
    by_builtin = any(r.verdict is Verdict.GATE for r in judged.rules)
    ordered = tuple(sorted(rules.values(), key=builtin.strictest_first))
    return Judgement(
        verdict=ordered[0].verdict,
        risk=max([judged.risk, *[m.gate.risk for m in found]], key=_RISKS.__getitem__),
        rules=ordered,
        policy_digest=digest_of(books),
        requirement=_both(gated, by_builtin=by_builtin),
    )


@lru_cache(maxsize=1024)
def _both(gated: Requirement, *, by_builtin: bool) -> Requirement:
    """What the gates take; the built-in policy adds its one reviewer, and that a machine never goes on."""
    if not by_builtin:
        return gated
    machine = gated.silence is Silence.AUTO_PROCEED
    one = Requirement(silence=Silence.EXPIRE if machine else gated.silence)
    return merged((gated, one))


def _matched(match: Match) -> MatchedRule:
    gate = match.gate
    why = gate.deny or gate.why or f"The policy asks for a decision here: `{gate.id}`."
    if match.problem:
        why = (
            f"The condition of `{gate.id}` could not be evaluated ({match.problem}), so it applies."
        )
    remedy = gate.remedy or ("" if gate.deny else _WAIT)
    return MatchedRule(gate.id, gate.verdict, why, remedy)


def _add(rules: dict[str, MatchedRule], rule: MatchedRule) -> None:
    """Two policies may use one id: the stricter word stays, and between equals the text decides."""
    known = rules.get(rule.id)
    rank = _VERDICTS.index
    if known is None or (rank(rule.verdict), rule.why) > (rank(known.verdict), known.why):
        rules[rule.id] = rule


def digest_of(books: Sequence[Rulebook]) -> str:
    """One digest for all that was in force, whatever the order: the built-in table and each policy."""
    return _digest(tuple(sorted(book.digest for book in books)))


@lru_cache(maxsize=1024)
def _digest(digests: tuple[str, ...]) -> str:
    return digest([builtin.POLICY_DIGEST, *digests]) if digests else builtin.POLICY_DIGEST
