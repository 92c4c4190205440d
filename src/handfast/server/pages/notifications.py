"""The page on which a person says how they are told of what waits for them."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.domain.reach import Quiet
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.web.notifications_view import notifications_page

router = APIRouter(prefix="/settings/notifications")
_CLOCK_HINT = "Write it like 20:00."


@router.get("")
def show_notifications_page(reader: ReaderDep) -> Response:
    """Contacts, quiet hours, digest, and what was sent lately."""
    return _page(reader)


@router.post("")
def change_notifications(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """One of the forms of the page. What is shown only once comes back at once; all else by a redirect."""
    check_token(request, form)
    try:
        said = _act(reader, form)
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        error = f"{e.message[:1].upper()}{e.message[1:]}. {e.hint}".strip()
        return _page(reader, {"error": error}, form, problem.status)
    if said:
        return _page(reader, said)
    return RedirectResponse("/settings/notifications", 303)


def _act(reader: Reader, form: Mapping[str, str]) -> dict[str, str]:
    """What to show once. Raises UsageError for a form that this page has not."""
    contacts, actor = reader.engine.contacts, reader.actor
    contact_id = form.get("contact_id", "")
    match form.get("act"):
        case "add":
            made = contacts.add(
                actor, form.get("channel", ""), form.get("address", ""), form.get("takes", "all")
            )
            return {"secret": str(made["secret"])} if made["secret"] else {}
        case "change":
            contacts.change(actor, contact_id, form.get("takes", ""))
        case "remove":
            contacts.remove(actor, contact_id)
        case "rotate":
            return {"secret": str(contacts.rotate(actor, contact_id)["secret"])}
        case "test":
            reader.engine.notices.test(actor, contact_id)
        case "slack":
            return {k: str(v) for k, v in contacts.slack_code(actor).items()}
        case "quiet":
            contacts.set_quiet(actor, _quiet(form), _whole(form.get("digest_minutes", "")))
        case _:
            raise UsageError("this page has no such form", hint="Reload it.")
    return {}


def _quiet(form: Mapping[str, str]) -> Quiet:
    days = tuple(d for d in range(7) if form.get(f"day_{d}"))
    start, end = _minutes(form.get("start", "")), _minutes(form.get("end", ""))
    return Quiet(form.get("zone", "").strip() or "UTC", days, start, end)


def _minutes(clock: str) -> int:
    hours, _, rest = clock.strip().partition(":")
    if not (hours.isascii() and hours.isdigit() and rest.isascii() and rest.isdigit()):
        raise UsageError(f"`{clock[:20]}` is not a time of day", hint=_CLOCK_HINT)
    if int(hours) > 24 or int(rest) > 59 or len(clock) > 5:
        raise UsageError(f"`{clock[:20]}` is not a time of day", hint=_CLOCK_HINT)
    return int(hours) * 60 + int(rest)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise UsageError("`digest_minutes` is not a whole number", hint="For instance 60.")
    return int(text)


def _page(
    reader: Reader,
    said: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    engine = reader.engine
    context = notifications_page(
        engine.contacts.of(reader.person_id),
        engine.notices.of_person(reader.person_id),
        shell=reader.shell(),
        now=engine.kernel.clock.now(),
        said=said,
        typed=typed,
    )
    return page("notifications.html", context, status)
