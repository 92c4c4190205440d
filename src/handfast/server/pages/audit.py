"""The audit trail: search, what was verified of it, and the export."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from handfast.core.domain.errors import NotPermitted, UsageError
from handfast.core.domain.person import Person
from handfast.engine.trail import Trail, Wanted, check_shown, check_types
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.seeing import seen_by
from handfast.server.web.audit_view import Found, Search, audit_page

router = APIRouter(prefix="/audit")
MAY_EXPORT = frozenset({"auditor", "operator", "admin"})
MAX_POSITION = 2**53
Text = Annotated[str, Query(max_length=200)]


@router.get("")
def show_audit(
    reader: ReaderDep,
    types: Annotated[str, Query(alias="type", max_length=60)] = "",
    stream: Text = "",
    who: Text = "",
    before: Annotated[int, Query(ge=0, le=MAX_POSITION)] = 0,
) -> Response:
    """Entries newest first. Those shown are checked against the signed head while the page is made."""
    engine, error = reader.engine, ""
    search = Search(types, stream.strip(), who.strip())
    try:
        wanted = Wanted(check_types([types] if types else []), search.stream, search.who)
    except UsageError as problem:
        wanted, error = Wanted(stream=search.stream, who=search.who), problem.message
    trail = Trail(engine.kernel, engine.people, engine.views)
    found = trail.look_back(wanted, before, partial(seen_by, engine, reader.person_id))
    positions = [int(str(item["position"])) for item in found.items]
    context = audit_page(
        Found(tuple(found.items), found.scanned, before, found.before),
        shell=reader.shell(),
        now=engine.kernel.clock.now(),
        check=check_shown(engine.audit, positions),
        search=search,
        may_export=_may_export(reader),
        error=error,
    )
    return page("audit.html", context, 422 if error else 200)


@router.post("/export")
def export(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """The whole log as a bundle that is verified offline. The export is itself an entry of the log."""
    check_token(request, form)
    if not _may_export(reader):
        why = "exporting takes one of its roles, and that nothing is kept from you"
        reader.engine.access.refused(reader.actor, "export_audit", why)
        raise NotPermitted(
            why, hint="Ask somebody with the auditor, operator or admin role."
        ).told()
    folder = tempfile.TemporaryDirectory(prefix="handfast-export-")
    path = Path(folder.name) / "bundle"
    try:
        reader.engine.audit.export(reader.actor, path, bodies=False)
    except BaseException:
        folder.cleanup()
        raise
    at = reader.engine.kernel.clock.now()
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=f"handfast-audit-{at:%Y%m%dT%H%M%SZ}.hfbundle",
        background=BackgroundTask(folder.cleanup),
    )


def _may_export(reader: Reader) -> bool:
    person = reader.engine.kernel.state(Person, reader.person_id)
    return bool(MAY_EXPORT & set(person.roles)) and reader.sight is None
