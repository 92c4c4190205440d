"""Sessions that can be ended, tokens of one's own, and what need-to-know hides from lists and streams."""

import json
import re
import threading
from datetime import timedelta

import httpx
import pytest

from handfast.core.domain.events import Actor
from handfast.core.domain.events_notify import NoticePlanned
from handfast.core.domain.ids import ContactId, HandoffId, NoticeId, PersonId
from handfast.core.domain.notice import Notice
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.federation import Identity, Mapped
from handfast.engine.ids import new_id
from handfast.engine.kernel import Result, Unit
from handfast.server.application import create_app
from handfast.server.sessions import COOKIE
from tests.edited_review import reviewed
from tests.integration.test_route_roles import PUBLIC, asked_together, routes
from tests.served import LOGIN, PASSWORD, PIN, Json, Served, decision

NEW = "another long password"


def person(served: Served, name: str, *roles: str) -> httpx.Client:
    """Somebody else, signed in."""
    who = Identity("https://id.example", name, name.title(), name, ("g",))
    session = served.engine.federation.sign_in(who, Mapped({"g": roles}))
    client = served.client(Origin=served.url)
    client.cookies.set(COOKIE, session.secret)
    return client


def own_token(client: httpx.Client, *scopes: str, **more: object) -> Json:
    made = client.post("/v1/account/tokens", json={"label": "a script", "scopes": scopes, **more})
    assert made.status_code == 201, made.text
    found: Json = made.json()
    return found


def with_token(served: Served, token: str) -> httpx.Client:
    client = served.client()
    client.headers["Authorization"] = f"Bearer {token}"
    return client


# -- sessions


def test_a_session_is_listed_and_ended_from_another_one(served: Served) -> None:
    mine, lost = served.browser(), served.browser()
    items = mine.get("/v1/account/sessions").json()["items"]
    assert [s["current"] for s in items].count(True) == 1
    other = next(s for s in items if not s["current"])
    assert other["method"] == "password"
    assert COOKIE not in json.dumps(items)
    done = mine.delete(f"/v1/account/sessions/{other['session_id']}")
    assert done.json()["ended"] == 1
    assert lost.get("/v1/account").status_code == 401
    assert lost.get("/").headers["location"] == "/login"
    again = mine.delete(f"/v1/account/sessions/{other['session_id']}")
    assert again.status_code == 404


def test_nobody_ends_a_session_of_somebody_else_but_an_admin(served: Served) -> None:
    vic = person(served, "vic", "reviewer")
    mine = vic.get("/v1/account/sessions").json()["items"][0]["session_id"]
    noor = served.browser()
    assert noor.delete(f"/v1/account/sessions/{mine}").status_code == 404
    assert vic.get("/v1/account").status_code == 200
    token = with_token(served, own_token(vic, "read")["token"])
    refused = vic.post("/v1/people/sign-out", json={"login": LOGIN})
    assert refused.status_code == 403
    done = noor.post("/v1/people/sign-out", json={"login": "vic"})
    assert done.json() == {"ended": 1, "tokens": 1}
    assert {vic.get("/v1/account").status_code, token.get("/v1/account").status_code} == {401}


def test_a_new_password_ends_all_but_this_session_and_every_token(served: Served) -> None:
    mine, lost = served.browser(), served.browser()
    token = with_token(served, own_token(lost, "read")["token"])
    wrong = mine.post("/v1/account/password", json={"old": "not this one", "new": NEW})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_secret")
    short = mine.post("/v1/account/password", json={"old": PASSWORD, "new": "short"})
    assert short.status_code == 422
    done = mine.post("/v1/account/password", json={"old": PASSWORD, "new": NEW})
    assert done.json() == {"ended": 1, "tokens": 1}
    assert mine.get("/v1/account").status_code == 200
    assert {lost.get("/v1/account").status_code, token.get("/v1/account").status_code} == {401}
    client = served.client(Origin=served.url, Accept="text/html")
    form = {"name": LOGIN, "password": PASSWORD, "next": "/"}
    assert client.post("/login", data=form).status_code == 403
    assert client.post("/login", data={**form, "password": NEW}).status_code == 303


def test_an_open_stream_ends_with_its_session(served: Served) -> None:
    client = served.browser()
    with client.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": open"
        served.engine.sessions.end_all(Actor("person", served.person_id, "browser"))
        rest: list[str] = []
        reader = threading.Thread(target=lambda: rest.extend(lines), daemon=True)
        reader.start()
        reader.join(120)
        assert not reader.is_alive()


