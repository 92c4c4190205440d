"""What is asked together, and what a rule wants signed: checkpoints show, count, open and decide only what one
may know of, and nothing but the page of a case takes an approval that needs a passkey."""

import json
from collections import Counter

import httpx
import pytest

from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Handoff
from handfast.engine.agent_records import agent_record
from tests.integration.test_identity import person
from tests.integration.test_route_roles import asked_together
from tests.served import Json, Served

HTML = {"Accept": "text/html"}


@pytest.fixture
def mixed(served: Served) -> tuple[str, Json, Json]:
    """A checkpoint over a case of each of two projects, whose members are mia and otto."""
    noor = Actor("person", served.person_id, "browser")
    run = served.client("runner").post(
        "/v1/runs", json={"session_id": "o", "cwd": "/srv/other", "mode": "enforce"}
    )
    for login in ("mia", "otto", "pia"):
        person(served, login, "reviewer")
    served.engine.knowing.set_project(noor, "checkout", ["/srv/checkout"], ["mia"], [])
    served.engine.knowing.set_project(noor, "other", ["/srv/other"], ["otto"], [])
    served.engine.knowing.set_project(noor, "third", ["/srv/third"], ["pia"], [])
    first = served.stop(served.session_run(), "k1", "git push origin green")
    second = served.stop(run.json()["run_id"], "k2", "git push origin blue")
    return asked_together(served, first["handoff_id"], second["handoff_id"]), first, second


def item(handoff: Json) -> Json:
    seen = handoff["presented_digest"]
    case = {"handoff_id": handoff["handoff_id"], "kind": "approve", "presented_digest": seen}
    return {**case, "reason": "looked at it"}


def form_of(client: httpx.Client, path: str) -> dict[str, str]:
    page = client.get(path, headers=HTML).text
    return {"csrf_token": page.partition('name="csrf_token" value="')[2].partition('"')[0]}


def test_a_checkpoint_shows_and_counts_only_what_one_may_know(
    served: Served, mixed: tuple[str, Json, Json]
) -> None:
    checkpoint, mine, hidden = mixed
    mia = person(served, "mia", "reviewer")
    shown = mia.get(f"/v1/checkpoints/{checkpoint}").json()
    (listed,) = mia.get("/v1/checkpoints").json()["items"]
    for found in (shown, listed):
        assert found["handoffs"] == [mine["handoff_id"]]
        assert found["waiting"] == 1
        assert found["waited"] == ""
    pages = [mia.get(path, headers=HTML) for path in ("/checkpoints", f"/checkpoints/{checkpoint}")]
    assert [p.status_code for p in pages] == [200, 200]
    for text in (json.dumps([shown, listed]), *(p.text for p in pages)):
        assert hidden["handoff_id"] not in text
        assert "git push origin blue" not in text
    otto = person(served, "otto", "reviewer")
    other = otto.get(f"/v1/checkpoints/{checkpoint}").json()
    assert (other["handoffs"], other["lead"]) == ([hidden["handoff_id"]], hidden["handoff_id"])
    everything = served.client("operator").get(f"/v1/checkpoints/{checkpoint}").json()
    assert (len(everything["items"]), everything["waited"]) == (2, "3")


def test_looking_at_a_checkpoint_is_recorded_only_for_what_was_shown(
    served: Served, mixed: tuple[str, Json, Json]
) -> None:
    checkpoint, mine, hidden = mixed
    person(served, "mia", "reviewer").get(f"/checkpoints/{checkpoint}", headers=HTML)
    rows = served.engine.kernel.store.events(limit=1_000, types=("handoff.viewed",))
    assert [r.stream for r in rows] == [f"handoff/{mine['handoff_id']}"]
    assert hidden["handoff_id"] not in [r.stream for r in rows]


