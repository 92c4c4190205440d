"""What the form asks for, the server demands."""

from typing import Any

import pytest

from handfast.server.web.decision_form import (
    DecisionInput,
    FormProblem,
    decision_form,
    read_decision,
    typed_target,
)
from handfast.server.web.reach import blast
from tests import web_fixtures as fx


def _form(**fields: str) -> dict[str, str]:
    return {"kind": "approve", "presented_digest": fx.digest("b"), "reason": "", **fields}


def _refused(handoff: dict[str, Any], **fields: str) -> str:
    answer = read_decision(handoff, _form(**fields))
    assert isinstance(answer, FormProblem)
    return answer.message


def test_low_risk_takes_one_click() -> None:
    assert read_decision(fx.approval_low(), _form()) == DecisionInput(
        "approve", fx.digest("b"), "", "", None
    )


def test_only_what_is_offered_is_taken() -> None:
    assert "not offered" in _refused(fx.review(), kind="approve_with_edits", edited_command="ls")
    assert "not offered" in _refused(fx.approval_low(), kind="")
    assert "not offered" in _refused(fx.approval_low(), kind="answer:it_ran")


def test_the_digest_of_what_was_shown_must_come_back() -> None:
    assert "digest" in _refused(fx.approval_low(), presented_digest="")


@pytest.mark.parametrize("kind", ["reject", "request_changes"])
def test_a_refusal_says_why(kind: str) -> None:
    assert "Write" in _refused(fx.approval_low(), kind=kind, reason="  ")
    assert isinstance(
        read_decision(fx.approval_low(), _form(kind=kind, reason="no")), DecisionInput
    )


@pytest.mark.parametrize("case", [fx.approval_critical])
@pytest.mark.parametrize("kind", ["approve", "reject"])
def test_critical_risk_needs_a_reason_whatever_the_decision(case: Any, kind: str) -> None:
    assert _refused(case(), kind=kind, typed_target="prod-eu/payments")


def test_critical_risk_needs_the_target_typed_to_approve_but_not_to_refuse() -> None:
    case = fx.approval_critical()
    assert "type `prod-eu/payments`" in _refused(case, reason="ok", typed_target="prod-eu")
    edit = {"kind": "approve_with_edits", "edited_command": "true", "reason": "ok"}
    assert "type `prod-eu/payments`" in _refused(case, **edit)
    good = read_decision(case, _form(reason="ok", typed_target=" prod-eu/payments "))
    assert isinstance(good, DecisionInput)
    assert isinstance(read_decision(case, _form(kind="reject", reason="no")), DecisionInput)


def test_something_to_type_is_always_found() -> None:
    case = fx.approval_critical()
    del case["package"]["what_will_happen"]["target"]
    assert typed_target(case) == "billing-service.git"
    case["repository"] = "/srv/\u202egit"
    assert typed_target(case) == fx.digest("b").removeprefix("sha256:")[:8]
    assert typed_target({**fx.review(), "risk": "critical"}) == "main"
    assert typed_target(fx.approval_high()) == ""


def test_an_edit_must_change_the_command_and_keeps_its_lines() -> None:
    case = fx.approval_low()
    same = case["package"]["what_will_happen"]["text"]
    assert "unchanged" in _refused(
        case, kind="approve_with_edits", edited_command=f"\r\n{same}\r\n"
    )
    assert "Write the command" in _refused(case, kind="approve_with_edits")
    edit = read_decision(case, _form(kind="approve_with_edits", edited_command="a\r\nb"))
    assert isinstance(edit, DecisionInput)
    assert edit.edited_command == "a\nb"


def test_a_doubt_is_answered_with_one_of_two_facts() -> None:
    ran = read_decision(fx.doubt(), _form(kind="answer:it_ran"))
    assert isinstance(ran, DecisionInput)
    assert (ran.kind, ran.answer) == ("answer", "it_ran")
    assert "ran or did not run" in _refused(fx.doubt(), kind="answer", answer="perhaps")


def test_a_question_needs_words() -> None:
    assert "Write the answer" in _refused(fx.question(), kind="answer", answer=" ")


@pytest.mark.parametrize("field", ["reason", "edited_command"])
def test_a_text_without_end_is_refused(field: str) -> None:
    assert "too long" in _refused(fx.approval_low(), **{field: "x" * 20_000})


def test_a_decided_or_unbound_case_has_no_form() -> None:
    assert all(decision_form(handoff) is None for handoff in fx.decided().values())
    assert decision_form({**fx.approval_low(), "presented_digest": ""}) is None
    assert decision_form({**fx.approval_low(), "offered": ["later_verb"]}) is None


def test_every_verb_says_what_follows() -> None:
    for handoff in fx.waiting():
        form = decision_form(handoff)
        assert form is not None
        assert all(verb.label and verb.following.endswith(".") for verb in form.verbs)
        keys = [verb.key for verb in form.verbs]
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("effect", "words"),
    [("write", "This worktree only"), ("network", "Beyond this machine"), ("", "Not known")],
)
def test_how_far_a_call_reaches_is_said_only_where_it_is_known(effect: str, words: str) -> None:
    assert blast((), (), "approval", effect).startswith(words)
    assert "perhaps more" in blast(("git.push",), ("syntax",), "approval", effect)
