"""Grants and effects as the JSON of the API and the pages."""

from collections.abc import Callable

from handfast.core.domain.codec import format_time
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import Scope, Span, shown
from handfast.core.domain.handoff import EffectRecord, Handoff
from handfast.engine.kernel import Result

MAX_OUTPUT = 4_000


def grant_view(h: Handoff, text: Callable[[BodyRef | None], str]) -> Result | None:
    """The grant with the effect of each of its starts. `text` opens a body."""
    g = h.grant
    if g is None:
        return None
    return {
        "grant_id": g.grant_id,
        "status": g.status.value,
        "executor": g.executor.value,
        "action_digest": g.action_digest,
        "expires_at": format_time(g.expires_at),
        "redeemed_at": format_time(g.redeemed_at) if g.redeemed_at else "",
        "start_id": g.start_id,
        "uses": g.uses,
        "used": g.used,
        "span": g.span.value,
        "effects": [effect_view(x, text) for x in (*h.earlier_effects, h.effect) if x],
    }


def effect_view(x: EffectRecord, text: Callable[[BodyRef | None], str]) -> Result:
    return {
        "outcome": x.outcome.value,
        "exit_code": x.exit_code,
        "output_body_id": x.output.body_id if x.output else "",
        "output": text(x.output)[-MAX_OUTPUT:],
        "executed_digest": x.executed_digest,
        "note": x.note,
        "at": format_time(x.at),
        "use": x.use,
    }


def may_give(h: Handoff) -> Result:
    """The most that the approval that decides may cover. An edited form is approved for one start."""
    scope = Scope() if h.edit else h.requirement.scope
    return {
        "times": scope.times,
        "span": scope.span.value if h.task_id else Span.RUN.value,
        "within_s": scope.within_s,
        "words": shown(scope),
    }
