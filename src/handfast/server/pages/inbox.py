"""The inbox, its rows alone, and the pass over several small cases."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.errors import HandfastError, StorageError
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.need import Need
from handfast.core.domain.project import Sight
from handfast.engine.audits_due import audits_due
from handfast.engine.bulk import Pick, Together
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result
from handfast.engine.queues import (
    OfState,
    QueuePage,
    everything,
    queue_page,
    waiting_by_need,
)
from handfast.engine.views import Views
from handfast.server.api.tasks import After
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.web.inbox_filters import Filters, read_filters
from handfast.server.web.inbox_page import (
    NO_COLLISIONS,
    Around,
    Collisions,
    bulk_page,
    inbox_page,
)
from handfast.server.web.pages import Context

router = APIRouter()
SHOWN, DECIDED, RUNS = 50, 10, 200
UNATTENDED = timedelta(hours=24)
PICK = "pick."


def _wanted(request: Request) -> Filters:
    return read_filters(request.query_params)


FiltersDep = Annotated[Filters, Depends(_wanted)]


@router.get("/")
def show_inbox(reader: ReaderDep, filters: FiltersDep, after: After = "") -> Response:
    return page("inbox.html", _inbox(reader, filters, after))


@router.get("/inbox/rows")
def show_rows(reader: ReaderDep, filters: FiltersDep, after: After = "") -> Response:
    """The same rows without the page around them, for a page that is open."""
    return page("_rows.html", _inbox(reader, filters, after))


@router.post("/inbox/approve")
def approve(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """Approve the marked cases that one look is enough for. The others are refused, each with why."""
    check_token(request, form)
    picks = [Pick(n.removeprefix(PICK), seen) for n, seen in form.items() if n.startswith(PICK)]
    engine, back = reader.engine, _back(form)
    if not picks:
        said = "Nothing is marked. Mark the cases first, then approve them."
        return page("inbox.html", _inbox(reader, read_filters(form), "", said), 422)
    for pick in picks:
        reader.knows("handoff", pick.handoff_id)
    taken = engine.approve_together(reader.actor, Together(picks))
    for each in taken:
        if each.refused is not None:
            reader.problem(each.refused)
    rows: list[Result] = [
        {"handoff_id": t.handoff_id, "ask": t.ask, "approved": t.approved, "why": t.why}
        for t in taken
    ]
    now = engine.kernel.clock.now()
    return page("bulk.html", bulk_page(rows, shell=reader.shell(), now=now, back=back))


@router.post("/inbox/views")
def save_view(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """Keep the filters of the page under a name, or forget one."""
    check_token(request, form)
    filters, views = read_filters(form), reader.engine.saved_views
    try:
        if forgotten := form.get("forget", ""):
            views.forget(reader.actor, forgotten)
            return RedirectResponse("/", 303)
        views.save(reader.actor, form.get("name", ""), filters.address)
    except StorageError:
        raise
    except HandfastError as e:
        said = f"{e.message[:1].upper()}{e.message[1:]}. {e.hint}".strip()
        return page("inbox.html", _inbox(reader, filters, "", said), 422)
    return RedirectResponse(f"/?{filters.address}", 303)


def _back(form: dict[str, str]) -> str:
    address = read_filters(form).address
    return f"/?{address}" if address else "/"


def _inbox(reader: Reader, filters: Filters, after: str, error: str = "") -> Context:
    """A page of the queue. What was decided lately stands below the first one."""
    engine, sight = reader.engine, reader.sight
    queue, by_need = _queue(reader, filters, after), waiting_by_need(engine.kernel, sight)
    first = not (after or filters.any)
    empty = first and not (queue.items or queue.next)
    return inbox_page(
        queue.items,
        shell=reader.shell(by_need=by_need),
        now=engine.kernel.clock.now(),
        around=Around(
            filters,
            saved_of(reader),
            _collisions(engine, sight) if first else NO_COLLISIONS,
            queue.looked_at,
            error,
            {need.value: number for need, number in by_need.items()},
            tuple(audits_due(engine, sight)) if empty else None,
        ),
        decided=_decided(engine.views, sight) if first else [],
        unattended=_unattended(engine, sight) if empty else None,
        after=after,
        next_after=queue.next,
    )


def saved_of(reader: Reader) -> tuple[tuple[str, str], ...]:
    """The saved views of a reader, as (name, address)."""
    found = reader.engine.saved_views.of(reader.person_id)
    return tuple((view.name, view.address) for view in found)


def _queue(reader: Reader, filters: Filters, after: str) -> QueuePage:
    return queue_page(
        reader.engine,
        reader.person_id,
        after=after,
        limit=SHOWN,
        need=Need(filters.need) if filters.need else None,
        of_state=_of_state(reader, filters),
        of_record=filters.takes if filters.of_text else everything,
        within=reader.sight,
    )


def _collisions(engine: Engine, sight: Sight | None) -> Collisions:
    found = engine.overlaps.found(sight)
    files = tuple(
        {
            "repository": each.repository,
            "path": each.path,
            "handoffs": [
                {
                    "handoff_id": h.handoff_id,
                    "agent_name": engine.views.agent_name(h.agent_id),
                    "ask": engine.views.text(h.ask),
                }
                for h in each.works
            ],
        }
        for each in found.overlaps
    )
    return Collisions(files, found.total, found.compared, found.waiting)


def _of_state(reader: Reader, filters: Filters) -> OfState:
    """What the state of a case tells without its content."""
    if not (filters.risk or filters.kind or filters.agent or filters.held):
        return everything
    agents = _agents(reader.engine, filters.agent) if filters.agent else set()
    holder = {"me": reader.person_id, "nobody": ""}.get(filters.held)

    def fits(handoff: Handoff) -> bool:
        return (
            (not filters.risk or handoff.risk == filters.risk)
            and (not filters.kind or handoff.kind.value == filters.kind)
            and (not filters.agent or handoff.agent_id in agents)
            and (holder is None or handoff.holder == holder)
        )

    return fits


def _agents(engine: Engine, wanted: str) -> set[str]:
    """Agents with this in their name, of the newest 1,000."""
    named = ((str(a["agent_id"]), str(a["name"])) for a in engine.views.agents())
    return {agent_id for agent_id, name in named if wanted.casefold() in name.casefold()}


def _decided(views: Views, sight: Sight | None) -> list[Result]:
    found = views.handoffs("decided", limit=DECIDED, within=sight).items
    return found + views.handoffs("closed", limit=DECIDED, within=sight).items


def _unattended(engine: Engine, sight: Sight | None) -> dict[str, object] | None:
    """What ran in the last day without asking anyone, from the counters of its runs."""
    since = engine.kernel.clock.now() - UNATTENDED
    recent = [
        run
        for run in engine.views.runs(limit=RUNS, within=sight).items
        if str(run["created_at"]) >= since.strftime("%Y-%m-%dT%H:%M:%S")
    ]
    if not recent:
        return None
    sums = dict.fromkeys(("steps", "stopped", "denied", "would_stop"), 0)
    for run in recent:
        counts = run["counts"]
        for name in sums:
            sums[name] += int(counts[name]) if isinstance(counts, dict) else 0
    stopped = sums["stopped"] + sums["denied"]
    return {
        "calls": sums["steps"],
        "allowed": sums["steps"] - stopped,
        "stopped": stopped,
        "would_stop": sums["would_stop"],
        "runs": len(recent),
        "since": since.isoformat(),
    }
