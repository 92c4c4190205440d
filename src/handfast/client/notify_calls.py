"""Calls about notifications, as values to send. See `calls`."""

from collections.abc import Mapping, Sequence

from handfast.client.request import Json, Request, path_part, read_items, read_object
from handfast.client.request import get as _get

Proof = Mapping[str, object]
_CONTACTS = "/v1/notifications/contacts"


def _post(path: str, body: Mapping[str, object], proof: Proof) -> Request[Json]:
    return Request("POST", path, read_object, body={**body, **proof})


def show(proof: Proof) -> Request[Json]:
    return _post("/v1/notifications/show", {}, proof)


def add(channel: str, address: str, takes: str, proof: Proof) -> Request[Json]:
    """The answer's `secret` is of a webhook, and is seen only once."""
    return _post(_CONTACTS, {"channel": channel, "address": address, "takes": takes}, proof)


def change(contact_id: str, takes: str, proof: Proof) -> Request[Json]:
    return _post(f"{_CONTACTS}/{path_part(contact_id)}", {"takes": takes}, proof)


def remove(contact_id: str, proof: Proof) -> Request[Json]:
    return _post(f"{_CONTACTS}/{path_part(contact_id)}/remove", {}, proof)


def rotate(contact_id: str, proof: Proof) -> Request[Json]:
    return _post(f"{_CONTACTS}/{path_part(contact_id)}/rotate", {}, proof)


def test(contact_id: str, proof: Proof) -> Request[Json]:
    return _post(f"{_CONTACTS}/{path_part(contact_id)}/test", {}, proof)


def quiet(
    zone: str, days: Sequence[int], start: str, end: str, digest_minutes: int, proof: Proof
) -> Request[Json]:
    body = {
        "zone": zone,
        "days": list(days),
        "start": start,
        "end": end,
        "digest_minutes": digest_minutes,
    }
    return _post("/v1/notifications/quiet", body, proof)


def slack_code(proof: Proof) -> Request[Json]:
    return _post("/v1/notifications/slack-code", {}, proof)


def notices(handoff_id: str) -> Request[list[Json]]:
    return _get(f"/v1/handoffs/{path_part(handoff_id)}/notices", read_items)


def notice(notice_id: str) -> Request[Json]:
    return _get(f"/v1/notices/{path_part(notice_id)}", read_object)
