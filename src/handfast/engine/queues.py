"""The queue of what waits, filtered: a page at a time, and never more than a bounded look.

It is ordered by what a case needs, by risk and by age, so a need is a stretch of it. A filter on what the state
of a case holds costs a row; one on its text opens its package. Both stop after so many rows and say where to go
on, so that a filter nothing fits is no way to read the whole queue.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from handfast.core.domain.handoff import WAITING, Handoff
from handfast.core.domain.need import PLACES, Need, need_at
from handfast.core.domain.project import Sight
from handfast.engine.facade import Engine
from handfast.engine.kernel import Kernel, Result
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query

LOOKED_AT = 1_000
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


def waiting_by_need(kernel: Kernel, within: Sight | None = None) -> Mapping[Need, int]:
    """How many cases wait, by what they need."""
    found: Counter[Need] = Counter()
    for rank, number in kernel.store.ranks("handoff", _STATUSES, within).items():
        found[need_at(rank)] += number
    return found


def queue_page(
    engine: Engine,
    person_id: str,
    *,
    after: str = "",
    limit: int = 50,
    need: Need | None = None,
    of_state: OfState = everything,
    of_record: OfRecord = everything,
    within: Sight | None = None,
) -> QueuePage:
    """Waiting handoffs by need, risk and age that fit the filters, without what this person put off."""
    now = engine.kernel.clock.now()
    found: list[Result] = []
    looked_at, at = 0, max(filter(None, (_cursor(after), _start(need))), default=None)
    plain = of_state is everything and of_record is everything
    while len(found) < limit and looked_at < LOOKED_AT:
        batch = limit + 1 if plain else _BATCH
        query = Query("handoff", statuses=_STATUSES, after=at, limit=batch, within=within)
        read = engine.kernel.store.find(query)
        rows = [r for r in read if need is None or need_at(r.rank) is need]
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


def _start(need: Need | None) -> tuple[int, int] | None:
    """Just before the first case of a need."""
    return (PLACES[need], -1) if need else None


def _cursor(after: str) -> tuple[int, int] | None:
    rank, _, opened = after.partition(".")
    known = rank.isascii() and rank.isdigit() and opened.isascii() and opened.isdigit()
    return (int(rank), int(opened)) if known and len(after) < 40 else None
