"""Calls about how far an approval reaches, about taking it back, and about undoing what ran."""

from collections.abc import Mapping
from dataclasses import replace

from handfast.client.request import Json, Request, new_key
from handfast.client.request import path_part as _id
from handfast.client.request import post as _post


def with_scope(decision: Request[Json], scope: Mapping[str, object]) -> Request[Json]:
    """The same approval for more than one start: `{times?, span?, within_s?, until?}`."""
    return replace(decision, body={**(decision.body or {}), "scope": dict(scope)})


def revoke(grant_id: str, *, reason: str = "", person: str = "", pin: str = "") -> Request[Json]:
    """Take back the starts of a grant that are left."""
    body: Json = {"reason": reason, "person": person, "pin": pin}
    return _post(f"/v1/grants/{_id(grant_id)}/revoke", body, new_key())


def undo(handoff_id: str) -> Request[Json]:
    """Ask for the undo of what an approved action did: a handoff of its own."""
    return _post(f"/v1/handoffs/{_id(handoff_id)}/undo", {}, new_key())


def reconciled(handoff_id: str, fields: Mapping[str, object]) -> Request[Json]:
    """What the probe of a doubt found: `{command, exit_code?, …}`."""
    return _post(f"/v1/handoffs/{_id(handoff_id)}/reconciled", dict(fields), new_key())


def carried_over(handoff_id: str, fields: Mapping[str, object]) -> Request[Json]:
    """A trivial change after an approval, with its proof."""
    return _post(f"/v1/handoffs/{_id(handoff_id)}/carry-over", dict(fields), new_key())
