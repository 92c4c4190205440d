"""A checkpoint as its page shows it: each ask with what it would do, what it takes, and its own choice.

What is decided is read back with the same table as on a case page (`decision_form`), item by item, so a pass
asks for everything that the case page of each item asks for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.case_view import Case, case_of
from handfast.server.web.decision_form import (
    DecisionForm,
    DecisionInput,
    FormProblem,
    Verb,
    decision_form,
    read_decision,
)
from handfast.server.web.reading import Record, flag, mapping, moment, number, records, text, texts
from handfast.server.web.takes_view import Takes, takes_of
from handfast.server.web.wording import RISKS

STAGES = {
    "plan": ("Plan", "before the work"),
    "change": ("Change", "before the merge"),
    "release": ("Release", "before what has no undo"),
}
_LINES = 3
MAX_CHANGED = 400
_FIELDS = ("kind", "reason", "answer", "presented_digest", "typed_target")
ALL = "approve-together"
"""The button that also approves what nothing was chosen for, and one reason is enough for."""


@dataclass(frozen=True, slots=True)
class ItemView:
    """`alone` says why an approval needs a reason of its own. `together`: the shared button approves it.
    `chosen` is what was chosen in a form that came back, `more` how many lines are left out."""

    case: Case
    form: DecisionForm | None
    takes: Takes | None
    verbs: tuple[Verb, ...]
    words: str
    more: int
    alone: str
    together: bool
    chosen: str
    rules: str
    error: str
    stage: str

    @property
    def waiting(self) -> bool:
        return self.case.receipt is None

    @property
    def reads_here(self) -> bool:
        """Whether its changes are few enough to be read beside other asks."""
        diff = self.case.effect.diff
        if diff is None or not diff.files or self.case.files.left_out:
            return False
        return diff.added + diff.removed <= MAX_CHANGED

    @property
    def recorded(self) -> int:
        return sum(claim.recorded for claim in self.case.evidence)


@dataclass(frozen=True, slots=True)
class StageView:
    title: str
    sentence: str
    items: tuple[ItemView, ...]


@dataclass(frozen=True, slots=True)
class CheckpointView:
    checkpoint_id: str
    title: str
    why: str
    opened_at: datetime | None
    people: str
    agents: tuple[str, ...]
    waited: str
    stages: tuple[StageView, ...]
    count: int
    open: int
    together: int


@dataclass(frozen=True, slots=True)
class DeferredView:
    """`opens_at` None: nobody it asks may be told of more today."""

    handoff_id: str
    ask: str
    risk: str
    agent: str
    blocking: bool
    stage: str
    since: datetime | None
    opens_at: datetime | None
    at_latest: datetime | None
    why: str
    waited: str
    cost: str
    share: int


def checkpoint_of(
    checkpoint: Record,
    reader_id: str,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> CheckpointView:
    """`typed` and `problems` (by handoff) show a pass again of which something was refused."""
    items = [
        _item(item, reader_id, typed or {}, (problems or {}).get(text(item, "handoff_id"), ""))
        for item in records(checkpoint, "items")
    ]
    items.sort(key=_order)
    stages = tuple(
        StageView(title, sentence, tuple(i for i in items if i.stage == stage))
        for stage, (title, sentence) in STAGES.items()
        if any(i.stage == stage for i in items)
    )
    waiting = sum(i.waiting for i in items)
    return CheckpointView(
        checkpoint_id=text(checkpoint, "checkpoint_id"),
        title=_title(stages, waiting, len(items)),
        why=text(checkpoint, "why_words"),
        opened_at=moment(checkpoint, "opened_at"),
        people=", ".join(texts(checkpoint, "people")[:8]),
        agents=tuple(dict.fromkeys(i.case.agent for i in items)),
        waited=text(checkpoint, "waited"),
        stages=stages,
        count=len(items),
        open=waiting,
        together=sum(i.together for i in items),
    )


def _title(stages: tuple[StageView, ...], waiting: int, count: int) -> str:
    kind = f"{stages[0].title} checkpoint" if len(stages) == 1 else "Checkpoint"
    if waiting == 0:
        return f"{kind}: all {count} are decided" if count > 1 else f"{kind}: decided"
    asks = "1 ask waits" if waiting == 1 else f"{waiting} asks wait"
    return f"{kind}: {asks} for a decision"


def _item(item: Record, reader_id: str, typed: Mapping[str, str], problem: str) -> ItemView:
    given = fields_of(typed, text(item, "handoff_id"))
    case = case_of(item)
    form = decision_form(item, given, problem)
    alone = text(item, "looked_at_alone")
    verbs = form.verbs if form else ()
    lines = case.effect.text.rstrip().splitlines()
    shown = lines if case.effect.kind != "diff" else []
    return ItemView(
        case=case,
        form=form,
        takes=takes_of(item, reader_id),
        verbs=verbs,
        words="\n".join(shown[:_LINES]),
        more=max(0, len(shown) - _LINES),
        alone=alone if form else "",
        together=form is not None and _one_look(item),
        chosen=given.get("kind", ""),
        rules=", ".join(texts(item, "rules")[:5]),
        error=problem,
        stage=text(mapping(item, "checkpoint"), "stage") or "change",
    )


def _order(item: ItemView) -> tuple[bool, int, str, str]:
    """What still waits first, the highest risk on top."""
    risk = item.case.risk
    severity = RISKS.index(risk) if risk in RISKS else len(RISKS)
    asked = item.case.requested_at
    return (not item.waiting, -severity, asked.isoformat() if asked else "", item.case.handoff_id)


def fields_of(form: Mapping[str, str], handoff_id: str) -> dict[str, str]:
    """The fields of one item, under the names of a case page's form."""
    return {n: form[f"{n}:{handoff_id}"] for n in _FIELDS if f"{n}:{handoff_id}" in form}


