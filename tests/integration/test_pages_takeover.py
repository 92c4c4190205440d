"""The page of a run: taking over, handing back, and what it shows meanwhile."""

import re

import httpx

from handfast.core.domain.brief import Brief
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import AgentStarted
from handfast.core.domain.ids import RunId
from handfast.engine.people import NewPerson
from handfast.engine.runs import NewRun
from handfast.engine.takeovers import Changed, Found
from handfast.engine.tasks import NewTask
from tests.served import OPERATOR, Served

RUNNER = Actor("runner", "runner", "token")
HOSTILE = "\x1b[2J<script>alert(1)</script>\u202e"


def started(served: Served) -> tuple[str, int]:
    """A run whose agent works, and its epoch."""
    engine = served.engine
    task = engine.tasks.create(OPERATOR, NewTask(Brief("Fix the build"), "/repo", "main", ""))
    new = NewRun(str(task["task_id"]), served.agent_id, "none", ("agent",))
    run_id = str(engine.runs.create(OPERATOR, new)["run_id"])
    run = engine.runs.lease(RUNNER, "r1", "build-7")
    assert run is not None
    begun = AgentStarted(RunId(run_id), run.epoch, 1, 2, "boot", "/trees/1", "handfast/t")
    engine.runs.started(RUNNER, begun)
    return run_id, run.epoch


def sent(browser: httpx.Client, run_id: str, what: str, **fields: str) -> httpx.Response:
    page = browser.get(f"/runs/{run_id}").text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, "the page has a form"
    return browser.post(f"/runs/{run_id}/{what}", data={"csrf_token": found[1], **fields})


def test_a_run_is_taken_over_and_handed_back_on_its_page(served: Served) -> None:
    run_id, epoch = started(served)
    browser, engine = served.browser(), served.engine
    assert "Take it over" in browser.get(f"/runs/{run_id}").text
    done = sent(browser, run_id, "take-over", reason="quicker by hand")
    assert (done.status_code, done.headers["location"]) == (303, f"/runs/{run_id}#hands")
    page = browser.get(f"/runs/{run_id}").text
    assert "is being stopped" in page
    assert "hand-back" not in page, "nothing to hand back before the worktree is there"
    seen: dict[str, object] = {
        "processes": [{"pid": 7, "parent": 1, "command": HOSTILE}],
        "uncommitted": [f"M {HOSTILE}"],
    }
    found = Found("build-7", "/trees/1", "b", "a" * 40, "refs/x", "b" * 40, None, seen)
    engine.takeovers.handed_over(RUNNER, run_id, epoch, found)
    page = browser.get(f"/runs/{run_id}").text
    assert "In your hands" in page
    assert "quicker by hand" in page
    assert "/trees/1" in page
    shown = "\u2039U+001B\u203a[2J&lt;script&gt;alert(1)&lt;/script&gt;\u2039U+202E\u203a"
    assert f"7  {shown}" in page, "the process"
    assert f"M {shown}" in page, "the file"
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert sent(browser, run_id, "hand-back", note="go on", then="resume").status_code == 303
    again = engine.runs.lease(RUNNER, "r1", "build-7")
    assert again is not None
    work: dict[str, object] = {"files": [{"path": "a.py", "status": "M", "added": 2, "deleted": 1}]}
    changed = Changed("b" * 40, "c" * 40, "refs/y", "d" * 40, 1, work)
    engine.takeovers.recorded(RUNNER, run_id, again.epoch, changed)
    page = browser.get(f"/runs/{run_id}").text
    assert "1 file changed, by git" in page
    assert "a.py" in page
    assert "not been told yet" in page


def test_a_second_person_is_told_who_has_it_and_keeps_what_they_typed(served: Served) -> None:
    run_id, _ = started(served)
    engine = served.engine
    browser = served.browser()
    secret = engine.people.invite_another(
        Actor("person", served.person_id, "browser"), ("reviewer",)
    )
    new = NewPerson("Bob Lee", "bob", "correct horse battery", "314159")
    engine.people.set_up(secret, new)
    # The form was open before somebody else was faster.
    page = browser.get(f"/runs/{run_id}").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    engine.takeovers.take(engine.people.with_pin("bob", "314159"), run_id)
    fields = {"csrf_token": token[1], "reason": "I have an idea"}
    refused = browser.post(f"/runs/{run_id}/take-over", data=fields)
    assert refused.status_code == 409
    assert "is in the hands of Bob Lee" in refused.text
    assert "I have an idea" in refused.text
    assert engine.views.run(run_id)["held_by_name"] == "Bob Lee"


def test_a_form_of_another_session_takes_nothing(served: Served) -> None:
    run_id, _ = started(served)
    refused = served.browser().post(f"/runs/{run_id}/take-over", data={"csrf_token": "x"})
    assert refused.status_code == 403
    assert engine_status(served, run_id) == "running"
    assert served.client("operator").get(f"/v1/runs/{run_id}").json()["held_by"] == ""


def engine_status(served: Served, run_id: str) -> str:
    return str(served.engine.views.run(run_id)["status"])


def test_a_session_that_no_runner_started_is_not_offered(served: Served) -> None:
    run_id = served.session_run()
    assert "Take it over" not in served.browser().get(f"/runs/{run_id}").text
