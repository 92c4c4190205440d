"""Whether an edited action asks for more than the one it came from, so that its editor cannot wave it through."""

from handfast.core.domain.action import Judgement, Risk, Verdict
from handfast.core.domain.requirement import Clause, Requirement

_RISKS = [risk.value for risk in Risk]


def asks_more(risk: str, requirement: Requirement, edited: Judgement) -> bool:
    """Whether the approval of an action of this `risk` and `requirement` is not enough for the edited one.

    It is enough when policy allows the edited action by itself, or when every single person who may approve
    the original alone may also approve the edited one alone. An editor is one person, so what takes two
    is never met by an edit.
    """
    if edited.verdict is Verdict.ALLOW:
        return False
    if edited.verdict is Verdict.DENY or risk not in _RISKS:
        return True
    if _RISKS.index(edited.risk.value) > _RISKS.index(risk):
        return True
    return not all(_met_by_one(clause, requirement) for clause in edited.requirement.clauses)


def _met_by_one(clause: Clause, requirement: Requirement) -> bool:
    """Whether somebody who meets `requirement` also meets `clause`, alone."""
    wanted = set(clause.audience)
    return clause.approvals <= 1 and any(set(c.audience) <= wanted for c in requirement.clauses)
