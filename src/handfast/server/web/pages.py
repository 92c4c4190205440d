"""One function a page: records of the API in, the context of its template out. No I/O, no clock.

Every context holds `shell` (what surrounds each page), `now` and what its template names; templates
run with undefined names as errors, so these functions are the whole contract between routes and pages.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from handfast.server.web.brief_view import Brief
from handfast.server.web.case_view import case_of
from handfast.server.web.decision_form import decision_form
from handfast.server.web.edit_view import EditView
from handfast.server.web.files_view import whole_change
from handfast.server.web.frame import Context as Context
from handfast.server.web.frame import Shell as Shell
from handfast.server.web.frame import context
from handfast.server.web.inbox_page import inbox_page as inbox_page
from handfast.server.web.inbox_view import decided_rows, grouped
from handfast.server.web.looks_view import looked_of, rating_of, sent_back_of
from handfast.server.web.notices_view import notice_rows
from handfast.server.web.reading import Record, mapping, moment, records, text
from handfast.server.web.run_view import run_head, run_row, step_rows
from handfast.server.web.standing import standing_of
from handfast.server.web.takeover_view import THEN, in_hands
from handfast.server.web.takes_view import takes_of
from handfast.server.web.task_form import TaskForm
from handfast.server.web.then_view import then_view

STEPS_PER_PAGE = 100


def case_page(
    handoff: Record,
    *,
    shell: Shell,
    now: datetime,
    brief: Record | None = None,
    run: Record | None = None,
    typed: Mapping[str, str] | None = None,
    error: str = "",
    next_id: str = "",
) -> Context:
    """For `case.html`. `closed` of the handoff is why no decision of the reader would be taken, as the engine says it. `typed` and `error` show a refused form again; `next_id` is the next in the queue. `edit` of
    the context is what of finished work is open for editing: nothing, until the route says more.
    `since_look` in the handoff is what happened after this person's last look."""
    return context(
        shell,
        now,
        nav="inbox",
        live_case=text(handoff, "handoff_id"),
        case=case_of(handoff, brief, run),
        takes=takes_of(handoff, shell.person_id),
        form=decision_form(handoff, typed, error),
        closed=text(handoff, "closed"),
        next_id=next_id,
        edit=EditView(),
        asked_with=text(mapping(handoff, "checkpoint"), "checkpoint_id"),
        open_by=moment(mapping(handoff, "checkpoint"), "open_by"),
        looked=looked_of(mapping(handoff, "since_look")),
        rating=rating_of(handoff, shell.person_id),
        sent_back=sent_back_of(mapping(handoff, "package")),
        notices=notice_rows(records(handoff, "notices", 200)),
    )


def changes_page(
    handoff: Record, diff: str, number: int, *, shell: Shell, now: datetime
) -> Context:
    """For `changes.html`: page `number` of the whole diff."""
    return context(
        shell,
        now,
        nav="",
        handoff_id=text(handoff, "handoff_id"),
        title=text(handoff, "ask"),
        change=whole_change(diff, number),
    )


def task_page(
    form: TaskForm,
    *,
    shell: Shell,
    now: datetime,
    understood: Brief | None = None,
    made: str = "",
) -> Context:
    """For `task_form.html`. `understood` is the brief as it would be delegated, `made` the id of the task."""
    return context(shell, now, nav="tasks", form=form, understood=understood, made=made)


def state_fragment(handoff: Record, *, shell: Shell, now: datetime) -> Context:
    """For `_state.html`: the line that tells an open page that the case moved on."""
    return context(
        shell,
        now,
        handoff_id=text(handoff, "handoff_id"),
        standing=standing_of(handoff),
        holder=text(handoff, "holder_name") or text(handoff, "holder"),
    )


def run_page(
    run: Record,
    steps: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
    handoffs: Iterable[Record] = (),
    coverage: Record | None = None,
    after: str = "",
    next_after: str = "",
) -> Context:
    """For `run.html`. `after` is the cursor of this page of steps, `next_after` that of the next.
    `then` of the run is `{at, last, asked, state, entries}`: the run after some of its events."""
    handoffs = list(handoffs)
    open_ones = [item for item in handoffs if standing_of(item).code == "waiting"]
    ended = [item for item in handoffs if standing_of(item).code != "waiting"]
    return context(
        shell,
        now,
        nav="runs",
        head=run_head(run, coverage),
        steps=step_rows(steps),
        groups=grouped(open_ones, now),
        decided=decided_rows(ended),
        hands=in_hands(run, shell.person_id),
        then_choices=THEN,
        after=after,
        next_after=next_after,
        then=then_view(mapping(run, "then")),
    )


def runs_page(
    runs: Iterable[Record], *, shell: Shell, now: datetime, next_after: str = ""
) -> Context:
    """For `runs.html`."""
    rows = tuple(run_row(run) for run in runs)
    return context(shell, now, nav="runs", runs=rows, next_after=next_after)


def login_page(
    *,
    shell: Shell,
    now: datetime,
    name: str = "",
    error: str = "",
    next_path: str = "/",
    elsewhere: tuple[str, str] = ("", ""),
) -> Context:
    """For `login.html`. `next_path` must be a path of this server: the caller checks it. `elsewhere` is the
    path and the name of the identity provider."""
    path, provider = elsewhere
    return context(
        shell,
        now,
        nav="",
        name=name,
        error=error,
        next_path=next_path,
        provider_path=path,
        provider=provider,
    )


def setup_page(
    *,
    shell: Shell,
    now: datetime,
    setup_token: str,
    name: str = "",
    login: str = "",
    error: str = "",
) -> Context:
    """For `setup.html`: the first account, through the one-time link."""
    return context(shell, now, nav="", name=name, login=login, error=error, setup_token=setup_token)


def message_page(
    title: str,
    message: str,
    *,
    shell: Shell,
    now: datetime,
    hint: str = "",
    code: str = "",
    back: tuple[str, str] = ("/", "Go to the inbox"),
) -> Context:
    """For `message.html`: an error or a plain notice. `back` is a path and its words."""
    return context(
        shell, now, nav="", title=title, message=message, hint=hint, code=code, back=back
    )
