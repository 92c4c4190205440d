"""People, on-call and the kill switch through the HTTP API and the pages."""

from datetime import UTC, datetime, timedelta

import pytest

from handfast.core.domain.publication import ORGANISATION
from tests.served import LOGIN, PASSWORD, PIN, PUSH, Json, Served, decision

PROOF = {"person": LOGIN, "pin": PIN}
POLICY = """\
version: 1
rotations:
  payments: {people: [noor, bob], starts: 2020-01-06T09:00, zone: Europe/Berlin, every: 2w}
"""


def _later(hours: int = 8) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def _invited(served: Served, login: str, roles: list[str]) -> None:
    """Somebody uses the link that an admin made, in a browser."""
    made = served.client("operator").post("/v1/people/invitations", json={"roles": roles, **PROOF})
    assert made.status_code == 201, made.text
    path = made.json()["path"]
    guest = served.client(Origin=served.url, Accept="text/html")
    assert "Set up" in guest.get(path).text
    form = {"name": login.title(), "login": login, "password": PASSWORD, "pin": "551177"}
    assert guest.post(path, data=form).status_code == 303
    assert guest.get(path).status_code == 403


def test_an_invited_person_signs_in_with_the_roles_of_the_link(served: Served) -> None:
    operator = served.client("operator")
    refused = operator.post("/v1/people/invitations", json={"roles": ["reviewer"]})
    assert refused.status_code == 403
    _invited(served, "bob", ["reviewer", "operator"])
    people = operator.get("/v1/people").json()["items"]
    assert [(p["name"], p["roles"]) for p in people] == [
        ("Noor Haddad", ["reviewer", "operator", "admin", "auditor"]),
        ("Bob", ["operator", "reviewer"]),
    ]
    bob = {"person": "bob", "pin": "551177"}
    mine = operator.post("/v1/people/roles", json={"login": "bob", "roles": ["admin"], **bob})
    assert mine.status_code == 403
    changed = {"login": "bob", "roles": ["viewer"], **PROOF}
    assert operator.post("/v1/people/roles", json=changed).json()["roles"] == ["viewer"]
    last = operator.post("/v1/people/roles", json={"login": LOGIN, "roles": ["viewer"], **PROOF})
    assert (last.status_code, "last admin" in last.json()["detail"]) == (409, True)
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    assert operator.post(path, json=decision(handoff, **bob)).status_code == 403


def test_absences_and_overrides_say_who_is_on_call(served: Served) -> None:
    operator = served.client("operator")
    _invited(served, "bob", ["reviewer"])
    from handfast.core.domain.events import Actor

    me = Actor("person", served.person_id, "browser")
    served.engine.policies.propose(me, ORGANISATION, POLICY)
    (shown,) = operator.get("/v1/oncall").json()["items"]
    assert (shown["rotation"], shown["via"], len(shown["people"])) == ("payments", "turn", 1)
    wanted = {"rotation": "payments", "login": "bob", "ends": _later(), "reason": "a swap"}
    assert operator.post("/v1/oncall/overrides", json=wanted).status_code == 403
    done = operator.post("/v1/oncall/overrides", json={**wanted, **PROOF})
    assert done.status_code == 201
    assert (done.json()["items"][0]["people"], done.json()["items"][0]["via"]) == (["Bob"], "cover")
    no_zone = {**wanted, "ends": "2099-01-01T00:00:00", **PROOF}
    assert operator.post("/v1/oncall/overrides", json=no_zone).status_code == 422
    away = {"ends": _later(), "delegate": LOGIN, "person": "bob", "pin": "551177"}
    said = operator.post("/v1/people/away", json=away).json()
    assert (said["name"], said["delegate"]) == ("Bob", "Noor Haddad")
    back = operator.post("/v1/people/back", json={"login": "bob", **PROOF}).json()
    assert (back["away_until"], back["absences"]) == ("", [])


def _propose(served: Served, run_id: str, key: str, effect: str = "network") -> Json:
    facts = {"effect": effect, "summary": "does something"}
    body = {"key": key, "call": PUSH["call"], "facts": facts}
    answer = served.client("runner").post(f"/v1/runs/{run_id}/actions", json=body)
    found: Json = answer.json()
    return found


