"""The inbox from a real server: filters, saved views, one pass over several, what the stream tells."""

import json
import re

import httpx

from handfast.core.domain.handoff import Handoff
from tests.integration.test_api_sessions import token
from tests.served import PIN, Json, Served, decision

POLICY = """version: 1
builtin: {off: [push]}
gates:
  - {id: small, when: 'call.command.contains("small")', risk: low, require: {approvals: 1}}
  - {id: rest, when: '!call.command.contains("small")', risk: high, require: {approvals: 1}}
actions:
  - {id: small, when: 'call.command.contains("small")', reversible: true, undo: [git, push, origin, --delete, small]}
"""


def _ruled(served: Served) -> None:
    made = served.client("operator").post(
        "/v1/policies", json={"scope": "organisation", "text": POLICY, "person": "noor", "pin": PIN}
    )
    assert made.status_code == 201, made.text


def _cases(served: Served) -> tuple[Json, Json]:
    """One that a look is enough for, one that is not."""
    _ruled(served)
    run_id = served.session_run()
    small = served.stop(run_id, "k1", "git push origin small")
    return small, served.stop(run_id, "k2", "git push origin main")


def _approve(browser: httpx.Client, *cases: Json, **more: str) -> httpx.Response:
    marked = {f"pick.{c['handoff_id']}": str(c["presented_digest"]) for c in cases}
    csrf = {"csrf_token": token(browser.get("/").text)}
    return browser.post("/inbox/approve", data=csrf | marked | more)


def test_the_page_offers_in_bulk_only_what_the_server_takes(served: Served) -> None:
    small, big = _cases(served)
    browser = served.browser()
    offered = set(re.findall(r'name="pick\.([^"]+)"', browser.get("/").text))
    assert offered == {small["handoff_id"]}
    answer = _approve(browser, small, big)
    assert answer.status_code == 200
    assert "1 of 2 approved" in answer.text
    assert "not in bulk: high risk" in answer.text
    states = [served.engine.kernel.state(Handoff, str(c["handoff_id"])) for c in (small, big)]
    assert [bool(s.decision) for s in states] == [True, False]


def test_nothing_is_approved_in_bulk_without_a_mark_or_the_token(served: Served) -> None:
    small, _ = _cases(served)
    browser = served.browser()
    assert _approve(browser).status_code == 422
    assert _approve(browser, small, csrf_token="").status_code == 403
    assert served.engine.kernel.state(Handoff, str(small["handoff_id"])).decision is None


def test_filters_narrow_and_say_what_they_looked_at(served: Served) -> None:
    small, big = _cases(served)
    browser = served.browser()
    for query, shown in (
        ("risk=high", (False, True)),
        ("need=stamp", (True, False)),
        ("agent=BILLING", (True, True)),
        ("agent=nobody", (False, False)),
        ("held=me", (False, False)),
        ("held=nobody&kind=approval", (True, True)),
        ("q=pushes", (True, True)),
        ("repo=elsewhere", (False, False)),
        ("risk=nonsense", (True, True)),
    ):
        page = browser.get(f"/?{query}").text
        found = tuple(f'data-case="{c["handoff_id"]}"' in page for c in (small, big))
        assert found == shown, query
    assert "2 cases were looked at" in browser.get("/?q=zzz").text


def test_a_view_is_saved_shown_and_forgotten(served: Served) -> None:
    browser = served.browser()
    page = browser.get("/?risk=high").text
    form = {"csrf_token": token(page), "risk": "high", "name": "Heavy <b>"}
    assert browser.post("/inbox/views", data=form).headers["location"] == "/?risk=high"
    assert "Heavy &lt;b&gt;" in browser.get("/").text
    assert "Heavy &lt;b&gt;" in browser.get("/settings").text
    assert browser.post("/inbox/views", data=form | {"name": " "}).status_code == 422
    assert browser.post("/inbox/views", data=form | {"csrf_token": ""}).status_code == 403
    forget = {"csrf_token": token(page), "forget": "Heavy <b>"}
    assert browser.post("/inbox/views", data=forget).status_code == 303
    assert "Heavy" not in browser.get("/").text