def read_pass(
    checkpoint: Record, form: Mapping[str, str]
) -> tuple[list[tuple[str, DecisionInput]], dict[str, str]]:
    """The decisions of a submitted pass, by handoff, and what cannot be taken of it and why.

    Nothing chosen, or `leave`, leaves an item open; with the button ALL, what nothing was chosen for is
    approved where one reason for several is enough.
    """
    taken: list[tuple[str, DecisionInput]] = []
    problems: dict[str, str] = {}
    for item in records(checkpoint, "items"):
        handoff_id = text(item, "handoff_id")
        given = fields_of(form, handoff_id)
        kind = given.get("kind", "") or _by_all(item, form)
        if kind in ("", "leave"):
            continue
        if (
            text(item, "looked_at_alone")
            and kind == "approve"
            and not given.get("reason", "").strip()
        ):
            problems[handoff_id] = (
                f"Approving this needs a reason of its own: {text(item, 'looked_at_alone')}."
            )
            continue
        read = read_decision(item, given | {"kind": kind})
        if isinstance(read, FormProblem):
            problems[handoff_id] = read.message
        else:
            taken.append((handoff_id, read))
    return taken, problems


def _by_all(item: Record, form: Mapping[str, str]) -> str:
    wanted = form.get("act") == ALL and flag(item, "waiting") is True
    return "approve" if wanted and _one_look(item) else ""


def _one_look(item: Record) -> bool:
    """Whether the shared button approves it: a call as it was proposed, with an undo, read in full, and no
    claim about it unverified. Finished work is always chosen by itself."""
    claims = records(mapping(item, "package"), "evidence")
    verified = all(text(claim, "status") == "recorded" for claim in claims)
    plain = text(item, "kind") == "approval" and not text(item, "edited_by")
    offered = "approve" in texts(item, "offered")
    return offered and plain and verified and not text(item, "looked_at_alone")


def deferred_of(rows: Iterable[Record]) -> tuple[DeferredView, ...]:
    """What waits for a checkpoint, by when it opens."""
    found = [_deferred(row) for row in rows]
    found.sort(key=lambda d: (str(d.opens_at or d.at_latest), d.handoff_id))
    return tuple(found)


def _deferred(row: Record) -> DeferredView:
    waited, cost = _figure(row, "waited"), _figure(row, "cost")
    return DeferredView(
        handoff_id=text(row, "handoff_id"),
        ask=text(row, "ask", "The ask is not recorded"),
        risk=text(row, "risk", "unknown"),
        agent=text(row, "agent_name"),
        blocking=flag(row, "blocking") is not False,
        stage=STAGES.get(text(row, "stage"), ("", ""))[1],
        since=moment(row, "since"),
        opens_at=moment(row, "opens_at"),
        at_latest=moment(row, "at_latest"),
        why=text(row, "why"),
        waited=text(row, "waited"),
        cost=text(row, "cost"),
        share=min(100, round(100 * waited / cost)) if cost else 0,
    )


def _figure(row: Record, name: str) -> float:
    try:
        return float(text(row, name) or "0")
    except ValueError:
        return 0.0


@dataclass(frozen=True, slots=True)
class OpenedRow:
    """A checkpoint in the list of the latest."""

    checkpoint_id: str
    why: str
    opened_at: datetime | None
    count: int
    waiting: int
    stages: str


def opened_rows(rows: Iterable[Record]) -> tuple[OpenedRow, ...]:
    return tuple(
        OpenedRow(
            checkpoint_id=text(row, "checkpoint_id"),
            why=text(row, "why_words"),
            opened_at=moment(row, "opened_at"),
            count=len(texts(row, "handoffs")),
            waiting=number(row, "waiting") or 0,
            stages=", ".join(words[0] for s, words in STAGES.items() if s in texts(row, "stages")),
        )
        for row in rows
    )
