"""Decisions signed with a passkey, checked from the log alone: what a signature covers by its digest only is
followed in the log, so that no other edit and no wider grant stands beside it."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from handfast.core.domain.action import Effect, Facts
from handfast.core.domain.events import from_bytes, to_bytes
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.grant_scope import Span, Wanted, wanted_of
from handfast.engine.overrides import Emergency
from handfast.engine.passkey_proof import SignedDecisions
from tests.engine_room import Room
from tests.soft_passkey import SoftPasskey, soft_passkey

APPROVE, EDIT = DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS
OTHER = "sha256:" + "0" * 64
Change = Callable[[dict[str, Any]], object]


def needing(room: Room, require: str) -> None:
    text = f"version: 1\ngates: [{{id: g, when: 'true', risk: low, require: {require}}}]\n"
    room.engine.policies.propose(room.me, "organisation", text)


def asked(room: Room, command: str = "make smoke") -> str:
    return cast("str", room.propose(command, command, hazards=())["handoff_id"])


def say(
    room: Room, key: SoftPasskey, handoff_id: str, kind: DecisionKind = APPROVE, **more: object
) -> None:
    seen = room.handoff(handoff_id).presented_digest
    signed = key.decision(handoff_id, kind, seen, **more)
    room.engine.handoffs.decide(key.person, signed)


def said(room: Room, changes: dict[str, Change] | None = None) -> tuple[list[str], int]:
    """What a reader of the log says is wrong, and how many signatures hold; with entries of these types
    changed before."""
    checks, wrong = SignedDecisions(), []
    for row in room.engine.kernel.store.scan():
        data = row.data
        if change := (changes or {}).get(row.type):
            entry = json.loads(data)
            change(entry["data"])
            data = to_bytes(from_bytes(json.dumps(entry).encode()))
        if found := checks.see(data):
            wrong.append(found)
    return wrong, checks.good


def without_signature(data: dict[str, Any]) -> None:
    del data["assertion"]


def other_edit_unsigned(data: dict[str, Any]) -> None:
    data.update(edited_digest=OTHER)
    del data["assertion"]


@pytest.fixture
def edited(room: Room) -> str:
    """One person edited the call, and two others approved the edited form, each with a passkey."""
    needing(room, "{approvals: 2, passkey: true}")
    keys = [soft_passkey(room.engine, p) for p in (room.me, room.another("b"), room.another("c"))]
    case = asked(room)
    say(room, keys[0], case, EDIT, edited="make smoke-light")
    say(room, keys[1], case)
    assert room.handoff(case).waiting
    say(room, keys[2], case)
    assert room.handoff(case).decision is not None
    return case


def test_an_edit_that_others_approve_is_followed_to_the_grant(room: Room, edited: str) -> None:
    assert said(room) == ([], 3)
    decision, grant = room.handoff(edited).decision, room.handoff(edited).grant
    assert decision is not None
    assert grant is not None
    assert (decision.kind, decision.edited_digest) == (EDIT, grant.action_digest)


def test_a_plain_approval_is_no_approval_of_another_edit(room: Room, edited: str) -> None:
    """The signatures are over plain approvals: nothing but the log says of which edit."""
    changed = {"handoff.decided": lambda d: d.update(edited_digest=OTHER)}
    wrong, good = said(room, changed)
    assert "another edit than the one" in wrong[0]
    assert good == 2
    both = changed | {"grant.minted": lambda d: d.update(action_digest=OTHER)}
    assert "another edit than the one" in said(room, both)[0][0]
    everywhere = both | {"handoff.edited": lambda d: d.update(edited_digest=OTHER)}
    assert "was made for another" in said(room, everywhere)[0][0], "the edit itself is signed"
    slipped = both | {"handoff.edited": other_edit_unsigned}
    assert said(room, slipped)[0], "nor is an edit slipped under approvals of another form"


def test_a_plain_approval_does_not_become_one_of_an_edit(room: Room) -> None:
    needing(room, "{passkey: true}")
    case = asked(room)
    say(room, soft_passkey(room.engine, room.me), case)
    assert said(room) == ([], 1)
    action = json.loads(
        next(r.data for r in room.engine.kernel.store.scan() if r.type == "handoff.requested")
    )["data"]["action"]
    made_up = {"decision": "approve_with_edits", "edited_digest": OTHER, "edited_action": action}
    wrong, good = said(room, {"handoff.decided": lambda d: d.update(made_up)})
    assert "another edit than the one" in wrong[0]
    assert good == 0


@pytest.mark.parametrize(
    "change",
    [
        {"action_digest": OTHER},
        {"uses": 3},
        {"span": "task"},
        {"expires_at": "2099-01-01T00:00:00.000000Z"},
        {"run_id": "run_other"},
    ],
)
def test_a_grant_is_what_was_signed_and_nothing_beyond(room: Room, change: dict[str, Any]) -> None:
    needing(room, "{passkey: true, scope: {times: 5, for: run, within: 2h}}")
    key = soft_passkey(room.engine, room.me)
    facts = Facts(Effect.NETWORK, "smoke", (), reversible=True)
    case = cast("str", room.propose("t", "make smoke", facts=facts)["handoff_id"])
    say(room, key, case, scope=Wanted(2, Span.RUN, 600))
    grant = room.handoff(case).grant
    assert grant is not None
    assert grant.uses == 2
    assert said(room) == ([], 1)
    wrong, _ = said(room, {"grant.minted": lambda d: d.update(change)})
    assert wrong == [f"The grant of handoff `{case}` permits something else than was signed."]


def test_a_rule_that_asks_for_a_signature_gets_no_approval_without_one(room: Room) -> None:
    needing(room, "{passkey: true}")
    case = asked(room)
    say(room, soft_passkey(room.engine, room.me), case)
    wrong, good = said(room, {"handoff.decided": without_signature})
    assert "is not signed, and its rule asks for that" in wrong[0]
    assert good == 0


def test_where_no_rule_asks_for_a_signature_none_is_kept(room: Room) -> None:
    needing(room, "{approvals: 1}")
    case = asked(room)
    say(room, soft_passkey(room.engine, room.me), case)
    assert said(room) == ([], 0)
    decision = room.handoff(case).decision
    assert decision is not None
    assert decision.auth == "browser"


def test_an_override_is_reviewed_and_not_signed(room: Room) -> None:
    needing(room, "{passkey: true, approvals: 2}")
    case = asked(room)
    ben = room.another("ben", ("operator", "reviewer"))
    seen = room.handoff(case).presented_digest
    room.engine.overrides.override(ben, Emergency(case, seen, "the site is down"))
    assert room.handoff(case).grant is not None
    assert said(room) == ([], 0)


@pytest.mark.parametrize(
    "scope",
    [Wanted(), Wanted(3), Wanted(0, Span.TASK), Wanted(2, Span.RUN, 60), Wanted(0, None, 9)],
    ids=str,
)
def test_the_signed_form_of_a_scope_is_read_back(scope: Wanted) -> None:
    assert wanted_of(scope.signed) == scope
