"""Checkpoints: listed, read, opened early, decided in one pass."""

from functools import partial

from fastapi import APIRouter

from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS
from handfast.engine.passes import Item, Pass
from handfast.server.api import schema_checkpoint as schema
from handfast.server.api.schema_gate import edited_text
from handfast.server.api.tasks import Key
from handfast.server.identity import Caller, CallerDep
from handfast.server.refusals import note

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"])


@router.get("")
def list_checkpoints(caller: CallerDep) -> schema.CheckpointPage:
    """The latest 50 checkpoints, and every handoff that waits for one with why and until when."""
    views, sight = caller.engine.checkpoint_views, caller.sight
    found = {"items": views.checkpoints(sight), "deferred": views.deferred(sight)}
    return schema.CheckpointPage.model_validate(found)


@router.post("/open", status_code=201)
def open_checkpoint(caller: CallerDep, asked: schema.OpenIn) -> schema.OpenedOut:
    """Ask now what waits for a checkpoint. The others it concerns are told; nothing is decided."""
    person = caller.decider(asked.person, asked.pin, *asked.handoffs)
    done = caller.engine.checkpoints.open_now(person, asked.handoffs)
    return schema.OpenedOut.model_validate(done)


@router.get("/{checkpoint_id}")
def get_checkpoint(caller: CallerDep, checkpoint_id: str) -> schema.CheckpointOut:
    """With everything a reviewer needs about each of its handoffs."""
    found = caller.checkpoint(checkpoint_id)
    return schema.CheckpointOut.model_validate(found)


@router.post("/{checkpoint_id}/decisions")
def decide_checkpoint(
    caller: CallerDep, checkpoint_id: str, asked: schema.PassIn, idempotency_key: Key = ""
) -> schema.PassOut:
    """Several decisions in one pass. Each is bound to its digest and taken or refused by itself: the answer
    names what was refused and why, and the rest stands. No approval takes less than it does alone.
    """
    person = caller.person(asked.person, asked.pin)
    caller.checkpoint(checkpoint_id, person)
    given = Pass(
        checkpoint_id=checkpoint_id,
        items=tuple(_item(caller, item) for item in asked.items),
        reason=asked.reason.strip(),
        request_key=caller.key(asked.idempotency_key or idempotency_key, person),
    )
    refused = partial(note, caller.engine, person, caller.operation)
    done = caller.engine.checkpoints.passes.decide(person, given, refused)
    return schema.PassOut.model_validate(done)


def _item(caller: Caller, item: schema.PassItemIn) -> Item:
    now = caller.engine.kernel.clock.now()
    return Item(
        handoff_id=item.handoff_id,
        kind=item.kind,
        presented_digest=item.presented_digest,
        reason=item.reason.strip(),
        answer=item.answer,
        edited=edited_text(item.edited_call),
        scope=item.scope.wanted(now) if item.scope else AS_THE_RULE_SAYS,
    )
