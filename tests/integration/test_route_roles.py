"""Every route against every kind of caller: the routes are read from the application, so a new one without
a row fails. Need-to-know is a column of its own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from handfast.core.domain.checkpoint import Checkpoint
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_checkpoint import CheckpointOpened, Why
from handfast.core.domain.ids import CheckpointId, HandoffId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.federation import Identity, Mapped
from handfast.engine.ids import new_id
from handfast.engine.kernel import Result, Unit
from handfast.engine.people import NewPerson
from handfast.server.application import create_app
from handfast.server.pages.case_acts import ACTS
from handfast.server.sessions import COOKIE, form_token
from tests.served import PASSWORD, PIN, Json, Served

ROOT = "/srv/checkout"  # where the runs of `Served` are
CALLERS = (
    "nobody",
    *("agent", "runner", "operator"),  # tokens
    *("viewer", "reviewer", "operates", "admin", "auditor", "outsider"),  # in a browser
    *("reads", "writes"),  # tokens of the reviewer's own
)
PEOPLE = {
    "viewer": ("viewer",),
    "reviewer": ("reviewer",),
    "operates": ("operator",),
    "admin": ("admin",),
    "auditor": ("auditor",),
    "outsider": ("reviewer", "operator"),  # in no project; the auditor is in none either
}
# One mark a caller: `y` goes through, `-` is refused, `h` is told that there is no such thing.
TABLE: Mapping[str, str] = {
    # what is read of one thing
    "- -yy yyyyyh y-": "get_task get_task_bodies get_body",
    "- yyy yyyyyh y-": "get_run list_steps get_handoff wait_handoff",
    # lists and the log: those who see less get less
    "- -yy yyyyyy y-": "list_tasks list_runs list_events get_head get_consistency"
    " list_agents list_runners list_policies get_policy_text list_on_call get_control",
    "- -yy yyyyyh y- entry": "get_entry_proof",
    "- yyy yyyyyy y-": "list_handoffs get_policies_in_force get_hooks",
    "- --y yyyyyy y-": "list_people list_projects get_relay",
    "- --- yyyyyy y-": "get_notifications get_account",
    # work
    "- --y -yyy-- -y": "create_task",
    "- yyy -yyy-- -y": "create_run",
    "- --y -yyy-h -y": " comment_handoff undo_handoff",
    "- --y -yyy-y -y": "resume_hooks",
    "- -yy -yyy-y -y": "record_hook_installed",
    "- --- yyyyyh -y": "view_handoff",
    "- --y --yy-y --": "create_agent issue_token revoke_token suspend_agent reinstate_agent"
    " create_runner issue_runner_token retire_runner retry_delivery",
    "- --y --yy-y -- read": "list_dead_deliveries",
    # what machines do
    "- -y- ------ --": "run_handed_over record_persons_work lease_run heartbeat_run run_started run_paused run_exited run_never_started"
    " run_ended release_run settle_run record_gap record_reads open_review reconcile_handoff"
    " carry_over_handoff start_runner heartbeat_runner stop_runner",
    "- yy- ------ --": "report_usage propose_action record_result ask_question",
    "- yyy ------ --": "get_grant redeem_grant record_effect",
    "- -yy ------ --": "create_body",
    # what takes a person; the tokens here come without a PIN
    "- --- -y-y-h --": "take_over_run hand_back_run decide_handoff acknowledge_handoff release_handoff withdraw_vote route_handoff"
    " snooze_handoff revoke_grant",
    "- --- --yy-h --": "override_handoff hold_task release_task erase_task_bodies",
    "- --- --yy-y --": "propose_policy approve_policy decline_policy",
    "- --- yyyyyy --": "set_hook_mode pause_hooks",
    "- --- ---y-- --": "invite_person set_person_roles disable_person enable_person end_person_sessions set_person_teams set_project",
    "- --- yyyyyy -- own": "show_notifications add_contact change_contact remove_contact rotate_contact test_contact set_quiet_hours"
    " create_slack_code set_person_away end_person_away list_sessions end_session end_sessions"
    " list_own_tokens issue_own_token revoke_own_token change_password",
    "- --- -yyy-y --": "override_on_call kill_agents",
    "- --- --yy-y -- release": "release_agents",
    "- --- --hh-h -- erase": "erase_body",
    # pages
    "- --- yyyyyy -- page": "show_you show_people show_audit show_agents show_tasks show_policy show_agent show_installation"
    " show_notifications_page change_notifications save_view show_versions follow_link show_inbox show_rows follow show_runs log_out show_own_account"
    " change_own_account offer_passkey add_passkey link_account",
    "- -yy yyyyyy y- checkpoints": "list_checkpoints",
    "- -yy yyyyyh y- checkpoint": "get_checkpoint get_review_files get_changes",
    "- --- -y-y-h -- checkpoint": "open_checkpoint",
    # each item is refused by itself, and who decided nothing rates nothing
    "- --- yyyyyh -- each": "decide_checkpoint decide_handoffs rate_handoff",
    "- --- yyyyyy -- checkpoint": "show_checkpoints show_form",
    "- --- yyyyyh -- checkpoint": "show_checkpoint",
    "- --- -y-y-h -- asks": "open_now",
    "- --- yyyyyh -- pass": "decide_pass",
    "- --- -yyy-- -- delegate": "delegate",
    "- --- -----h -- rating": "rate",
    "- --- yyyyyh -- attention": "attend",
    "- --- yyyyyh -- page": "show_task show_explanation show_case show_changes show_edit back_to_case show_state show_run",
    "- --y yyyyyh y- notices": "list_notices",
    "- --y yyyyyy y- notice": "get_notice",
    "- --- ----y- -- page": "export",
    "- --- -y-y-h -- take": "take_over hand_back",
    "- --- yyyyyh -- bulk": "approve",
    "- --- -y-y-h -- page": "decide sign routing:acknowledge routing:release routing:unvote routing:route"
    " routing:snooze routing:revoke",
    "- --- -yyy-h -- page": "routing:undo",
    "- --- --yy-h -- page": "routing:override",
    "- --- yyyyyh -- offered": "routing:else",
    "- --- ---y-- -- page": "change_people",
}
PUBLIC = frozenset(
    [
        "openapi",
        "get_health",
        "get_static",
        "show_setup",
        "set_up",
        "show_login",
        "log_in",
        "sign_in_elsewhere",
        "come_back",
        "take_slack",
    ]  # the last one proves itself by Slack's signature
)


def expected() -> dict[str, str]:
    found: dict[str, str] = {}
    for marks, names in TABLE.items():
        row = "".join(marks.split()[:4])
        assert len(row) == len(CALLERS), marks
        for name in names.split():
            assert name not in found, name
            found[name] = row
    return found


def routes(app: FastAPI) -> list[tuple[str, str, str]]:
    """(name, method, path) of everything that the application answers."""
    found = []
    waiting: list[object] = list(app.routes)
    while waiting:
        route = waiting.pop(0)
        inner = getattr(route, "original_router", None)
        if inner is not None:
            assert not cast("str", getattr(route, "include_context").prefix)  # noqa: B009
            waiting[:0] = inner.routes
            continue
        methods = cast("set[str]", getattr(route, "methods")) - {"HEAD"}  # noqa: B009
        path, name = cast("str", getattr(route, "path")), cast("str", getattr(route, "name"))  # noqa: B009
        assert isinstance(route, APIRoute) or name == "openapi", route
        named = [name]
        if name == "routing":  # each of its buttons is a permission of its own
            named = [f"routing:{act}" for act in (*ACTS, "else")]
        found += [(each, method, path) for each in named for method in sorted(methods)]
    return found


POLICY = """\
version: 1
rotations:
  nights: {people: [viewer, reviewer], starts: 2020-01-06T09:00, zone: Europe/Berlin, every: 1w}
