"""What the case page says about who decides: quorum, levels, edits, emergencies, machines."""

from typing import Any

from handfast.server.web import pages
from handfast.server.web.pages import Shell
from handfast.server.web.render import render
from handfast.server.web.standing import receipt_of, standing_of
from tests import web_fixtures as fx

SHELL = Shell(person_name="Noor", person_id="pe_noor", csrf_token="csrf-1", has_js=True)


def _takes(**changes: Any) -> dict[str, Any]:
    clause = {
        "approvals": 2, "audience": ["team:dba"], "separate": True, "approved_by": ["Ben"],
        "missing": 1, "could": ["Cy", "Noor"],
    }  # fmt: skip
    return {
        "in_words": "2 approvals of team:dba", "clauses": [clause], "silence": "reject",
        "silence_means": "it counts as refused: an equal call stays denied",
        "requested_by": ["Ana"], "votes": [{"by": "pe_ben", "by_name": "Ben"}],
        "asked": "team:dba", "asked_people": ["Ben", "Cy"], "level": 1, "levels": 2, "round": 0,
        "next": {"to": "team:sre", "at": fx.at(10)}, "ends_at": fx.at(60),
    } | changes  # fmt: skip


def _page(handoff: dict[str, Any]) -> str:
    return render("case.html", pages.case_page(handoff, shell=SHELL, now=fx.NOW))


def test_the_page_says_what_it_takes_who_gave_it_and_what_follows() -> None:
    clause = {"approvals": 1, "audience": ["role:admin"], "missing": 1, "approved_by": []}
    two = [*_takes()["clauses"], clause]
    page = _page(fx.approval_low() | {"takes": _takes(clauses=two)})
    for words in (
        "2 approvals of team:dba",
        "approved by Ben",
        "1 missing",
        "Can still decide: Cy, Noor",
        "Ana (does not count here)",
        "team:dba (Ben, Cy)",
        "level 1 of 2",
        "team:sre",
        "it counts as refused",
        "I have it",
        "With the last one exactly this runs, once.",
    ):
        assert words in page, words
    assert "Take back my approval" not in page
    assert "Put off" not in page


def test_what_only_the_holder_or_a_voter_may_do_is_offered_to_them() -> None:
    mine = _takes(votes=[{"by": "pe_noor", "by_name": "Noor"}])
    page = _page(fx.approval_low() | {"takes": mine, "holder": "pe_noor"})
    for words in ("Take back my approval", "Put off", "Give it back"):
        assert words in page, words


def test_an_edited_call_stands_above_the_original() -> None:
    edited = {"tool": "Bash", "arguments": {"command": "rm <script>x"}}
    case = fx.approval_low() | {"takes": _takes(), "edited_call": edited, "edited_by": "Cy"}
    page = _page(case)
    assert "Edited by Cy" in page
    assert "rm &lt;script&gt;x" in page
    assert page.index("rm &lt;script") < page.index('<h2 id="why-h"')


def test_a_question_cannot_be_overridden() -> None:
    case = fx.approval_low() | {"takes": _takes(), "kind": "question", "offered": ["answer"]}
    assert "Override alone" not in _page(case)
    assert "Override alone" in _page(fx.approval_low() | {"takes": _takes()})


def test_a_frozen_case_says_so() -> None:
    page = _page(fx.approval_low() | {"takes": _takes(), "frozen": True})
    assert "kill switch" in page
    assert "the deadline stands still" in page
    assert 'id="decision-form"' not in page
    assert 'id="decision-form"' in _page(fx.approval_low() | {"takes": _takes()})


def _decided(**decision: Any) -> dict[str, Any]:
    given = {"kind": "approve", "by": "pe_ana", "by_name": "Ana", "at": fx.at(-1)} | decision
    return fx.approval_low() | {"status": "decided", "decision": given, "takes": _takes()}


def test_endings_are_told_apart() -> None:
    machine = standing_of(_decided(by="policy", by_name="policy (a machine)", by_machine=True))
    alone = standing_of(_decided(overridden=True))
    silent = standing_of(
        fx.approval_low() | {"status": "expired", "outcome": "nobody answered: refused"}
    )
    expired = standing_of(fx.approval_low() | {"status": "expired", "outcome": "nobody answered"})
    person = standing_of(_decided())
    codes = [s.code for s in (machine, alone, silent, expired, person)]
    assert codes == ["auto_proceed", "overridden", "silence_refused", "expired", "approve"]
    assert "no person decided" in machine.sentence
    assert "instead of 2 approvals of team:dba" in alone.sentence
    assert "equal call stays denied" in silent.sentence


def test_the_receipt_says_when_the_requester_decided() -> None:
    receipt = receipt_of(_decided(by_requester=True))
    assert receipt is not None
    assert receipt.decided_by == "Ana, who asked for this work"


def test_a_review_of_an_override_is_no_merge() -> None:
    case = fx.approval_low() | {"kind": "review", "about": "ho_1", "offered": ["approve", "reject"]}
    page = _page(case)
    assert "It was right" in page
    assert "It was wrong" in page
    assert "merge" not in page.lower()
    assert "Override alone" not in page
