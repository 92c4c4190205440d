"""Policy files: what is wrong is told with its line and column, and what is right is asked in CEL."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.action import Effect, Facts, Risk, Verdict
from handfast.core.domain.errors import UsageError
from handfast.core.domain.requirement import Clause, Silence
from handfast.core.policy.document import Gate, Policy
from handfast.core.policy.judging import judge
from handfast.core.policy.subject import (
    CallFacts,
    ChangeFacts,
    FileFacts,
    Moment,
    RunFacts,
    Subject,
)
from handfast.policyfile.cel import language
from handfast.policyfile.load import Loaded, check, load
from handfast.policyfile.needs import Needs, needs

FRIDAY = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)
QUIET = Facts(Effect.EXEC, "s")


def subject(tool: str = "Bash", **more: object) -> Subject:
    return replace(Subject(CallFacts(tool), Moment(FRIDAY)), **more)  # type: ignore[arg-type]


def gate(when: str, rest: str = "deny: no way") -> str:
    return f"version: 1\ngates:\n  - id: g\n    when: {when}\n    {rest}\n"


# text, line:column of the first problem, words of its message
WRONG = [
    ("", "1:1", "empty"),
    ("a: [", "1:5", "not YAML"),
    ("- 1\n", "1:1", "not a mapping"),
    ("version: 2\n", "1:1", "`version` is 2"),
    ("version: true\n", "1:1", "`version` is True"),
    ("gates: []\n", "1:1", "`version` is None"),
    ("version: 1\ngate: []\n", "2:1", "`gate` is unknown"),
    ("version: 1\nversion: 1\n", "2:1", "a second time"),
    ("version: 1\ngates: {a: 1}\n", "2:1", "not a list"),
    ("version: 1\ngates:\n  - 7\n", "3:5", "not a mapping"),
    ("version: 1\ngates:\n  - when: 'true'\n    deny: x\n", "3:5", "`gates[0].id` is None"),
    (gate("'true'", "requires: {}"), "5:5", "`gates[0].requires` is unknown"),
    (gate("'true'", "risk: huge\n    deny: x"), "5:5", "`gates[0].risk` is 'huge'"),
    (gate("'true'", "why: x"), "3:5", "either `deny` or `require`"),
    (gate("'true'", "require: {approvals: 0}"), "5:15", "`gates[0].require.approvals` is 0"),
    (gate("'true'", "require: {approvals: two}"), "5:15", "is 'two'"),
    (gate("'true'", "require: {within: 4}"), "5:15", "`gates[0].require.within` is 4"),
    (gate("'true'", "require: {from: bob}"), "5:15", "`bob` is nobody"),
    (gate("'true'", "require: {from: [owners, ann]}"), "5:30", "`ann` is nobody"),
    (gate("'true'", "require: {silence: approve}"), "5:15", "is 'approve'"),
    (gate("'true'", "require: {silence: auto_proceed}"), "5:15", "only for low risk"),
    (gate("call.tol == 'x'"), "4:15", "undefined field 'tol'"),
    (gate("call.tool == 1"), "4:21", "no matching overload"),
    (gate("run.cost_usd > 5"), "4:24", "no matching overload"),
    (gate("call.tool"), "4:5", "must be true or false"),
    (gate("call.tool.startWith('x')"), "4:30", "startWith"),
    (gate("change.files.exists(f, f.pth == 'x')"), "4:35", "undefined field 'pth'"),
    (gate("run.confidence < 0.5"), "4:11", "without `has(run.confidence)`"),
    (gate("has(call.paths) && call.tool == 'x'"), "4:11", "`call.paths` is always there"),
    (gate('"call.reversible"'), "4:12", "without `has(call.reversible)`"),
    (gate("(("), "4:13", "yntax error"),
    (gate("'false'"), "4:12", "always false"),
    (gate("'call.tool == \"x\" && false'"), "4:5", "always false"),
    (gate("call.hazards.exists(h, h == 'git.pushy')"), "4:5", "no call has the hazard"),
    (gate("call.hazards.exists(h, h.startsWith('gti'))"), "4:5", "no hazard starts with"),
    (gate("call.tool == 'Bash'", "tools: Write\n    deny: x"), "4:5", "holds for Write only"),
    (gate("call.tool == 'a'") + "  - {id: g, when: 'true', deny: x}\n", "6:6", "stands twice"),
    (
        gate("call.tool == 'a'") + "  - {id: h, when: \"call.tool == 'a'\", require: {}}\n",
        "6:13",
        "`g` has the same condition and denies",
    ),
    ("version: 1\nbuiltin: {off: [pushes]}\n", "2:17", "no rule `pushes`"),
    ("version: 1\nbuiltin: {off: [control-plane]}\n", "2:17", "cannot be switched off"),
]


@pytest.mark.parametrize(("text", "place", "words"), WRONG, ids=[w[2][:40] for w in WRONG])
def test_what_is_wrong_is_told_where_it_stands(text: str, place: str, words: str) -> None:
    problems = check(text)
    assert problems
    assert words in problems[0].message
    if words not in ("always false", "no call has the hazard"):
        assert f"{problems[0].line}:{problems[0].column}" == place, problems[0]
    with pytest.raises(UsageError) as refused:
        load(text)
    assert refused.value.code == "policy_invalid"


def test_a_condition_in_a_block_is_placed_on_its_own_line() -> None:
    text = "version: 1\ngates:\n  - id: g\n    when: |\n      call.tool == 'x'\n        && run.cost_usd > 5\n    deny: x\n"
    assert f"{check(text)[0].line}:{check(text)[0].column}" == "6:25"


def test_every_problem_is_told_not_only_the_first() -> None:
    text = "version: 1\nbuiltin: {off: [x]}\ngates:\n  - {id: a, when: 'true'}\n  - {id: b, when: 'true', deny: 7}\n"
    assert [p.line for p in check(text)] == [2, 4, 5]


# condition, what it is asked about, whether it holds
ASKED = [
    ("call.tool == 'Bash'", {}, True),
    ("call.tool == 'Bash'", {"call": CallFacts("Write")}, False),
    ("'git.push' in call.hazards", {"call": CallFacts("Bash", hazards=("git.push",))}, True),
    ("size(call.opaque) > 0", {"call": CallFacts("Bash", opaque=("x",))}, True),
    ("has(run.confidence) && run.confidence < 0.5", {}, False),
    ("has(run.confidence) && run.confidence < 0.5", {"run": RunFacts(confidence=0.0)}, True),
    ("has(call.reversible) && !call.reversible", {}, False),
    ("has(call.reversible) && !call.reversible", {"call": CallFacts("x", reversible=False)}, True),
    ("run.cost_usd >= 2.5", {"run": RunFacts(cost_usd=2.5)}, True),
    ("request.time.getDayOfWeek('Europe/Berlin') == 6", {}, True),
    ("request.time.getDayOfWeek('UTC') == 6", {}, False),
    (
        "change.files.exists(f, f.path.contains('/migrations/') && f.added > 2)",
        {"change": ChangeFacts((FileFacts("db/migrations/1.py", added=3),))},
        True,
    ),
    ("change.files.exists(f, 'team-dba' in f.owners)", {}, False),
    ("call.arguments['env'] == 'prod'", {"call": CallFacts("d", arguments={"env": "prod"})}, True),
    ("'env' in call.arguments && call.arguments.env == 'x'", {"call": CallFacts("d")}, False),
    ("call.arguments.env == 'prod'", {}, True),  # not there: it cannot be told, so it applies
]


@pytest.mark.parametrize(("when", "about", "holds"), ASKED)
def test_conditions_are_asked_of_the_subject(when: str, about: dict[str, Any], holds: bool) -> None:
    book = load(gate(f'"{when}"'))
    assert bool(book.matches(replace(subject(), **about))) is holds


@pytest.mark.parametrize("when", ["1 / run.tool_calls > 2", "call.paths[3] == 'x'"])
def test_a_condition_that_fails_applies_and_spares_the_others(when: str) -> None:
    text = gate(f'"{when}"') + "  - {id: other, when: \"call.tool == 'Write'\", deny: x}\n"
    found = load(text).matches(subject())
    assert [m.gate.id for m in found] == ["g"]
    assert found[0].problem
    assert judge(QUIET, subject(), [load(text)]).verdict is Verdict.DENY


def test_facts_of_a_wrong_shape_gate_everything() -> None:
    broken = subject(call=CallFacts("Bash", paths=(7,)))  # type: ignore[arg-type]
    found = load(gate("call.paths.exists(p, p == 'x')")).matches(broken)
    assert [m.gate.id for m in found] == ["g"]
    assert "wrong shape" in found[0].problem


def test_more_gates_than_one_batch_keep_their_order() -> None:
    rows = [f"  - {{id: g{i}, when: \"'p{i}' in call.paths\", deny: never}}" for i in range(150)]
    book = load("version: 1\ngates:\n" + "\n".join(rows) + "\n")
    asked = subject(call=CallFacts("Bash", paths=("p3", "p64", "p149")))
    assert [m.gate.id for m in book.matches(asked)] == ["g3", "g64", "g149"]


def test_a_gate_says_what_it_takes() -> None:
    text = gate(
        "call.tool == 'Bash'",
        "risk: high\n    require: {approvals: 2, from: [owners, team:dba], within: 4h, silence: reject}",
    )
    judged = judge(QUIET, subject(), [load(text)])
    assert (judged.verdict, judged.risk) == (Verdict.GATE, Risk.HIGH)
    assert judged.requirement.clauses == (Clause(2, ("owners", "team:dba"), separate=True),)
    assert (judged.requirement.within_s, judged.requirement.silence) == (14_400, Silence.REJECT)


def test_the_digest_is_of_the_exact_text() -> None:
    a, b = load(gate("call.tool == 'x'")), load(gate("call.tool == 'x'") + "# note\n")
    assert a.digest != b.digest
    assert judge(QUIET, subject(), [a]).policy_digest != judge(QUIET, subject(), []).policy_digest


@pytest.mark.parametrize("text", ["&a [*a]", "a: &x {b: *x}", "? [a]\n: 1\n", "<<: {a: 1}\n", "\x00", "a: !!python/object:os.system {}"])  # fmt: skip
def test_odd_yaml_is_a_problem_not_a_crash(text: str) -> None:
    assert check("version: 1\n" + text) or check(text)


def test_the_language_says_what_a_condition_is() -> None:
    assert language().check("call.tool == 'x'") is None
    assert language().constant("true || call.tool == 'x'") is True
    assert language().constant("call.tool == 'x'") is None


@pytest.mark.parametrize(
    ("when", "tool", "hazard"),
    [
        ("call.tool == 'Bash'", "Bash", None),
        ('call.tool == "deploy" && run.cost_usd > 5.0', "deploy", None),
        ("'git.push' in call.hazards && call.tool == 'Bash'", "Bash", "git.push"),
        ("call.hazards.exists(h, h == 'git.push') && true", None, "git.push"),
        ("call.hazards.exists(h, h == 'git.push' || true)", None, None),
        ("call.tool == 'a' || call.tool == 'b'", None, None),
        ("!(call.tool == 'a') && true", None, None),
        ("(call.tool == 'a' || true) && 'git.push' in call.hazards", None, "git.push"),
        ("call.tool == 'a' ? true : false", None, None),
        ("call.command == \"x && call.tool == 'y'\"", None, None),
        ("true && call.tool == 'a' == false", None, None),
        ("call.tool == 'a' // || true\n", None, None),
        ("call.hazards.all(h, h == 'git.push') && true", None, None),
    ],
)
def test_what_a_condition_needs_for_certain(
    when: str, tool: str | None, hazard: str | None
) -> None:
    assert needs(when) == Needs(tool, hazard)


@given(
    parts=st.lists(
        st.sampled_from(
            [
                "call.tool == 'Bash'",
                "'git.push' in call.hazards",
                "call.hazards.exists(x, x == 'deploy')",
                "call.tool == 'Write'",
                "1 / run.tool_calls > 0",
                "(call.tool == 'Bash' || true)",
                "call.command.contains('&&')",
            ]
        ),
        min_size=1,
        max_size=4,
    ),
    joined=st.sampled_from([" && ", " || ", "&&"]),
    tool=st.sampled_from(["Bash", "Write", "Other"]),
    hazards=st.sampled_from([(), ("git.push",), ("deploy", "git.push")]),
)
def test_leaving_a_gate_out_never_changes_the_answer(
    parts: list[str], joined: str, tool: str, hazards: tuple[str, ...]
) -> None:
    when = joined.join(parts)
    book = Loaded(Policy((Gate("g", when, deny="no"),)), when, language())
    asked = subject(call=CallFacts(tool, hazards=hazards))
    held = language().compile([when]).ask(asked)
    assert [m.problem for m in book.matches(asked)] == list(held.values())
