"""What a browser says of how a case was read: how long it was in view, and what was unfolded."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from handfast.core.domain.errors import UsageError
from handfast.server.pages.reader import FormDep, ReaderDep, check_token

router = APIRouter()


@router.post("/handoffs/{handoff_id}/attention", status_code=204)
def attend(request: Request, reader: ReaderDep, form: FormDep, handoff_id: str) -> Response:
    """Sent when the page is left or hidden. Shown in the timeline of the case, counted nowhere."""
    check_token(request, form)
    reader.knows("handoff", handoff_id)
    ms = form.get("ms", "")
    if not (ms.isascii() and ms.isdigit() and len(ms) < 12):
        raise UsageError("`ms` is not a whole number")
    digest, opened = form.get("presented_digest", ""), form.get("opened", "").splitlines()
    reader.engine.ratings.attended(reader.actor, handoff_id, digest, int(ms), opened)
    return Response(status_code=204)
