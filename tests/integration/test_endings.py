"""An ending is told as it was: stale is not expired, and a take-over is no end of the run."""

import re

from handfast.core.domain.events_work import RunOutcome
from tests.served import LOGIN, OPERATOR, PIN, PUSH, Json, Served, decision


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def receipt(page: str) -> str:
    return words(page[page.index('id="receipt-h"') :])[:700]


def deploy(served: Served, run_id: str, content: str) -> Json:
    operands = [{"path": "deploy.sh", "digest": "sha256:" + content * 64}]
    call = {"tool": "Bash", "arguments": {"command": "./deploy.sh"}, "operands": operands}
    facts = {"effect": "exec", "summary": "runs deploy.sh", "hazards": ["deploy"]}
    body = {"key": "k1", "call": call, "facts": facts}
    answer = served.client("runner").post(f"/v1/runs/{run_id}/actions", json=body)
    found: Json = answer.json()
    return found


def test_an_approval_that_was_overtaken_says_so_and_leads_to_the_new_case(served: Served) -> None:
    operator, run_id = served.client("operator"), served.session_run()
    path = f"/handoffs/{deploy(served, run_id, 'a')['handoff_id']}"
    waiting = operator.get(f"/v1{path}").json()
    approved = operator.post(f"/v1{path}/decisions", json=decision(waiting))
    assert approved.status_code == 201
    browser = served.browser()
    assert "It expires" in receipt(browser.get(path).text)
    new = deploy(served, run_id, "b")["handoff_id"]
    assert operator.get(f"/v1{path}").json()["successor"] == new
    page = browser.get(path).text
    said = receipt(page)
    assert "Approved, then overtaken" in said
    assert "a file it depends on did" in said
    assert "expire" not in said
    assert f'href="/handoffs/{new}"' in page


def test_a_case_that_changed_while_it_waited_leads_to_the_new_one(served: Served) -> None:
    run_id = served.session_run()
    old = deploy(served, run_id, "a")["handoff_id"]
    new = deploy(served, run_id, "b")["handoff_id"]
    page = served.browser().get(f"/handoffs/{old}").text
    assert "Superseded" in receipt(page)
    assert f'href="/handoffs/{new}"' in page


def test_a_take_over_is_no_end_of_the_run(served: Served) -> None:
    operator, runner = served.client("operator"), served.client("runner")
    task = {"brief": {"intent": "x"}, "repository": "/srv/p", "target_branch": "main"}
    made = operator.post("/v1/tasks", json={**task, "base_commit": "0" * 40}).json()
    new = {"task_id": made["task_id"], "command": ["a"], "agent_id": served.agent_id}
    run_id = operator.post("/v1/runs", json=new).json()["run_id"]
    lease = {"runner_id": "r1", "host": "h", "capacity": 1}
    epoch = runner.post("/v1/leases", json=lease).json()["epoch"]
    call = {"tool": "Bash", "arguments": {"command": "git push origin x"}}
    body = {"key": "q", "call": call, "facts": PUSH["facts"], "epoch": epoch}
    asked = runner.post(f"/v1/runs/{run_id}/actions", json=body).json()
    proof = {"person": LOGIN, "pin": PIN, "reason": "mine"}
    assert operator.post(f"/v1/runs/{run_id}/take-over", json=proof).status_code == 200
    said = receipt(served.browser().get(f"/handoffs/{asked['handoff_id']}").text)
    assert "A person took the run over before anyone decided." in said
    assert "The run ended" not in said


def test_an_ended_run_is_one(served: Served) -> None:
    asked = served.stop()
    served.engine.runs.ended(OPERATOR, asked["run_id"], None, RunOutcome.FAILED)
    said = receipt(served.browser().get(f"/handoffs/{asked['handoff_id']}").text)
    assert "The run ended before anyone decided." in said
