"""Settings: the reader, the other people, and this installation."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from handfast import __version__
from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.domain.person import Person
from handfast.server.hub import Hub
from handfast.server.pages.inbox import saved_of
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.web.settings_view import installation_page, people_page, you_page

router = APIRouter(prefix="/settings")


@router.get("")
def show_you(reader: ReaderDep) -> Response:
    found = [p for p in reader.engine.staff.everybody() if p["person_id"] == reader.person_id]
    now = reader.engine.kernel.clock.now()
    person = found[0] if found else {}
    context = you_page(person, saved_of(reader), shell=reader.shell(), now=now)
    return page("settings.html", context)


@router.get("/people")
def show_people(reader: ReaderDep) -> Response:
    return _people(reader)


@router.post("/people")
def change_people(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """Disable somebody, or enable them again."""
    check_token(request, form)
    disabling, who = reader.engine.disabling, form.get("person", "")
    try:
        match form.get("act"):
            case "disable":
                disabling.disable(reader.actor, who)
            case "enable":
                disabling.enable(reader.actor, who)
            case _:
                raise UsageError("that is not offered here", hint="Choose one of the buttons.")
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        words = f"{e.message[:1].upper()}{e.message[1:]}. {e.hint}".strip()
        return _people(reader, words, problem.status)
    return RedirectResponse("/settings/people", 303)


def _people(reader: Reader, error: str = "", status: int = 200) -> Response:
    engine, now = reader.engine, reader.engine.kernel.clock.now()
    staff, roles = engine.staff, engine.kernel.state(Person, reader.person_id).roles
    context = people_page(
        staff.everybody(),
        staff.on_call(),
        shell=reader.shell(),
        now=now,
        may_disable="admin" in roles,
        error=error,
    )
    return page("settings_people.html", context, status)


@router.get("/installation")
def show_installation(request: Request, reader: ReaderDep) -> Response:
    engine = reader.engine
    context = installation_page(
        _facts(reader, request.app.state.hub),
        engine.runners.all(reader.sight),
        shell=reader.shell(),
        now=engine.kernel.clock.now(),
    )
    return page("settings_installation.html", context)


def _facts(reader: Reader, hub: Hub) -> list[tuple[str, str]]:
    engine = reader.engine
    hooks = engine.hooks.status()
    modes = {
        "enforce": "enforce: risky calls wait for a person",
        "observe": "observe: nothing is stopped",
    }
    paused = str(hooks["paused_until"])
    return [
        ("Version", __version__),
        ("Entries in the log", f"{engine.kernel.store.size():,}"),
        ("The log's key", engine.audit.verifier),
        ("Hooks", modes.get(str(hooks["mode"]), str(hooks["mode"]))),
        ("Hooks paused", f"until {paused}" if paused else "no"),
        ("Open pages", f"{hub.following:,}"),
    ]
