"""A pass over a checkpoint: every item by its own digest and requirement, every refusal named."""

from collections.abc import Mapping
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import NotFound, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Status
from handfast.engine.passes import Item, Pass
from tests.engine_room import OPERATOR, Room
from tests.unit.test_engine_votes import _run_of, policy

BUDGET = "interruptions: {cost: 900, planned: []}\n"
LOCAL, APPROVE = ("fs.delete-tracked",), DecisionKind.APPROVE


def asked(
    room: Room, command: str, *, reversible: bool | None = True, run_id: str = "", **facts: object
) -> str:
    given = {"hazards": LOCAL, "reversible": reversible} | facts
    what = Facts(Effect.WRITE, f"runs {command}", **given)  # type: ignore[arg-type]
    call = Call("Bash", {"command": command})
    done = room.propose(command, command, call=call, facts=what, run_id=run_id or room.run_id)
    return cast("str", done["handoff_id"])


def opened(room: Room, *cases: str) -> str:
    return str(room.engine.checkpoints.open_now(room.me, cases)["checkpoint_id"])


def item(room: Room, case: str, kind: DecisionKind = APPROVE, **more: object) -> Item:
    given = {"presented_digest": room.handoff(case).presented_digest} | more
    return Item(case, kind, **given)  # type: ignore[arg-type]


def decide(
    room: Room, checkpoint: str, *items: Item, reason: str = "", actor: Actor | None = None
) -> dict[str, Mapping[str, object]]:
    given = Pass(checkpoint, items, reason)
    done = room.engine.checkpoints.passes.decide(actor or room.me, given)
    return {r["handoff_id"]: r for r in cast("list[Mapping[str, object]]", done["results"])}  # type: ignore[misc]


def code(result: Mapping[str, object]) -> str:
    refused = cast("Mapping[str, object] | None", result["refused"])
    return str(refused["code"]) if refused else ""


def test_six_of_seven_are_approved_in_one_pass(rooms: Room) -> None:
    policy(rooms, BUDGET)
    cases = [asked(rooms, f"rm {n}") for n in range(7)]
    checkpoint = opened(rooms, *cases)
    done = decide(rooms, checkpoint, *(item(rooms, c) for c in cases[:6]), reason="as planned")
    assert [code(r) for r in done.values()] == [""] * 6
    assert [rooms.handoff(c).status for c in cases[:6]] == [Status.DECIDED] * 6
    assert rooms.handoff(cases[6]).waiting
    assert rooms.types().count("handoff.decided") == 6
    assert rooms.types().count("grant.minted") == 6


def test_each_item_is_bound_to_its_own_digest(room: Room) -> None:
    policy(room, BUDGET)
    first, second = asked(room, "rm a"), asked(room, "rm b")
    checkpoint = opened(room, first, second)
    other = room.handoff(second).presented_digest
    done = decide(room, checkpoint, item(room, first, presented_digest=other), item(room, second))
    assert code(done[first]) == "stale_decision"
    assert room.handoff(first).waiting
    assert done[second]["decided"] is True


def test_one_that_is_refused_does_not_hold_up_the_others(room: Room) -> None:
    policy(room, BUDGET)
    cases = [asked(room, f"rm {n}") for n in range(4)]
    checkpoint = opened(room, *cases)
    room.decide(cases[1])
    elsewhere = asked(room, "rm elsewhere")
    done = decide(
        room,
        checkpoint,
        item(room, cases[0], DecisionKind.REJECT),
        item(room, cases[1]),
        item(room, cases[2], DecisionKind.ANSWER, answer="yes"),
        item(room, elsewhere),
        item(room, cases[3], DecisionKind.REJECT, reason="not now"),
    )
    assert [code(r) for r in done.values()] == [
        "usage",
        "already_decided",
        "invalid_transition",
        "not_in_checkpoint",
        "",
    ]
    assert all(
        code(r) == "" or cast("dict[str, str]", r["refused"])["message"] for r in done.values()
    )
    assert room.handoff(cases[3]).status is Status.CLOSED


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"reversible": None}, "may have no undo"),
        ({"reversible": False}, "may have no undo"),
        ({"opaque": ("an unknown program",)}, "could not be read in full"),
        ({"hazards": ("publish",)}, "critical risk"),
    ],
)
def test_what_is_not_plainly_reversible_is_not_approved_along_with_others(
    room: Room, facts: dict[str, object], why: str
) -> None:
    policy(room, BUDGET)
    case, plain = asked(room, "it", **facts), asked(room, "rm a")  # type: ignore[arg-type]
    known = room.handoff(case).checkpoint_id
    checkpoint = known or opened(room, case, plain)
    done = decide(room, checkpoint, item(room, case), reason="all fine")
    assert code(done[case]) == "needs_own_reason"
    assert why in cast("dict[str, str]", done[case]["refused"])["message"]
    assert room.handoff(case).waiting
    done = decide(room, checkpoint, item(room, case, reason="I read it: right"))
    assert done[case]["decided"] is True


