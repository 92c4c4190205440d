"""The rating of a package by who decided, and what happened since a person last looked."""

from typing import cast

import pytest

from handfast.core.domain.errors import NotFound, NotPermitted, UsageError
from handfast.core.domain.events_handoff import DecisionKind
from handfast.engine.kernel import Result
from handfast.engine.looks import since_last_look
from tests.engine_room import OPERATOR, Room


def asked(room: Room) -> str:
    return cast("str", room.propose("k1", "git push")["handoff_id"])


def rated(room: Room, handoff_id: str) -> list[Result]:
    return cast("list[Result]", room.engine.views.handoff(handoff_id)["ratings"])


def test_who_decides_rates_and_the_last_rating_counts(room: Room) -> None:
    handoff_id, ratings = asked(room), room.engine.ratings
    with pytest.raises(NotPermitted, match="you did not decide"):
        ratings.rate(room.me, handoff_id, good=True)
    room.decide(handoff_id)
    ratings.rate(room.me, handoff_id, good=True)
    ratings.rate(room.me, handoff_id, good=False, lacks=["evidence"], note="ran the tests myself")
    (found,) = rated(room, handoff_id)
    assert (found["good"], found["lacks"], found["by_name"]) == (False, ["evidence"], "Ana")
    assert found["note"] == "ran the tests myself"
    assert room.types(f"handoff/{handoff_id}").count("handoff.rated") == 2
    with pytest.raises(NotPermitted):
        ratings.rate(room.another("ben"), handoff_id, good=True)
    with pytest.raises(NotPermitted):
        ratings.rate(OPERATOR, handoff_id, good=True)


def test_a_rating_names_parts_that_a_package_has(room: Room) -> None:
    handoff_id = asked(room)
    room.engine.handoffs.acknowledge(room.me, handoff_id)
    rate = room.engine.ratings.rate
    for given in ({"lacks": ["colour"]}, {"note": "x" * 2_001}):
        with pytest.raises(UsageError):
            rate(room.me, handoff_id, good=False, **given)
    with pytest.raises(UsageError, match="lacks nothing"):
        rate(room.me, handoff_id, good=True, lacks=["evidence"])
    with pytest.raises(NotFound):
        rate(room.me, "ho_nowhere", good=True)
    assert rated(room, handoff_id) == []
    rate(room.me, handoff_id, good=False)
    assert len(rated(room, handoff_id)) == 1


def looked(room: Room, handoff_id: str) -> Result | None:
    """A look as the page makes it."""
    engine = room.engine
    found = since_last_look(engine.views, engine.kernel, handoff_id, room.me.id)
    engine.handoffs.viewed(room.me, handoff_id)
    return found


def test_since_the_last_visit_only_what_others_did_is_told(room: Room) -> None:
    handoff_id, ben = asked(room), room.another("ben")
    assert looked(room, handoff_id) is None
    room.clock.move(60)
    assert looked(room, handoff_id) is None  # the same visit
    room.engine.handoffs.comment(room.me, handoff_id, "mine")
    room.clock.move(1_200)
    room.engine.handoffs.viewed(ben, handoff_id)
    room.engine.handoffs.comment(ben, handoff_id, "who asked for this?")
    found = looked(room, handoff_id)
    assert found is not None
    assert [e["text"] for e in cast("list[Result]", found["entries"])] == ["who asked for this?"]
    assert found["changed"] is False
    room.clock.move(60)
    assert looked(room, handoff_id) == found  # reloading the page loses nothing


def test_what_is_presented_now_is_compared_with_what_was_seen(room: Room) -> None:
    policy = """\
version: 1
gates:
  - {id: two, when: 'call.command.contains("push")', require: {approvals: 2}}
"""
    room.engine.policies.propose(room.me, "organisation", policy)
    ben = room.another("ben")
    handoff_id = asked(room)
    looked(room, handoff_id)
    room.clock.move(1_200)
    room.decide(handoff_id, DecisionKind.APPROVE_WITH_EDITS, actor=ben, edited="git push origin")
    found = looked(room, handoff_id)
    assert found is not None
    assert found["changed"] is True


def test_how_a_case_was_read_is_recorded_and_bounded(room: Room) -> None:
    handoff_id, ratings = asked(room), room.engine.ratings
    shown = room.handoff(handoff_id).presented_digest
    ratings.attended(
        room.me, handoff_id, shown, 4_200, ["src/a.py", "", "src/a.py", "\x1b[31mb" * 99]
    )
    (entry,) = (
        e
        for e in room.engine.views.timeline(f"handoff/{handoff_id}", 0, 99)
        if e["type"] == "handoff.attended"
    )
    said = cast("str", entry["text"])
    assert said.startswith("had it in view for 4 s, unfolded src/a.py, ")
    assert "\x1b" not in said
    assert len(said) < 400
    for ms in (0, -1, 86_400_001):
        with pytest.raises(UsageError, match="`ms`"):
            ratings.attended(room.me, handoff_id, shown, ms)
    with pytest.raises(UsageError, match="digest"):
        ratings.attended(room.me, handoff_id, "x", 1)
    with pytest.raises(NotPermitted):
        ratings.attended(OPERATOR, handoff_id, shown, 1)
    assert since_last_look(room.engine.views, room.engine.kernel, handoff_id, room.me.id) is None
    room.check()