gates:
  - id: two
    when: 'call.command.startsWith("git push")'
    require: {approvals: 1, separate: true}
"""


@dataclass
class Stage:
    """A project with its members, one of each role, and somebody outside."""

    served: Served
    app: FastAPI
    secrets: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    task: str = ""
    held: str = ""
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    def client(self, caller: str) -> httpx.Client:
        if caller not in self._clients:
            self._clients[caller] = self._made(caller)
        return self._clients[caller]

    def _made(self, caller: str) -> httpx.Client:
        if caller in PEOPLE:
            made = self.served.client(Origin=self.served.url)
            made.cookies.set(COOKIE, self.secrets[caller])
            made.headers["x-csrf-token"] = form_token(self.secrets[caller])
            return made
        if caller in ("reads", "writes"):
            scope = caller.removesuffix("s")
            reviewer = Actor("person", self.ids["reviewer"], "browser")
            issued = self.served.engine.own_tokens.issue(reviewer, scope, (scope,))
            made = self.served.client()
            made.headers["Authorization"] = f"Bearer {issued.token}"
            return made
        return self.served.client("" if caller == "nobody" else caller)

    def sign_in(self, caller: str) -> None:
        self.secrets[caller] = self.served.engine.people.begin(self.ids[caller], "password").secret
        self._clients.pop(caller, None)


def _cast(stage: Stage) -> None:
    engine = stage.served.engine
    noor = Actor("person", stage.served.person_id, "browser")
    engine.policies.propose(noor, ORGANISATION, POLICY)
    engine.agents.add(noor, "idle", "none", "idle")
    for name, roles in {**PEOPLE, "spare": ("viewer",)}.items():
        if name in ("reviewer", "outsider"):  # these two also prove themselves by PIN
            secret = engine.people.invite_another(noor, roles)
            made = engine.people.set_up(secret, NewPerson(name.title(), name, PASSWORD, PIN))
            stage.ids[name] = str(made["person_id"])
            stage.sign_in(name)
        else:
            who = Identity("https://id.example", name, name.title(), name, (name,))
            stage.secrets[name] = engine.federation.sign_in(who, Mapped({name: roles})).secret
            stage.ids[name] = engine.people.of_session(stage.secrets[name])
    members = ["viewer", "reviewer", "operates", "admin"]
    engine.knowing.set_project(noor, "checkout", [ROOT], members, [])


@pytest.fixture
def stage(served: Served) -> Stage:
    made = Stage(served, create_app(served.engine))
    _cast(made)
    task = served.client("operator").post("/v1/tasks", json=TASK)
    made.task = task.json()["task_id"]
    _working(made)
    return made


def _working(stage: Stage) -> None:
    """A registered runner of the project that holds a run of it."""
    served = stage.served
    operator = served.client("operator")
    named = {"name": "build-9", "repositories": [ROOT], "labels": ["of-checkout"]}
    made = operator.post("/v1/runners", json=named).json()
    wanted = {"task_id": stage.task, "command": ["agent"], "agent_id": served.agent_id}
    stage.held = operator.post("/v1/runs", json=wanted).json()["run_id"]
    runner = served.client(Authorization=f"Bearer {made['token']}")
    process = runner.post("/v1/runners/start", json={"host": "h", "capacity": 1}).json()
    seat = {"runner_id": made["runner_id"], "host": "h", "instance": process["instance"]}
    leased = runner.post("/v1/leases", json={**seat, "capacity": 1})
    assert leased.json()["run_id"] == stage.held


TASK = {
    "brief": {"intent": "Fix the build"},
    "repository": ROOT,
    "target_branch": "main",
    "base_commit": "0" * 40,
}


def asked_together(served: Served, *handoffs: str) -> str:
    """A checkpoint over these, as the sweep records one."""
    kernel = served.engine.kernel
    checkpoint_id, asked = CheckpointId(new_id("cp")), tuple(map(HandoffId, handoffs))
    until = kernel.clock.now() + timedelta(hours=1)
    opened = CheckpointOpened(checkpoint_id, Why.COST, asked[0], asked, (), until, 3_000)

    def work(unit: Unit) -> Result:
        unit.record(Checkpoint, checkpoint_id, [opened])
        return {}

    kernel.run(SYSTEM, work)
    return checkpoint_id


@dataclass
class Shot:
    """Ids that go into paths and bodies. A handoff that is settled makes place for a new one."""

    stage: Stage
    run: str = ""
    handoff: Json = field(default_factory=dict)
    checkpoint: str = ""
    number: int = 0

    def fresh(self) -> None:
        served = self.stage.served
        if self.handoff:
            now = served.client("operator").get(f"/v1/handoffs/{self.handoff['handoff_id']}")
            if now.json()["waiting"]:
                return
        self.run = self.run or served.session_run()
        self.number += 1
        self.handoff = served.stop(self.run, f"k{self.number}", f"git push origin b{self.number}")
        self.checkpoint = self.checkpoint or asked_together(served, self.handoff["handoff_id"])

    def path(self, path: str) -> str:
        handoff_id = self.handoff["handoff_id"]
        values = {
            "handoff_id": handoff_id,
            "grant_id": handoff_id.replace("ho_", "gr_"),
            "run_id": self.run,
            "task_id": self.stage.task,
            "checkpoint_id": self.checkpoint,
            "body_id": self.handoff["body_id"],
            "position": self.handoff["position"],
            "agent_id": self.stage.served.agent_id,
            "name": "app.css",
        }
        for name, value in values.items():
            path = path.replace("{" + name + "}", str(value))
            path = path.replace("{" + name + ":path}", str(value))
        return path.replace("{delivery_id}", "999").replace("{", "").replace("}", "")


def bodies(shot: Shot) -> dict[str, object]:
    """What the engine needs before it asks for roles. Everything else is sent an empty object."""
    seen = shot.handoff["presented_digest"]
    said = {"kind": "approve", "presented_digest": seen, "reason": "looked at it"}
    reason = {"reason": "because"}
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return {
        "decide_handoff": said,
        "decide_handoffs": {
            "items": [{"handoff_id": shot.handoff["handoff_id"], "presented_digest": seen}]
        },
        "decide_checkpoint": {"items": [{"handoff_id": shot.handoff["handoff_id"], **said}]},
        "open_checkpoint": {"handoffs": [shot.handoff["handoff_id"]]},
        "rate_handoff": {"good": True},
        "override_handoff": {"presented_digest": seen, "reason": "an emergency"},
        "route_handoff": {"to": ["reviewers"], "reason": "rather you"},
        "snooze_handoff": {"for_s": 60},
        "comment_handoff": {"text": "hm"},
        "create_task": TASK,
        "create_run": {"session_id": "s9", "cwd": ROOT, "agent_id": shot.stage.served.agent_id},
        "add_contact": {"channel": "email", "address": "somebody@example.com"},
        "change_contact": {"takes": "all"},
        "hold_task": reason,
        "release_task": reason,
        "erase_task_bodies": reason,
        "set_hook_mode": {"mode": "observe"},
        "pause_hooks": {"minutes": 1, "reason": "a test"},
        "invite_person": {"roles": ["viewer"]},
        "set_person_roles": {"login": "spare", "roles": ["viewer"]},
        "disable_person": {"login": "spare"},
        "enable_person": {"login": "spare"},
        "set_person_teams": {"login": "spare", "teams": ["dba"]},
        "end_person_sessions": {"login": "spare"},
        "set_project": {"name": "other", "repositories": ["/srv/other"]},
        "set_person_away": {"ends": soon},
        "override_on_call": {"rotation": "nights", "login": "reviewer", "ends": soon},
        "kill_agents": {"scope": "team:idle", "reason": "a test"},
        "release_agents": {"scope": "team:idle", "stage": "review", "reason": "a test"},
        "propose_policy": {"scope": "organisation", "text": "version: 1\n"},
        "approve_policy": {"scope": "organisation", "digest": "0" * 64},
        "decline_policy": {"scope": "organisation", "digest": "0" * 64, "reason": "no"},
    }


FORMS: Mapping[str, Callable[[Shot], dict[str, str]]] = {
    "decide": lambda s: {
        "kind": "approve",
        "presented_digest": str(s.handoff["presented_digest"]),
        "reason": "looked at it",
    },
    "decide_pass": lambda _: {"act": "record"},
    "open_now": lambda s: {"handoff_id": str(s.handoff["handoff_id"])},
    "delegate": lambda _: {
        "act": "create",
        "intent": "Fix the build",
        "repository": ROOT,
        "target_branch": "main",
    },
    "rate": lambda _: {"rating": "good"},
    "attend": lambda s: {"ms": "1500", "presented_digest": str(s.handoff["presented_digest"])},
    "show_edit": lambda _: {"open": "a.py"},
    "sign": lambda s: {"kind": "approve", "presented_digest": s.handoff["presented_digest"]},
    "routing:acknowledge": lambda _: {"act": "acknowledge"},
    "routing:release": lambda _: {"act": "release"},
    "routing:unvote": lambda _: {"act": "unvote"},
    "routing:route": lambda _: {"act": "route", "to": "reviewers", "why": "rather you"},
    "routing:snooze": lambda _: {"act": "snooze", "minutes": "1"},
    "routing:revoke": lambda _: {"act": "revoke"},
    "routing:undo": lambda _: {"act": "undo"},
    "routing:override": lambda s: {
        "act": "override",
        "presented_digest": str(s.handoff["presented_digest"]),
        "why": "an emergency",
    },
    "routing:else": lambda _: {"act": "none"},
    "change_own_account": lambda _: {"act": "none"},
    "link_account": lambda _: {},
    "change_notifications": lambda _: {"act": "none"},
    "save_view": lambda _: {},
    "export": lambda _: {},
    "take_over": lambda _: {"reason": "mine"},
    "hand_back": lambda _: {"note": "done", "then": "resume"},
    "approve": lambda s: {f"pick.{s.handoff['handoff_id']}": s.handoff["presented_digest"]},
    "change_people": lambda s: {"act": "disable", "person": s.stage.ids["spare"]},
    "log_out": lambda _: {},
}
HTML = {"Accept": "text/html"}
REFUSALS = ("not_permitted", "unauthenticated", "cross_site", "not_eligible")
QUERY = {"wait_handoff": "?timeout_s=0", "get_consistency": "?from=1&to=2"}


def mark(answer: httpx.Response) -> str:
    if answer.headers.get("location", "").startswith("/login") and answer.status_code == 303:
        return "-"
    if answer.status_code in (401, 403):
        problem = answer.headers.get("content-type", "").startswith("application/problem")
        return "-" if not problem or answer.json()["code"] in REFUSALS else "y"
    return "h" if answer.status_code == 404 else "y"


def ask(shot: Shot, caller: str, name: str, method: str, path: str) -> httpx.Response:
    stage, url = shot.stage, shot.path(path) + QUERY.get(name, "")
    client = stage.client(caller)
    if name == "get_body":
        url += f"?of={shot.handoff['handoff_id']}"
    if name == "show_explanation":
        url += f"?handoff={shot.handoff['handoff_id']}"
    if name == "list_handoffs" and caller == "agent":
        url += f"?run_id={shot.run}"
    if name == "follow":
        with client.stream(method, url) as answer:
            return httpx.Response(answer.status_code, headers=answer.headers)
    if name in FORMS:
        token = form_token(stage.secrets.get(caller, ""))
        data = {"csrf_token": token, **FORMS[name](shot)}
        answer = client.request(method, url, data=data, headers=HTML if name != "sign" else {})
        if name == "log_out" and caller in PEOPLE:
            assert answer.status_code == 303
            assert mark(client.get("/")) == "-"
            stage.sign_in(caller)
            return httpx.Response(200)
        return answer
    body = bodies(shot).get(name, {}) if method == "POST" else None
    return client.request(method, url, json=body)


def test_every_route_has_a_row_and_no_row_is_left_over(served: Served) -> None:
    named = {name for name, _, _ in routes(create_app(served.engine))}
    assert named == set(expected()) | PUBLIC


# Passing by has no permission to lack: ids that are not there say so to everybody.
NOT_THERE = frozenset(
    {"change_contact", "remove_contact", "rotate_contact", "test_contact"}
    | {"get_notice", "follow_link", "show_versions"}
    | {
        "end_session",
        "link_account",
        "revoke_own_token",
        "retire_runner",
        "retry_delivery",
        "issue_runner_token",
    }
    | {"revoke_token", "heartbeat_runner", "stop_runner", "start_runner", "get_policy_text"}
    | {"override_on_call", "approve_policy", "decline_policy", "release_agents"}
)


def test_the_table_holds_for_every_caller(stage: Stage) -> None:
    shot, table, wrong = Shot(stage), expected(), []
    for name, method, path in routes(stage.app):
        if name in PUBLIC:
            continue
        found = ""
        settles = method == "POST" and ("handoff_id" in path or "grant_id" in path)
        for caller in CALLERS:
            if settles or not shot.handoff:
                shot.fresh()
                _locate(shot)
            before = _refused(shot)
            answer = ask(shot, caller, name, method, path)
            assert answer.status_code < 500, (name, caller, answer.text)
            if answer.status_code in (401, 403) and "hx-redirect" not in answer.headers:
                assert _refused(shot) > before, (name, caller, answer.text)
            got = mark(answer)
            found += "y" if got == "h" and name in NOT_THERE else got
            if caller == "outsider":
                _nothing_leaks(shot, name, answer)
        if found != table[name]:
            wrong.append(f"{name}: {found}, not {table[name]}")
    assert not wrong, "\n".join(wrong)


def _refused(shot: Shot) -> int:
    """How many refusals are on record, with those that were only counted so far."""
    engine = shot.stage.served.engine
    engine.access.refusals.flush(all_of_them=True)
    return engine.kernel.state(Installation, INSTALLATION_ID).refusals


def _locate(shot: Shot) -> None:
    """A body that the handoff shows, and the position of one of its entries."""
    if "position" not in shot.handoff:
        store = shot.stage.served.engine.kernel.store
        rows = [r for r in store.scan() if r.stream == f"handoff/{shot.handoff['handoff_id']}"]
        shot.handoff["position"] = rows[0].position
        shot.handoff["body_id"] = json.loads(rows[0].data)["data"]["package"]["body_id"]


def _nothing_leaks(shot: Shot, name: str, answer: httpx.Response) -> None:
    """Whatever an outsider asks for: nothing of what the project's members know is in the answer."""
    if answer.status_code == 404:
        return  # it repeats the id that was asked for, and nothing else
    case = (shot.run, shot.handoff["handoff_id"], shot.stage.task, "git push origin b")
    for secret in (*case, shot.stage.held, "of-checkout"):
        assert secret not in answer.text, (name, secret)