def test_a_pass_takes_as_many_people_as_each_item_takes_alone(room: Room) -> None:
    gates = (
        "gates:\n"
        "  - {id: two, when: 'call.command == \"rm two\"', require: {approvals: 2}}\n"
        "  - {id: dba, when: 'call.command == \"rm dba\"', require: {from: 'team:dba'}}\n"
        "teams: {dba: [cy]}\n"
    )
    ben, cy = room.another("ben"), room.another("cy")
    policy(room, BUDGET + gates)
    two, dba, one = asked(room, "rm two"), asked(room, "rm dba"), asked(room, "rm one")
    checkpoint = opened(room, two, dba, one)
    done = decide(room, checkpoint, *(item(room, c) for c in (two, dba, one)), actor=ben)
    assert [(code(r), r["decided"]) for r in done.values()] == [
        ("", False),
        ("not_eligible", False),
        ("", True),
    ]
    assert room.handoff(two).waiting
    done = decide(room, checkpoint, *(item(room, c) for c in (two, dba)), actor=cy)
    assert [r["decided"] for r in done.values()] == [True, True]


def test_separation_of_duties_holds_in_a_pass(room: Room) -> None:
    """Who asked for the work does not count for it, however many are decided with it."""
    gate = "gates: [{id: g, when: 'call.command == \"rm mine\"', require: {separate: true}}]\n"
    policy(room, BUDGET + gate)
    ben = room.another("ben")
    run = _run_of(room, room.me)
    mine, plain = asked(room, "rm mine", run_id=run), asked(room, "rm plain", run_id=run)
    checkpoint = opened(room, mine, plain)
    done = decide(room, checkpoint, item(room, mine), item(room, plain))
    assert [(code(r), r["decided"]) for r in done.values()] == [("not_eligible", False), ("", True)]
    assert "you asked for this work" in cast("dict[str, str]", done[mine]["refused"])["message"]
    done = decide(room, checkpoint, item(room, mine), actor=ben)
    assert done[mine]["decided"] is True


def test_a_token_decides_nothing_in_a_pass(room: Room) -> None:
    policy(room, BUDGET)
    case = asked(room, "rm a")
    checkpoint = opened(room, case)
    done = decide(room, checkpoint, item(room, case), actor=OPERATOR)
    assert code(done[case]) == "not_permitted"
    assert room.handoff(case).waiting
    with pytest.raises(NotPermitted):
        room.engine.checkpoints.open_now(OPERATOR, (case,))


def test_a_pass_names_each_handoff_once_and_a_checkpoint_that_exists(room: Room) -> None:
    policy(room, BUDGET)
    case = asked(room, "rm a")
    checkpoint = opened(room, case)
    with pytest.raises(UsageError, match="each once"):
        decide(room, checkpoint, item(room, case), item(room, case))
    with pytest.raises(UsageError, match="each once"):
        decide(room, checkpoint)
    with pytest.raises(NotFound):
        decide(room, "cp_none", item(room, case))


def test_a_pass_that_is_sent_again_gives_the_same_answer(room: Room) -> None:
    policy(room, BUDGET)
    cases = [asked(room, f"rm {n}") for n in range(3)]
    checkpoint = opened(room, *cases)
    given = Pass(checkpoint, tuple(item(room, c) for c in cases), "fine", request_key="k1")
    first = room.engine.checkpoints.passes.decide(room.me, given)
    size = room.engine.kernel.store.size()
    assert room.engine.checkpoints.passes.decide(room.me, given) == first
    assert room.engine.kernel.store.size() == size