# -- tokens


def test_a_token_is_shown_once_and_kept_as_a_hash(served: Served) -> None:
    client = served.browser()
    made = own_token(client, "read")
    secret = made["token"].rpartition("_")[2]
    listed = client.get("/v1/account/tokens").text
    assert made["token_id"] in listed
    assert secret not in listed
    kept = served.engine.kernel.store.credential(made["token_id"])
    assert kept is not None
    assert secret not in kept.secret
    assert all(secret.encode() not in row.data for row in served.engine.kernel.store.scan())
    page = client.get("/account").text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "act": "issue", "label": "by hand", "scope": "write", "days": "7"}
    shown = client.post("/account", data=form).text
    assert "hfp_" in shown
    assert "hfp_" not in client.get("/account").text
    assert "by hand" in client.get("/account").text


def test_a_token_does_what_its_scope_says_and_ends(served: Served) -> None:
    client = served.browser()
    reads, writes = own_token(client, "read"), own_token(client, "write")
    reader, writer = with_token(served, reads["token"]), with_token(served, writes["token"])
    task = {"brief": {"intent": "x"}, "repository": "/r", "target_branch": "main"}
    task["base_commit"] = "0" * 40
    assert reader.get("/v1/tasks").status_code == 200
    assert reader.post("/v1/tasks", json=task).status_code == 403
    assert writer.get("/v1/tasks").status_code == 403
    assert writer.post("/v1/tasks", json=task).status_code == 201
    assert writer.post("/v1/account/tokens", json={"label": "more"}).status_code == 403
    assert client.delete(f"/v1/account/tokens/{reads['token_id']}").status_code == 200
    assert reader.get("/v1/tasks").status_code == 401
    bad = ("hfp_", f"{writes['token'][:-1]}x", writes["token"].replace("hfp_", "hfa_"))
    for text in bad:
        assert with_token(served, text).get("/v1/tasks").status_code == 401, text
    assert client.delete(f"/v1/tokens/{writes['token_id']}").status_code == 422


def test_a_token_expires(served: Served) -> None:
    client = served.browser()
    made = own_token(client, "read", expires_in_s=1)
    token = with_token(served, made["token"])
    kept = served.engine.kernel.store.credential(made["token_id"])
    assert kept is not None
    assert kept.expires_at is not None
    left = kept.expires_at - served.engine.kernel.clock.now()
    assert left <= timedelta(seconds=1)
    threading.Event().wait(max(0.0, left.total_seconds()) + 0.05)
    assert token.get("/v1/account").status_code == 401
    too_long = {"label": "x", "expires_in_s": 400 * 86_400}
    assert client.post("/v1/account/tokens", json=too_long).status_code == 422


def test_a_token_decides_only_beside_its_own_persons_pin(served: Served) -> None:
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    person(served, "vic", "reviewer")
    token = with_token(served, own_token(served.browser(), "write")["token"])
    alone = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "x"}
    assert token.post(path, json=alone).status_code == 403
    other = served.engine.people.invite_another(
        Actor("person", served.person_id, "browser"), ["reviewer"]
    )
    from handfast.engine.people import NewPerson

    served.engine.people.set_up(other, NewPerson("Bob", "bob", PASSWORD, "551177"))
    mixed = token.post(path, json={**alone, "person": "bob", "pin": "551177"})
    assert (mixed.status_code, mixed.json()["code"]) == (403, "not_permitted")
    assert token.post(path, json={**alone, "person": LOGIN, "pin": PIN}).status_code == 201


# -- need-to-know


@pytest.fixture
def apart(served: Served) -> tuple[Json, httpx.Client, httpx.Client]:
    """A case of one project, a member of it, and somebody of another project."""
    member, other = person(served, "mia", "reviewer"), person(served, "otto", "reviewer")
    noor = Actor("person", served.person_id, "browser")
    served.engine.knowing.set_project(noor, "checkout", ["/srv/checkout"], ["mia"], [])
    served.engine.knowing.set_project(noor, "other", ["/srv/other"], [], ["blue"])
    served.engine.knowing.set_teams(noor, "otto", ["blue"])
    return served.stop(), member, other


