"""What happened to a run, in words, with the content that belongs to it."""

from collections.abc import Callable
from typing import TypeAlias

from handfast.core.domain import events_limits as m
from handfast.core.domain import events_work as e
from handfast.core.domain.events import Event
from handfast.core.domain.events_work import BodyRef
from handfast.core.policy.limit_words import LABELS

Text: TypeAlias = Callable[[BodyRef | None], str]


def run_said(event: Event, text: Text) -> str:
    """'' where the type of the event says it all, or where it is not a run's. `text` opens a body."""
    match event:
        case e.StepJudged():
            return text(event.summary) or event.tool
        case e.StepFinished():
            return _ended(event.exit_code, failed=event.failed)
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
        case e.CoverageGap():
            return f"{event.kind}: {event.detail}" if event.detail else event.kind
        case m.LimitWarned():
            return LABELS.get(event.crossed.metric, event.crossed.metric)
        case m.LimitReached():
            return ", ".join(LABELS.get(c.metric, c.metric) for c in event.crossed)
        case _:
            return ""


def _ended(exit_code: int | None, *, failed: bool) -> str:
    if exit_code is None:
        return "failed" if failed else ""
    return f"exit {exit_code}{', failed' if failed and exit_code == 0 else ''}"
