"""The steps of a run put together for people and programs, each with its result where that is known."""

from collections.abc import Callable, Iterable
from datetime import datetime

from handfast.core.domain.codec import format_time
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_work import BodyRef, StepFinished, StepJudged
from handfast.engine.kernel import Result
from handfast.storage.api import EventRow

MAX_COMMAND = 4_000
MAX_OUTPUT = 2_000


def steps_of(
    rows: Iterable[EventRow],
    text: Callable[[BodyRef | None], str],
    content: Callable[[BodyRef | None], object],
) -> list[Result]:
    """Steps among these events of a run. `text` and `content` open a body, as text and as JSON."""
    steps: dict[str, Result] = {}
    for row in rows:
        recorded = from_bytes(row.data)
        event = recorded.event
        if isinstance(event, StepJudged):
            step = _judged(event, recorded.at)
            step["summary"] = text(event.summary)
            step["command"] = _command(content(event.call))
            steps[event.step_id] = step
        elif isinstance(event, StepFinished):
            steps.setdefault(event.step_id, {"step_id": event.step_id}).update(
                failed=event.failed,
                exit_code=event.exit_code,
                duration_ms=event.duration_ms,
                output=text(event.output)[-MAX_OUTPUT:],
                finished=True,
            )
    return list(steps.values())


def _judged(s: StepJudged, at: datetime) -> Result:
    return {
        "step_id": s.step_id,
        "key": s.key,
        "at": format_time(s.called_at or at),
        "tool": s.tool,
        "effect": s.effect,
        "verdict": s.verdict,
        "risk": s.risk,
        "hazards": list(s.hazards),
        "opaque": list(s.opaque),
        "rules": list(s.rules),
        "handoff_id": s.handoff_id,
        "subagent": s.subagent,
        "action_digest": s.action_digest,
        "finished": False,
    }


def _command(call: object) -> str:
    """The shell command of a call; '' for other tools."""
    arguments = call.get("arguments") if isinstance(call, dict) else None
    command = arguments.get("command") if isinstance(arguments, dict) else None
    return command[:MAX_COMMAND] if isinstance(command, str) else ""
