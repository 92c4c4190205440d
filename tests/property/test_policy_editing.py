"""No edit ever yields a grant that policy would not give for the edited call on its own."""

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.action import Judgement, Risk, Verdict
from handfast.core.domain.requirement import Clause, Requirement
from handfast.core.policy.editing import asks_more

AUDIENCES = ("reviewers", "team:dba", "team:sre", "person:ana")
CLAUSES = st.builds(
    Clause,
    st.integers(1, 3),
    st.sets(st.sampled_from(AUDIENCES), min_size=1).map(lambda s: tuple(sorted(s))),
)
REQUIREMENTS = st.builds(Requirement, st.lists(CLAUSES, min_size=1, max_size=3).map(tuple))
RISKS = list(Risk)
JUDGEMENTS = st.builds(
    Judgement,
    st.sampled_from(list(Verdict)),
    st.sampled_from(RISKS),
    st.just(()),
    st.just("sha256:p"),
    REQUIREMENTS,
)


def meets_alone(requirement: Requirement, person: set[str]) -> bool:
    """Independent of the code: one person, known by the audiences they are in."""
    return all(c.approvals == 1 and person & set(c.audience) for c in requirement.clauses)


@given(
    st.sampled_from([r.value for r in RISKS] + ["unheard-of"]),
    REQUIREMENTS,
    JUDGEMENTS,
    st.sets(st.sampled_from(AUDIENCES)),
)
def test_an_editors_approval_is_one_that_policy_takes_for_the_edited_call(
    risk: str, requirement: Requirement, edited: Judgement, editor: set[str]
) -> None:
    if asks_more(risk, requirement, edited):
        return
    assert edited.verdict is not Verdict.DENY
    if edited.verdict is Verdict.ALLOW:
        return
    assert RISKS.index(edited.risk) <= RISKS.index(Risk(risk))
    met = all(editor & set(c.audience) for c in requirement.clauses)
    if met:
        assert meets_alone(edited.requirement, editor)


@given(st.sampled_from(RISKS), st.sets(st.sampled_from(AUDIENCES), min_size=1))
def test_the_same_requirement_of_one_person_asks_no_more(risk: Risk, audience: set[str]) -> None:
    requirement = Requirement((Clause(1, tuple(sorted(audience))),))
    edited = Judgement(Verdict.GATE, risk, (), "sha256:p", requirement)
    assert not asks_more(risk.value, requirement, edited)
