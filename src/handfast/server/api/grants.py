"""Grants: the exact call that was approved, its one start, and what came of it."""

from fastapi import APIRouter

from handfast.core.domain.errors import NotFound
from handfast.engine.grants import EffectReport, Redemption, handoff_of
from handfast.server.api import contents
from handfast.server.api import schema_grant as granted
from handfast.server.api import schema_handoff as schema
from handfast.server.api.tasks import Key
from handfast.server.identity import Caller, CallerDep

router = APIRouter(prefix="/v1/grants", tags=["grants"])


def _handoff(caller: Caller, grant_id: str) -> str:
    """The handoff behind a grant that this caller may use. Raises NotFound, naming the grant."""
    handoff_id = handoff_of(grant_id)
    try:
        caller.handoff(handoff_id)
    except NotFound:
        raise NotFound(f"there is no grant `{grant_id}`") from None
    return handoff_id


@router.get("/{grant_id}")
def get_grant(caller: CallerDep, grant_id: str) -> granted.GrantDetail:
    handoff_id = _handoff(caller, grant_id)
    return granted.GrantDetail.model_validate(caller.engine.views.grant(handoff_id))


@router.post("/{grant_id}/redeem", status_code=201)
def redeem_grant(
    caller: CallerDep, grant_id: str, asked: granted.RedeemIn, idempotency_key: Key = ""
) -> granted.Started:
    """Take the one start. Anything but exactly the approved call is refused, and the refusal recorded."""
    redemption = Redemption(
        handoff_id=_handoff(caller, grant_id),
        grant_id=grant_id,
        action_digest=asked.action_digest,
        executor=asked.executor,
        run_id=asked.run_id,
        epoch=asked.epoch,
        request_key=caller.key(idempotency_key),
    )
    return granted.Started.model_validate(caller.engine.grants.redeem(caller.actor, redemption))


@router.post("/{grant_id}/revoke")
def revoke_grant(caller: CallerDep, grant_id: str, asked: schema.RevokeIn) -> granted.Revoked:
    """Take back the starts that are left. A person's, like the decision that gave them."""
    handoff_id = _handoff(caller, grant_id)
    person = caller.decider(asked.person, asked.pin, handoff_id)
    return granted.Revoked.model_validate(
        caller.engine.grants.revoke(person, handoff_id, asked.reason)
    )


@router.post("/{grant_id}/effect")
def record_effect(caller: CallerDep, grant_id: str, asked: granted.EffectIn) -> granted.EffectNoted:
    """What the start led to. A second report of the same start changes nothing."""
    report = EffectReport(
        handoff_id=_handoff(caller, grant_id),
        start_id=asked.start_id,
        outcome=asked.outcome,
        executed_digest=asked.executed_digest,
        exit_code=asked.exit_code,
        output=contents.text(caller, asked.output_body_id, asked.output),
        note=asked.note,
        doubt=asked.doubt,
    )
    return granted.EffectNoted.model_validate(caller.engine.grants.effect(caller.actor, report))
