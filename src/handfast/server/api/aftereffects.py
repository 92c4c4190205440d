"""After a decision or an effect: an undo is asked for, a probe settles a doubt, a trivial change is carried over."""

from fastapi import APIRouter

from handfast.engine.carrying import Proof
from handfast.engine.undoing import Probed
from handfast.server.api import schema_aftereffects as schema
from handfast.server.identity import CallerDep

router = APIRouter(prefix="/v1/handoffs/{handoff_id}", tags=["handoffs"])


@router.post("/undo", status_code=201)
def undo_handoff(caller: CallerDep, handoff_id: str) -> schema.UndoAsked:
    """Ask for the declared undo of what ran: a handoff of its own. Nothing is undone by this call."""
    caller.handoff(handoff_id)
    return schema.UndoAsked.model_validate(caller.engine.undoing.undo(caller.actor, handoff_id))


@router.post("/reconciled")
def reconcile_handoff(
    caller: CallerDep, handoff_id: str, asked: schema.ProbedIn
) -> schema.Reconciled:
    """What the probe declared for a doubt found. `answer` is empty where it settled nothing."""
    probed = Probed(
        handoff_id,
        asked.command,
        asked.exit_code,
        asked.duration_ms,
        asked.output,
        asked.refused,
    )
    return schema.Reconciled.model_validate(caller.engine.undoing.reconciled(caller.actor, probed))


@router.post("/carry-over")
def carry_over_handoff(caller: CallerDep, handoff_id: str, asked: schema.CarryIn) -> schema.Carried:
    """The target of an approved merge moved. Bound to where it stands now, or closed as stale."""
    proof = None
    if asked.kind:
        proof = Proof(
            asked.kind,
            asked.commit,
            asked.old_target,
            asked.new_target,
            asked.old_patch_id,
            asked.new_patch_id,
        )
    return schema.Carried.model_validate(
        caller.engine.carrying.carry(caller.actor, handoff_id, proof, asked.attempted)
    )
