"""A run in a person's hands, as its page shows it: what they got, what came back, what may be done now."""

from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.reading import Record, mapping, moment, number, records, text, texts

MAX_LISTED = 40
THEN = {
    "resume": "the agent goes on",
    "review": "its work is reviewed as it is",
    "end": "the run ends",
}


@dataclass(frozen=True, slots=True)
class Hands:
    """One take-over. `files` of the person's own work are `(status, path, counts)`."""

    by: str
    at: datetime | None
    reason: str
    ready_at: datetime | None
    host: str
    commit: str
    uncommitted: tuple[str, ...]
    processes: tuple[str, ...]
    left_out: tuple[str, ...]
    operation: str
    back_at: datetime | None
    note: str
    then: str
    recorded: bool
    changed: int
    files: tuple[tuple[str, str, str], ...]
    told: bool


@dataclass(frozen=True, slots=True)
class InHands:
    """`now` is the take-over in force. `may_take` says whether anything could be taken over."""

    run_id: str
    worktree: str
    branch: str
    now: Hands | None
    mine: bool
    earlier: tuple[Hands, ...]
    may_take: bool
    error: str = ""
    note: str = ""


def in_hands(run: Record, reader_id: str) -> InHands:
    """`refused` of the run is `{error, note}`: a form that was not taken, and what was typed into it."""
    refused = mapping(run, "refused")
    found = tuple(_hands(each) for each in records(run, "takeovers", MAX_LISTED))
    held = bool(text(run, "held_by"))
    of_runner = bool(text(run, "task_id"))
    return InHands(
        run_id=text(run, "run_id"),
        worktree=text(run, "worktree"),
        branch=text(run, "branch"),
        now=found[-1] if held and found else None,
        mine=held and text(run, "held_by") == reader_id,
        earlier=found[:-1] if held else found,
        may_take=of_runner and not held and text(run, "status") != "ended",
        error=text(refused, "error"),
        note=text(refused, "note"),
    )


def _hands(t: Record) -> Hands:
    found, work = mapping(t, "found"), mapping(t, "work")
    return Hands(
        by=text(t, "by_name", "somebody"),
        at=moment(t, "at"),
        reason=text(t, "reason"),
        ready_at=moment(t, "handed_over_at"),
        host=text(t, "host"),
        commit=text(t, "from_commit")[:12],
        uncommitted=tuple(texts(found, "uncommitted", MAX_LISTED)),
        processes=tuple(_process(p) for p in records(found, "processes", MAX_LISTED)),
        left_out=tuple(texts(found, "left_out", MAX_LISTED)),
        operation=text(found, "operation"),
        back_at=moment(t, "handed_back_at"),
        note=text(t, "note"),
        then=THEN.get(text(t, "then"), ""),
        recorded=t.get("recorded") is True,
        changed=number(t, "changed") or 0,
        files=tuple(_file(f) for f in records(work, "files", MAX_LISTED)),
        told=t.get("told") is True,
    )


def _process(p: Record) -> str:
    return f"{number(p, 'pid') or 0}  {text(p, 'command') or '(not readable)'}"


def _file(f: Record) -> tuple[str, str, str]:
    added, deleted = number(f, "added"), number(f, "deleted")
    counts = f"+{added} -{deleted or 0}" if added is not None else ""
    return text(f, "status") or "?", text(f, "path"), counts
