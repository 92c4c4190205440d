"""The queue: grouped by what each case needs of a person, in an order that never depends on chance."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.inert import inert
from handfast.core.domain.need import Need
from handfast.core.domain.package import FINISHED
from handfast.server.web.case_view import repository_of, why_now
from handfast.server.web.reading import Record, flag, mapping, moment, number, text, texts
from handfast.server.web.standing import Standing, decider, standing_of
from handfast.server.web.times import iso
from handfast.server.web.wording import RISKS, kind_word

# need → (heading, what it asks of a person), in the order of the queue
NEEDS: Mapping[str, tuple[str, str]] = {
    Need.JUDGE: ("Judge", "Weigh it: the answer is not obvious."),
    Need.STAMP: ("Stamp", "Low risk, can be undone, fully read: one look is enough."),
    Need.ROUTE: ("Route", "Find who should take it."),
    Need.LATER: (
        "Waits for a checkpoint",
        "Not urgent: asked together with others. You may decide it now.",
    ),
    Need.BLOCKED: ("Blocked", "Nothing you can decide now."),
}
_AUDITS = {
    "override": "review of an override",
    "doubt": "a start without a known effect",
    "unanswered": "a start without a known effect: nobody answered in time",
}
_FAR = "9999"
NOTHING: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Row:
    """One case in the queue. `need_why` says why it is in its group, unless the row says so anyway.

    `pick` is the digest with which it may be approved together with others, '' where it may not. `minutes`
    is a guess from its kind, risk and size; `siblings` are other cases of the same run on the page.
    """

    handoff_id: str
    ask: str
    need: str
    need_why: str
    why: str
    risk: str
    kind_word: str
    agent: str
    repository: str
    requested_at: datetime | None
    due_at: datetime | None
    overdue: bool
    frozen: bool
    blocking: bool
    holder: str
    open_by: datetime | None = None
    checkpoint_id: str = ""
    pick: str = ""
    minutes: int = 0
    siblings: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """A heading and its rows; never empty. `total` of this need wait in all, 0 where that was not counted."""

    need: str
    title: str
    sentence: str
    rows: tuple[Row, ...]
    total: int = 0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A need of which no case is on this page."""

    need: str
    title: str
    number: int


@dataclass(frozen=True, slots=True)
class Audit:
    """A look that is owed after the fact. `owes` names who was asked."""

    handoff_id: str
    ask: str
    words: str
    since: datetime | None
    due_at: datetime | None
    owes: str
    put_off_until: datetime | None


@dataclass(frozen=True, slots=True)
class DecidedRow:
    """A case that no longer waits."""

    handoff_id: str
    ask: str
    standing: Standing
    agent: str
    at: datetime | None
    by: str


@dataclass(frozen=True, slots=True)
class Unattended:
    """What ran without asking anyone since a moment."""

    calls: int
    allowed: int
    stopped: int
    would_stop: int
    runs: int
    since: datetime | None


def grouped(
    handoffs: Iterable[Record], now: datetime, by_need: Mapping[str, int] = NOTHING
) -> tuple[Group, ...]:
    """Waiting handoffs in groups: highest risk first, then the nearest deadline, then the oldest. `by_need` is
    how many wait in all."""
    handoffs = list(handoffs)
    of_run = Counter(text(handoff, "run_id") for handoff in handoffs)
    rows = [_row(handoff, now, of_run[text(handoff, "run_id")] - 1) for handoff in handoffs]
    rows.sort(key=_order)
    return tuple(
        Group(need, *words, tuple(row for row in rows if row.need == need), by_need.get(need, 0))
        for need, words in NEEDS.items()
        if any(row.need == need for row in rows)
    )


def elsewhere(groups: Iterable[Group], by_need: Mapping[str, int]) -> tuple[Elsewhere, ...]:
    """What waits and is on another page of the queue."""
    here = {group.need for group in groups}
    return tuple(
        Elsewhere(need, words[0], by_need[need])
        for need, words in NEEDS.items()
        if need not in here and by_need.get(need)
    )


def audit_of(due: Record) -> Audit:
    """From what `audits_due` gives."""
    names = ", ".join(inert(name, 60, multiline=False) for name in texts(due, "owes", 5))
    kind = text(due, "kind")
    if not names and kind != "unanswered":
        names = "whoever may decide it"
    return Audit(
        handoff_id=text(due, "handoff_id"),
        ask=text(due, "ask", "The ask is not recorded"),
        words=_AUDITS.get(kind, kind),
        since=moment(due, "since"),
        due_at=moment(due, "due_at"),
        owes=names,
        put_off_until=moment(due, "put_off_until"),
    )


def gathered(groups: Iterable[Group]) -> tuple[tuple[str, int], ...]:
    """Checkpoints with several asks in these groups, and how many."""
    found = Counter(row.checkpoint_id for group in groups for row in group.rows)
    return tuple((c, n) for c, n in sorted(found.items()) if c and n > 1)


_MINUTES = {"low": 2, "medium": 3, "high": 6, "critical": 10}
_LINES_A_MINUTE = 40