def test_a_checkpoint_without_anything_one_may_know_is_not_there(
    served: Served, mixed: tuple[str, Json, Json]
) -> None:
    checkpoint, first, _ = mixed
    pia = person(served, "pia", "reviewer")
    assert pia.get("/v1/checkpoints").json() == {"items": [], "deferred": []}
    body = {"items": [item(first)]}
    path = f"/v1/checkpoints/{checkpoint}"
    refused = [pia.get(path), pia.post(f"{path}/decisions", json=body)]
    form = form_of(pia, "/checkpoints")
    refused.append(pia.get(f"/checkpoints/{checkpoint}", headers=HTML))
    refused.append(pia.post(f"/checkpoints/{checkpoint}/decide", data=form, headers=HTML))
    opening = {**form, "handoff_id": first["handoff_id"]}
    refused.append(pia.post("/checkpoints/open", data=opening, headers=HTML))
    refused.append(pia.post("/v1/checkpoints/open", json={"handoffs": [first["handoff_id"]]}))
    assert [r.status_code for r in refused] == [404] * 6
    served.engine.access.refusals.flush(all_of_them=True)
    rows = served.engine.kernel.store.events(limit=1_000, types=("access.refused",))
    said: Counter[str] = Counter()
    for each in (json.loads(r.data)["data"] for r in rows):
        said[each["why"]] += each.get("times", 1)
    assert said[f"need to know of checkpoint {checkpoint}"] == 4
    assert said[f"need to know of handoff {first['handoff_id']}"] == 2


def test_a_pass_decides_only_what_one_may_know(
    served: Served, mixed: tuple[str, Json, Json]
) -> None:
    checkpoint, mine, hidden = mixed
    mia = person(served, "mia", "reviewer")
    path = f"/v1/checkpoints/{checkpoint}/decisions"
    done = mia.post(path, json={"items": [item(mine), item(hidden)]}).json()["results"]
    assert (done[0]["decided"], done[0]["refused"]) == (True, None)
    assert done[1]["refused"]["code"] == "not_in_checkpoint"
    assert served.engine.kernel.state(Handoff, hidden["handoff_id"]).waiting


def test_what_waits_for_a_checkpoint_is_of_ones_own_projects(served: Served) -> None:
    noor = Actor("person", served.person_id, "browser")
    budget = "version: 1\ninterruptions: {cost: 900, planned: []}\n"
    served.engine.policies.propose(noor, "organisation", budget)
    cases = [_deferred(served, folder) for folder in ("/srv/one", "/srv/two")]
    for login, folder in (("mia", "/srv/one"), ("otto", "/srv/two")):
        person(served, login, "reviewer")
        served.engine.knowing.set_project(noor, login, [folder], [login], [])
    mia = person(served, "mia", "reviewer")
    (row,) = mia.get("/v1/checkpoints").json()["deferred"]
    assert (row["handoff_id"], row["queue"], row["waited"]) == (cases[0], 1, "")
    assert "more" not in row["why"]
    assert cases[1] not in mia.get("/checkpoints", headers=HTML).text
    both = mia.post("/v1/checkpoints/open", json={"handoffs": cases})
    assert both.status_code == 404
    assert all(served.engine.kernel.state(Handoff, c).deferral for c in cases)
    opened = mia.post("/v1/checkpoints/open", json={"handoffs": cases[:1]})
    assert opened.json()["handoffs"] == cases[:1]
    assert served.engine.kernel.state(Handoff, cases[1]).deferral


def _deferred(served: Served, folder: str) -> str:
    runner = served.client("runner")
    run = runner.post("/v1/runs", json={"session_id": folder, "cwd": folder, "mode": "enforce"})
    facts = {"effect": "write", "summary": "x", "hazards": ["fs.delete-tracked"]}
    call = {"tool": "Bash", "arguments": {"command": f"rm {folder}"}}
    body = {"key": "k", "call": call, "facts": facts | {"reversible": True}}
    asked = runner.post(f"/v1/runs/{run.json()['run_id']}/actions", json=body).json()
    return str(asked["handoff_id"])


