"""The pages around the inbox, from a real server: what they show is what is in the log."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from handfast.core.audit.bundle import verify_bundle
from handfast.core.audit.note import parse_verifier_key
from handfast.engine.bundle_file import ZipBundle
from handfast.engine.keys import ed25519_verify
from handfast.engine.notebook import DiskNotebook
from tests.integration.test_api_sessions import token
from tests.served import Json, Served, decision


def _page(browser: httpx.Client, path: str, status: int = 200) -> str:
    answer = browser.get(path)
    assert answer.status_code == status, answer.text[:400]
    return answer.text


def _ran(served: Served) -> tuple[str, Json]:
    """A run with a call that was approved and ran."""
    run_id = served.session_run()
    asked = served.stop(run_id)
    path = f"/v1/handoffs/{asked['handoff_id']}/decisions"
    assert served.client("operator").post(path, json=decision(asked)).status_code == 201
    served_again = {
        "key": "t1",
        "call": {"tool": "Bash", "arguments": {"command": "git push origin main"}},
    }
    facts = {"effect": "network", "summary": "pushes main to origin", "hazards": ["git.push"]}
    runner = served.client("runner")
    said = runner.post(f"/v1/runs/{run_id}/actions", json={**served_again, "facts": facts})
    assert said.json()["verdict"] == "allow", said.text
    done = runner.post(f"/v1/runs/{run_id}/results", json={"key": "t1", "exit_code": 0})
    assert done.status_code < 300, done.text
    return run_id, asked


def test_a_run_is_shown_as_it_was_after_any_of_its_events(served: Served) -> None:
    run_id, asked = _ran(served)
    browser = served.browser()
    now = _page(browser, f"/runs/{run_id}")
    assert "As it was after event" not in now
    before = _page(browser, f"/runs/{run_id}?at=1")
    assert "As it was after event 1 of" in before
    assert "Calls so far</dt><dd>0" in before.replace("\n", "")
    stopped = _page(browser, f"/runs/{run_id}?at=2")
    assert "Calls so far</dt><dd>1" in stopped.replace("\n", "")
    assert "exit 0" not in stopped.split('id="events-h"')[0], "the result came later"
    beyond = _page(browser, f"/runs/{run_id}?at=999")
    assert "Event after" not in beyond
    _page(browser, f"/runs/{run_id}?at=-1", 422)
    _page(browser, "/runs/run_none?at=1", 404)
    assert str(asked["handoff_id"]) in now


def test_a_claim_leads_to_its_step_however_long_the_run(served: Served) -> None:
    run_id = served.session_run()
    call = {"tool": "Read", "arguments": {"file_path": "a.py"}}
    facts = {"effect": "read", "summary": "reads a.py"}
    at = "2026-01-01T10:00:00Z"
    reads = [{"key": f"k{n}", "call": call, "facts": facts, "at": at} for n in range(230)]
    for start in (0, 115):
        body = {"steps": reads[start : start + 115]}
        made = served.client("runner").post(f"/v1/runs/{run_id}/steps", json=body)
        assert made.status_code == 200, made.text
    browser = served.browser()
    last = served.engine.kernel.store.events(stream=f"run/{run_id}", after=225, limit=1)[0]
    step_id = json.loads(last.data)["data"]["step_id"]
    assert f'id="{step_id}"' not in _page(browser, f"/runs/{run_id}")
    assert f'id="{step_id}"' in _page(browser, f"/runs/{run_id}?around={step_id}")
    _page(browser, f"/runs/{run_id}?around=st_none")


def test_tasks_and_agents_are_listed_and_opened(served: Served) -> None:
    brief = {"intent": "Fix the build <i>now</i>", "acceptance": ["The tests pass"]}
    made = served.client("operator").post(
        "/v1/tasks",
        json={
            "brief": brief,
            "repository": "/srv/shop",
            "target_branch": "main",
            "base_commit": "4" * 40,
        },
    )
    assert made.status_code == 201, made.text
    browser = served.browser()
    assert "Fix the build &lt;i&gt;now" in _page(browser, "/tasks")
    task = _page(browser, f"/tasks/{made.json()['task_id']}")
    assert "The tests pass" in task
    assert "None given." in task, "an empty part of the brief says so"
    _page(browser, "/tasks/task_none", 404)
    assert "claude-billing" in _page(browser, "/agents?q=BILL")
    assert "No agent fits" in _page(browser, "/agents?q=nobody")
    agent = _page(browser, f"/agents/{served.agent_id}")
    assert "No track record: 0 decisions by people so far" in agent
    _page(browser, "/agents/ag_none", 404)


def test_an_agent_s_record_counts_what_people_decided(served: Served) -> None:
    _ran(served)
    agent = _page(served.browser(), f"/agents/{served.agent_id}")
    assert "No track record: 1 decision by people so far" in agent


def test_policy_is_shown_with_its_versions_and_explains_what_it_stopped(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    assert "No policy is published" in _page(browser, "/policy")
    text = "version: 1\nbuiltin:\n  off: [push]\n"
    made = served.client("operator").post(
        "/v1/policies",
        json={"scope": "organisation", "text": text, "person": "noor", "pin": "402613"},
    )
    assert made.status_code == 201, made.text
    assert "off: [push]" in _page(browser, "/policy")
    versions = _page(browser, "/policy/versions?scope=organisation")
    assert "Put into force" in versions
    assert "Noor Haddad" in versions
    explained = _page(browser, f"/policy/explain?handoff={asked['handoff_id']}")
    assert "Commits leave this machine" in explained
    assert "The answer would be another one now" in explained
    assert "no handoff" in _page(browser, "/policy/explain?handoff=ho_none", 404)
    _page(browser, "/policy/versions?scope=/nowhere", 404)


def test_the_log_is_searched_newest_first_and_checked(served: Served) -> None:
    _, asked = _ran(served)
    browser = served.browser()
    page = _page(browser, "/audit")
    assert "Intact as far as it was checked" in page
    assert page.index("handoff.closed") < page.index("handoff.requested")
    decided = _page(browser, "/audit?type=handoff.decided&who=haddad")
    assert decided.count('class="pos"') == 1
    assert "No entry fits" in _page(browser, "/audit?type=handoff.decided&who=nobody")
    about = _page(browser, f"/audit?stream={asked['handoff_id']}")
    assert "person.signed_in" not in about.split('class="entries"')[1]
    assert "is no type of event" in _page(browser, "/audit?type=nonsense", 422)
    _page(browser, "/audit?before=1")


def test_older_entries_follow_without_a_gap(served: Served) -> None:
    run_id = served.session_run()
    for number in range(16):
        served.stop(run_id, key=f"k{number}", command=f"git push origin b{number}")
    browser = served.browser()
    seen: list[int] = []
    path = "/audit"
    while path:
        page = _page(browser, path)
        seen += [int(p.split("<")[0].replace(",", "")) for p in page.split('class="pos">')[1:]]
        older = [line for line in page.split('href="') if "Older entries" in line.split("</a>")[0]]
        path = older[0].split('"')[0].replace("&amp;", "&") if older else ""
    assert seen == list(range(seen[0], 0, -1))


def test_a_rewritten_entry_is_told(served: Served) -> None:
    """The bytes of an entry are changed behind the server's back."""
    _ran(served)
    browser = served.browser()
    assert "Intact as far as it was checked" in _page(browser, "/audit")
    _rewrite(served)
    page = _page(browser, "/audit")
    assert "Not intact" in page
    assert "not what was signed" in page