def test_lists_counts_and_the_log_hold_only_what_one_may_know(
    served: Served, apart: tuple[Json, httpx.Client, httpx.Client]
) -> None:
    handoff, member, other = apart
    assert other.get("/v1/account").json()["projects"] == ["other"]
    for path in ("/v1/handoffs", "/v1/runs"):
        assert len(member.get(path).json()["items"]) == 1
        assert other.get(path).json()["items"] == []
    html = {"Accept": "text/html"}
    assert "1<span" in member.get("/", headers=html).text
    seen = other.get("/", headers=html).text
    assert 'class="count"' not in seen
    assert handoff["handoff_id"] not in seen
    streams = {e["stream"].partition("/")[0] for e in member.get("/v1/events").json()["items"]}
    assert streams == {"run", "handoff", "person"}
    mine = {e["stream"] for e in other.get("/v1/events").json()["items"]}
    assert {s.partition("/")[0] for s in mine} == {"person"}
    assert len(mine) == 1
    body = handoff["handoff_id"]
    run = {"session_id": "z", "cwd": "/srv/checkout/sub", "agent_id": served.agent_id}
    assert other.post("/v1/runs", json=run).status_code == 403
    assert member.post("/v1/runs", json=run).status_code == 201
    assert other.get(f"/v1/handoffs/{body}/wait?timeout_s=0").status_code == 404


def test_a_project_holds_from_the_next_request_on(
    served: Served, apart: tuple[Json, httpx.Client, httpx.Client]
) -> None:
    handoff, member, other = apart
    path = f"/v1/handoffs/{handoff['handoff_id']}"
    assert (member.get(path).status_code, other.get(path).status_code) == (200, 404)
    noor = Actor("person", served.person_id, "browser")
    served.engine.knowing.set_project(noor, "checkout", ["/srv/checkout"], [], ["blue"])
    assert (member.get(path).status_code, other.get(path).status_code) == (404, 200)
    said = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "x"}
    assert member.post(f"{path}/decisions", json=said).status_code == 404
    assert other.post(f"{path}/decisions", json=said).status_code == 201


def test_a_live_stream_tells_only_what_one_may_know(
    served: Served, apart: tuple[Json, httpx.Client, httpx.Client]
) -> None:
    handoff, member, other = apart
    heard: list[str] = []
    ready, done = threading.Event(), threading.Event()

    def listen() -> None:
        with other.stream("GET", "/events") as answer:
            for line in answer.iter_lines():
                heard.append(line)
                ready.set()
                if "handoff_id" in line:
                    done.set()
                    return

    threading.Thread(target=listen, daemon=True).start()
    assert ready.wait(120)
    path = f"/v1/handoffs/{handoff['handoff_id']}"
    assert member.post(f"{path}/acknowledge", json={}).status_code == 200
    session = {"session_id": "o", "cwd": "/srv/other", "mode": "enforce"}
    run = served.client("runner").post("/v1/runs", json=session).json()["run_id"]
    own = served.stop(run, "t1", "git push origin blue")
    assert done.wait(120)
    assert handoff["handoff_id"] not in "".join(heard)
    assert own["handoff_id"] in "".join(heard)


def test_an_auditor_reads_everything_and_decides_where_a_member(
    served: Served, apart: tuple[Json, httpx.Client, httpx.Client]
) -> None:
    handoff, _, _ = apart
    auditor = person(served, "aud", "auditor", "reviewer")
    path = f"/v1/handoffs/{handoff['handoff_id']}"
    assert auditor.get(path).status_code == 200
    page = auditor.get(f"/handoffs/{handoff['handoff_id']}").text
    assert "You can read this case, not decide it: it takes 1 approval of" in page
    assert 'id="decision-form"' not in page
    said = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "x"}
    refused = auditor.post(f"{path}/decisions", json=said)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_eligible")
    over = served.client("operator").post(f"{path}/decisions", json=decision(handoff))
    assert over.json()["code"] == "not_eligible"  # nor does the admin who made the project


def test_what_belongs_to_no_project_is_seen_by_admins_only(
    served: Served, apart: tuple[Json, httpx.Client, httpx.Client]
) -> None:
    session = {"session_id": "n", "cwd": "/srv/new", "mode": "enforce"}
    run = served.client("runner").post("/v1/runs", json=session).json()["run_id"]
    admin = person(served, "ada", "admin")
    seen = {c.get(f"/v1/runs/{run}").status_code for c in apart[1:]}
    assert (seen, admin.get(f"/v1/runs/{run}").status_code) == ({404}, 200)
    assert admin.get(f"/v1/handoffs/{apart[0]['handoff_id']}").status_code == 404


# -- no decision by looking


