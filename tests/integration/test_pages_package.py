"""The parts of the case page that show the package: rating, what is new, claims and criteria."""

import httpx

from tests.integration.test_api_sessions import token
from tests.served import Json, Served


def _rate(browser: httpx.Client, asked: Json, **fields: str) -> httpx.Response:
    path = f"/handoffs/{asked['handoff_id']}"
    given = {"csrf_token": token(browser.get(path).text)} | fields
    return browser.post(f"{path}/rating", data=given)


def test_a_package_is_rated_with_one_key_by_who_holds_it(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    path = f"/handoffs/{asked['handoff_id']}"
    assert "Was this enough to decide?" not in browser.get(path).text
    assert _rate(browser, asked, rating="good").status_code == 403
    form = {"csrf_token": token(browser.get(path).text), "act": "acknowledge"}
    digest = {"presented_digest": str(asked["presented_digest"])}
    assert browser.post(f"{path}/routing", data=form | digest).status_code == 303
    assert 'value="good" data-key="g"' in browser.get(path).text
    assert _rate(browser, asked, rating="good").status_code == 303
    assert "You rated it good." in browser.get(path).text
    assert _rate(browser, asked, rating="lacking", lacks_evidence="on").status_code == 303
    assert "You rated it lacking: evidence." in browser.get(path).text
    assert _rate(browser, asked, rating="lacking", lacks_colour="on").status_code == 422


def test_without_the_page_s_token_nothing_is_rated(served: Served) -> None:
    browser, asked = served.browser(), served.stop()
    path = f"/handoffs/{asked['handoff_id']}/rating"
    assert browser.post(path, data={"rating": "good", "csrf_token": ""}).status_code == 403
    types = [e.type for e in served.engine.kernel.store.scan()]
    assert "handoff.rated" not in types


def _form(browser: httpx.Client, path: str = "/tasks/new", **fields: str) -> httpx.Response:
    return browser.post("/tasks/new", data={"csrf_token": token(browser.get(path).text)} | fields)


WHOLE = {
    "intent": "Make the shop faster",
    "acceptance": "`pytest -q` passes\nprices show in 100 ms",
    "non_goals": "no new dependency",
    "paths": "src/**\ntests/**",
    "tool_calls": "100",
    "cost_usd": "5.00",
    "repository": "/srv/shop",
}


def test_a_task_is_delegated_by_a_form_and_so_is_a_part_of_it(served: Served) -> None:
    browser = served.browser()
    checked = _form(browser, act="check", **WHOLE)
    assert checked.status_code == 200
    assert "As it would be delegated" in checked.text
    assert served.client("operator").get("/v1/tasks").json()["items"] == []
    assert _form(browser, act="create", **WHOLE).status_code == 201
    (task,) = served.client("operator").get("/v1/tasks").json()["items"]
    assert task["brief"]["acceptance"] == ["`pytest -q` passes", "prices show in 100 ms"]
    assert task["brief"]["budget"]["tool_calls"] == 100
    path = f"/tasks/new?parent={task['task_id']}"
    assert 'value="/srv/shop"' in browser.get(path).text
    part = {"intent": "Cache prices", "repository": "/srv/shop", "parent": task["task_id"]}
    wide = _form(browser, path, act="create", paths="docs/**", **part)
    assert wide.status_code == 422
    assert "is wider than the parent" in wide.text
    assert "docs/**</textarea>" in wide.text
    assert (
        'name="paths"' in wide.text.partition('aria-invalid="true"')[0].rpartition("<textarea")[2]
    )
    assert _form(browser, path, act="create", paths="src/price.py", **part).status_code == 201
    newest = served.client("operator").get("/v1/tasks").json()["items"][0]
    assert newest["parent"] == task["task_id"]
    assert newest["brief"]["non_goals"] == ["no new dependency"]


def test_a_part_s_form_holds_nothing_of_the_whole_that_a_reader_would_not_see(
    served: Served,
) -> None:
    browser = served.browser()
    for repository, value in (("/srv/\u202epohs", ""), ('/srv/"><b>', "/srv/&#34;&gt;&lt;b&gt;")):
        body = {"brief": {"intent": "x"}, "repository": repository, "target_branch": "main"}
        made = served.client("operator").post("/v1/tasks", json=body | {"base_commit": "0" * 40})
        assert made.status_code == 201, made.text
        page = browser.get(f"/tasks/new?parent={made.json()['task_id']}").text
        assert f'name="repository" value="{value}"' in page
        assert "\u202e" not in page


def test_a_form_that_is_wrong_comes_back_with_what_was_typed(served: Served) -> None:
    browser = served.browser()
    for fields, field in (
        ({"intent": " "}, "intent"),
        ({"intent": "x", "cost_usd": "five"}, "cost_usd"),
        ({"intent": "x", "wall_s": "-5"}, "wall_s"),
        ({"intent": "x", "wall_s": "1" * 40}, "wall_s"),
        ({"intent": "x", "repository": ""}, "repository"),
        ({"intent": "x", "parent": "task_nowhere"}, ""),
    ):
        answer = _form(browser, act="create", **{"repository": "/r", "context": "kept"} | fields)
        assert answer.status_code in (404, 422), fields
        assert "kept</textarea>" in answer.text
        if field:
            before = answer.text.partition('aria-invalid="true"')[0]
            assert f'name="{field}"' in before[before.rindex("<") :]
    assert served.client("operator").get("/v1/tasks").json()["items"] == []


def test_a_form_of_another_site_delegates_nothing(served: Served) -> None:
    """Each guard by itself: what is refused for one reason alone would have been taken without it."""
    browser = served.browser()
    assert served.client().get("/tasks/new").status_code == 303
    asked = {"intent": "x", "repository": "/r", "act": "create"}
    valid = asked | {"csrf_token": token(browser.get("/tasks/new").text)}
    for forged in (asked, asked | {"csrf_token": "x"}, asked | {"csrf_token": ""}):
        assert browser.post("/tasks/new", data=forged).status_code == 403
    for origin in ("https://evil.example", "null", f"{served.url}.evil.example"):
        other = browser.post("/tasks/new", data=valid, headers={"Origin": origin})
        assert other.status_code == 403, origin
    assert served.client("operator").get("/v1/tasks").json()["items"] == []
    assert browser.post("/tasks/new", data=valid).status_code == 201
