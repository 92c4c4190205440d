"""Conditions answered without the expression library: every answer is the one the library gives.

The library is asked here through an environment and maps of this file's own, so that a mistake in how the
product reads facts shows too.
"""

import math
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings
from google.protobuf import timestamp_pb2
from hypothesis import assume, given
from hypothesis import strategies as st

from handfast.core.policy.subject import (
    CallFacts,
    ChangeFacts,
    FileFacts,
    Moment,
    RunFacts,
    Subject,
    TaskFacts,
)
from handfast.policyfile.cel import language
from handfast.policyfile.needs import needs
from handfast.policyfile.plain import answer
from handfast.policyfile.shapes import MAX_ITEMS

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
WORDS = ("", "a", "ab", "git.push", "git push", "é", "b", "x\ny", "\U0001f512", "a'b")
word = st.sampled_from(WORDS)
plain_word = st.sampled_from([w for w in WORDS if "'" not in w and "\n" not in w])
number = st.sampled_from([0.0, 0.5, 1.0, 2.25, math.nan, math.inf, -math.inf])
owners = st.lists(word, max_size=3).map(tuple)
files = st.builds(FileFacts, path=word, status=word, added=st.integers(0, 3), owners=owners)
subjects = st.builds(
    Subject,
    call=st.builds(
        CallFacts,
        tool=word,
        effect=word,
        hazards=owners,
        paths=owners,
        command=word,
        reversible=st.sampled_from([None, True, False]),
        arguments=st.dictionaries(st.sampled_from(["a", "b", "command"]), word, max_size=2),
    ),
    request=st.just(Moment(NOW)),
    change=st.builds(ChangeFacts, st.lists(files, max_size=3).map(tuple)),
    run=st.builds(
        RunFacts,
        repository=word,
        cost_usd=number,
        tool_calls=st.integers(-1, 3) | st.sampled_from([2**63 - 1, -(2**63), 2**63, 2**70]),
        contained=st.booleans(),
        confidence=st.none() | number,
    ),
    task=st.builds(TaskFacts, target_branch=word),
)

quoted = st.builds("{0}{1}{0}".format, st.sampled_from("'\""), plain_word)
text_field = st.sampled_from(
    ["call.tool", "call . command", "run.repository", "task.target_branch"]
)
text_or_key = text_field | st.sampled_from(
    ["call.arguments.command", "call.arguments['a']", 'call.arguments["b"]']
)
texts_field = st.sampled_from(["call.hazards", "call.paths"])
order = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
method = st.sampled_from(["startsWith", "endsWith", "contains"])


def text_tests(field: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} {} {}".format, field, st.sampled_from(["==", "!="]), quoted),
        st.builds("{}=={}".format, quoted, field),
        st.builds("{}.{}({})".format, field, method, quoted),
        st.builds("{} in [{}, {}]".format, field, quoted, quoted),
        st.builds("size({}) {} {}".format, field, order, st.integers(0, 3)),
    )


