"""A run as its page shows it: who, where, what it did, what was not watched."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from handfast.core.policy.limit_words import LABELS
from handfast.server.web.case_view import repository_of
from handfast.server.web.reading import Record, mapping, moment, number, records, text, texts
from handfast.server.web.times import milliseconds
from handfast.server.web.wording import GAPS, RUN_OUTCOMES, RUN_STATUSES, VERDICTS

_MODES = {
    "enforce": "enforce: risky calls wait for a person",
    "observe": "observe: nothing is stopped",
}


@dataclass(frozen=True, slots=True)
class StepRow:
    """One recorded call."""

    step_id: str
    at: datetime | None
    summary: str
    tool: str
    verdict: str
    tone: str
    handoff_id: str
    exit_code: int | None
    failed: bool
    took: str
    subagent: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in the list."""

    run_id: str
    intent: str
    agent: str
    repository: str
    status: str
    tone: str
    mode: str
    started_at: datetime | None
    steps: int
    stopped: int


@dataclass(frozen=True, slots=True)
class Used:
    """One figure of the run beside its limits."""

    label: str
    figure: str
    limit: str


@dataclass(frozen=True, slots=True)
class RunHead:
    """The head of a run's page."""

    row: RunRow
    facts: tuple[tuple[str, str], ...]
    started_at: datetime | None
    ended_at: datetime | None
    coverage: tuple[tuple[str, str], ...]
    gaps: tuple[str, ...]
    usage: tuple[Used, ...] = ()
    warnings: tuple[str, ...] = ()


def run_row(run: Record) -> RunRow:
    """A run in one line."""
    status, outcome = text(run, "status"), text(run, "outcome")
    counts = mapping(run, "counts")
    agent = text(run, "agent_name") or text(run, "agent_id", "unknown agent")
    return RunRow(
        run_id=text(run, "run_id"),
        intent=text(run, "intent") or text(run, "title") or f"Session of {agent}",
        agent=agent,
        repository=repository_of(run),
        status=RUN_OUTCOMES.get(outcome) or RUN_STATUSES.get(status, status or "not known"),
        tone=_tone(status, outcome),
        mode=text(run, "mode"),
        started_at=moment(run, "started_at") or moment(run, "created_at"),
        steps=number(counts, "steps") or 0,
        stopped=(number(counts, "stopped") or 0) + (number(counts, "denied") or 0),
    )


def run_head(run: Record, coverage: Record | None = None) -> RunHead:
    """The head; `coverage` is `{seen, gated, observed, gaps: [{kind, detail}]}`, else the run's counts."""
    cost = text(run, "cost_usd")
    facts = (
        ("In the hands of", text(run, "held_by_name")),
        ("Agent", text(run, "agent_name") or text(run, "agent_id")),
        ("Repository", text(run, "repository")),
        ("Branch", text(run, "branch")),
        ("Base commit", text(run, "base_commit")[:12]),
        ("Mode", _MODES.get(text(run, "mode"), text(run, "mode"))),
        ("Containment", text(run, "containment")),
        ("Harness", text(run, "harness")),
        ("Exit code", text(run, "exit_code")),
        ("Cost", f"${cost}" if cost else ""),
        ("Turns", text(run, "turns")),
        ("Reason", text(run, "reason")),
    )
    source = coverage or mapping(run, "coverage")
    return RunHead(
        row=run_row(run),
        facts=tuple((name, value) for name, value in facts if value),
        started_at=moment(run, "started_at"),
        ended_at=moment(run, "ended_at"),
        coverage=_coverage(source, mapping(run, "counts")),
        gaps=(
            *(_gap(gap) for gap in records(source, "gaps", 100)),
            *(_unwatched(name) for name in texts(mapping(run, "limits"), "not_watched")),
        ),
        usage=tuple(
            Used(text(row, "label"), text(row, "used"), text(row, "limit"))
            for row in records(mapping(run, "limits"), "usage", 20)
        ),
        warnings=tuple(texts(mapping(run, "limits"), "warnings", 40)),
    )


def step_rows(steps: Iterable[Record]) -> tuple[StepRow, ...]:
    """Steps in the order given."""
    return tuple(_step(step) for step in steps)


def _step(step: Record) -> StepRow:
    facts, result = mapping(step, "facts"), mapping(step, "result")
    verdict = text(step, "verdict")
    word, tone = VERDICTS.get(verdict, (verdict, "quiet"))
    exit_code = number(step, "exit_code")
    exit_code = number(result, "exit_code") if exit_code is None else exit_code
    took_ms = number(step, "duration_ms")
    return StepRow(
        step_id=text(step, "step_id"),
        at=moment(step, "at") or moment(step, "called_at"),
        summary=text(facts, "summary") or text(step, "summary", "a call without a summary"),
        tool=text(mapping(step, "call"), "tool") or text(step, "tool"),
        verdict=word,
        tone=tone,
        handoff_id=text(step, "handoff_id"),
        exit_code=exit_code,
        failed=exit_code not in (0, None) or step.get("failed") is True,
        took=milliseconds(took_ms if took_ms is not None else number(result, "duration_ms")),
        subagent=text(step, "subagent"),
    )


def _tone(status: str, outcome: str) -> str:
    if outcome in ("failed", "never_started"):
        return "bad"
    if outcome == "merged":
        return "good"
    return {"paused": "warn", "taken_over": "warn", "running": "open", "leased": "open"}.get(
        status, "quiet"
    )


def _coverage(source: Record, counts: Record) -> tuple[tuple[str, str], ...]:
    names = (
        ("Calls seen", number(source, "seen"), number(counts, "steps")),
        ("Read only", number(source, "reads"), number(counts, "reads")),
        ("Stopped for a person", number(source, "gated"), number(counts, "stopped")),
        ("Blocked by policy", number(source, "denied"), number(counts, "denied")),
        ("Would have stopped", number(source, "observed"), number(counts, "would_stop")),
    )
    found = [(name, first if first is not None else second) for name, first, second in names]
    return tuple((name, f"{value:,}") for name, value in found if value is not None)


def _unwatched(metric: str) -> str:
    return f"No limit holds on {LABELS.get(metric, metric)}: the harness does not tell it."


def _gap(gap: Record) -> str:
    kind, detail = text(gap, "kind"), text(gap, "detail") or text(gap, "text")
    sentence = GAPS.get(kind, kind.replace("-", " ").capitalize())
    return f"{sentence} {detail}".strip()