def test_a_member_sees_which_runner_works_for_the_project(stage: Stage) -> None:
    (shown,) = stage.client("reviewer").get("/v1/runners").json()["items"]
    assert (shown["repositories"], shown["labels"], shown["runs"]) == ([ROOT], ["of-checkout"], [stage.held])  # fmt: skip
    assert stage.client("outsider").get("/v1/runners").json()["items"] == []
    spare = {"name": "spare", "repositories": ["/srv/other", ROOT], "labels": ["x"]}
    stage.served.client("operator").post("/v1/runners", json=spare)
    found = stage.client("reviewer").get("/v1/runners").json()["items"]
    assert [(r["repositories"], r["labels"]) for r in found[1:]] == [([ROOT], [])]


def test_public_routes_ask_nobody_to_sign_in(served: Served) -> None:
    client = served.client()
    for name, method, path in routes(create_app(served.engine)):
        if name in PUBLIC:
            answer = client.request(
                method, path.replace("{secret}", "x").replace("{name:path}", "x")
            )
            assert (answer.status_code == 401) is False, name
            assert not answer.headers.get("location", "").startswith("/login"), name


def test_every_refusal_of_need_to_know_is_in_the_audit_trail(stage: Stage) -> None:
    shot = Shot(stage)
    shot.fresh()
    handoff_id = shot.handoff["handoff_id"]
    outsider = stage.client("outsider")
    assert outsider.get(f"/v1/handoffs/{handoff_id}").status_code == 404
    assert outsider.get(f"/handoffs/{handoff_id}").status_code == 404
    rows = stage.served.engine.kernel.store.events(limit=5_000, types=("access.refused",))
    said = [json.loads(r.data) for r in rows]
    mine = [s["data"] for s in said if s["actor"]["id"] == stage.ids["outsider"]]
    assert [m["what"] for m in mine] == ["get_handoff", "page"]
    assert all(m["why"] == f"need to know of handoff {handoff_id}" for m in mine)