each_file = st.one_of(
    text_tests(st.sampled_from(["f.path", "f.status"])),
    st.builds("{} in f.owners".format, quoted),
    st.builds("f.added {} {}".format, order, st.integers(0, 3)),
    st.builds("f.owners.exists(o, {})".format, text_tests(st.just("o"))),
    st.builds("f.owners.exists(f, f == {})".format, quoted),
    st.just("f.path == call.tool"),
    st.just("1 / f.added > 0"),
)
atoms = st.one_of(
    text_tests(text_or_key),
    st.builds("{} in {}".format, quoted, texts_field | st.just("call.arguments")),
    st.builds("{}.{}(p, p == {})".format, texts_field, st.sampled_from(["exists", "all"]), quoted),
    st.builds("{}.exists(p, {})".format, texts_field, text_tests(st.just("p"))),
    st.builds("{}.all(call, {})".format, texts_field, text_tests(st.just("call"))),
    st.builds(
        "change.files.{}(f, {} {} {})".format,
        st.sampled_from(["exists", "all", "exists_one"]),
        each_file,
        st.sampled_from(["&&", "||"]),
        each_file,
    ),
    st.builds("{}.size() {} {}".format, texts_field, order, st.integers(0, 3)),
    st.builds("run.cost_usd {} {}".format, order, st.sampled_from(["0.5", "1.0", "2.25"])),
    st.builds("run.tool_calls {} {}".format, order, st.integers(0, 3)),
    st.builds("run.confidence {} 0.5".format, order),
    st.sampled_from(
        [
            "has(run.confidence)",
            "has(call.reversible)",
            "call.reversible",
            "call.reversible == false",
            "has(call.arguments.a)",
            "run.contained",
            "true",
            "false",
            "1 / run.tool_calls > 0",
            "call.paths[1] == 'a'",
            "call.tool == run.repository",
            "call.tool < 'b'",
            "-run.tool_calls < 1",
            "call.tool.matches('a+')",
            "call.tool == 'a' == true",
            "(call.tool == 'a') == run.contained",
            r"call.command == 'x\ny'",
            "request.time.getHours() > 3",
            "call.command == r'a'",
            """call.command == '''a' && call.tool == 'b'''""",
            "[call.tool].exists(t, t == 'a')",
            "(run.contained ? call.tool : call.command) == 'a'",
        ]
    ),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("{}{}{}".format, inner, st.sampled_from([" && ", "||", "\n&&\t"]), inner),
        st.builds("({})".format, inner),
        st.builds("!({})".format, inner),
        st.builds("!!({})".format, inner),
        st.builds("!{}".format, inner),
        st.builds("{} ? {} : {}".format, inner, inner, inner),
    ),
    max_leaves=6,
)

ENV = cel.NewEnv(
    variables=dict.fromkeys(("call", "request", "change", "agent", "run", "task"), cel.Type.DYN),
    extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings(), ext_math.ExtMath()],
)


def told_by_library(when: str, subject: Subject) -> object:
    """True, False, or the library's error as text. Nothing of the product is used."""
    moment = timestamp_pb2.Timestamp()
    moment.FromDatetime(subject.request.time.replace(tzinfo=None))
    maps: dict[str, Any] = {**asdict(subject), "request": {"time": moment}}
    for part, name in (("call", "reversible"), ("run", "confidence")):
        if maps[part][name] is None:
            del maps[part][name]
    for part in maps.values():
        part.update({k: list(v) for k, v in part.items() if type(v) is tuple})
    for file in maps["change"]["files"]:
        file["owners"] = list(file["owners"])
    value = ENV.compile(when).eval(ENV.Activation(maps)).value()
    return value if isinstance(value, bool) else str(value)[:300]


def same(mine: str, theirs: object) -> bool:
    return theirs is True if mine == "" else theirs == mine


@given(when=conditions, subject=subjects)
def test_every_answer_is_the_one_of_the_library(when: str, subject: Subject) -> None:
    assume(language().check(when) is None)
    asked = language().compile([when])
    mine = asked.ask(subject)
    assert mine == asked.ask_library(subject)
    if abs(subject.run.tool_calls) < 2**63:  # else no field of that map can be told
        theirs = told_by_library(when, subject)
        assert theirs is False if not mine else same(mine[0], theirs)
        told = answer(when)(subject)
        assert told is None or told is theirs


@given(several=st.lists(conditions, min_size=2, max_size=12), subject=subjects)
def test_asked_together_each_has_its_own_answer_in_order(
    several: list[str], subject: Subject
) -> None:
    several = [when for when in several if language().check(when) is None]
    asked = language().compile(several)
    mine = asked.ask(subject)
    assert mine == asked.ask_library(subject)
    assert list(mine) == sorted(mine)
    if abs(subject.run.tool_calls) >= 2**63:
        return
    for i, when in enumerate(several):
        theirs = told_by_library(when, subject)
        assert same(mine[i], theirs) if i in mine else theirs is False


@given(when=conditions, subject=subjects)
def test_what_a_condition_needs_it_needs_for_the_library(when: str, subject: Subject) -> None:
    assume(language().check(when) is None)
    met = needs(when).met(subject.call.tool, frozenset(subject.call.hazards))
    if not met and abs(subject.run.tool_calls) < 2**63:
        assert told_by_library(when, subject) is False


