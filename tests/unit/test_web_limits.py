"""A run's use and limits on its page, and the case of a run that met one."""

from typing import Any

from handfast.server.web.decision_form import decision_form
from handfast.server.web.run_view import run_head
from handfast.server.web.standing import standing_of

RUN: dict[str, Any] = {
    "run_id": "run_1",
    "status": "running",
    "limits": {
        "usage": [
            {
                "metric": "cost_usd",
                "label": "cost",
                "used": "$1.20",
                "limit": "hands over at $1.80",
            },
        ],
        "not_watched": ["reasoning_s"],
        "warnings": ["Cost $1.20 of $1.20 (the default)."],
    },
}
CASE: dict[str, Any] = {
    "handoff_id": "ho_1",
    "kind": "escalation",
    "status": "routed",
    "risk": "medium",
    "presented_digest": "sha256:1",
    "offered": ["approve", "answer", "request_changes", "reject", "take_over"],
}


def test_the_run_page_shows_use_beside_limits_and_what_is_not_watched() -> None:
    head = run_head(RUN)
    assert [(u.label, u.figure, u.limit) for u in head.usage] == [
        ("cost", "$1.20", "hands over at $1.80")
    ]
    assert head.warnings == ("Cost $1.20 of $1.20 (the default).",)
    assert head.gaps == ("No limit holds on time the model took: the harness does not tell it.",)


def test_a_run_without_limits_has_none_to_show() -> None:
    head = run_head({"run_id": "run_1", "status": "ended"})
    assert (head.usage, head.warnings, head.gaps) == ((), (), ())


def test_the_buttons_of_an_escalation_are_about_the_run_and_not_about_a_call() -> None:
    form = decision_form(CASE)
    assert form is not None
    labels = [verb.label for verb in form.verbs]
    assert labels == [
        "Let it go on",
        "Go on with words",
        "Stop the run",
        "Take over",
    ]
    assert not any("Exactly this runs" in verb.following for verb in form.verbs)
    # One field for words: an answer would do what going on with words does.
    assert not form.asks_answer


def test_what_followed_is_said_of_the_run() -> None:
    decided = {**CASE, "status": "closed", "decision": {"kind": "approve", "by": "pe_1"}}
    assert standing_of(decided).sentence == "The run goes on, with more room under this limit."
    stopped = {**CASE, "status": "closed", "decision": {"kind": "reject", "by": "pe_1"}}
    assert standing_of(stopped).sentence.startswith("The run was stopped.")
