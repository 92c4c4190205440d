"""Published policies: strictest wins in any order, one more gate never loosens, tightening edits only tighten."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.action import Effect, Facts, Judgement, Risk, Verdict
from handfast.core.domain.requirement import Clause, Requirement, Silence, merged
from handfast.core.policy.builtin import HAZARDS, RULES
from handfast.core.policy.comparing import at_least, compare, only_tightens
from handfast.core.policy.document import Gate, Policy
from handfast.core.policy.judging import Match, judge
from handfast.core.policy.subject import CallFacts, Moment, Subject
from handfast.policyfile.conditions import Fault
from handfast.policyfile.load import Loaded

VERDICTS, RISKS = list(Verdict), list(Risk)
AUDIENCES = ("reviewers", "owners", "team:dba", "team:sre", "person:ann")
NOW = datetime(2026, 3, 4, tzinfo=UTC)


class Words:
    """Another language behind the seam: a condition holds when its word is among the call's paths.

    `boom` cannot be evaluated. Nothing of the engine notices that this is not CEL.
    """

    def check(self, text: str) -> Fault | None:
        return None if text.isalpha() else Fault("not a word")

    def constant(self, text: str) -> bool | None:
        return None

    def compile(self, texts: Sequence[str]) -> "_Asked":
        return _Asked(tuple(texts))


@dataclass(frozen=True)
class _Asked:
    texts: tuple[str, ...]

    def ask(self, subject: Subject) -> dict[int, str]:
        held = {i: "boom" for i, text in enumerate(self.texts) if text == "boom"}
        return held | {i: "" for i, text in enumerate(self.texts) if text in subject.call.paths}


clauses = st.lists(
    st.builds(
        Clause,
        approvals=st.integers(1, 3),
        audience=st.lists(st.sampled_from(AUDIENCES), min_size=1, max_size=2, unique=True).map(
            lambda names: tuple(sorted(names))
        ),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
requirements = st.builds(
    Requirement,
    clauses=clauses,
    within_s=st.sampled_from([0, 60, 3600, 86_400]),
    silence=st.sampled_from(list(Silence)),
)
words = st.sampled_from(["alpha", "beta", "gamma", "boom"])
gates = st.builds(
    Gate,
    id=st.sampled_from([f"g{i}" for i in range(6)]),
    when=words,
    tools=st.sampled_from([(), ("Bash",), ("Edit", "Write")]),
    deny=st.sampled_from(["", "", "never"]),
    require=requirements,
    risk=st.sampled_from(RISKS),
)
policies = st.builds(
    Policy,
    gates=st.lists(gates, max_size=5, unique_by=lambda g: g.id).map(tuple),
    off=st.lists(st.sampled_from(sorted(r.id for r in RULES)), max_size=2).map(tuple),
)
facts = st.builds(
    Facts,
    effect=st.sampled_from([Effect.READ, Effect.WRITE, Effect.EXEC]),
    summary=st.just("s"),
    hazards=st.lists(st.sampled_from(sorted(HAZARDS)), max_size=3, unique=True).map(tuple),
    opaque=st.sampled_from([(), ("dynamic-path",)]),
)
subjects = st.builds(
    lambda tool, paths: Subject(CallFacts(tool, paths=tuple(paths)), Moment(NOW)),
    st.sampled_from(["Bash", "Write", "deploy"]),
    st.lists(st.sampled_from(["alpha", "beta", "gamma"]), max_size=3, unique=True),
)


def book(policy: Policy) -> Loaded:
    return Loaded(policy, repr(policy), Words())


def stricter(after: Judgement, before: Judgement) -> bool:
    """Whether nothing of `before` is lost: verdict, risk, and every clause of what it took."""
    if VERDICTS.index(after.verdict) < VERDICTS.index(before.verdict):
        return False
    if RISKS.index(after.risk) < RISKS.index(before.risk):
        return False
    if after.verdict is not Verdict.GATE or before.verdict is not Verdict.GATE:
        return True
    return at_least(after.requirement, before.requirement)


@given(facts, subjects, st.lists(policies, max_size=2), st.randoms(use_true_random=False))
def test_no_order_matters(
    found: Facts, subject: Subject, texts: list[Policy], random: object
) -> None:
    turned = [replace(p, gates=p.gates[::-1], off=p.off[::-1]) for p in texts]
    a = judge(found, subject, [book(p) for p in texts])
    b = judge(
        replace(found, hazards=found.hazards[::-1]), subject, [book(p) for p in reversed(turned)]
    )
    assert replace(a, policy_digest="") == replace(b, policy_digest="")


@given(facts, subjects, policies, gates)
def test_one_more_gate_never_loosens(
    found: Facts, subject: Subject, policy: Policy, gate: Gate
) -> None:
    more = replace(policy, gates=(*(g for g in policy.gates if g.id != gate.id), gate))
    fewer = replace(policy, gates=tuple(g for g in policy.gates if g.id != gate.id))
    assert stricter(judge(found, subject, [book(more)]), judge(found, subject, [book(fewer)]))


@given(facts, subjects, policies, policies)
def test_a_repository_only_tightens(
    found: Facts, subject: Subject, organisation: Policy, repository: Policy
) -> None:
    only = [book(organisation)]
    with_repository = [*only, book(replace(repository, off=()))]
    assert stricter(judge(found, subject, with_repository), judge(found, subject, only))


@given(facts, subjects, policies, policies)
def test_an_edit_that_only_tightens_allows_nothing_new(
    found: Facts, subject: Subject, old: Policy, edited: Policy
) -> None:
    for new in (edited, _tightened(old, edited)):
        if only_tightens(old, new):
            before, after = (judge(found, subject, [book(p)]) for p in (old, new))
            assert stricter(after, before)


def _tightened(old: Policy, other: Policy) -> Policy:
    """Edits that are meant to tighten: more gates, fewer rules off, more people, less time."""
    raised = tuple(
        replace(
            g,
            require=replace(
                g.require,
                clauses=tuple(replace(c, approvals=c.approvals + 1) for c in g.require.clauses),
                silence=Silence.REJECT,
            ),
        )
        for g in old.gates
    )
    new = tuple(replace(g, id=f"new-{g.id}") for g in other.gates)
    return Policy(raised + new, old.off[1:])


@given(policies, policies)
def test_edits_meant_to_tighten_are_seen_as_such(old: Policy, other: Policy) -> None:
    assert only_tightens(old, _tightened(old, other))
    assert only_tightens(old, old)
    if len(set(other.off) - set(old.off)) > 0:
        assert not only_tightens(old, replace(old, off=other.off))
    for i in range(len(old.gates)):
        fewer = replace(old, gates=old.gates[:i] + old.gates[i + 1 :])
        same = any(g.when == old.gates[i].when for g in fewer.gates)
        assert same or not only_tightens(old, fewer)
        assert [c.id for c in compare(old, fewer).gates] == [old.gates[i].id]


@given(st.lists(requirements, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_merged_requirements_hold_each_of_them(several: list[Requirement], random: object) -> None:
    whole = merged(tuple(several))
    assert merged(tuple(several[::-1])) == whole
    assert merged((whole, *several)) == whole
    assert all(at_least(whole, each) for each in several)


@given(facts, subjects)
def test_a_condition_that_cannot_be_asked_applies_and_says_so(
    found: Facts, subject: Subject
) -> None:
    judged = judge(found, subject, [book(Policy((Gate("bad", "boom"),)))])
    assert judged.verdict is not Verdict.ALLOW
    assert any("could not be evaluated" in rule.why for rule in judged.rules if rule.id == "bad")


@given(facts, subjects, policies)
def test_what_tampers_is_denied_whatever_policy_says(
    found: Facts, subject: Subject, policy: Policy
) -> None:
    tampers = replace(found, hazards=(*found.hazards, "control-plane"))
    off = replace(policy, off=(*policy.off, "control-plane"))
    assert judge(tampers, subject, [book(off)]).verdict is Verdict.DENY


def test_matches_name_their_gate() -> None:
    subject = Subject(CallFacts("Bash", paths=("alpha",)), Moment(NOW))
    gate = Gate("a", "alpha", ("Bash",))
    assert book(Policy((gate, Gate("w", "alpha", ("Write",))))).matches(subject) == (Match(gate),)
