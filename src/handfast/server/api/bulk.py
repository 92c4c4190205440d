"""Several small approvals in one call."""

from fastapi import APIRouter

from handfast.core.domain.errors import NotFound
from handfast.engine.bulk import Pick, Taken, Together
from handfast.server.api import schema_bulk as schema
from handfast.server.api.schema_checkpoint import RefusalOut
from handfast.server.api.tasks import Key
from handfast.server.identity import CallerDep
from handfast.server.refusals import note

router = APIRouter(prefix="/v1/handoffs", tags=["handoffs"])


@router.post("/decisions")
def decide_handoffs(
    caller: CallerDep, asked: schema.TogetherIn, idempotency_key: Key = ""
) -> schema.TogetherOut:
    """Approve several cases that one look is enough for. Each is a decision of its own, bound to its digest;
    the answer names what was refused and why, and the rest stands.
    """
    person = caller.person(asked.person, asked.pin)
    given = Together(
        picks=[Pick(item.handoff_id, item.presented_digest) for item in asked.items],
        reason=asked.reason.strip(),
        request_key=caller.key(asked.idempotency_key or idempotency_key, person),
    )
    try:
        taken = caller.engine.approve_together(person, given)
    except NotFound:
        caller.engine.access.refused(person, caller.operation, "need to know of all of these")
        raise
    for each in taken:
        if each.refused is not None:
            note(caller.engine, person, caller.operation, each.refused)
    return schema.TogetherOut(results=[_shown(each) for each in taken])


def _shown(taken: Taken) -> schema.TakenOut:
    e = taken.refused
    return schema.TakenOut(
        handoff_id=taken.handoff_id,
        ask=taken.ask,
        decided=taken.decided,
        grant_id=taken.grant_id,
        refused=RefusalOut(code=e.code, message=e.message, hint=e.hint, retryable=e.retryable)
        if e is not None
        else None,
    )
