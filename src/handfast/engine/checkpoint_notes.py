"""What a handoff's row and page say of its checkpoint: why it waits, or with what it was asked."""

from handfast.core.domain.checkpoint_words import to_agent
from handfast.core.domain.codec import format_time
from handfast.core.domain.events_checkpoint import Stage
from handfast.core.domain.handoff import Handoff

STAGES = {
    Stage.PLAN: "before the work",
    Stage.CHANGE: "before the merge",
    Stage.RELEASE: "before what has no undo",
}


def note_of(h: Handoff) -> dict[str, object] | None:
    """None for a handoff that interrupted people by itself."""
    if h.stage is None:
        return None
    waits = h.deferral
    return {
        "checkpoint_id": h.checkpoint_id,
        "stage": h.stage.value,
        "waits": waits is not None,
        "since": format_time(waits.since) if waits else "",
        "open_by": format_time(h.due_at) if waits and h.due_at else "",
        "says": _says(h),
        "to_agent": to_agent(h),
    }


def _says(h: Handoff) -> str:
    when = STAGES[h.stage] if h.stage else ""
    if h.deferral is None:
        return f"asked together with others, {when}" if h.checkpoint_id else "taken up by a person"
    at = f", at {h.due_at:%H:%M} UTC at the latest" if h.due_at else ""
    return f"waits for a checkpoint: not urgent, so it is asked together with others ({when}){at}"
