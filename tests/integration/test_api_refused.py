"""Whatever is refused, by the table, by the engine or by a page, leaves an entry: who, which route, and why."""

import json
from collections.abc import Callable

import httpx
import pytest

from handfast.core.domain.events import Actor
from handfast.engine.people import NewPerson
from handfast.server.sessions import COOKIE, form_token
from tests.integration.test_route_roles import asked_together
from tests.prepared import quick_hashes
from tests.served import PASSWORD, PIN, Json, Served, decision

EVIL = {"Origin": "https://evil.example"}


def refusals(served: Served) -> list[tuple[str, str, str]]:
    """(type of the caller, route, why) of what is on record."""
    rows = served.engine.kernel.store.events(limit=5_000, types=("access.refused",))
    found = [json.loads(row.data) for row in rows]
    return [(e["actor"]["type"], e["data"]["what"], e["data"]["why"]) for e in found]


class Stage:
    def __init__(self, served: Served) -> None:
        self.served = served
        self.handoff = served.stop()
        self.path = f"/handoffs/{self.handoff['handoff_id']}"
        self.operator = served.client("operator")
        self.people: dict[str, str] = {}
        for login in ("viewer", "reviewer"):
            noor = Actor("person", served.person_id, "browser")
            with quick_hashes():
                link = served.engine.people.invite_another(noor, (login,))
                made = served.engine.people.set_up(link, NewPerson(login, login, PASSWORD, PIN))
            self.people[login] = str(made["person_id"])

    def browser(self, login: str) -> httpx.Client:
        session = self.served.engine.people.begin(self.people[login], "password")
        made = self.served.client(Origin=self.served.url)
        made.cookies.set(COOKIE, session.secret)
        made.headers["x-csrf-token"] = form_token(session.secret)
        return made

    def form(self, client: httpx.Client, what: str, **fields: str) -> httpx.Response:
        token = {"csrf_token": client.headers["x-csrf-token"]}
        return client.post(f"{self.path}/{what}", data={**token, **fields})

    @property
    def said(self) -> Json:
        seen = self.handoff["presented_digest"]
        return {"kind": "approve", "presented_digest": seen, "reason": "because"}

    @property
    def pick(self) -> Json:
        return {"handoff_id": self.handoff["handoff_id"], **self.said}


Try = Callable[[Stage], httpx.Response]
# What is tried, the type of who is on record for it, the route, and a word of why.
TRIES: dict[str, tuple[Try, str, str, str]] = {
    "decides on the page": (
        lambda s: s.form(s.browser("viewer"), "decide", **s.said),
        "person", "page decide", "roles",
    ),
    "decides": (
        lambda s: s.browser("viewer").post(f"/v1{s.path}/decisions", json=s.said),
        "person", "decide_handoff", "roles",
    ),
    "decides beside the operator's token": (
        lambda s: s.operator.post(f"/v1{s.path}/decisions", json=decision(s.handoff, person="viewer")),
        "person", "decide_handoff", "roles",
    ),
    "holds on the page": (
        lambda s: s.form(s.browser("viewer"), "routing", act="acknowledge"),
        "person", "page routing", "roles",
    ),
    "overrides on the page": (
        lambda s: s.form(s.browser("viewer"), "routing", act="override", why="x", **s.said),
        "person", "page routing", "overriding",
    ),
    "overrides": (
        lambda s: s.browser("reviewer").post(f"/v1{s.path}/override", json={"presented_digest": s.said["presented_digest"], "reason": "x"}),
        "person", "override_handoff", "overriding",
    ),
    "makes himself admin": (
        lambda s: s.browser("reviewer").post("/v1/people/roles", json={"login": "reviewer", "roles": ["admin"]}),
        "person", "set_person_roles", "roles",
    ),
    "invites": (
        lambda s: s.browser("reviewer").post("/v1/people/invitations", json={"roles": ["admin"]}),
        "person", "invite_person", "roles",
    ),
    "sets a project": (
        lambda s: s.browser("reviewer").post("/v1/projects", json={"name": "x", "repositories": ["/a"]}),
        "person", "set_project", "roles",
    ),
    "kills": (
        lambda s: s.browser("viewer").post("/v1/control/kill", json={"scope": "all", "reason": "x"}),
        "person", "kill_agents", "roles",
    ),
    "has a forged form": (
        lambda s: s.browser("viewer").post(f"{s.path}/decide", data={"csrf_token": "x"}),
        "person", "page decide", "another session",
    ),
    "comes from another site": (
        lambda s: s.browser("viewer").post(f"{s.path}/decide", data={}, headers=EVIL),
        "person", "page decide", "not come from a page",
    ),
    "calls from another site": (
        lambda s: s.browser("viewer").post(f"/v1{s.path}/decisions", json={}, headers=EVIL),
        "person", "decide_handoff", "not come from a page",
    ),
    "has no valid token": (
        lambda s: s.served.client(Authorization="Bearer hfo_hunter2").get("/v1/handoffs"),
        "anonymous", "list_handoffs", "no valid credential",
    ),
    "has no valid token for the gate": (
        lambda s: s.served.client(Authorization="Bearer hfa_x").post("/v1/runs/run_x/actions", json={"key": "k", "call": {"tool": "Bash", "arguments": {}}}),
        "anonymous", "propose_action", "no valid credential",
    ),
    "has a wrong set-up link": (
        lambda s: s.served.client(Accept="text/html").get("/setup/hunter2"),
        "anonymous", "page show_setup", "link",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIES)
def test_a_refusal_is_on_record(served: Served, name: str) -> None:
    stage = Stage(served)
    tried, who, what, why = TRIES[name]
    before = len(refusals(served))
    answer = tried(stage)
    assert answer.status_code in (401, 403), answer.text
    (entry,) = refusals(served)[before:]
    assert entry[:2] == (who, what)
    assert why in entry[2]
    assert "hunter2" not in str(entry)


def test_each_item_of_several_that_is_refused_is_on_record(served: Served) -> None:
    stage = Stage(served)
    viewer = stage.browser("viewer")
    checkpoint = asked_together(served, stage.handoff["handoff_id"])
    answer = viewer.post(f"/v1/checkpoints/{checkpoint}/decisions", json={"items": [stage.pick]})
    assert answer.json()["results"][0]["refused"]["code"] == "not_permitted"
    assert refusals(served)[-1][:2] == ("person", "decide_checkpoint")


def test_a_flood_does_not_fill_the_log(served: Served) -> None:
    client = served.client(Authorization="Bearer hfo_hunter2")
    before = served.engine.kernel.store.size()
    for number in range(300):
        assert client.get(f"/v1/handoffs/ho_{number}").status_code == 401
    assert served.engine.kernel.store.size() - before <= 3  # heads are signed meanwhile
    served.engine.access.refusals.flush(all_of_them=True)
    rows = served.engine.kernel.store.events(limit=5_000, types=("access.refused",))
    assert [json.loads(r.data)["data"].get("times", 1) for r in rows] == [1, 299]
