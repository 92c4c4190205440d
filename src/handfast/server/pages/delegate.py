"""The form that delegates a task. Opening or checking it records nothing."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from handfast.core.domain.brief import Brief, parse_brief
from handfast.core.domain.errors import HandfastError, NotPermitted, UsageError
from handfast.core.domain.inert import inert
from handfast.core.domain.person import Person
from handfast.engine.filled import full
from handfast.engine.tasks import NewTask
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.permits import WORKERS
from handfast.server.web.brief_view import brief_of
from handfast.server.web.pages import Context, task_page
from handfast.server.web.task_form import task_form, typed_brief

router = APIRouter(prefix="/tasks/new")
Parent = Annotated[str, Query(pattern=r"^[A-Za-z0-9_]{0,64}$")]


@router.get("")
def show_form(reader: ReaderDep, parent: Parent = "") -> Response:
    """Empty, or for a part of a task."""
    typed = {"parent": parent}
    if parent:
        reader.knows("task", parent)
        whole = reader.engine.views.task(parent)
        typed |= {name: _plain(str(whole[name])) for name in ("repository", "target_branch")}
    return page("task_form.html", _context(reader, typed))


def _plain(text: str) -> str:
    """What somebody else wrote, for a field that sends it on: '' where a reader would not see all of it."""
    return text if inert(text, multiline=False) == text else ""


@router.post("")
def delegate(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """Check the brief, or make the task. Refused, the form comes back with what was typed and the field named."""
    check_token(request, form)
    try:
        _may_delegate(reader)
        new = _new(form)
        _knows_where(reader, new)
        if form.get("act") != "create":
            return page(
                "task_form.html", _context(reader, form, brief=reader.engine.tasks.check(new))
            )
        made = reader.engine.tasks.create(reader.actor, new)
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        said = f"{e.message[:1].upper()}{e.message[1:]}. {e.hint}".strip()
        field = str(e.details.get("field") or _named(e.message))
        return page(
            "task_form.html", _context(reader, form, error=said, field=field), problem.status
        )
    return page("task_form.html", _context(reader, form, made=str(made["task_id"])), 201)


def _may_delegate(reader: Reader) -> None:
    """Raises NotPermitted for whoever may not over the API either."""
    roles = reader.engine.kernel.state(Person, reader.person_id).roles
    if not WORKERS & set(roles):
        needed = ", ".join(sorted(WORKERS))
        reader.engine.access.refused(reader.actor, "page", "delegating takes another role")
        raise NotPermitted(
            f"delegating takes one of: {needed}", hint="Ask an admin for the role."
        ).told()


def _knows_where(reader: Reader, new: NewTask) -> None:
    """Raises NotPermitted for a repository of no project of theirs, NotFound for a task they know nothing of."""
    sight = reader.sight
    if sight is not None and not sight.covers(new.repository):
        reader.engine.access.refused(
            reader.actor, "page", "work in a repository of no project of theirs"
        )
        raise NotPermitted(
            "none of your projects has this `repository`",
            hint="Ask an admin to add you.",
            details={"field": "repository"},
        ).told()
    if new.parent:
        reader.knows("task", new.parent)


def _new(form: Mapping[str, str]) -> NewTask:
    """Raises UsageError."""
    brief = parse_brief(typed_brief(form))
    repository, branch = form.get("repository", "").strip(), form.get("target_branch", "").strip()
    return NewTask(
        brief=brief,
        repository=_line(repository, "repository", 4_096),
        target_branch=_line(branch or "main", "target_branch", 500),
        base_commit="",
        request_key="",
        parent=form.get("parent", "").strip(),
    )


def _line(text: str, name: str, most: int) -> str:
    if not text or len(text) > most or not text.isprintable():
        raise UsageError(f"`{name}` is missing or no single line", details={"field": name})
    return text


def _named(message: str) -> str:
    """The field that a refusal names first."""
    return message.split("`")[1] if message.count("`") > 1 else ""


def _context(
    reader: Reader,
    typed: Mapping[str, str],
    *,
    brief: Brief | None = None,
    made: str = "",
    error: str = "",
    field: str = "",
) -> Context:
    return task_page(
        task_form(typed, error, field),
        shell=reader.shell(),
        now=reader.engine.kernel.clock.now(),
        understood=brief_of(full(brief), ()) if brief else None,
        made=made,
    )
