"""What is owed after the fact: overrides that a second person must look at, and starts whose effect nobody knows.

Both are cases that wait, also those that their holder put off. A doubt that ended without an answer is owed as
well: nobody can answer it any more, and whether it ran is as unknown as before.
"""

from datetime import datetime, timedelta
from typing import cast

from handfast.core.domain.codec import format_time
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.handoff import WAITING, Handoff, Status
from handfast.core.domain.handoff_votes import is_override_review
from handfast.core.domain.project import Sight
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query

LOOKED_AT = 200  # of each: what waits, and what expired lately
UNANSWERED = timedelta(days=30)  # since it was asked


def audits_due(engine: Engine, within: Sight | None = None) -> list[Result]:
    """Oldest first: handoff_id, ask, kind (`override`, `doubt`, `unanswered`), since, due_at, owes (names),
    put_off_until. Among the first 200 cases that wait and the newest 200 that expired; of these what was asked in 30 days."""
    store, now = engine.kernel.store, engine.kernel.clock.now()
    waiting = tuple(sorted(s.value for s in WAITING))
    rows = store.find(Query("handoff", statuses=waiting, limit=LOOKED_AT, within=within))
    ended = Query(
        "handoff",
        statuses=(Status.EXPIRED.value,),
        newest_first=True,
        limit=LOOKED_AT,
        within=within,
    )
    rows += store.find(ended)
    found = [cast("Handoff", load(BY_NAME["handoff"], row.doc)) for row in rows]
    due = [(h, kind) for h in found if (kind := _owed(h, now - UNANSWERED))]
    due.sort(key=lambda each: (each[0].requested_at, each[0].handoff_id))
    return [_row(engine, h, kind) for h, kind in due]


def _owed(h: Handoff, since: datetime) -> str:
    """'' for what is no audit."""
    if is_override_review(h):
        return "override" if h.waiting else ""  # one that expired is asked anew
    if h.kind is not HandoffKind.DOUBT:
        return ""
    if h.waiting:
        return "doubt"
    return "unanswered" if h.requested_at >= since else ""


def _row(engine: Engine, h: Handoff, kind: str) -> Result:
    """An override's review is owed by others than who overrode."""
    asked = (p for p in h.asked_people if kind != "override" or p not in h.requested_by)
    owes = (h.holder,) if h.holder else asked
    return {
        "handoff_id": h.handoff_id,
        "ask": engine.kernel.vault.text(h.ask),
        "kind": kind,
        "since": format_time(h.requested_at),
        "due_at": format_time(h.deadline) if h.deadline and h.waiting else "",
        "owes": [engine.people.name(p) for p in owes] if h.waiting else [],
        "put_off_until": format_time(h.snoozed_until) if h.snoozed_until else "",
    }
