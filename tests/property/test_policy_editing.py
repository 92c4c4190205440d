"""No edit ever yields a grant that policy would not give for the edited call on its own."""

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.action import Judgement, Risk, Verdict
from handfast.core.domain.requirement import REVIEWERS, Clause, Requirement
from handfast.core.policy.editing import asks_more

AUDIENCES = (REVIEWERS, "team:dba", "team:sre", "person:ana")
CLAUSES = st.builds(
    Clause,
    st.integers(1, 3),
    st.sets(st.sampled_from(AUDIENCES), min_size=1).map(lambda s: tuple(sorted(s))),
    st.booleans(),
)
REQUIREMENTS = st.builds(Requirement, st.lists(CLAUSES, min_size=1, max_size=3).map(tuple))
RISKS = list(Risk)
VERDICTS = st.sampled_from(list(Verdict))
# Each person by the teams they are in, and whether they are too close to what is decided. Everybody who may
# decide is a reviewer.
PERSON = st.tuples(st.sets(st.sampled_from(AUDIENCES[1:])), st.booleans())
PEOPLE = st.lists(PERSON, max_size=5)


def judgement(verdict: Verdict, risk: Risk, requirement: Requirement) -> Judgement:
    return Judgement(verdict, risk, (), "sha256:p", requirement)


def met(requirement: Requirement, people: list[tuple[set[str], bool]]) -> bool:
    """Independent of the code: enough different people of each clause's audience, none too close."""
    return all(
        sum(
            bool((teams | {REVIEWERS}) & set(clause.audience)) and not (close and clause.separate)
            for teams, close in people
        )
        >= clause.approvals
        for clause in requirement.clauses
    )


@given(
    st.sampled_from([r.value for r in RISKS] + ["unheard-of"]),
    REQUIREMENTS,
    st.tuples(VERDICTS, st.sampled_from(RISKS), REQUIREMENTS),
    PEOPLE,
)
def test_whoever_approves_the_original_may_approve_an_edit_that_asks_no_more(
    risk: str,
    requirement: Requirement,
    edited: tuple[Verdict, Risk, Requirement],
    people: list[tuple[set[str], bool]],
) -> None:
    verdict, edited_risk, takes = edited
    if asks_more(risk, requirement, judgement(*edited), takes):
        return
    assert verdict is not Verdict.DENY
    if verdict is Verdict.ALLOW:
        return
    assert RISKS.index(edited_risk) <= RISKS.index(Risk(risk))
    if met(requirement, people):
        assert met(takes, people)


@given(st.sampled_from(RISKS), REQUIREMENTS)
def test_the_same_requirement_asks_no_more(risk: Risk, requirement: Requirement) -> None:
    edited = judgement(Verdict.GATE, risk, requirement)
    assert not asks_more(risk.value, requirement, edited, requirement)
