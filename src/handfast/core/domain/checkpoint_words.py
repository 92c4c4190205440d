"""What an agent is told of a call that waits for a checkpoint: nobody was asked yet, so it need not stand still."""

from handfast.core.domain.handoff import Handoff


def to_agent(h: Handoff) -> str:
    """'' for a handoff that people are asked about, or that is settled."""
    if h.deferral is None or not h.waiting:
        return ""
    at = f", at {h.due_at:%H:%M} UTC on {h.due_at:%Y-%m-%d} at the latest" if h.due_at else ""
    return (
        "It waits for the next checkpoint: it is not urgent, so people are asked about it together with others, when "
        "something urgent comes, when a stage of the work ends, when what waits has cost as much as an interruption, or "
        f"when a person opens it{at}. You may go on with work that does not need this call."
    )
