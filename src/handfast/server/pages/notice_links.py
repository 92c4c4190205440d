"""Where the links in notifications lead: to the case, once, for the signed-in person they were sent to.

Without a session the link leads to the sign-in page and back, and is not used up by that: programs that
look at every link in a mail have no session. Nothing here decides anything.
"""

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.errors import RejectedError
from handfast.server.pages.reader import ReaderDep, page
from handfast.server.web.pages import message_page

router = APIRouter(prefix="/n")
_TITLES = {
    "link_used": "This link was used already",
    "link_expired": "This link has expired",
    "link_stale": "The case has changed since",
    "link_of_another": "This link is somebody else's",
    "link_unknown": "This link is not known",
}
_STILL_YOURS = frozenset({"link_used", "link_expired", "link_stale"})


@router.get("/{token}")
def follow_link(reader: ReaderDep, token: str) -> Response:
    """To the case, or a page that says why not."""
    try:
        handoff_id = reader.engine.notices.links.open(reader.actor, token)
    except RejectedError as e:
        reader.engine.access.refused(reader.actor, "follow_link", e.message)
        back = ("/", "Go to the inbox")
        if e.code in _STILL_YOURS:
            found = reader.engine.notices.links.handoff_of(token)
            back = (f"/handoffs/{found}", "Open the case as it is now")
        context = message_page(
            _TITLES.get(e.code, "This link does not work"),
            f"{e.message[:1].upper()}{e.message[1:]}.",
            shell=reader.shell(),
            now=reader.engine.kernel.clock.now(),
            code=e.code,
            back=back,
        )
        return page("message.html", context, reader.problem(e).status)
    return RedirectResponse(f"/handoffs/{handoff_id}", 303)