def test_a_pin_beside_the_operators_token_opens_no_more_than_the_browser(stage: Stage) -> None:
    shot = Shot(stage)
    shot.fresh()
    path = f"/v1/handoffs/{shot.handoff['handoff_id']}/decisions"
    said = bodies(shot)["decide_handoff"]
    operator = stage.served.client("operator")
    proof = {"person": "outsider", "pin": PIN}
    refused = operator.post(path, json={**cast("Json", said), **proof})
    assert refused.status_code == 404
    taken = operator.post(path, json={**cast("Json", said), "person": "reviewer", "pin": PIN})
    assert taken.status_code == 201


def test_the_requester_does_not_count_where_duties_are_separated(stage: Stage) -> None:
    served, reviewer = stage.served, stage.client("reviewer")
    task = reviewer.post("/v1/tasks", json=TASK).json()["task_id"]
    wanted = {"task_id": task, "command": ["agent"], "agent_id": served.agent_id}
    assert reviewer.post("/v1/runs", json=wanted).status_code == 201
    seat = {"runner_id": "r", "host": "h", "capacity": 1}
    run = served.client("runner").post("/v1/leases", json=seat).json()
    handoff = served.stop(run["run_id"], "t", "git push origin main")
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    said = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "mine"}
    refused = stage.client("reviewer").post(path, json=said)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_eligible")
    assert stage.client("admin").post(path, json=said).status_code == 201
