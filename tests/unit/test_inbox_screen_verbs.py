"""What the full-screen inbox asks for and sends: the page's own rules, key by key."""

import pytest

from handfast.cli.screen import verbs
from handfast.core.domain.errors import UsageError
from tests import web_fixtures as fx
from tests.web_fixtures import Json

PROOF = {"person": "ana", "pin": "123456"}


def offered(case: Json, key: str) -> verbs.Offered:
    found = verbs.offered(case, key)
    assert found is not None
    return found


def test_a_critical_case_takes_a_reason_and_its_target_typed() -> None:
    approve = offered(fx.approval_critical(), "a")
    names = [f.name for f in verbs.fields(approve, "ana")]
    assert names == ["reason", "typed_target", "person", "pin"]
    with pytest.raises(UsageError, match=r"critical risk\. Write the reason"):
        verbs.decision(approve, PROOF)
    with pytest.raises(UsageError, match="type `"):
        verbs.decision(approve, {**PROOF, "reason": "checked", "typed_target": "prod"})
    typed = {**PROOF, "reason": "checked", "typed_target": approve.form.target}
    sent = verbs.decision(approve, typed)
    assert sent.body is not None
    assert sent.body["presented_digest"] == fx.approval_critical()["presented_digest"]
    assert (sent.body["kind"], sent.body["reason"]) == ("approve", "checked")


def test_what_was_too_large_to_be_shown_is_approved_by_a_choice_of_its_own() -> None:
    case = fx.review()
    unshown = [{"path": "src/big.py", "added": 9_000, "removed": 0}]
    approve = offered({**case, "package": {**case["package"], "unshown": unshown}}, "a")
    asked = next(f for f in verbs.fields(approve, "ana") if f.name == "covers_unshown")
    assert "src/big.py" in asked.label
    assert (asked.kind, asked.value) == ("choice", "")
    with pytest.raises(UsageError, match="your approval covers them"):
        verbs.decision(approve, {**PROOF, "covers_unshown": ""})
    sent = verbs.decision(approve, {**PROOF, "covers_unshown": "yes"})
    assert sent.body is not None
    assert sent.body["covers_unshown"] is True


@pytest.mark.parametrize("key", ["a", "e", "c", "r", "t"])
def test_nothing_is_sent_without_a_person_and_a_pin(key: str) -> None:
    verb = offered(fx.approval_critical(), key)
    typed = {"reason": "x", "typed_target": verb.form.target, "edited_command": "ls"}
    with pytest.raises(UsageError, match="a token alone decides nothing"):
        verbs.decision(verb, typed)


def test_a_scope_is_chosen_where_the_rule_allows_one() -> None:
    may = {"times": 5, "span": "run", "within_s": 0, "words": "5 times, for this run"}
    approve = offered({**fx.approval_low(), "may_give": may}, "a")
    assert "scope_times" in [f.name for f in verbs.fields(approve, "ana")]
    scope = {"scope_times": "3", "scope_span": "run", "scope_hours": "2"}
    sent = verbs.decision(approve, {**PROOF, **scope})
    assert sent.body is not None
    assert sent.body["scope"] == {"times": 3, "span": "run", "within_s": 7200}
    with pytest.raises(UsageError, match="between 1 and 5"):
        verbs.decision(approve, {**PROOF, **scope, "scope_times": "6"})


def test_a_doubt_has_its_two_answers_and_a_question_its_own() -> None:
    sent = verbs.decision(offered(fx.doubt(), "y"), PROOF)
    assert sent.body is not None
    assert (sent.body["kind"], sent.body["answer"]) == ("answer", "it_ran")
    answer = offered(fx.question(), "s")
    assert [f.name for f in verbs.fields(answer, "")] == ["answer", "reason", "person", "pin"]


def test_what_is_not_offered_has_no_key() -> None:
    assert verbs.offered(fx.review(), "e") is None
    for case in fx.decided().values():
        assert all(verbs.offered(case, key) is None for key in "aescrtyn")


def test_asking_others_and_putting_off_decide_nothing() -> None:
    case = fx.approval_low()
    asked = verbs.other(case, "route", {**PROOF, "to": "team:ops, person:bob", "reason": "theirs"})
    assert asked.path.endswith("/route")
    assert asked.body is not None
    assert asked.body["to"] == ["team:ops", "person:bob"]
    put = verbs.other(case, "snooze", {**PROOF, "minutes": "20"})
    assert put.body is not None
    assert put.body["for_s"] == 1200
    with pytest.raises(UsageError, match="whole number"):
        verbs.other(case, "snooze", {**PROOF, "minutes": "soon"})


def test_finished_work_is_edited_on_its_page() -> None:
    offers = ["approve", "approve_with_edits", "reject"]
    case = {**fx.review(), "offered": offers}
    assert verbs.offered(case, "e") is None
    assert f"/handoffs/{case['handoff_id']}" in verbs.instead(case, "e")
    assert verbs.instead(fx.review(), "e") == "That is not offered for this case."
