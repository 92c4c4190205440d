"""One function a page: records of the API in, the context of its template out. No I/O, no clock.

Every context holds `shell` (what surrounds each page), `now` and what its template names; templates
run with undefined names as errors, so these functions are the whole contract between routes and pages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handfast.server.web.case_view import case_of
from handfast.server.web.decision_form import decision_form
from handfast.server.web.inbox_view import asked_now, decided_rows, gathered, grouped, unattended_of
from handfast.server.web.reading import Record, mapping, moment, text
from handfast.server.web.run_view import run_head, run_row, step_rows
from handfast.server.web.standing import standing_of
from handfast.server.web.takes_view import takes_of

Context = dict[str, Any]  # what Jinja takes; typed up to here
STEPS_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Shell:
    """What surrounds every page. `hooks_pause` is `{until, by_name, reason}` while hooks are paused;
    `stopped` says what the kill switch stops."""

    person_name: str = ""
    person_id: str = ""
    csrf_token: str = ""
    has_js: bool = False
    waiting: int = 0
    hooks_pause: Record | None = None
    stopped: tuple[str, ...] = ()
    notice: str = ""
    checkpoints: bool = False


def inbox_page(
    handoffs: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
    decided: Iterable[Record] = (),
    unattended: Record | None = None,
    after: str = "",
    next_after: str = "",
) -> Context:
    """For `inbox.html` and `_rows.html`. `handoffs` are the waiting ones, `decided` the latest others.

    `after` is the cursor of this page of the queue, `next_after` that of the next. `unattended` is `{calls, allowed, stopped, would_stop, runs, since}` and fills the empty state.
    """
    groups = grouped(handoffs, now)
    return page_context(
        shell,
        now,
        nav="inbox",
        groups=groups,
        waiting=shell.waiting if after or next_after else asked_now(groups),
        gathered=gathered(groups),
        after=after,
        next_after=next_after,
        decided=decided_rows(decided),
        unattended=unattended_of(unattended),
    )


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
    """For `case.html`. `typed` and `error` show a refused form again; `next_id` is the next in the queue."""
    return page_context(
        shell,
        now,
        nav="inbox",
        case=case_of(handoff, brief, run),
        takes=takes_of(handoff, shell.person_id),
        form=decision_form(handoff, typed, error),
        next_id=next_id,
        asked_with=text(mapping(handoff, "checkpoint"), "checkpoint_id"),
        open_by=moment(mapping(handoff, "checkpoint"), "open_by"),
    )


def state_fragment(handoff: Record, *, shell: Shell, now: datetime) -> Context:
    """For `_state.html`: the line that tells an open page that the case moved on."""
    return page_context(
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
    """For `run.html`. `after` is the cursor of this page of steps, `next_after` that of the next."""
    handoffs = list(handoffs)
    open_ones = [item for item in handoffs if standing_of(item).code == "waiting"]
    ended = [item for item in handoffs if standing_of(item).code != "waiting"]
    return page_context(
        shell,
        now,
        nav="runs",
        head=run_head(run, coverage),
        steps=step_rows(steps),
        groups=grouped(open_ones, now),
        decided=decided_rows(ended),
        after=after,
        next_after=next_after,
    )


def runs_page(
    runs: Iterable[Record], *, shell: Shell, now: datetime, next_after: str = ""
) -> Context:
    """For `runs.html`."""
    rows = tuple(run_row(run) for run in runs)
    return page_context(shell, now, nav="runs", runs=rows, next_after=next_after)


def login_page(
    *, shell: Shell, now: datetime, name: str = "", error: str = "", next_path: str = "/"
) -> Context:
    """For `login.html`. `next_path` must be a path of this server: the caller checks it."""
    return page_context(shell, now, nav="", name=name, error=error, next_path=next_path)


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
    return page_context(
        shell, now, nav="", name=name, login=login, error=error, setup_token=setup_token
    )


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
    return page_context(
        shell, now, nav="", title=title, message=message, hint=hint, code=code, back=back
    )


def page_context(shell: Shell, now: datetime, **names: object) -> Context:
    """What surrounds every page, and the names of one."""
    names.setdefault("nav", "")
    pause = shell.hooks_pause or {}
    return {
        "shell": shell,
        "now": now,
        "pause_until": moment(pause, "until"),
        "pause_by": text(pause, "by_name", "someone"),
        "pause_reason": text(pause, "reason"),
        **names,
    }
