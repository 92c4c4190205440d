"""Scope, revoking, edits and carry-over over HTTP and in the browser: who may, what is refused, what is shown."""

import pytest

from handfast.core.domain.events import Actor
from handfast.core.domain.publication import ORGANISATION
from tests.served import LOGIN, PIN, Json, Served, decision

POLICY = """\
version: 1
builtin: {off: [push]}
gates:
  - id: push
    when: call.hazards.exists(h, h == "git.push")
    require: {scope: {times: 3, within: 2h}}
actions:
  - {id: push, when: 'call.command.startsWith("git push")', reversible: true}
"""


@pytest.fixture
def asked(served: Served) -> Json:
    person = Actor("person", served.person_id, "browser")
    served.engine.policies.propose(person, ORGANISATION, POLICY)
    return served.stop()


def approve(served: Served, handoff: Json, **more: object) -> tuple[int, Json]:
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    answer = served.client("operator").post(path, json=decision(handoff, **more))  # type: ignore[arg-type]
    return answer.status_code, answer.json()


def test_what_may_be_given_is_shown_and_what_was_given_counts(served: Served, asked: Json) -> None:
    assert asked["may_give"]["words"] == "3 times, for this run, within 2 h"
    code, done = approve(served, asked, scope={"times": 2, "span": "run"})
    assert (code, done["grant"]["uses"], done["grant"]["used"]) == (201, 2, 0)
    grant_id, digest = done["grant"]["grant_id"], done["grant"]["action_digest"]
    agent = served.client("agent")
    redeem = {"action_digest": digest, "executor": "mediated"}
    for used in (1, 2):
        start = agent.post(f"/v1/grants/{grant_id}/redeem", json=redeem)
        assert start.status_code == 201, start.text
        assert agent.post(f"/v1/grants/{grant_id}/redeem", json=redeem).status_code == 409
        effect = {"start_id": start.json()["start_id"], "outcome": "verified", "exit_code": used}
        assert agent.post(f"/v1/grants/{grant_id}/effect", json=effect).status_code == 200
        shown = agent.get(f"/v1/grants/{grant_id}").json()["grant"]
        assert (shown["used"], [x["exit_code"] for x in shown["effects"]][-1]) == (used, used)
    assert agent.post(f"/v1/grants/{grant_id}/redeem", json=redeem).json()["code"] == "grant_used"


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"times": 4}, "scope_too_wide"),
        ({"times": 2, "within_s": 7201}, "scope_too_wide"),
        ({"until": "2001-01-01T00:00:00Z"}, "usage"),
        ({"times": -1}, "invalid_request"),
        ({"times": 2, "span": "ever"}, "invalid_request"),
    ],
)
def test_a_wider_scope_is_refused(served: Served, asked: Json, scope: Json, code: str) -> None:
    status, problem = approve(served, asked, scope=scope)
    assert (status, problem["code"]) == (422, code)
    read = served.client("operator").get(f"/v1/handoffs/{asked['handoff_id']}").json()
    assert read["waiting"]


def test_only_a_person_revokes(served: Served, asked: Json) -> None:
    _, done = approve(served, asked, scope={"times": 3})
    path = f"/v1/grants/{done['grant']['grant_id']}/revoke"
    for kind in ("agent", "runner"):
        assert served.client(kind).post(path, json={}).status_code == 403
    assert served.client("operator").post(path, json={}).status_code == 403
    proof = {"person": LOGIN, "pin": PIN, "reason": "enough"}
    revoked = served.client("operator").post(path, json=proof)
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    page = served.browser().get(f"/handoffs/{asked['handoff_id']}").text
    assert "Permission taken back" in page


def test_the_browser_gives_a_scope_and_shows_its_use(served: Served, asked: Json) -> None:
    browser, path = served.browser(), f"/handoffs/{asked['handoff_id']}"
    page = browser.get(path).text
    assert "at most 3 times, for this run, within 2 h" in page
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {
        "csrf_token": token,
        "kind": "approve",
        "presented_digest": asked["presented_digest"],
        "reason": "fine",
        "scope_span": "run",
        "scope_hours": "",
    }
    refused = browser.post(f"{path}/decide", data={**form, "scope_times": "9"})
    assert refused.status_code == 422
    assert "between 1 and 3 times" in refused.text
    taken = browser.post(f"{path}/decide", data={**form, "scope_times": "3"})
    assert taken.status_code == 303
    assert "0 of 3 times, for this run" in browser.get(path).text


def test_a_stricter_edit_answers_with_the_case_it_opened(served: Served, asked: Json) -> None:
    code, done = approve(
        served, asked, kind="approve_with_edits", edited_call="git push --force origin main"
    )
    assert code == 201
    assert done["handoff_id"] != asked["handoff_id"]
    assert (done["waiting"], done["about"], done["editor"]) == (
        True,
        asked["handoff_id"],
        served.person_id,
    )
    status, problem = approve(served, done)
    assert (status, problem["code"]) == (403, "not_eligible")
    assert "the edit is yours" in problem["detail"]


@pytest.mark.parametrize("what", ["reconciled", "carry-over"])
def test_only_a_runner_proves_and_probes(served: Served, asked: Json, what: str) -> None:
    path = f"/v1/handoffs/{asked['handoff_id']}/{what}"
    body: Json = {"command": ["true"], "exit_code": 0} if what == "reconciled" else {}
    for kind in ("agent", "operator"):
        assert served.client(kind).post(path, json=body).status_code == 403
    served.client("runner").post(path, json=body)
    read = served.client("operator").get(f"/v1/handoffs/{asked['handoff_id']}").json()
    assert (read["waiting"], read["grant"]) == (True, None)


def test_an_agent_asks_for_no_undo(served: Served, asked: Json) -> None:
    path = f"/v1/handoffs/{asked['handoff_id']}/undo"
    assert served.client("agent").post(path).status_code == 403
    assert served.client("operator").post(path).status_code == 409
