"""The `interruptions` section of a policy file: what it reads, what it refuses and where, what is urgent."""

from dataclasses import replace

import pytest

from handfast.core.domain.events_checkpoint import Stage
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.policy.interruption_section import Asked, Budget, together, urgent_because
from handfast.policyfile.load import check, load

FACTS = {"risk": ("medium",), "kind": ("approval",), "rules": ("g",), "repository": ("",), "tool": ("Bash",)}  # fmt: skip
PLAIN = Asked(HandoffKind.APPROVAL, "medium", FACTS, reversible=True, blocking=True)


def read(section: str) -> Budget | None:
    return load(f"version: 1\ninterruptions: {section}\n").policy.interruptions


def test_a_policy_without_the_section_has_no_budget_and_nothing_waits() -> None:
    assert load("version: 1\n").policy.interruptions is None
    assert together([]) == Budget()
    assert Budget().cost_mils == 0


def test_every_part_is_read() -> None:
    found = read(
        "{cost: 12.5, per_day: 5, wait_at_most: 1h, sitting: 5m, rates: {blocking: 1, other: 0.125},"
        " planned: [release, plan], urgent: [{risk: high, tool: [Bash]}]}"
    )
    assert found == Budget(
        cost_mils=12_500,
        per_day=5,
        wait_at_most_s=3600,
        sitting_s=300,
        blocking_mils=1000,
        other_mils=125,
        planned=(Stage.PLAN, Stage.RELEASE),
        urgent=({"risk": ("high",), "tool": ("Bash",)},),
    )


@pytest.mark.parametrize(
    ("section", "at", "message"),
    [
        ("{per_day: 3}", "interruptions", "needs a `cost`"),
        ("{cost: -1}", "cost", "`interruptions.cost` is -1"),
        ("{cost: '20'}", "cost", "`interruptions.cost` is '20'"),
        ("{cost: true}", "cost", "`interruptions.cost` is True"),
        ("{cost: .nan}", "cost", "`interruptions.cost` is nan"),
        ("{cost: 0.0001}", "cost", "at most three decimals"),
        ("{cost: 9000}", "cost", "from 0 to 1000"),
        ("{cost: 20, per_day: 0}", "per_day", "`interruptions.per_day` is 0"),
        ("{cost: 20, wait_at_most: 30d}", "wait_at_most", "longer than"),
        ("{cost: 20, sitting: soon}", "sitting", "`interruptions.sitting` is 'soon'"),
        ("{cost: 20, rates: {blocking: 0.1, other: 0.2}}", "rates", "would cost more"),
        ("{cost: 20, rates: {idle: 1}}", "idle", "`interruptions.rates.idle` is unknown"),
        ("{cost: 20, planned: [later]}", "later", "`interruptions.planned[0]` is 'later'"),
        ("{cost: 20, urgent: [{}]}", "{}", "is empty"),
        ("{cost: 20, urgent: [{risk: huge}]}", "risk", "is 'huge'"),
        ("{cost: 20, urgent: [{rules: [nope]}]}", "rules", "there is no rule `nope`"),
        ("{cost: 20, often: yes}", "often", "`interruptions.often` is unknown"),
        ("20", "interruptions", "not a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_column(section: str, at: str, message: str) -> None:
    line = f"interruptions: {section}"
    (problem,) = check(f"version: 1\n{line}\n")
    assert problem.line == 2
    assert line[problem.column - 1 :].startswith(at), problem
    assert message in str(problem)


def test_several_policies_together_interrupt_sooner_never_later() -> None:
    one = Budget(20_000, 3, 7200, 900, 150, 20, (Stage.PLAN,), ({"risk": ("high",)},))
    other = Budget(5_000, 9, 60, 60, 300, 10, (Stage.CHANGE,), ({"tool": ("Bash",)},))
    both = together([one, other])
    assert (both.cost_mils, both.per_day, both.wait_at_most_s, both.sitting_s) == (5_000, 9, 60, 60)
    assert (both.blocking_mils, both.other_mils) == (300, 20)
    assert both.planned == (Stage.PLAN, Stage.CHANGE)
    assert both.urgent == (*one.urgent, *other.urgent)
    assert together([one, Budget()]).cost_mils == 0, "one that lets nothing wait wins"


@pytest.mark.parametrize(
    ("asked", "urgent"),
    [
        (PLAIN, False),
        (replace(PLAIN, risk="critical"), True),
        (replace(PLAIN, kind=HandoffKind.DOUBT), True),
        (replace(PLAIN, kind=HandoffKind.TAKEOVER), True),
        (replace(PLAIN, review_of_override=True), True),
        (replace(PLAIN, reversible=False, stated=True), True),
        (replace(PLAIN, reversible=False, stated=True, blocking=False), False),
        (replace(PLAIN, reversible=False), False),
        (replace(PLAIN, stated=True), False),
    ],
)
def test_what_never_waits_whatever_the_policy_says(asked: Asked, urgent: bool) -> None:
    assert bool(urgent_because(Budget(20_000), asked)) is urgent


def test_all_keys_of_a_condition_must_hold_and_one_condition_is_enough() -> None:
    budget = Budget(20_000, urgent=({"risk": ("high",), "tool": ("Bash",)}, {"rules": ("g",)}))
    assert urgent_because(budget, PLAIN) == "the policy calls it urgent: rules g"
    facts = FACTS | {"rules": ("other",)}
    assert urgent_because(budget, replace(PLAIN, facts=facts)) == ""
    high = replace(PLAIN, facts=facts | {"risk": ("high",)})
    assert urgent_because(budget, high) == "the policy calls it urgent: risk high; tool Bash"


@pytest.mark.parametrize(
    ("asked", "stage", "ends"),
    [
        (PLAIN, Stage.CHANGE, False),
        (replace(PLAIN, kind=HandoffKind.REVIEW), Stage.CHANGE, True),
        (replace(PLAIN, kind=HandoffKind.QUESTION), Stage.PLAN, True),
        (replace(PLAIN, kind=HandoffKind.QUESTION, blocking=False), Stage.PLAN, False),
        (replace(PLAIN, kind=HandoffKind.QUESTION, worked=True), Stage.CHANGE, False),
        (replace(PLAIN, hazards=("git.push",), reversible=None), Stage.RELEASE, True),
        (replace(PLAIN, hazards=("git.push",)), Stage.CHANGE, False),
    ],
)
def test_where_an_ask_stands_and_whether_its_stage_ends_with_it(
    asked: Asked, stage: Stage, ends: bool
) -> None:
    assert (asked.stage, asked.ends_stage(tuple(Stage))) == (stage, ends)
    assert asked.ends_stage(()) is False
