"""What an agent states with its own number and basis: shown as its words, linked to recorded steps, deciding nothing."""

import json
from typing import Any, cast

import pytest

from handfast.core.domain.stated import MAX_STATED, stated_in
from handfast.server.web.case_view import case_of
from tests.engine_room import Room
from tests.worked import Work, begun


def block(*claims: object) -> str:
    return f"Done.\n\n```claims\n{json.dumps(list(claims))}\n```\n\nBye."


def shown(work: Work, says: str) -> list[dict[str, Any]]:
    h = work.room.engine.views.handoff(work.handed(says).handoff_id)
    return cast("list[dict[str, Any]]", cast("dict[str, object]", h["package"])["stated"])


def test_a_basis_that_names_a_recorded_step_is_linked_to_it(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q", output="3 passed in 0.1s")
    work.bash("ruff check .", 1)
    (step,) = (
        s["step_id"]
        for s in cast("list[dict[str, str]]", room.engine.views.steps(work.run_id)["items"])
        if s["key"] == "k1"
    )
    said = [
        {"claim": "It works", "confidence": 0.9, "basis": "`pytest -q`"},
        {"claim": "It works", "basis": f"see {step}."},
        {"claim": "It is clean", "confidence": 1, "basis": "ruff check ."},
        {"claim": "By call", "basis": "the result of k2x, k2:"},
        {"claim": "It is fast", "confidence": 0.333, "basis": "`make bench`"},
        {"claim": "Trust me", "confidence": 0.99},
    ]
    found = shown(work, block(*said))
    assert [(s["confidence"], s["command"], s["exit_code"]) for s in found] == [
        ("0.9", "pytest -q", 0),
        ("", "pytest -q", 0),
        ("1", "ruff check .", 1),
        ("", "", None),
        ("0.33", "", None),
        ("0.99", "", None),
    ]
    assert found[0]["step_id"] == found[1]["step_id"] == step


def test_what_is_stated_is_also_held_against_the_record(room: Room) -> None:
    work = begun(room)
    work.bash("pytest -q", output="3 passed in 0.1s")
    found = work.hand_over(block({"claim": "All tests pass", "basis": "`pytest -q`"}))
    assert [(e.claim, e.status) for e in found] == [("All tests pass", "recorded")]


def test_a_call_at_a_gate_carries_them_too(room: Room) -> None:
    says = block({"claim": "Only the topic branch is pushed", "confidence": 0.8})
    asked = room.propose("k", "git push origin topic", agent_says=says)
    plain = room.propose("k2", "git push origin other", agent_says="Done.")
    (one, two) = (room.engine.views.handoff(cast("str", h["handoff_id"])) for h in (asked, plain))
    assert cast("Any", one["package"])["stated"][0]["confidence"] == "0.8"
    assert cast("Any", two["package"])["stated"] == []
    assert one["presented_digest"] != two["presented_digest"]
    for name in ("verdict", "risk", "reason", "rules"):
        assert asked[name] == plain[name]
    case = case_of(one)
    assert [(c.claim, c.says, c.found) for c in case.stated] == [
        ("Only the topic branch is pushed", "says 0.8", "unverified")
    ]


def test_their_number_and_length_are_bounded() -> None:
    found = stated_in(block(*({"claim": "x" * 310, "basis": "y" * 310} for _ in range(25))))
    assert len(found) == MAX_STATED
    assert {(len(s.claim) <= 300, len(s.basis) <= 300) for s in found} == {(True, True)}


@pytest.mark.parametrize(
    "confidence", [1.01, -0.1, "sure", None, True, "NaN", float("inf"), 10**400, [0.9]]
)
def test_a_confidence_that_is_no_share_is_none(confidence: object) -> None:
    (found,) = stated_in(block({"claim": "x", "confidence": confidence}))
    assert found.confidence == ""


@pytest.mark.parametrize(
    "text",
    [
        "```claims\nnot json\n```",
        "```claims\n" + "[" * 15_000 + "\n```",
        '```claims\n[1, null, {}, {"claim": [3]}]\n```',
        '```claims\n[{"claim": "unclosed"}]',
        'inline ```claims [{"claim": "x"}] ```',
    ],
)
def test_what_has_not_the_shape_is_no_claim(text: str) -> None:
    assert stated_in(text) == ()


def test_hidden_characters_and_secrets_are_not_shown(room: Room) -> None:
    token = "ghp_" + "a1B2" * 9
    work = begun(room)
    (found,) = shown(work, block({"claim": "safe\u202e\u200b\n\x1b[31mred", "basis": token}))
    assert not set("\u202e\u200b\n\x1b") & set(found["claim"])
    assert token not in found["basis"]
