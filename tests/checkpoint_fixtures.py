"""Checkpoints as the API gives them, for tests of their pages."""

from tests import web_fixtures as fx


def checkpoint() -> fx.Json:
    """One with an ask of every kind, a hostile one among them, and one that is decided."""
    asks = (
        fx.approval_low,
        fx.approval_high,
        fx.approval_critical,
        fx.review,
        fx.question,
        fx.hostile,
    )
    items = [_item(made(), number) for number, made in enumerate(asks)]
    items.append(_item(fx.decided()["approve_with_edits"], len(items)))
    return {
        "checkpoint_id": "cp_01m8bk16vpqb0r1jeb9dyzwmra",
        "why": "cost",
        "why_words": "together, their waiting had cost as much as an interruption",
        "opened_at": items[0]["requested_at"],
        "people": ["Noor Haddad", "<b>Ben</b>"],
        "waited": "20.04",
        "items": items,
    }


def _item(handoff: fx.Json, number: int) -> fx.Json:
    stage = ("plan", "change", "release")[number % 3]
    note = {"checkpoint_id": "cp_1", "stage": stage, "waits": False, "open_by": ""}
    alone = "" if number == 0 else "it may have no undo"
    same = {"handoff_id": f"ho_{number}", "checkpoint": note, "looked_at_alone": alone}
    return {**handoff, **same, "waiting": not handoff.get("decision")}


def deferred() -> list[fx.Json]:
    """Two that wait: one that opens by its cost, one at the cap of the day."""
    waits: fx.Json = {
        "handoff_id": "ho_1",
        "ask": "deletes `old/`",
        "kind": "approval",
        "risk": "medium",
        "agent_name": "claude-billing",
        "blocking": True,
        "stage": "change",
        "since": "2026-11-24T09:00:00.000000Z",
        "opens_at": "2026-11-24T10:00:00.000000Z",
        "at_latest": "2026-11-24T11:00:00.000000Z",
        "people": ["Noor Haddad"],
        "queue": 2,
        "waited": "4.8",
        "cost": "20",
        "why": "Not urgent. Its waiting, with 1 more, has cost 4.8 of the 20 reviewer-minutes.",
    }
    return [waits, waits | {"handoff_id": "ho_2", "opens_at": "", "risk": "high"}]


def opened() -> list[fx.Json]:
    full = checkpoint()
    return [full | {"handoffs": ["a", "b"], "waiting": n, "stages": ["plan"]} for n in (0, 2)]
