"""Calls about people, rotations and the kill switch, as values to send. See `calls`."""

from collections.abc import Mapping, Sequence

from handfast.client.request import Json, Request, new_key, read_items, read_object

Proof = Mapping[str, object]


def _post(path: str, body: Mapping[str, object], proof: Proof) -> Request[Json]:
    given = {k: v for k, v in {**body, **proof}.items() if v not in (None, "")}
    return Request("POST", path, read_object, body=given, key=new_key())


def _list(path: str) -> Request[list[Json]]:
    return Request("GET", path, read_items)


def people() -> Request[list[Json]]:
    return _list("/v1/people")


def invite(roles: Sequence[str], proof: Proof) -> Request[Json]:
    """The answer's `path` is the link, below the server's address. It is seen only once."""
    body = {"roles": list(roles), **proof}
    return Request("POST", "/v1/people/invitations", read_object, body=body)


def set_roles(login: str, roles: Sequence[str], proof: Proof) -> Request[Json]:
    return _post("/v1/people/roles", {"login": login, "roles": list(roles)}, proof)


def disable(login: str, proof: Proof) -> Request[Json]:
    return _post("/v1/people/disable", {"login": login}, proof)


def enable(login: str, proof: Proof) -> Request[Json]:
    return _post("/v1/people/enable", {"login": login}, proof)


def away(starts: str, ends: str, login: str, delegate: str, proof: Proof) -> Request[Json]:
    """Times are RFC 3339; `starts` '' is now, `login` '' oneself."""
    body = {"starts": starts, "ends": ends, "login": login, "delegate": delegate}
    return _post("/v1/people/away", body, proof)


def back(login: str, proof: Proof) -> Request[Json]:
    return _post("/v1/people/back", {"login": login}, proof)


def sign_out(login: str, proof: Proof) -> Request[Json]:
    return _post("/v1/people/sign-out", {"login": login}, proof)


def projects() -> Request[list[Json]]:
    return _list("/v1/projects")


def set_project(
    name: str,
    repositories: Sequence[str],
    members: Sequence[str],
    teams: Sequence[str],
    proof: Proof,
) -> Request[Json]:
    """Replaces all of it; without repositories it is removed."""
    given = {"repositories": list(repositories), "members": list(members), "teams": list(teams)}
    return _post("/v1/projects", {"name": name, **given}, proof)


def on_call() -> Request[list[Json]]:
    return _list("/v1/oncall")


def override(
    rotation: str, login: str, starts: str, ends: str, reason: str, proof: Proof
) -> Request[Json]:
    """`login` '' takes an override of that time back."""
    body = {
        "rotation": rotation,
        "login": login,
        "starts": starts,
        "ends": ends,
        "reason": reason,
    }
    return _post("/v1/oncall/overrides", body, proof)


def control() -> Request[list[Json]]:
    """What is stopped."""
    return _list("/v1/control")


def kill(scope: str, reason: str, proof: Proof) -> Request[Json]:
    return _post("/v1/control/kill", {"scope": scope, "reason": reason}, proof)


def release(
    scope: str, stage: str, reason: str, agents: Sequence[str], proof: Proof
) -> Request[Json]:
    body = {"scope": scope, "stage": stage, "reason": reason, "agents": list(agents)}
    return _post("/v1/control/release", body, proof)
