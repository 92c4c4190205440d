"""The whole change of a case, page by page. Opening it decides nothing."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from handfast.engine.changes import whole_change
from handfast.server.pages.reader import ReaderDep, page
from handfast.server.web.pages import changes_page

router = APIRouter(prefix="/handoffs/{handoff_id}")


@router.get("/changes")
def show_changes(
    reader: ReaderDep,
    handoff_id: str,
    number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> Response:
    """Every line of the diff, also what is too large for the case page."""
    reader.knows("handoff", handoff_id)
    handoff = reader.engine.views.handoff(handoff_id)
    diff = whole_change(reader.engine.kernel, handoff_id)
    now = reader.engine.kernel.clock.now()
    context = changes_page(handoff, diff, number, shell=reader.shell(), now=now)
    return page("changes.html", context)
