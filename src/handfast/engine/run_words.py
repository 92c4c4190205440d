"""What happened to a run, in words, with the content that belongs to it."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from handfast.core.domain import events_limits as m
from handfast.core.domain import events_work as e
from handfast.core.domain.events import Event
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.limit_facts import Crossed
from handfast.core.policy.limit_words import LABELS

Text: TypeAlias = Callable[[BodyRef | None], str]


def run_said(event: Event, text: Text) -> str:
    """'' where the type of the event says it all, or where it is not a run's. `text` opens a body."""
    match event:
        case e.StepJudged():
            return text(event.summary) or event.tool
        case e.StepFinished():
            return _ended(event.exit_code, failed=event.failed)
        case e.CoverageGap():
            return f"{event.kind}: {event.detail}" if event.detail else event.kind
        case m.LimitWarned():
            return _named((event.crossed,))
        case m.LimitReached():
            return _named(event.crossed)
        case _:
            return _lived(event)


def _lived(event: Event) -> str:
    """The life of the run itself."""
    match event:
        case e.RunLeased():
            return f"by `{event.runner_id}` on {event.host}"
        case e.AgentStarted():
            return f"on branch `{event.branch}`" if event.branch else ""
        case e.RunPaused():
            return event.reason or ", ".join(event.waiting_on)
        case e.RunReleased() | e.AgentNeverStarted():
            return event.reason
        case e.AgentExited():
            return event.reason or _ended(event.exit_code, failed=False)
        case e.RunEnded():
            return event.outcome.value.replace("_", " ")
        case _:
            return ""


def _named(crossed: Sequence[Crossed]) -> str:
    return ", ".join(LABELS.get(c.metric, c.metric) for c in crossed)


def _ended(exit_code: int | None, *, failed: bool) -> str:
    if exit_code is None:
        return "failed" if failed else ""
    return f"exit {exit_code}{', failed' if failed and exit_code == 0 else ''}"
