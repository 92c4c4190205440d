"""What is known of an agent from what people decided about its work: counts, and nothing below a sample.

The look back is bounded, so the answer says how far it went. No rate is given here: a page that shows one
must show how many it rests on.
"""

from collections import Counter
from collections.abc import Iterator
from typing import cast

from handfast.core.domain.brief import Budget
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import AgentId
from handfast.core.domain.project import Sight
from handfast.core.domain.run import Run
from handfast.core.domain.track import Track
from handfast.core.policy.limit_words import LABELS, amount, beside
from handfast.core.policy.limits import METRICS, effective
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.policies import Policies
from handfast.engine.projections import BY_NAME, load
from handfast.engine.track_records import history_within
from handfast.storage.api import Query, StateRow

ENOUGH = 20  # below this many decisions there is no track record
LOOKED_AT = 2_000  # newest handoffs of the installation, of whatever agent
_PAGE = 500


def agent_record(kernel: Kernel, agent_id: str, within: Sight | None = None) -> Result:
    """decided, enough, needed, of_kinds, endings (counts by name), by_machine, looked_at, all_seen.

    Only what a person decided counts as `decided`; what a machine let pass is `by_machine`. Only what is `within`
    the reader's sight is counted.
    """
    endings: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    looked_at, by_machine = 0, 0
    for row in _newest(kernel, "handoff", within):
        looked_at += 1
        if row.agent_id != agent_id:
            continue
        handoff = cast("Handoff", load(BY_NAME["handoff"], row.doc))
        if handoff.decision is None:
            endings["waiting" if handoff.waiting else handoff.status.value] += 1
        elif handoff.decision.by_machine:
            by_machine += 1
        else:
            endings[handoff.decision.kind.value] += 1
            kinds[handoff.kind.value] += 1
    decided = sum(endings[kind.value] for kind in DecisionKind)
    return {
        "decided": decided,
        "enough": decided >= ENOUGH,
        "needed": ENOUGH,
        "of_kinds": {kind.value: kinds[kind.value] for kind in HandoffKind if kinds[kind.value]},
        "endings": dict(sorted(endings.items())),
        "by_machine": by_machine,
        "looked_at": looked_at,
        "all_seen": looked_at < LOOKED_AT,
    }


def agent_limits(
    kernel: Kernel, policies: Policies, agent_id: str, within: Sight | None = None
) -> list[Result]:
    """What the next run of an agent will be held to by the organisation's policy, beside its own medians:
    label, median ('' when not known), runs, limit. A repository's policy and a brief only tighten it. The medians
    are over the runs that are `within` the reader's sight."""
    row = kernel.store.load(f"track/{agent_id}")
    track = cast("Track", load(BY_NAME["track"], row.doc)) if row else Track(AgentId(agent_id))
    own = history_within(kernel, track, within)
    try:
        organisation, _ = policies.limits(Unit(kernel, SYSTEM, ""), "")
    except IntegrityError as error:
        return [{"label": "Limits", "median": "", "runs": 0, "limit": error.message}]
    held = effective(organisation, None, Budget())
    rows = []
    for name in METRICS:
        limit = beside(name, held, own, None, None)
        median = own.medians.get(name, "")
        if limit or median:
            shown = amount(name, median) if median else ""
            runs = own.runs.get(name, 0)
            rows.append({"label": LABELS[name], "median": shown, "runs": runs, "limit": limit})
    return rows


def newest_runs(
    kernel: Kernel, agent_id: str, limit: int, within: Sight | None = None
) -> list[Run]:
    """The newest runs of an agent among the newest 2,000 of the installation that may be known."""
    found: list[Run] = []
    for row in _newest(kernel, "run", within):
        if row.agent_id == agent_id:
            found.append(cast("Run", load(BY_NAME["run"], row.doc)))
            if len(found) == limit:
                break
    return found


def _newest(kernel: Kernel, kind: str, within: Sight | None) -> Iterator[StateRow]:
    after: tuple[int, int] | None = None
    left = LOOKED_AT
    while left > 0:
        query = Query(kind, newest_first=True, after=after, limit=min(_PAGE, left), within=within)
        rows = kernel.store.find(query)
        yield from rows
        if len(rows) < min(_PAGE, left):
            return
        left -= len(rows)
        after = (rows[-1].rank, rows[-1].opened)
