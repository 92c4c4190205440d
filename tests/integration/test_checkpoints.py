"""Checkpoints over HTTP and in the browser's pages: what waits, one page for all, one pass."""

import html
import re

import httpx
import pytest

from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Handoff, Status
from handfast.server.web.checkpoint_view import read_pass
from tests import checkpoint_fixtures as cp
from tests.integration.test_api_sessions import token
from tests.served import LOGIN, PIN, Json, Served

BUDGET = "version: 1\ninterruptions: {cost: 900, planned: []}\n"
PROOF = {"person": LOGIN, "pin": PIN}


@pytest.fixture
def waiting(served: Served) -> Served:
    """With an interruption budget in force."""
    me = Actor("person", served.person_id, "browser")
    served.engine.policies.propose(me, "organisation", BUDGET)
    return served


def _ask(served: Served, command: str, *, reversible: bool = True) -> str:
    facts = {"effect": "write", "summary": f"runs {command}", "hazards": ["fs.delete-tracked"]}
    body = {
        "key": command.encode().hex()[:60],
        "call": {"tool": "Bash", "arguments": {"command": command}},
        "facts": facts | {"reversible": reversible},
    }
    run_id = served.session_run()
    asked = served.client("runner").post(f"/v1/runs/{run_id}/actions", json=body)
    assert asked.json()["verdict"] == "wait", asked.text
    return str(asked.json()["handoff_id"])


def _opened(served: Served, *cases: str) -> str:
    body = PROOF | {"handoffs": list(cases)}
    done = served.client("operator").post("/v1/checkpoints/open", json=body)
    assert done.status_code == 201, done.text
    return str(done.json()["checkpoint_id"])


def _state(served: Served, case: str) -> Handoff:
    return served.engine.kernel.state(Handoff, case)


def test_what_waits_is_listed_with_why_and_until_when(waiting: Served) -> None:
    case = _ask(waiting, "rm a")
    (found,) = waiting.client("operator").get("/v1/checkpoints").json()["deferred"]
    assert found["handoff_id"] == case
    assert found["people"] == ["Noor Haddad"]
    assert found["opens_at"] <= found["at_latest"]
    assert "interrupt" in found["why"] or "as long as the policy" in found["why"]
    shown = waiting.client("operator").get(f"/v1/handoffs/{case}").json()
    assert shown["checkpoint"]["waits"] is True
    assert "at the latest" in shown["checkpoint"]["says"]
    assert shown["timeline"][-1]["type"] == "handoff.deferred"


def test_an_agent_that_waits_gets_its_answer_all_the_same(waiting: Served) -> None:
    case = _ask(waiting, "rm a")
    agent = waiting.client("agent")
    assert agent.get(f"/v1/handoffs/{case}/wait?timeout_s=0").json()["decided"] is False
    shown = waiting.client("operator").get(f"/v1/handoffs/{case}").json()
    body = PROOF | {"kind": "approve", "presented_digest": shown["presented_digest"]}
    done = waiting.client("operator").post(f"/v1/handoffs/{case}/decisions", json=body)
    assert done.status_code == 201
    assert agent.get(f"/v1/handoffs/{case}/wait?timeout_s=0").json()["decided"] is True


def test_six_of_seven_in_one_call(waiting: Served) -> None:
    cases = [_ask(waiting, f"rm {n}") for n in range(7)]
    checkpoint = _opened(waiting, *cases)
    client = waiting.client("operator")
    shown = client.get(f"/v1/checkpoints/{checkpoint}").json()
    assert [i["handoff_id"] for i in shown["items"]] == cases
    assert shown["waiting"] == 7
    digests = {i["handoff_id"]: i["presented_digest"] for i in shown["items"]}
    items: list[Json] = [
        {"handoff_id": c, "kind": "approve", "presented_digest": digests[c]} for c in cases[:6]
    ]
    items[2]["presented_digest"] = digests[cases[6]]
    body = PROOF | {"items": items, "reason": "as planned"}
    answer = client.post(f"/v1/checkpoints/{checkpoint}/decisions", json=body)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [r["decided"] for r in results] == [True, True, False, True, True, True]
    assert results[2]["refused"]["code"] == "stale_decision"
    left = [c for c in cases if _state(waiting, c).waiting]
    assert left == [cases[2], cases[6]]


def test_an_agent_neither_reads_nor_decides_checkpoints(waiting: Served) -> None:
    case = _ask(waiting, "rm a")
    checkpoint = _opened(waiting, case)
    agent = waiting.client("agent")
    assert agent.get("/v1/checkpoints").status_code == 403
    assert agent.get(f"/v1/checkpoints/{checkpoint}").status_code == 403
    item = {"handoff_id": case, "kind": "approve", "presented_digest": "sha256:" + "0" * 64}
    body = {"items": [item]}
    for path in (f"/v1/checkpoints/{checkpoint}/decisions", "/v1/checkpoints/open"):
        assert agent.post(path, json=body if "dec" in path else {}).status_code == 403
    without_pin = waiting.client("operator")
    assert without_pin.post(f"/v1/checkpoints/{checkpoint}/decisions", json=body).status_code == 403
    assert _state(waiting, case).waiting


