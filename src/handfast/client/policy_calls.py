"""The calls of the API that are about policy, as values to send."""

from handfast.client.request import Json, Request, get, post, read_items, read_object


def policies() -> Request[list[Json]]:
    return get("/v1/policies", read_items)


def policy_text(scope: str, *, proposed: bool = False) -> Request[Json]:
    query = {"scope": scope, "proposed": "true" if proposed else None}
    return get("/v1/policies/text", read_object, query)


def policies_in_force(repository: str = "") -> Request[Json]:
    """Digest and texts of all that holds for a repository."""
    return get("/v1/policies/in-force", read_object, {"repository": repository})


def propose_policy(
    scope: str, text: str, reason: str = "", *, person: str = "", pin: str = ""
) -> Request[Json]:
    body = {"scope": scope, "text": text, "reason": reason, "person": person, "pin": pin}
    return post("/v1/policies", body)


def judge_proposed_policy(
    what: str, scope: str, digest: str, reason: str = "", *, person: str = "", pin: str = ""
) -> Request[Json]:
    """`what` is `approve` or `decline`."""
    body = {"scope": scope, "digest": digest, "reason": reason, "person": person, "pin": pin}
    return post(f"/v1/policies/{what}", body)
