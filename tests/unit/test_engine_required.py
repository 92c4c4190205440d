"""A caller may ask for a person whatever policy says, show a dry run, and report a start it was cut off from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.core.domain.errors import StaleDecision
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import EffectOutcome, Executor
from handfast.core.domain.events_work import Mode
from handfast.core.domain.inert import inert
from handfast.engine.grants import EffectReport, Redemption
from handfast.engine.preview import CALLER, MAX_PREVIEW
from handfast.engine.runs import Session
from tests.engine_room import RUNNER, Furnished, Room


@pytest.fixture
def room(tmp_path: Path, furnished: Furnished) -> Iterator[Room]:
    with furnished.copied(tmp_path) as made:
        yield made


def effect(room: Room, handoff_id: object) -> dict[str, str]:
    package = room.engine.views.handoff(str(handoff_id))["package"]
    found: dict[str, str] = package["what_will_happen"]  # type: ignore[index]  # JSON
    return found


def test_what_policy_allows_waits_when_the_caller_requires_it(room: Room) -> None:
    assert room.propose("a", "ls", ())["verdict"] == "allow"
    asked = room.propose("b", "ls", (), require_approval=True)
    assert asked["verdict"] == "wait"
    assert [r["id"] for r in asked["rules"]] == ["always-required"]  # type: ignore[attr-defined]  # JSON
    assert room.handoff(asked["handoff_id"]).risk == "medium"
    room.decide(asked["handoff_id"])
    assert room.propose("c", "ls", (), require_approval=True)["grant_id"]
    denied = room.propose("d", "x", ("control-plane",), require_approval=True)
    assert denied["verdict"] == "deny"


def test_it_waits_in_a_run_that_only_observes(room: Room) -> None:
    watched = Session(room.agent_id, "claude-code", "watched", "/repo", Mode.OBSERVE)
    run_id = room.engine.runs.session(RUNNER, watched)["run_id"]
    assert room.propose("a", "git push", run_id=run_id)["verdict"] == "allow"
    required = room.propose("b", "git push", run_id=run_id, require_approval=True)
    assert required["verdict"] == "wait"


def test_preview_and_undo_are_shown_as_the_callers_words_and_belong_to_what_was_presented(
    room: Room,
) -> None:
    asked = room.propose("a", "git push", preview="one\n\u202etwo", undo="run it\nbackwards")
    shown = effect(room, asked["handoff_id"])
    assert shown["preview"] == f"one\n{inert(chr(0x202E))}two"
    assert shown["undo"] == "run it\nbackwards"
    assert (shown["preview_about"], shown["undo_about"]) == (CALLER, CALLER)
    other = room.propose("b", "git push x", preview="three")
    assert effect(room, other["handoff_id"])["preview"] == "three"
    assert effect(room, other["handoff_id"])["undo_about"] == ""
    with pytest.raises(StaleDecision):
        room.decide(
            asked["handoff_id"],
            presented_digest=room.handoff(other["handoff_id"]).presented_digest,
        )


def test_a_long_preview_is_cut_and_an_empty_one_is_none(room: Room) -> None:
    asked = room.propose("a", "git push", preview="x" * 3 * MAX_PREVIEW, undo=" ")
    shown = effect(room, asked["handoff_id"])
    assert len(shown["preview"]) < MAX_PREVIEW + 100
    assert shown["preview"].endswith(
        f"cut: {MAX_PREVIEW:,} of {3 * MAX_PREVIEW:,} characters shown"
    )
    assert (shown["undo"], shown["undo_about"]) == ("", "")


def started(room: Room) -> tuple[str, str]:
    asked = room.propose("a", "git push", executor=Executor.MEDIATED)
    handoff_id = str(asked["handoff_id"])
    room.decide(handoff_id)
    h = room.handoff(handoff_id)
    assert h.grant is not None
    agent = Actor("agent", room.agent_id, "token")
    redemption = Redemption(handoff_id, h.grant.grant_id, h.action_digest, Executor.MEDIATED)
    return handoff_id, str(room.engine.grants.redeem(agent, redemption)["start_id"])


def test_an_unknown_effect_opens_a_doubt_only_where_that_is_asked(room: Room) -> None:
    handoff_id, start_id = started(room)
    report = EffectReport(handoff_id, start_id, EffectOutcome.UNKNOWN, note="cut off", doubt=True)
    assert room.engine.grants.effect(RUNNER, report)["outcome"] == "unknown"
    doubts = room.engine.views.handoffs("waiting").items
    assert [(d["kind"], d["status"]) for d in doubts] == [("doubt", "routed")]
    assert room.handoff(doubts[0]["handoff_id"]).about == handoff_id
    later = EffectReport(handoff_id, start_id, EffectOutcome.VERIFIED, doubt=True)
    assert room.engine.grants.effect(RUNNER, later)["outcome"] == "unknown"  # what is recorded
    assert len(room.engine.views.handoffs("waiting").items) == 1
    room.check()


def test_without_asking_for_it_no_doubt_is_opened(room: Room) -> None:
    handoff_id, start_id = started(room)
    report = EffectReport(handoff_id, start_id, EffectOutcome.UNKNOWN)
    room.engine.grants.effect(RUNNER, report)
    assert room.engine.views.handoffs("waiting").items == []
