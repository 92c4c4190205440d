"""What a reviewer's eye meets: what was wanted first, nothing said twice, nothing shown as known that is not, and
no button that would be refused."""

from typing import Any, cast

import pytest

from handfast.core.domain.package import FINISHED
from handfast.server.web import pages
from handfast.server.web.audit_view import entry_row
from handfast.server.web.case_view import case_of
from handfast.server.web.inbox_view import grouped
from handfast.server.web.pages import Shell
from handfast.server.web.render import render
from handfast.server.web.run_view import run_row
from handfast.server.web.takes_view import takes_of
from tests import web_fixtures as fx
from tests.engine_room import Room

SHELL = Shell(person_name="Noor", person_id="pe_noor", csrf_token="csrf-1", has_js=True)


def _page(handoff: dict[str, Any]) -> str:
    return render("case.html", pages.case_page(handoff, shell=SHELL, now=fx.NOW))


def _with(handoff: dict[str, Any], **package: object) -> dict[str, Any]:
    return handoff | {"package": {**handoff["package"], **package}}


def _part(page: str, heading: str) -> str:
    """The section under a heading."""
    at = page.index(f">{heading}</h2>")
    return page[at : page.index("</section>", at)]


def test_a_reader_whose_decision_would_be_refused_gets_no_buttons() -> None:
    takes = {
        "in_words": "1 approval of team:dba",
        "clauses": [{"approvals": 1, "audience": ["team:dba"], "missing": 1, "could": ["Cy"]}],
        "asked": "team:dba",
        "asked_people": ["Cy"],
    }
    case = fx.approval_low() | {"takes": takes}
    assert 'id="decision-form"' in _page(case | {"closed": ""})
    for why, words in (
        ("role", "your roles do not include deciding"),
        ("audience", "it takes 1 approval of team:dba"),
    ):
        page = _page(case | {"closed": why})
        assert 'id="decision-form"' not in page
        assert words in page
        assert "Who can: Cy." in page
    # Without a deciding role nothing of this form would be taken; others may still ask somebody.
    assert 'value="acknowledge"' not in _page(case | {"closed": "role"})
    assert 'value="route"' in _page(case | {"closed": "audience"})


def test_the_engine_says_before_whose_decision_would_not_be_taken(room: Room) -> None:
    auditor, reviewer = room.another("eve", ("auditor",)), room.another("ann")
    case = str(room.propose("push", "git push")["handoff_id"])
    closed = room.engine.handoffs.closed_to
    assert (closed(auditor.id, case), closed(reviewer.id, case)) == ("role", "")


def test_what_was_wanted_stands_beside_the_reason_and_not_again_below() -> None:
    page = _page(fx.review())
    assert "invoice totals differ by a cent" in _part(page, "Why now")
    assert "Changing how VAT is computed" in _part(page, "Why now")
    assert page.count("invoice totals differ by a cent") == 1


def test_many_criteria_take_the_whole_width() -> None:
    review = fx.review()
    assert 'class="pair rows"' not in _page(review)
    brief = review["package"]["brief"] | {"acceptance": [f"Criterion {n}" for n in range(7)]}
    assert 'class="pair rows"' in _page(_with(review, brief=brief))


def test_a_row_of_finished_work_says_what_was_wanted_and_a_question_what_it_asks() -> None:
    def why(handoff: dict[str, Any]) -> str:
        ((row,),) = (group.rows for group in grouped([handoff], fx.NOW))
        return row.why

    wanted = fx.review() | {"why_now": f"{FINISHED} It is a migration.", "intent": "Round lines."}
    assert why(wanted) == "Wanted: Round lines. It is a migration."
    asked = _with(fx.question(), what_will_happen={"kind": "text", "text": "EUR\nor none?"})
    assert why(asked).startswith("It asks: “EUR")
    assert why(fx.approval_low()) == why(fx.approval_low() | {"intent": ""})


