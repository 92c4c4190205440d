"""Bodies are read where a case, a run or a task names them. Whatever else the log names is private."""

import json

import httpx
import pytest

from handfast.core.domain.body_kinds import body_ids
from handfast.core.domain.events import Actor
from handfast.server.sessions import COOKIE, form_token
from tests.served import Json, Served, decision

WHERE = "https://93.184.216.34/private-path"


@pytest.fixture
def contact(served: Served) -> tuple[list[str], str]:
    """The ids of the bodies that the log names of a webhook, as any reader of it finds them, and its secret."""
    served.engine.contacts.outlets()
    noor = Actor("person", served.person_id, "browser")
    made = served.engine.contacts.add(noor, "webhook", WHERE, "all")
    found = served.client("operator").get("/v1/events?types=contact.added").json()["items"]
    ids = list(body_ids(found[0]["data"]))
    assert len(ids) == 2
    return ids, str(made["secret"])


def registered(served: Served, name: str) -> tuple[str, httpx.Client]:
    made = served.client("operator").post("/v1/runners", json={"name": name}).json()
    return made["runner_id"], served.client(Authorization=f"Bearer {made['token']}")


def test_where_a_person_is_reached_is_given_to_nobody(
    served: Served, contact: tuple[list[str], str]
) -> None:
    ids, secret = contact
    run = served.session_run()
    _, named = registered(served, "build-9")
    callers = [served.browser(), served.client("operator"), served.client("runner"), named]
    streams = {row.stream for row in served.engine.kernel.store.events(limit=1_000)}
    spoken_of = {stream.partition("/")[2] for stream in streams} | {run, ""}
    for client in callers:
        for body_id in ids:
            for of in spoken_of:
                answer = client.get(f"/v1/bodies/{body_id}?of={of}")
                assert answer.status_code in (404, 422), (of, answer.text)
                assert WHERE not in answer.text
                assert secret not in answer.text


def test_a_text_that_looks_like_an_id_refers_to_nothing(
    served: Served, contact: tuple[list[str], str]
) -> None:
    (body_id, _), run = contact[0], served.session_run()
    served.stop(run, key=body_id)
    names = [row.data for row in served.engine.kernel.store.events(stream=f"run/{run}")]
    assert any(f'"{body_id}"'.encode() in data for data in names)
    answer = served.client("operator").get(f"/v1/bodies/{body_id}?of={run}")
    assert answer.status_code == 404


def test_no_request_has_the_server_copy_a_body_that_was_not_uploaded(
    served: Served, contact: tuple[list[str], str]
) -> None:
    body_id, run, runner = contact[0][0], served.session_run(), served.client("runner")
    served.stop(run)
    result = {"key": "t1", "exit_code": 0, "output_body_id": body_id}
    refused = runner.post(f"/v1/runs/{run}/results", json=result)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    kept = runner.post("/v1/bodies", content=b"42 passed", headers={"Content-Type": "text/plain"})
    upload = kept.json()["body_id"]
    assert runner.get(f"/v1/bodies/{upload}").content == b"42 passed"
    assert served.browser().get(f"/v1/bodies/{upload}?of={run}").status_code == 404
    taken = runner.post(f"/v1/runs/{run}/results", json={**result, "output_body_id": upload})
    assert taken.status_code == 200, taken.text
    steps = served.client("operator").get(f"/v1/runs/{run}/steps").json()["items"]
    assert steps[0]["output"] == "42 passed"


def test_a_body_is_read_where_it_is_named(served: Served) -> None:
    handoff = served.stop()
    case, run = handoff["handoff_id"], handoff["run_id"]
    body_id = package_of(served, case)
    operator, person = served.client("operator"), served.browser()
    for client in (operator, person):
        assert "pushes main" in client.get(f"/v1/bodies/{body_id}?of={case}").text
        assert client.get(f"/v1/bodies/{body_id}?of={run}").status_code == 404
        assert client.get(f"/v1/bodies/{body_id}").status_code == 422


def test_a_registered_runner_reads_of_the_runs_it_holds(served: Served) -> None:
    operator = served.client("operator")
    task = {"brief": {"intent": "x"}, "repository": "/srv/a", "base_commit": "0" * 40}
    task_id = operator.post("/v1/tasks", json=task).json()["task_id"]
    asked = {"task_id": task_id, "command": ["a"], "agent_id": served.agent_id}
    run = operator.post("/v1/runs", json=asked).json()["run_id"]
    runner_id, holder = registered(served, "build-1")
    _, other = registered(served, "build-2")
    process = holder.post("/v1/runners/start", json={"host": "h", "capacity": 1}).json()
    lease = {"runner_id": runner_id, "host": "h", "capacity": 1, "instance": process["instance"]}
    leased = holder.post("/v1/leases", json=lease)
    assert leased.json()["run_id"] == run, leased.text
    (created,) = served.engine.kernel.store.events(stream=f"run/{run}", types=("run.created",))
    (body_id,) = body_ids(json.loads(created.data)["data"])
    path = f"/v1/bodies/{body_id}?of={run}"
    assert holder.get(path).json() == ["a"]
    assert other.get(path).status_code == 404
    assert served.client("runner").get(path).status_code == 200  # of the data folder
    assert holder.get(f"/v1/bodies/{body_id}?of={task_id}").status_code == 404


def test_what_waits_keeps_its_bodies(served: Served) -> None:
    handoff = served.stop()
    case, person = handoff["handoff_id"], served.browser()
    path = f"/v1/bodies/{package_of(served, case)}"
    kept = person.delete(path)
    assert (kept.status_code, kept.json()["code"]) == (409, "still_open")
    said = decision(handoff, "reject")
    assert served.client("operator").post(f"/v1/handoffs/{case}/decisions", json=said).is_success
    assert person.delete(path).json()["erased"] is True


def test_nobody_approves_what_nobody_can_read(served: Served) -> None:
    """However it came to that: here the database itself was made to forget it."""
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}"
    served.engine.kernel.store.erase_body(package_of(served, handoff["handoff_id"]))
    operator = served.client("operator")
    for what in ("decisions", "override"):
        said = decision(handoff)
        if what == "override":
            del said["kind"]
        refused = operator.post(f"{path}/{what}", json=said)
        assert (refused.status_code, refused.json()["code"]) == (409, "package_erased"), (
            refused.text
        )
    page = served.browser()
    form = {"csrf_token": form_token(page.cookies[COOKIE]), **decision(handoff)}
    shown = page.post(f"/handoffs/{handoff['handoff_id']}/decide", data=form)
    assert shown.status_code == 409
    assert "nobody can read what would be approved" in shown.text
    assert operator.get(path).json()["decision"] is None
    assert operator.post(f"{path}/decisions", json=decision(handoff, "reject")).is_success


def package_of(served: Served, handoff_id: str) -> str:
    rows = served.engine.kernel.store.events(stream=f"handoff/{handoff_id}")
    found: Json = json.loads(rows[0].data)["data"]
    return str(found["package"]["body_id"])