def test_a_kill_stops_everything_and_is_seen_everywhere(served: Served) -> None:
    operator, runner = served.client("operator"), served.client("runner")
    handoff = served.stop()
    approved = operator.post(
        f"/v1/handoffs/{handoff['handoff_id']}/decisions", json=decision(handoff)
    ).json()
    waiting = served.stop(handoff["run_id"], "t2", "git push origin two")
    kill = {"scope": "all", "reason": "deploys <b>delete</b> data"}
    for kind in ("agent", "runner", "operator"):
        assert served.client(kind).post("/v1/control/kill", json=kill).status_code == 403
    killed = operator.post("/v1/control/kill", json={**kill, **PROOF})
    assert killed.status_code == 200, killed.text
    says = "all agents are stopped by Noor Haddad: deploys <b>delete</b> data"
    assert [s["says"] for s in killed.json()["items"]] == [says]

    denied = _propose(served, handoff["run_id"], "t3")
    assert (denied["verdict"], says in denied["reason"]) == ("deny", True)
    steps = operator.get(f"/v1/runs/{handoff['run_id']}/steps").json()["items"]
    assert "kill-switch" in steps[-1]["rules"]
    assert _propose(served, handoff["run_id"], "t4", "read")["verdict"] == "allow"
    grant = approved["grant"]["grant_id"]
    redeem = {"action_digest": handoff["action_digest"], "executor": "hooked"}
    for client in (runner, operator, served.client("agent")):
        refused = client.post(f"/v1/grants/{grant}/redeem", json=redeem)
        assert (refused.status_code, refused.json()["code"]) == (409, "kill_switch")

    browser = served.browser()
    for path in ("/", "/runs", f"/h/{waiting['handoff_id']}"):
        page = browser.get(path).text
        assert "deploys &lt;b&gt;delete&lt;/b&gt; data" in page, path
    assert operator.get("/v1/hooks/status").json()["killed"] == [says]
    served.engine.sweep()
    frozen = operator.post(
        f"/v1/handoffs/{waiting['handoff_id']}/decisions", json=decision(waiting)
    )
    assert (frozen.status_code, frozen.json()["code"]) == (409, "frozen")

    release = {"scope": "all", "reason": "understood", **PROOF}
    early = operator.post("/v1/control/release", json={**release, "stage": "all"})
    assert early.status_code == 409
    operator.post("/v1/control/release", json={**release, "stage": "review"})
    served.engine.sweep()
    assert operator.post(
        f"/v1/handoffs/{waiting['handoff_id']}/decisions", json=decision(waiting)
    ).status_code == 201  # fmt: skip
    assert runner.post(f"/v1/grants/{grant}/redeem", json=redeem).status_code == 409
    some = {**release, "stage": "agents", "agents": [served.agent_id]}
    assert operator.post("/v1/control/release", json=some).status_code == 200
    assert runner.post(f"/v1/grants/{grant}/redeem", json=redeem).status_code == 201
    operator.post("/v1/control/release", json={**release, "stage": "all"})
    assert operator.get("/v1/control").json() == {"items": []}
    assert "deploys" not in browser.get("/runs").text
    types = [row.type for row in served.engine.kernel.store.scan()]
    assert types.count("control.released") == 3


def test_a_signed_in_person_kills_from_the_browser_without_a_pin(served: Served) -> None:
    browser = served.browser()
    killed = browser.post(
        "/v1/control/kill", json={"scope": f"agent:{served.agent_id}", "reason": "odd"}
    )
    assert killed.status_code == 200
    assert killed.json()["items"][0]["scope"] == f"agent:{served.agent_id}"


@pytest.mark.parametrize("scope", ["", "everything", "team:", "team:none"])
def test_what_is_no_scope_stops_nothing(served: Served, scope: str) -> None:
    body = {"scope": scope, "reason": "x", **PROOF}
    answer = served.client("operator").post("/v1/control/kill", json=body)
    assert answer.status_code in (404, 422)
    assert served.engine.switch.status() == []