ODD: list[object] = [None, 7, 1.5, True, "a\0b", "\ud800", b"a", ("a",), ("a\0",), (7,), {}, [], {"a": 1}]  # fmt: skip
PLACES = [("call", name) for name in asdict(CallFacts(""))] + [
    ("run", name) for name in asdict(RunFacts())
]


@given(when=conditions, subject=subjects, place=st.sampled_from(PLACES), value=st.sampled_from(ODD))
def test_facts_of_a_wrong_shape_gate_in_the_same_way(
    when: str, subject: Subject, place: tuple[str, str], value: object
) -> None:
    """Never an exception, and never an answer from half of a text."""
    assume(language().check(when) is None)
    part, name = place
    broken = replace(subject, **{part: replace(getattr(subject, part), **{name: value})})
    asked = language().compile([when])
    mine = asked.ask(broken)
    assert mine == asked.ask_library(broken)
    read = re.search(rf"\b{part}\s*\.\s*{name}\b", when)
    if read and isinstance(value, str) and ("\0" in value or value == "\ud800"):
        assert mine[0]


@pytest.mark.parametrize(
    "when",
    [
        "call.arguments.body.contains('deploy')",
        "call.arguments.body.matches('deploy')",
        "call.arguments.exists(k, call.arguments[k].contains('deploy'))",
    ],
)
def test_a_text_cannot_hide_behind_a_nul(when: str) -> None:
    hidden = Subject(CallFacts("post", arguments={"body": "hello\0 deploy"}), Moment(NOW))
    assert language().compile([when]).ask(hidden)[0]


def test_more_steps_than_the_library_takes_apply_and_spare_the_others() -> None:
    """Together the conditions take more steps than one may; each alone does not, but for the last."""
    each = "call.paths.exists(p, p.endsWith('{}')) || call.paths.exists(p, p.matches('^{}$'))"
    texts = [each.format(i, i) for i in range(5)]
    texts.append(" || ".join(["call.paths.exists(p, p.matches('^x$'))"] * 4))
    many = Subject(CallFacts("Bash", paths=("a",) * 2999 + ("3",)), Moment(NOW))
    held = language().compile(texts).ask(many)
    assert list(held) == [3, 5]
    assert not held[3]
    assert "budget" in held[5]


def test_lists_beyond_the_bound_are_left_to_the_library() -> None:
    when = "call.paths.exists(p, p.startsWith('x')) || " * 15 + "call.paths.exists(p, p == 'y')"
    few, many = (CallFacts("Bash", paths=("a",) * n) for n in (MAX_ITEMS, 5000))
    asked = language().compile([when])
    assert asked.ask(Subject(few, Moment(NOW))) == {}
    assert "budget" in asked.ask(Subject(many, Moment(NOW)))[0]


@pytest.mark.parametrize("depth", [10, 60, 200])
def test_deep_and_long_conditions_do_not_exhaust_the_stack(depth: int) -> None:
    deep = "(" * depth + "call.tool == 'a'" + ")" * depth
    long = " || ".join(f"call.tool == '{i}'" for i in range(depth * 2))
    for when in (deep, long, f"!({long}) && !({long})"):
        if language().check(when) is None:
            asked = language().compile([when])
            for tool in ("a", "7", "none"):
                subject = Subject(CallFacts(tool), Moment(NOW))
                assert asked.ask(subject) == asked.ask_library(subject)


def test_plain_forms_are_answered_without_the_library() -> None:
    """Else the figure of the benchmark is not what it says."""
    subject = Subject(
        CallFacts("Bash", hazards=("git.push",), command="git push"),
        Moment(NOW),
        run=RunFacts(confidence=0.2, cost_usd=1.0),
    )
    for when, told in {
        "call.hazards.exists(h, h == 'git.push') && run.repository.startsWith('/srv')": False,
        "call.command.startsWith('git ') && run.cost_usd > 0.5": True,
        "has(run.confidence) && run.confidence < 0.5": True,
        "change.files.exists(f, f.path.contains('x'))": False,
        "call.tool in ['Bash', 'Write'] && !(call.effect == 'network')": True,
        "call.tool == 'Write' && call.command.matches('x.*y')": False,
    }.items():
        assert answer(when)(subject) is told, when