def _form(page: str) -> dict[str, str]:
    """The hidden fields of the page's pass."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in fields}


def _send(browser: httpx.Client, checkpoint: str, **more: str) -> httpx.Response:
    path = f"/checkpoints/{checkpoint}"
    return browser.post(f"{path}/decide", data=_form(browser.get(path).text) | more)


def test_the_page_holds_every_ask_and_decides_six_of_seven(waiting: Served) -> None:
    cases = [_ask(waiting, f"rm {n}") for n in range(7)]
    checkpoint, browser = _opened(waiting, *cases), waiting.browser()
    page = browser.get(f"/checkpoints/{checkpoint}").text
    assert all(f'id="ask-{c}"' in page for c in cases)
    assert "Approve the 7 with an undo" in page
    done = _send(browser, checkpoint, act="approve-together", **{f"kind:{cases[3]}": "leave"})
    assert (done.status_code, done.headers["location"]) == (303, f"/checkpoints/{checkpoint}")
    assert [c for c in cases if _state(waiting, c).waiting] == [cases[3]]
    assert "1 ask waits" in browser.get(f"/checkpoints/{checkpoint}").text


def test_the_page_says_what_is_missing_and_keeps_what_was_typed(waiting: Served) -> None:
    risky, plain = _ask(waiting, "rm risky", reversible=False), _ask(waiting, "rm plain")
    checkpoint, browser = _opened(waiting, risky, plain), waiting.browser()
    chosen = {f"kind:{risky}": "approve", f"kind:{plain}": "reject", "reason": "half typed"}
    answer = _send(browser, checkpoint, act="record", **chosen)
    assert answer.status_code == 422
    assert "needs a reason of its own: it may have no undo" in answer.text
    assert "half typed" in answer.text
    assert "0 recorded, 2 not" in answer.text
    assert _state(waiting, risky).waiting
    assert _state(waiting, plain).waiting
    chosen |= {f"reason:{risky}": "I read it", f"reason:{plain}": "not this one"}
    assert _send(browser, checkpoint, act="record", **chosen).status_code == 303
    assert _state(waiting, risky).status is Status.DECIDED
    assert _state(waiting, plain).status is Status.CLOSED


def test_the_shared_button_never_approves_what_may_have_no_undo(waiting: Served) -> None:
    risky, plain = _ask(waiting, "rm risky", reversible=False), _ask(waiting, "rm plain")
    checkpoint, browser = _opened(waiting, risky, plain), waiting.browser()
    assert _send(browser, checkpoint, act="approve-together").status_code == 303
    assert _state(waiting, risky).waiting
    assert not _state(waiting, plain).waiting


def test_a_form_without_the_session_s_token_decides_nothing(waiting: Served) -> None:
    case = _ask(waiting, "rm a")
    checkpoint, browser = _opened(waiting, case), waiting.browser()
    assert _send(browser, checkpoint, act="approve-together", csrf_token="").status_code == 403
    assert _send(browser, checkpoint, act="record").status_code == 422
    assert browser.get(f"/checkpoints/{checkpoint}/decide").status_code == 405
    assert _state(waiting, case).waiting


def test_the_inbox_shows_what_waits_apart_and_a_case_can_be_asked_at_once(waiting: Served) -> None:
    case, browser = _ask(waiting, "rm a"), waiting.browser()
    inbox = browser.get("/").text
    assert "Waits for a checkpoint" in inbox
    assert "at the latest" in inbox
    assert 'class="count"' not in inbox, "it does not count as waiting for people"
    listed = browser.get("/checkpoints").text
    assert f"/handoffs/{case}" in listed
    page = browser.get(f"/handoffs/{case}").text
    assert "Ask the others now" in page
    fields = {"csrf_token": token(page), "handoff_id": case}
    done = browser.post("/checkpoints/open", data=fields)
    assert done.status_code == 303
    assert _state(waiting, case).status is Status.ROUTED
    assert browser.post("/checkpoints/open", data=fields).status_code == 409


def test_hostile_words_of_an_ask_are_inert_on_the_page(waiting: Served) -> None:
    case = _ask(waiting, "echo '<script>alert(1)</script>\u202e approved by Noor'")
    page = waiting.browser().get(f"/checkpoints/{_opened(waiting, case)}").text
    shown = "&#39;&lt;script&gt;alert(1)&lt;/script&gt;\u2039U+202E\u203a approved by Noor&#39;"
    assert page.count(shown) >= 2, "what is asked, and the command"
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_finished_work_is_chosen_by_itself() -> None:
    """The shared button takes calls only: a merge is never approved along with them."""
    items = cp.checkpoint()["items"]
    shown = {f"presented_digest:{i['handoff_id']}": str(i["presented_digest"]) for i in items}
    form = shown | {"act": "approve-together"}
    taken, problems = read_pass({"items": items}, form)
    assert ({h for h, _ in taken}, problems) == ({"ho_0"}, {})
    review = next(i for i in items if i["kind"] == "review") | {"looked_at_alone": ""}
    assert read_pass({"items": [review]}, form) == ([], {})
    chosen = {f"kind:{review['handoff_id']}": "approve"}
    assert len(read_pass({"items": [review]}, form | chosen)[0]) == 1