def test_an_approval_is_taken_back_before_it_starts(served: Served) -> None:
    _, big = _cases(served)
    browser = served.browser()
    path = f"/handoffs/{big['handoff_id']}"
    made = served.client("operator").post(f"/v1{path}/decisions", json=decision(big))
    assert made.status_code == 201, made.text
    page = browser.get(path).text
    assert "Take it back" in page
    assert "data-until=" in page
    form = {"csrf_token": token(page), "act": "revoke"}
    assert browser.post(f"{path}/routing", data=form).status_code == 303
    after = browser.get(path).text
    assert "Permission taken back" in after
    assert "Take it back" not in after
    assert browser.post(f"{path}/routing", data=form).status_code == 409


def test_the_undo_of_what_ran_is_asked_for_from_its_receipt(served: Served) -> None:
    small, _ = _cases(served)
    path = f"/handoffs/{small['handoff_id']}"
    browser = served.browser()
    assert _approve(browser, small).status_code == 200
    runner, run = served.client("runner"), f"/v1/runs/{small['run_id']}"
    call = {"tool": "Bash", "arguments": {"command": "git push origin small"}}
    facts = {"effect": "network", "summary": "pushes main to origin", "hazards": ["git.push"]}
    said = runner.post(f"{run}/actions", json={"key": "k1", "call": call, "facts": facts})
    assert said.json()["verdict"] == "allow", said.text
    runner.post(f"{run}/results", json={"key": "k1", "exit_code": 0})
    page = browser.get(path).text
    assert "Ask for its undo" in page
    asked = browser.post(f"{path}/routing", data={"csrf_token": token(page), "act": "undo"})
    assert asked.status_code == 303
    undo = asked.headers["location"]
    assert undo != path
    assert "git push origin --delete small" in browser.get(undo).text


def test_the_stream_says_who_decided_what_in_words(served: Served) -> None:
    handoff = served.stop()
    browser = served.browser()
    with browser.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
        served.client("operator").post(path, json=decision(handoff, "reject"))
        data = next(line for line in lines if line.startswith("data:") and "Refused" in line)
    news = json.loads(data.removeprefix("data:"))
    assert news["handoff_id"] == handoff["handoff_id"]
    assert (news["waiting"], news["says"]) == (False, "Refused by Noor Haddad")
    assert news["at"]
    assert "pushes" not in data, "nothing of the content goes over the stream"


def _together(served: Served, *cases: Json, **more: object) -> httpx.Response:
    items = [{n: c[n] for n in ("handoff_id", "presented_digest")} for c in cases]
    body = {"items": items, "person": "noor", "pin": PIN} | more
    return served.client("operator").post("/v1/handoffs/decisions", json=body)


def test_one_call_approves_what_is_small_and_says_why_it_does_not_the_rest(served: Served) -> None:
    small, big = _cases(served)
    assert _together(served, small, pin="").status_code == 403
    missing = {"handoff_id": "ho_none", "presented_digest": small["presented_digest"]}
    answer = _together(served, small, big, missing, idempotency_key="k")
    assert answer.status_code == 200, answer.text
    one, two, three = answer.json()["results"]
    assert (one["refused"], one["decided"], bool(one["grant_id"])) == (None, True, True)
    assert (two["refused"]["code"], two["decided"]) == ("not_in_bulk", False)
    assert "high risk" in two["refused"]["message"]
    assert three["refused"]["code"] == "not_found"
    again = _together(served, small, big, missing, idempotency_key="k").json()["results"]
    assert again[0] == one
    late = _together(served, small).json()["results"][0]["refused"]
    assert late["code"] == "already_decided"
    assert _together(served, small, small).status_code == 422
    assert _together(served).status_code == 422
