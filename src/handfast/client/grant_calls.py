"""Calls about how far an approval reaches, about taking it back, and about undoing what ran."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from handfast.client.request import Json, Request, new_key, read_object


def with_scope(decision: Request[Json], scope: Mapping[str, object]) -> Request[Json]:
    """The same approval for more than one start: `{times?, span?, within_s?, until?}`."""
    return replace(decision, body={**(decision.body or {}), "scope": dict(scope)})


def revoke(grant_id: str, *, reason: str = "", person: str = "", pin: str = "") -> Request[Json]:
    """Take back the starts of a grant that are left."""
    body: Json = {"reason": reason, "person": person, "pin": pin}
    return _post(f"/v1/grants/{quote(grant_id, safe='')}/revoke", body)


def undo(handoff_id: str) -> Request[Json]:
    """Ask for the undo of what an approved action did: a handoff of its own."""
    return _post(f"/v1/handoffs/{quote(handoff_id, safe='')}/undo", {})


def reconciled(handoff_id: str, fields: Mapping[str, object]) -> Request[Json]:
    """What the probe of a doubt found: `{command, exit_code?, …}`."""
    return _post(f"/v1/handoffs/{quote(handoff_id, safe='')}/reconciled", dict(fields))


def carried_over(handoff_id: str, fields: Mapping[str, object]) -> Request[Json]:
    """A trivial change after an approval, with its proof."""
    return _post(f"/v1/handoffs/{quote(handoff_id, safe='')}/carry-over", dict(fields))


def _post(path: str, body: Json) -> Request[Json]:
    return Request("POST", path, read_object, body=body, key=new_key())