def test_the_engine_gives_the_queue_a_question_and_the_runs_their_intents(room: Room) -> None:
    room.engine.reviews.ask(room.me, room.run_id, "Which currency?")
    (asked,) = room.engine.views.first_waiting(1)
    (row,) = cast("list[dict[str, Any]]", room.engine.views.queued([room.handoff(asked)]))
    assert row["package"]["what_will_happen"]["text"] == "Which currency?"
    queued = room.queued_run()
    found = {run["run_id"]: run["intent"] for run in room.engine.views.runs().items}
    assert found[queued]
    assert found[room.run_id] == ""


def test_a_question_is_not_repeated_as_the_agents_words() -> None:
    asked = _with(
        fx.question(), what_will_happen={"kind": "text", "text": "EUR?"}, agent_says="EUR?"
    )
    page = _page(asked)
    assert "What the agent asks" in page
    assert "The agent says" not in page
    assert "The agent gave no evidence" in page


def test_a_detail_that_only_says_the_command_again_is_left_out() -> None:
    command = {"kind": "command", "text": "make deploy", "hazards": ["deploy"]}
    details = ["changes running systems: `make deploy`", "reads `Makefile`"]
    shown = case_of(_with(fx.approval_low(), what_will_happen=command | {"details": details}))
    assert shown.effect.details == ("reads `Makefile`",)


def test_a_long_command_says_how_long_it_is() -> None:
    long = {"kind": "command", "text": "\n".join(f"echo {n}" for n in range(40))}
    assert "40 lines: scroll to read them all." in _page(
        _with(fx.approval_low(), what_will_happen=long)
    )
    assert "scroll to read" not in _page(fx.approval_low())


def test_a_cost_that_nobody_told_is_not_shown_as_zero() -> None:
    cost = {"cost_usd": "0", "turns": 0, "duration_ms": 0, "tool_calls": 3}
    assert case_of(_with(fx.approval_low(), cost=cost)).cost == (
        ("Cost", "not told"),
        ("Calls", "3"),
    )
    told = {"cost_usd": "1.20", "turns": 4, "duration_ms": 1500, "tool_calls": 0}
    assert dict(case_of(_with(fx.approval_low(), cost=told)).cost)["Cost"] == "$1.20"


def test_a_failed_attempt_is_set_as_code() -> None:
    tried = [{"tried": "runs `make bundle`", "outcome": "exit code 2"}]
    assert "runs <code>make bundle</code>" in _page(_with(fx.approval_low(), attempts=tried))


def test_what_changed_in_a_call_is_marked_in_both_forms() -> None:
    will = {"kind": "command", "text": "kubectl scale --replicas=0 web"}
    changed = {
        "handoff_id": "ho_1",
        "approved": True,
        "before": "kubectl scale --replicas=<b>2 web",
    }
    page = _page(_with(fx.approval_low(), what_will_happen=will, changed=changed))
    assert "kubectl scale <mark>--replicas=&lt;b&gt;2</mark> web" in page
    assert "kubectl scale <mark>--replicas=0</mark> web" in page


@pytest.mark.parametrize(
    ("kind", "noun"), [("approval", "approval"), ("question", "answer"), ("doubt", "answer")]
)
def test_who_was_asked_is_not_said_twice(kind: str, noun: str) -> None:
    clause = {"approvals": 1, "audience": ["reviewers"], "missing": 1, "could": ["Ana", "Mia"]}
    takes = {"clauses": [clause], "asked": "reviewers", "asked_people": ["Mia", "Ana"]}
    shown = takes_of(fx.approval_low() | {"kind": kind, "takes": takes})
    assert shown is not None
    assert shown.clauses[0].needed == f"1 {noun} of reviewers"
    assert (shown.clauses[0].could, shown.could) == ("", "Ana, Mia")
    fewer = takes_of(fx.approval_low() | {"takes": takes | {"asked_people": ["Mia"]}})
    assert fewer is not None
    assert fewer.clauses[0].could == "Ana, Mia"


def test_a_session_is_named_by_its_agent() -> None:
    assert run_row({"run_id": "run_1", "agent_name": "codex-web"}).intent == "Session of codex-web"


def test_an_entry_of_the_log_says_which_case_it_is_about() -> None:
    entry = {"type": "handoff.viewed", "stream": "handoff/ho_01", "position": 3}
    assert entry_row(entry).about == "ho_01"
    assert entry_row(entry | {"stream": "installation/1"}).about == ""
