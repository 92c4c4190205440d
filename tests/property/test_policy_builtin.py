"""The built-in policy: strictest wins whatever the order, one more hazard never loosens, doubt gates."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.action import Effect, Facts, Risk, Verdict
from handfast.core.policy.builtin import HAZARDS, POLICY_DIGEST, RULES, judge

VERDICTS, RISKS = list(Verdict), list(Risk)
hazards = st.lists(st.sampled_from(sorted(HAZARDS)), max_size=6, unique=True).map(tuple)
opaque = st.lists(st.sampled_from(["dynamic-path", "unparsable", "new-reason"]), max_size=2).map(
    tuple
)
facts = st.builds(
    Facts,
    effect=st.sampled_from([Effect.READ, Effect.WRITE, Effect.EXEC, Effect.NETWORK]),
    summary=st.just("s"),
    hazards=hazards,
    opaque=opaque,
)


@given(facts, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(found: Facts, random: object) -> None:
    turned = replace(found, hazards=found.hazards[::-1], opaque=found.opaque[::-1])
    assert judge(turned) == judge(found)


@given(facts, st.sampled_from(sorted(HAZARDS)))
def test_one_more_hazard_never_loosens(found: Facts, hazard: str) -> None:
    before, after = judge(found), judge(replace(found, hazards=(*found.hazards, hazard)))
    assert VERDICTS.index(after.verdict) >= VERDICTS.index(before.verdict)
    assert RISKS.index(after.risk) >= RISKS.index(before.risk)


@given(facts, st.text(max_size=20))
def test_one_more_opaque_reason_gates(found: Facts, reason: str) -> None:
    after = judge(replace(found, opaque=(*found.opaque, reason)))
    assert after.verdict is not Verdict.ALLOW
    assert VERDICTS.index(after.verdict) >= VERDICTS.index(judge(found).verdict)


@given(facts)
def test_the_verdict_is_that_of_the_strictest_rule(found: Facts) -> None:
    judgement = judge(found)
    assert judgement.verdict is max((r.verdict for r in judgement.rules), key=VERDICTS.index)
    assert judgement.rules[0].verdict is judgement.verdict
    assert judgement.policy_digest == POLICY_DIGEST


@given(st.text(max_size=30).filter(lambda name: name not in HAZARDS))
def test_a_hazard_nobody_knows_is_gated(name: str) -> None:
    assert judge(Facts(Effect.READ, "s", hazards=(name,))).verdict is Verdict.GATE


junk = st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()), st.binary())


@given(junk.filter(bool), junk)
def test_facts_of_a_wrong_shape_are_gated(bad: object, other: object) -> None:
    for broken in (
        Facts(Effect.READ, "s", hazards=bad),  # type: ignore[arg-type]  # what a broken reader may hand over
        Facts(Effect.READ, "s", opaque=bad),  # type: ignore[arg-type]
        Facts(other, "s"),  # type: ignore[arg-type]
    ):
        assert judge(broken).verdict is not Verdict.ALLOW


def test_control_plane_is_denied_and_reads_pass() -> None:
    assert judge(Facts(Effect.READ, "s", hazards=("control-plane",))).verdict is Verdict.DENY
    assert judge(Facts(Effect.READ, "s")).verdict is Verdict.ALLOW
    assert judge(Facts(Effect.CONTROL, "s")).verdict is Verdict.GATE


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_says_why_and_what_to_do(rule: object) -> None:
    from handfast.core.policy.builtin import Rule

    assert isinstance(rule, Rule)
    assert rule.why.endswith(".")
    assert rule.remedy or rule.verdict is Verdict.ALLOW
    assert len({hazard for each in RULES for hazard in each.hazards}) == sum(
        len(r.hazards) for r in RULES
    )
