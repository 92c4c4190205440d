"""The queue of what waits, filtered: a page at a time, and never more than a bounded look.

A filter on what the state of a case holds costs a row; one on its text opens its package. Both stop after
so many rows and say where to go on, so that a filter nothing fits is no way to read the whole queue.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.handoff import WAITING, Handoff
from handfast.core.domain.project import Sight
from handfast.core.domain.run import Run
from handfast.engine.effects import open_packages
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query, StateRow

LOOKED_AT = 1_000
COMPARED = 200  # of finished work, for what two agents both changed
_BATCH = 100
_STATUSES = tuple(sorted(status.value for status in WAITING))
OfState: TypeAlias = Callable[[Handoff], bool]
OfRecord: TypeAlias = Callable[[Result], bool]


@dataclass(frozen=True, slots=True)
class QueuePage:
    """`next` goes into the next call's `after`, '' at the end; `looked_at` rows were read for it."""

    items: list[Result]
    next: str
    looked_at: int


def everything(_: object) -> bool:
    return True


def queue_page(
    engine: Engine,
    person_id: str,
    *,
    after: str = "",
    limit: int = 50,
    of_state: OfState = everything,
    of_record: OfRecord = everything,
    within: Sight | None = None,
) -> QueuePage:
    """Waiting handoffs by risk and age that fit both filters, without what this person put off."""
    now = engine.kernel.clock.now()
    found: list[Result] = []
    looked_at, at = 0, _cursor(after)
    plain = of_state is everything and of_record is everything
    while len(found) < limit and looked_at < LOOKED_AT:
        batch = limit + 1 if plain else _BATCH
        query = Query("handoff", statuses=_STATUSES, after=at, limit=batch, within=within)
        rows = engine.kernel.store.find(query)
        states = {r.stream: cast("Handoff", load(BY_NAME["handoff"], r.doc)) for r in rows}
        kept = [h for h in states.values() if not h.put_off(person_id, now) and of_state(h)]
        records = {str(r["handoff_id"]): r for r in engine.views.queued(kept)}
        for row in rows:
            looked_at, at = looked_at + 1, (row.rank, row.opened)
            record = records.get(row.stream.partition("/")[2])
            if record is not None and of_record(record):
                found.append(record)
                if len(found) == limit:
                    break
        if len(rows) < batch and (not rows or at == (rows[-1].rank, rows[-1].opened)):
            return QueuePage(found, "", looked_at)
    return QueuePage(found, f"{at[0]}.{at[1]}" if at else "", looked_at)


def _cursor(after: str) -> tuple[int, int] | None:
    rank, _, opened = after.partition(".")
    known = rank.isascii() and rank.isdigit() and opened.isascii() and opened.isdigit()
    return (int(rank), int(opened)) if known and len(after) < 40 else None


def collisions(engine: Engine, within: Sight | None = None) -> list[Result]:
    """Files that finished work of different runs both changed, in one repository: repository, path,
    handoffs (handoff_id, agent_name, ask). Of the first 200 cases that wait."""
    query = Query("handoff", statuses=_STATUSES, limit=COMPARED, within=within)
    rows = engine.kernel.store.find(query)
    reviews = [h for h in _states(rows) if h.kind is HandoffKind.REVIEW and not h.about]
    if len(reviews) < 2:
        return []
    packages = open_packages(engine.kernel, reviews)
    touched: dict[tuple[str, str], list[Handoff]] = defaultdict(list)
    for handoff in reviews:
        work = packages[handoff.package.body_id].review
        root = engine.kernel.state(Run, handoff.run_id).root if handoff.run_id else ""
        for path in work.files if work else ():
            touched[root, path].append(handoff)
    return [
        {
            "repository": root,
            "path": path,
            "handoffs": [
                {
                    "handoff_id": h.handoff_id,
                    "agent_name": engine.views.agent_name(h.agent_id),
                    "ask": packages[h.package.body_id].ask,
                }
                for h in both
            ],
        }
        for (root, path), both in sorted(touched.items())
        if len({h.run_id for h in both}) > 1
    ]


def _states(rows: list[StateRow]) -> Iterator[Handoff]:
    return (cast("Handoff", load(BY_NAME["handoff"], row.doc)) for row in rows)