def test_the_log_tells_of_a_checkpoint_to_who_may_know_all_of_it(
    served: Served, mixed: tuple[str, Json, Json]
) -> None:
    checkpoint, first, _ = mixed
    alone = asked_together(served, first["handoff_id"])
    mia = person(served, "mia", "reviewer")
    streams = {e["stream"] for e in mia.get("/v1/events?limit=500").json()["items"]}
    assert f"checkpoint/{checkpoint}" not in streams
    assert f"checkpoint/{alone}" in streams


# -- neighbours of need-to-know


def test_the_figures_of_an_agent_count_what_one_may_know(
    served: Served, mixed: tuple[str, Json, Json]
) -> None:
    agent = served.client("operator").get(f"/v1/handoffs/{mixed[1]['handoff_id']}").json()
    path = f"/agents/{agent['agent_id']}"
    kernel, knowing = served.engine.kernel, served.engine.knowing
    counts = {}
    for login in ("mia", "pia"):
        own = person(served, login, "reviewer").get("/v1/account").json()["person_id"]
        record = agent_record(kernel, agent["agent_id"], knowing.sight(own))
        counts[login] = record["endings"]
    assert counts == {"mia": {"waiting": 1}, "pia": {}}
    assert agent_record(kernel, agent["agent_id"])["endings"] == {"waiting": 2}
    texts = {n: person(served, n, "reviewer").get(path, headers=HTML).text for n in ("mia", "pia")}
    assert texts["mia"] != texts["pia"]


def test_nobody_delegates_below_a_task_or_into_a_repository_they_do_not_know(
    served: Served, mixed: tuple[str, Json, Json]
) -> None:
    brief = {"intent": "a secret intent"}
    task = {"brief": brief, "repository": "/srv/checkout", "target_branch": "main"}
    operator = served.client("operator")
    parent = operator.post("/v1/tasks", json={**task, "base_commit": "0" * 40}).json()["task_id"]
    pia, vic = person(served, "pia", "reviewer"), person(served, "vic", "viewer")
    assert pia.get(f"/tasks/new?parent={parent}", headers=HTML).status_code == 404
    form = {**form_of(pia, "/tasks/new"), "intent": "x", "act": "create", "target_branch": "main"}
    below = {**form, "repository": "/srv/third", "parent": parent}
    assert pia.post("/tasks/new", data=below, headers=HTML).status_code == 404
    into = {**form, "repository": "/srv/checkout"}
    assert pia.post("/tasks/new", data=into, headers=HTML).status_code == 403
    named = {**task, "repository": "/srv/third", "base_commit": "0" * 40, "parent": parent}
    assert pia.post("/v1/tasks", json=named).status_code == 404
    own = {**form, **form_of(vic, "/tasks/new"), "repository": "/srv/third"}
    assert vic.post("/tasks/new", data=own, headers=HTML).status_code == 403
    assert pia.post("/tasks/new", data={**form, "repository": "/srv/third"}).status_code == 201


# -- a rule that wants a passkey


SIGNED = """\
version: 1
gates:
  - id: push
    when: call.hazards.exists(h, h == "git.push")
    require: {passkey: true}
"""


def test_a_pass_takes_no_approval_that_needs_a_passkey(served: Served) -> None:
    noor = Actor("person", served.person_id, "browser")
    served.engine.policies.propose(noor, "organisation", SIGNED)
    handoff = served.stop()
    browser, path = served.browser(), "/v1/checkpoints/{}/decisions"
    checkpoint = asked_together(served, handoff["handoff_id"])
    for given in (item(handoff), {**item(handoff), "reason": ""}):
        body = {"items": [given], "reason": "together"}
        answer = browser.post(path.format(checkpoint), json=body)
        assert answer.status_code == 200, answer.text
        (done,) = answer.json()["results"]
        assert done["refused"]["code"] == "passkey_needed"
        assert "Open the case in the browser" in done["refused"]["hint"]
    assert served.engine.kernel.state(Handoff, handoff["handoff_id"]).waiting
    declined = {**item(handoff), "kind": "reject"}
    (done,) = browser.post(path.format(checkpoint), json={"items": [declined]}).json()["results"]
    assert done["decided"] is True
