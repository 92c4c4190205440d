"""The parts of a case page about binding: what changed, the preview, the undo, and how far an approval reaches."""

from typing import Any

import pytest

from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS, Span, Wanted
from handfast.server.web import pages
from handfast.server.web.decision_form import DecisionInput, FormProblem, read_decision
from handfast.server.web.pages import Shell
from handfast.server.web.render import render
from handfast.server.web.scope_choice import scope_choice
from tests import web_fixtures as fx

SHELL = Shell(person_name="Noor Haddad", csrf_token="csrf-1")


def html(handoff: dict[str, Any]) -> str:
    return render("case.html", pages.case_page(handoff, shell=SHELL, now=fx.NOW))


def with_will(**fields: object) -> dict[str, Any]:
    handoff = fx.approval_low()
    package = {**handoff["package"]}
    package["what_will_happen"] = {**package["what_will_happen"], **fields}
    return {**handoff, "package": package}


def with_changed(**fields: object) -> dict[str, Any]:
    handoff = fx.approval_low()
    changed = {
        "handoff_id": "ho_earlier",
        "decided_by_name": "Ana",
        "decided_at": fx.at(-5),
        **fields,
    }
    return {**handoff, "package": {**handoff["package"], "changed": changed}}


def test_what_changed_since_an_approval_stands_on_the_page() -> None:
    operands = [{"path": "x.sh", "before": "sha256:" + "1" * 64, "after": "missing"}]
    page = html(with_changed(approved=True, operands=operands, before="old <b>words</b>"))
    assert "Changed since it was approved" in page
    assert "decided by Ana" in page
    assert "old &lt;b&gt;words&lt;/b&gt;" in page
    assert "x.sh" in page
    assert "not there" in page
    assert 'href="/handoffs/ho_earlier"' in page


def test_what_nobody_approved_is_not_said_to_have_been() -> None:
    assert "Changed since it was asked" in html(with_changed(approved=False))
    assert "Changed since" not in html(fx.approval_low())


def test_a_preview_has_a_heading_and_says_where_it_is_from() -> None:
    page = html(with_will(preview="+ one <i>", preview_about="`terraform plan`: exit 0, 2.0 s"))
    assert '<h2 id="preview-h">Preview</h2>' in page
    assert "exit 0, 2.0 s" in page
    assert "+ one &lt;i&gt;" in page
    assert "preview-h" not in html(fx.approval_low())
    assert "was not run" in html(with_will(preview_about="`x` was not run: it would be gated"))


def test_the_undo_is_shown_before_and_on_the_receipt() -> None:
    waiting = with_will(undo="git push -d x", undo_about="declared by the policy, `push`")
    assert "git push -d x" in html(waiting)
    done = {
        **waiting,
        "status": "closed",
        "waiting": False,
        "decision": {"kind": "approve", "by": "pe_1", "by_name": "Ana", "at": fx.at(-1)},
        "effect": {"outcome": "verified", "exit_code": 0, "at": fx.at(-1)},
        "outcome": "effect_verified",
    }
    assert "nothing runs it by itself" in html(done)


MAY = {"times": 3, "span": "task", "within_s": 7200, "words": "3 times, for this task, within 2 h"}


def test_only_what_may_be_given_is_offered() -> None:
    assert scope_choice(fx.approval_low(), {}) is None
    assert 'name="scope_times"' not in html(fx.approval_low())
    page = html({**fx.approval_low(), "may_give": MAY})
    assert "at most 3 times, for this task, within 2 h" in page
    choice = scope_choice({"may_give": MAY}, {})
    assert choice is not None
    assert (choice.hours, [name for name, _ in choice.spans]) == ((1, 2), ["run", "task"])


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"scope_times": "1", "scope_span": "run", "scope_hours": ""}, AS_THE_RULE_SAYS),
        (
            {"scope_times": "3", "scope_span": "task", "scope_hours": "2"},
            Wanted(3, Span.TASK, 7200),
        ),
        ({"scope_times": "1", "scope_span": "run", "scope_hours": "1"}, Wanted(1, Span.RUN, 3600)),
    ],
)
def test_the_form_asks_for_what_was_chosen(fields: dict[str, str], wanted: Wanted) -> None:
    form = {"kind": "approve", "presented_digest": fx.digest("b"), **fields}
    read = read_decision({**fx.approval_low(), "may_give": MAY}, form)
    assert isinstance(read, DecisionInput)
    assert read.scope == wanted
    plain = read_decision(fx.approval_low(), form)
    assert isinstance(plain, DecisionInput)
    assert plain.scope == AS_THE_RULE_SAYS


@pytest.mark.parametrize(
    "fields",
    [
        {"scope_times": "4"},
        {"scope_times": "0"},
        {"scope_times": "\u0663"},
        {"scope_times": "9" * 5000},
        {"scope_times": "2", "scope_span": "ever"},
        {"scope_times": "2", "scope_span": "run", "scope_hours": "24"},
    ],
)
def test_a_scope_beyond_the_offer_comes_back_with_a_word(fields: dict[str, str]) -> None:
    form = {"kind": "approve", "presented_digest": fx.digest("b"), **fields}
    assert isinstance(read_decision({**fx.approval_low(), "may_give": MAY}, form), FormProblem)


def test_an_approval_that_is_not_the_last_says_nothing_of_how_far() -> None:
    clause = {"approvals": 2, "audience": ["reviewers"], "missing": 2}
    handoff = {**fx.approval_low(), "may_give": MAY, "takes": {"clauses": [clause]}}
    assert "scope_times" not in html(handoff)
    form = {"kind": "approve", "presented_digest": str(handoff["presented_digest"])}
    read = read_decision(handoff, form)
    assert isinstance(read, DecisionInput)
    assert read.scope == AS_THE_RULE_SAYS
    clause["missing"] = 1
    assert "scope_times" in html(handoff)