def a_notice(served: Served, handoff: Json) -> str:
    """The id of one to the person who is signed in, as the engine plans it."""
    kernel, notice_id = served.engine.kernel, NoticeId(new_id("no"))
    planned = NoticePlanned(
        notice_id=notice_id,
        person_id=PersonId(served.person_id),
        contact_id=ContactId("co_1"),
        channel="webhook",
        link_until=kernel.clock.now() + timedelta(hours=1),
        handoff_id=HandoffId(handoff["handoff_id"]),
        presented_digest=handoff["presented_digest"],
    )

    def work(unit: Unit) -> Result:
        unit.record(Notice, notice_id, [planned])
        return {}

    kernel.run(Actor("system", "handfast", "system"), work)
    return notice_id


def there(served: Served, handoff: Json, approved: Json) -> dict[str, str]:
    """What each placeholder of a path stands for: things that are there."""
    engine = served.engine
    task = {"brief": {"intent": "x"}, "repository": "/srv/checkout", "target_branch": "main"}
    made = served.client("operator").post("/v1/tasks", json={**task, "base_commit": "0" * 40})
    stream = f"handoff/{handoff['handoff_id']}"
    row = next(r for r in engine.kernel.store.scan() if r.stream == stream)
    notice_id = a_notice(served, handoff)
    notice = engine.kernel.state(Notice, notice_id)
    return {
        "handoff_id": handoff["handoff_id"],
        "run_id": handoff["run_id"],
        "grant_id": approved["grant"]["grant_id"],
        "task_id": made.json()["task_id"],
        "checkpoint_id": asked_together(served, handoff["handoff_id"]),
        "agent_id": served.agent_id,
        "body_id": json.loads(row.data)["data"]["package"]["body_id"],
        "position": str(row.position),
        "notice_id": notice_id,
        "token": engine.notices.links.path(notice).removeprefix("/n/"),
    }


NEEDS: dict[str, dict[str, str]] = {
    "get_consistency": {"from": "1", "to": "2"},
    "wait_handoff": {"timeout_s": "0"},
    "show_versions": {"scope": ORGANISATION},
    "show_explanation": {"handoff": "{handoff_id}"},
    "show_form": {"parent": "{task_id}"},
}
FOR_MACHINES = frozenset({"get_grant"})  # the one GET that no signed-in person may


def test_no_get_route_changes_what_is_decided(served: Served) -> None:
    noor = Actor("person", served.person_id, "browser")
    served.engine.policies.propose(noor, ORGANISATION, "version: 1\n")
    handoff = served.stop()
    other = served.stop(handoff["run_id"], "t2", "git push origin other")
    client, operator = served.browser(), served.client("operator")
    path = f"/v1/handoffs/{other['handoff_id']}"
    approved = operator.post(f"{path}/decisions", json=decision(other)).json()
    values = there(served, handoff, approved)
    own = {"get_review_files": {"handoff_id": reviewed(served)["handoff_id"]}}

    def standing() -> list[Json]:
        return [operator.get(f"/v1/handoffs/{h['handoff_id']}").json() for h in (handoff, other)]

    before, size, reached = standing(), served.engine.kernel.store.size(), 0
    wish = {"kind": "approve", "presented_digest": handoff["presented_digest"], "reason": "x"}
    wish |= {"act": "acknowledge", "decision": "approve"}
    for name, method, pattern in routes(create_app(served.engine)):
        if method != "GET" or name in PUBLIC:
            continue
        named = values | own.get(name, {})
        url = re.sub(r"\{(\w+)\}", lambda m, named=named: named[m[1]], pattern)  # type: ignore[misc]
        needs = {k: v.format(**values) for k, v in NEEDS.get(name, {}).items()}
        if name == "follow":
            with client.stream("GET", url, params=wish) as answer:
                assert answer.status_code == 200
            continue
        asks = operator if name in FOR_MACHINES else client
        found = asks.get(url, params=needs)
        assert found.status_code in (200, 303), (name, url, found.text[:300])
        assert not found.headers.get("location", "").startswith("/login"), name
        assert asks.get(url, params={**wish, **needs}).status_code < 500, name
        reached += 1
    assert reached > 50
    after = standing()
    for part in ("status", "decision", "grant", "holder", "presented_digest", "takes"):
        assert [h[part] for h in after] == [h[part] for h in before], part
    told = {r.type for r in served.engine.kernel.store.scan(size)}
    assert told <= {"notice.opened", "access.refused", "handoff.viewed"}, told
    page = client.get(f"/handoffs/{handoff['handoff_id']}/decide")
    assert page.status_code == 405