def minutes_needed(handoff: Record, need: str) -> int:
    """A guess, from what is known before anybody read it; 0 where nothing can be decided."""
    if need == "blocked":
        return 0
    if need == "stamp":
        return 1
    lines = number(handoff, "changed_lines") or 0
    return _MINUTES.get(text(handoff, "risk"), 5) + -(-lines // _LINES_A_MINUTE)


def decided_rows(handoffs: Iterable[Record]) -> tuple[DecidedRow, ...]:
    """Cases that ended, newest first."""
    rows = [_decided_row(handoff) for handoff in handoffs]
    rows.sort(key=lambda row: (row.at.isoformat() if row.at else "", row.handoff_id), reverse=True)
    return tuple(rows)


def live_row(handoff: Record) -> dict[str, object]:
    """What an open inbox is told of a case that changed. Words only: the page sets them as text."""
    standing = standing_of(handoff)
    at = moment(mapping(handoff, "decision"), "at")
    says = standing.headline
    if flag(handoff, "frozen"):
        says = "Frozen by the kill switch"
    elif standing.code == "waiting" and (holder := text(handoff, "holder_name")):
        says = f"held by {inert(holder, 60, multiline=False)}"
    return {
        "handoff_id": text(handoff, "handoff_id"),
        "status": text(handoff, "status"),
        "waiting": standing.code == "waiting",
        "says": says,
        "tone": standing.tone,
        "at": iso(at) if standing.code != "waiting" else "",
        "urgent": text(handoff, "risk") == "critical",
    }


def unattended_of(figures: Record | None) -> Unattended | None:
    """From `{calls, allowed, stopped, would_stop, runs, since}`."""
    if not figures:
        return None
    return Unattended(
        calls=number(figures, "calls") or 0,
        allowed=number(figures, "allowed") or 0,
        stopped=number(figures, "stopped") or 0,
        would_stop=number(figures, "would_stop") or 0,
        runs=number(figures, "runs") or 0,
        since=moment(figures, "since"),
    )


def _row(handoff: Record, now: datetime, siblings: int = 0) -> Row:
    known, need_why = text(handoff, "need"), text(handoff, "need_why")
    need = known if known in NEEDS else Need.JUDGE
    due_at, together = moment(handoff, "due_at"), mapping(handoff, "checkpoint")
    why = _why(handoff)
    kind = text(handoff, "kind")
    said = (f"{text(handoff, 'risk')} risk", kind, kind_word(kind).lower())
    return Row(
        handoff_id=text(handoff, "handoff_id"),
        ask=text(handoff, "ask", "The ask is not recorded"),
        need=need,
        need_why="" if need == "stamp" or need_why in said else need_why,
        why=why,
        risk=text(handoff, "risk", "unknown"),
        kind_word=kind_word(kind),
        agent=text(handoff, "agent_name") or text(handoff, "agent_id", "unknown agent"),
        repository=repository_of(handoff),
        requested_at=moment(handoff, "requested_at"),
        due_at=due_at,
        overdue=due_at is not None and due_at < now,
        frozen=flag(handoff, "frozen") is True,
        blocking=flag(handoff, "blocking") is not False,
        holder=text(handoff, "holder_name") or text(handoff, "holder"),
        open_by=moment(together, "open_by"),
        checkpoint_id=text(together, "checkpoint_id"),
        pick=text(handoff, "presented_digest") if need == "stamp" else "",
        minutes=minutes_needed(handoff, need),
        siblings=siblings if text(handoff, "run_id") else 0,
    )


def _why(handoff: Record) -> str:
    """Why it stopped; of a question what it asks, of finished work what was wanted, before anything else."""
    found = why_now(handoff)
    why = found[0].text if found else ""
    asked = text(mapping(mapping(handoff, "package"), "what_will_happen"), "text")
    if text(handoff, "kind") == "question" and asked:
        return f"It asks: “{inert(asked, 200, multiline=False)}”"
    if intent := inert(text(handoff, "intent"), 160, multiline=False):
        return f"Wanted: {intent} {why.removeprefix(FINISHED).strip()}".strip()
    return why


def _order(row: Row) -> tuple[int, str, str, str]:
    severity = RISKS.index(row.risk) if row.risk in RISKS else len(RISKS)
    due = row.due_at.isoformat() if row.due_at else _FAR
    asked = row.requested_at.isoformat() if row.requested_at else _FAR
    return (-severity, due, asked, row.handoff_id)


def _decided_row(handoff: Record) -> DecidedRow:
    decision, effect = mapping(handoff, "decision"), mapping(handoff, "effect")
    at = moment(decision, "at") or moment(effect, "at") or moment(handoff, "closed_at")
    return DecidedRow(
        handoff_id=text(handoff, "handoff_id"),
        ask=text(handoff, "ask", "The ask is not recorded"),
        standing=standing_of(handoff),
        agent=text(handoff, "agent_name") or text(handoff, "agent_id"),
        at=at or moment(handoff, "requested_at"),
        by=decider(handoff),
    )