def _rewrite(served: Served) -> None:
    with closing(sqlite3.connect(served.engine.home / "handfast.db")) as db, db:
        row = db.execute(
            "select position, data from event where type = 'handoff.decided'"
        ).fetchone()
        changed = bytes(row[1]).replace(b"browser", b"brawser").replace(b"pin", b"pyn")
        assert changed != row[1]
        for (name,) in db.execute(
            "select name from sqlite_master where type = 'trigger'"
        ).fetchall():
            db.execute(f'drop trigger "{name}"')
        db.execute("update event set data = ? where position = ?", (changed, row[0]))


def test_the_export_is_a_bundle_that_verifies(served: Served, tmp_path: Path) -> None:
    _ran(served)
    browser = served.browser()
    csrf = token(_page(browser, "/audit"))
    assert browser.post("/audit/export", data={"csrf_token": ""}).status_code == 403
    answer = browser.post("/audit/export", data={"csrf_token": csrf})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    bundle = tmp_path / "bundle"
    bundle.write_bytes(answer.content)
    key = parse_verifier_key(served.engine.audit.verifier)
    with ZipBundle(bundle) as opened:
        assert verify_bundle(opened, [key], [], ed25519_verify, DiskNotebook).ok
    assert "bundle.exported" in _page(browser, "/audit")


def test_settings_say_who_is_who_and_what_this_is(served: Served) -> None:
    browser = served.browser()
    assert "Noor Haddad" in _page(browser, "/settings")
    assert "Noor Haddad" in _page(browser, "/settings/people")
    installation = _page(browser, "/settings/installation")
    assert served.engine.audit.verifier in installation


def test_nobody_sees_any_of_it_without_a_session(served: Served) -> None:
    guest = served.client(Accept="text/html")
    for path in ("/tasks", "/agents", "/policy", "/policy/explain", "/audit", "/settings", "/runs"):
        answer = guest.get(path)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")
