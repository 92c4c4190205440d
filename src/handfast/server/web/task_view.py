"""Tasks: the list, and one task with its brief, its runs and what waits on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.case_view import repository_of
from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.inbox_view import decided_rows, grouped
from handfast.server.web.reading import Record, flag, mapping, moment, records, text, texts
from handfast.server.web.run_view import run_row
from handfast.server.web.standing import standing_of

# outcome → (words, tone)
_OUTCOMES = {
    "": ("open", "open"),
    "merged": ("merged", "good"),
    "rejected": ("work refused", "bad"),
    "withdrawn": ("withdrawn", "quiet"),
}


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task in the list."""

    task_id: str
    intent: str
    repository: str
    branch: str
    status: str
    tone: str
    risk: str
    created_at: datetime | None
    held: bool


def task_row(task: Record) -> TaskRow:
    """A task in one line."""
    brief = mapping(task, "brief")
    outcome = text(task, "outcome")
    status, tone = _OUTCOMES.get(outcome, (outcome.replace("_", " "), "quiet"))
    return TaskRow(
        task_id=text(task, "task_id"),
        intent=text(brief, "intent", "Its brief says no intent"),
        repository=repository_of(task),
        branch=text(task, "target_branch"),
        status=status,
        tone=tone,
        risk=text(brief, "risk", "unknown"),
        created_at=moment(task, "created_at"),
        held=flag(task, "held") is True,
    )


def tasks_page(
    tasks: Iterable[Record], *, shell: Shell, now: datetime, after: str = "", next_after: str = ""
) -> Context:
    """For `tasks.html`."""
    rows = tuple(task_row(task) for task in tasks)
    return context(shell, now, nav="tasks", tasks=rows, after=after, next_after=next_after)


def task_page(
    task: Record,
    runs: Iterable[Record],
    handoffs: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
    requested_by: str = "",
) -> Context:
    """For `task.html`. `handoffs` are all of the task; those that wait come first."""
    handoffs = list(handoffs)
    brief = mapping(task, "brief")
    return context(
        shell,
        now,
        nav="tasks",
        task=task_row(task),
        lists=_lists(brief),
        facts=_facts(task, requested_by),
        runs=tuple(run_row(run) for run in runs),
        groups=grouped([h for h in handoffs if standing_of(h).code == "waiting"], now),
        decided=decided_rows(h for h in handoffs if standing_of(h).code != "waiting"),
    )


def _lists(brief: Record) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The parts of the brief that are lists, each under its heading; empty ones say so."""
    scope, budget = mapping(brief, "scope"), mapping(brief, "budget")
    return (
        ("Acceptance criteria", tuple(texts(brief, "acceptance"))),
        ("Not wanted", tuple(texts(brief, "non_goals"))),
        ("Scope", tuple(_pairs(scope))),
        ("Budget", tuple(_pairs(budget))),
        ("Contacts", tuple(texts(brief, "contacts"))),
        ("Context", tuple(texts(brief, "context"))),
    )


def _pairs(part: Record) -> list[str]:
    found = []
    for name in part:
        said = ", ".join(texts(part, name)) or text(part, name)
        if said and said not in ("0", "0.0"):
            found.append(f"{name.replace('_', ' ')}: {said}")
    return found


def _left(figures: Record) -> str:
    """A bound of which nothing is left is told, too."""
    return ", ".join(f"{name.replace('_', ' ')}: {text(figures, name)}" for name in figures)


def _facts(task: Record, requested_by: str) -> tuple[tuple[str, str], ...]:
    hold = records({"hold": [task.get("hold")]}, "hold")
    facts = (
        ("Repository", text(task, "repository")),
        ("Target branch", text(task, "target_branch")),
        ("Base commit", text(task, "base_commit")[:12]),
        ("Asked for by", requested_by),
        ("Left for parts", _left(mapping(task, "left"))),
        ("Brief", text(task, "brief_digest").removeprefix("sha256:")[:12]),
        ("Legal hold", "nothing of it may be erased" if hold else ""),
    )
    return tuple((name, value) for name, value in facts if value)
