"""Slack over HTTP: a message to a fake Slack, and requests signed as Slack signs them to a real server."""

import hmac
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from handfast.app import open_engine
from handfast.core.domain.errors import AdapterError, NotPermitted
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.person import Person
from handfast.engine.channels import slack
from handfast.engine.federation import Identity, Mapped
from handfast.engine.handoffs import Decision
from handfast.server.serving import ServerThread
from tests.receivers import Web, web
from tests.served import LOGIN, PASSWORD, Served
from tests.told import browser, deliver, statuses, write_settings

SECRET, TEAM, USER = "8f742231b10e8888abcd99yyyzzz85a5", "T0ACME", "U0NOOR"
LOW = {"effect": "network", "summary": "runs the smoke check", "hazards": []}
POLICY = """\
version: 1
chat: {decide: low}
gates:
  - id: ask
    when: call.tool == "Bash"
    require: {approvals: 1}
    risk: low
    why: Smoke checks are looked at.
"""


@dataclass
class Workspace:
    """A server, and the fake Slack it talks to."""

    served: Served
    slack: Web

    @property
    def engine(self) -> Any:
        return self.served.engine

    def send(
        self,
        form: dict[str, str],
        *,
        secret: str = SECRET,
        at: float | None = None,
        signature: str = "",
        body: bytes = b"",
    ) -> httpx.Response:
        stamp = str(int(time.time() if at is None else at))
        sent = body or urlencode(form).encode()
        made = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + sent, "sha256").hexdigest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature or f"v0={made}",
        }
        return self.served.client().post("/slack", content=sent, headers=headers)

    def command(self, text: str, user: str = USER, **more: Any) -> httpx.Response:
        form = {"command": "/handfast", "text": text, "team_id": TEAM, "user_id": user}
        return self.send(form, **more)

    def press(
        self,
        button: dict[str, Any],
        user: str = USER,
        says: Mapping[str, str] = MappingProxyType({}),
        **more: Any,
    ) -> httpx.Response:
        """`says` is what Slack tells of the account beside its id."""
        payload = {
            "type": "block_actions",
            "user": {"id": user, "team_id": TEAM, **says},
            "team": {"id": TEAM},
            "container": {"channel_id": "D1", "message_ts": "17.1"},
            "actions": [button],
            "n": time.monotonic_ns(),
        }
        return self.send({"payload": json.dumps(payload)}, **more)

    def link(self, user: str = USER) -> None:
        code = self.engine.contacts.slack_code(browser(self.served.person_id))["code"]
        answer = self.command(f"link {code}", user)
        assert "is linked to Noor Haddad" in answer.json()["text"], answer.text

    def told(self, method: str) -> list[dict[str, Any]]:
        return [g.json for g in self.slack.got if g.path == f"/api/{method}"]

    def ask(self, *, anyway: bool = False) -> str:
        """A call of low risk that the policy asks about; `anyway` where there is no policy."""
        run = self.served.session_run()
        body = {
            "key": "k1",
            "call": {"tool": "Bash", "arguments": {"command": "make smoke"}},
            "facts": LOW,
            "require_approval": anyway,
        }
        asked = self.served.client("runner").post(f"/v1/runs/{run}/actions", json=body)
        assert asked.json()["verdict"] == "wait", asked.text
        return str(asked.json()["handoff_id"])

    def buttons(self) -> list[dict[str, Any]]:
        (message,) = self.told("chat.postMessage")[-1:]
        found = [b for b in message["blocks"] if b["type"] == "actions"]
        return [e for block in found for e in block["elements"]]

    def approve_button(self) -> dict[str, Any]:
        (found,) = [b for b in self.buttons() if b["action_id"] == slack.APPROVE]
        return found


@pytest.fixture
def workspace(
    tmp_path: Path, prepared: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setenv("HANDFAST_SLACK_TOKEN", "xoxb-1")
    monkeypatch.setenv("HANDFAST_SLACK_SIGNING_SECRET", SECRET)
    home = tmp_path / "installation"
    shutil.copytree(prepared[0], home)
    with ExitStack() as stack:
        fake = stack.enter_context(web())
        fake.answer = {"ok": True, "channel": "D1", "ts": "17.1"}
        smtp = {"host": "127.0.0.1", "from": "h@example.com", "security": "none"}
        at = {"slack": {"api_url": f"{fake.url}/api/", "team": TEAM}, "smtp": smtp}
        write_settings(home, at)
        engine = open_engine(home=home)
        stack.callback(engine.close)
        server = stack.enter_context(ServerThread(engine))
        served = Served(engine, server, tokens=prepared[1])
        stack.callback(served.close)
        yield Workspace(served, fake)


def publish(w: Workspace) -> None:
    """By the only person there is, so at once."""
    w.engine.policies.propose(browser(w.served.person_id), "organisation", POLICY)


def test_a_low_risk_call_is_approved_in_slack_where_policy_lets_it(workspace: Workspace) -> None:
    w = workspace
    publish(w)
    w.link()
    asked = w.ask()
    deliver(w.engine)
    assert w.told("chat.postMessage")[0]["channel"] == USER
    assert w.slack.last().headers["authorization"] == "Bearer xoxb-1"
    shown = json.dumps(w.told("chat.postMessage")[0]["blocks"])
    assert "make smoke" in shown
    assert w.press(w.approve_button()).status_code == 200
    after = w.engine.views.handoff(asked)
    assert after["decision"]["kind"] == "approve"
    assert (after["decision"]["by"], after["decision"]["auth"]) == (w.served.person_id, "slack")
    assert after["decision"]["presented_digest"] == after["presented_digest"]
    deliver(w.engine)
    (update,) = w.told("chat.update")
    assert (update["channel"], update["ts"]) == ("D1", "17.1")
    assert "by Noor Haddad" in update["blocks"][0]["text"]["text"]
    assert not [b for b in update["blocks"] if b["type"] == "actions"], "its buttons are gone"


def test_without_policy_or_at_a_higher_risk_there_is_only_a_link_and_the_engine_refuses(
    workspace: Workspace,
) -> None:
    w = workspace
    w.link()
    asked = w.ask(anyway=True)
    deliver(w.engine)
    (only,) = w.buttons()
    assert only["action_id"] == slack.OPEN
    assert only["url"].startswith("https://handfast.example/n/no_")
    (notice,) = w.engine.notices.of_handoff(asked)
    digest = w.engine.views.handoff(asked)["presented_digest"]
    forged = {"action_id": slack.APPROVE, "value": f"{notice['notice_id']} {digest}"}
    w.press(forged)
    assert w.engine.views.handoff(asked)["decision"] is None
    publish(w)
    risky = w.served.stop(key="k2")
    deliver(w.engine)
    (notice,) = w.engine.notices.of_handoff(risky["handoff_id"])
    digest = risky["presented_digest"]
    w.press({"action_id": slack.APPROVE, "value": f"{notice['notice_id']} {digest}"})
    assert w.engine.views.handoff(risky["handoff_id"])["decision"] is None
    refused = w.engine.kernel.store.events(limit=900, types=("access.refused",))
    assert sum(b"decide_in_slack" in r.data for r in refused) == 2


def test_what_a_rule_wants_signed_with_a_passkey_is_not_approved_in_slack(
    workspace: Workspace,
) -> None:
    w = workspace
    text = POLICY.replace("{approvals: 1}", "{approvals: 1, passkey: true}")
    w.engine.policies.propose(browser(w.served.person_id), "organisation", text)
    w.link()
    asked = w.ask()
    deliver(w.engine)
    (only,) = w.buttons()
    assert only["action_id"] == slack.OPEN
    (notice,) = w.engine.notices.of_handoff(asked)
    seen = w.engine.views.handoff(asked)["presented_digest"]
    w.press({"action_id": slack.APPROVE, "value": f"{notice['notice_id']} {seen}"})
    assert w.engine.views.handoff(asked)["decision"] is None
    given = Decision(asked, DecisionKind.APPROVE, seen, reason="in a hurry")
    with pytest.raises(NotPermitted, match="signed with a passkey") as refused:
        w.engine.handoffs.decide(Actor("person", w.served.person_id, "slack"), given)
    assert (refused.value.code, refused.value.hint) == (
        "not_in_chat",
        "Open the case in the browser.",
    )


def test_an_account_that_nobody_linked_decides_nothing_whatever_its_address(
    workspace: Workspace,
) -> None:
    w = workspace
    publish(w)
    w.link()
    w.engine.contacts.add(browser(w.served.person_id), "email", "noor@example.com", "none")
    asked = w.ask()
    deliver(w.engine)
    noor = {"username": LOGIN, "name": "Noor Haddad", "email": "noor@example.com"}
    w.press(w.approve_button(), user="U0EVE", says={**noor, "real_name": "Noor Haddad"})
    assert w.engine.views.handoff(asked)["decision"] is None
    until = time.monotonic() + 120
    while not w.told("chat.postEphemeral") and time.monotonic() < until:
        time.sleep(0.02)
    (said,) = w.told("chat.postEphemeral")
    assert said["user"] == "U0EVE"
    assert "linked to nobody" in said["blocks"][0]["text"]["text"]


def test_what_changed_since_it_was_shown_is_not_approved(workspace: Workspace) -> None:
    w = workspace
    publish(w)
    w.link()
    asked = w.ask()
    deliver(w.engine)
    button = w.approve_button()
    notice_id, _, _ = button["value"].partition(" ")
    w.press(button | {"value": f"{notice_id} sha256:other"})
    assert w.engine.views.handoff(asked)["decision"] is None


@pytest.mark.parametrize(
    ("how", "more"),
    [
        ("another secret", {"secret": "x" * 32}),
        ("an old time stamp", {"late_s": 301}),
        ("a time stamp to come", {"late_s": -400}),
        ("no signature", {"signature": "v0="}),
        ("another version", {"signature": "v1=" + "0" * 64}),
    ],
)
def test_what_slack_did_not_send_is_refused_and_recorded(
    workspace: Workspace, how: str, more: dict[str, Any]
) -> None:
    more = {**more}
    code = workspace.engine.contacts.slack_code(browser(workspace.served.person_id))["code"]
    late_s = more.pop("late_s", 0)
    answer = workspace.command(f"link {code}", at=time.time() - late_s, **more)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_from_slack"), how
    assert workspace.engine.contacts.of_slack(TEAM, USER) == ""
    refused = workspace.engine.kernel.store.events(limit=900, types=("access.refused",))
    assert b"take_slack" in refused[-1].data


def test_refusals_do_not_fill_the_log(workspace: Workspace) -> None:
    w = workspace
    answers = [w.command("link x", secret="x" * 32).status_code for _ in range(25)]
    assert (answers[0], answers[-1]) == (403, 429)
    w.engine.access.refusals.flush(all_of_them=True)
    refused = w.engine.kernel.store.events(limit=900, types=("access.refused",))
    ours = [json.loads(r.data)["data"] for r in refused if b"take_slack" in r.data]
    assert sum(each.get("times", 1) for each in ours) == 20
    assert len(ours) < 20, "equal ones of a minute are one entry"
    assert w.command("help").status_code == 200, "Slack itself is still heard"


def test_a_changed_body_is_refused(workspace: Workspace) -> None:
    stamp = str(int(time.time()))
    body = urlencode({"command": "/handfast", "text": "link x", "team_id": TEAM, "user_id": USER})
    made = hmac.new(SECRET.encode(), f"v0:{stamp}:{body}".encode(), "sha256").hexdigest()
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={made}"}
    sent = body.replace(USER, "U0EVE").encode()
    answer = workspace.served.client().post("/slack", content=sent, headers=headers)
    assert answer.status_code == 403


def test_a_request_is_taken_once(workspace: Workspace) -> None:
    w = workspace
    publish(w)
    w.link()
    asked = w.ask()
    deliver(w.engine)
    button, now = w.approve_button(), time.time()
    body = urlencode(
        {
            "payload": json.dumps(
                {
                    "type": "block_actions",
                    "user": {"id": USER, "team_id": TEAM},
                    "container": {},
                    "actions": [button],
                }
            )
        }
    ).encode()
    assert w.send({}, body=body, at=now).status_code == 200
    again = w.send({}, body=body, at=now)
    assert (again.status_code, again.json()["code"]) == (409, "replayed")
    assert w.engine.views.handoff(asked)["decision"]["kind"] == "approve"


def test_a_code_links_once_and_not_for_long(workspace: Workspace) -> None:
    w = workspace
    code = w.engine.contacts.slack_code(browser(w.served.person_id))["code"]
    assert "is linked" in w.command(f"link {code}").json()["text"]
    assert "not valid" in w.command(f"link {code}", "U0EVE").json()["text"]
    assert w.engine.contacts.of_slack(TEAM, "U0EVE") == ""
    assert "not valid" in w.command("link nonsense").json()["text"]
    assert "/handfast link" in w.command("help").json()["text"]
    other = w.engine.contacts.slack_code(browser(w.served.person_id))["code"]
    assert "linked already" in w.command(f"link {other}").json()["text"]
    (contact,) = w.engine.contacts.reach(w.served.person_id).contacts
    w.engine.contacts.remove(browser(w.served.person_id), contact.contact_id)
    assert w.engine.contacts.of_slack(TEAM, USER) == "", "a removed link decides nothing"
    answer = w.send(
        {"command": "/handfast", "text": f"link {other}", "team_id": "T0EVIL", "user_id": USER}
    )
    assert answer.status_code == 403, "another workspace"


# -- whatever ends a person's access ends Slack, too

IDA = Identity("https://id.example", "ida", "Ida Ng", "ida", ("devs", "dba"))
GROUPS = Mapped({"devs": ("reviewer",)}, {"dba": ("dba",)})


def tied(w: Workspace, person_id: str) -> str:
    """Link the account, and get a code that is not used yet."""
    code = w.engine.contacts.slack_code(browser(person_id))["code"]
    assert "is linked to" in w.command(f"link {code}").json()["text"]
    assert w.engine.contacts.of_slack(TEAM, USER) == person_id
    return str(w.engine.contacts.slack_code(browser(person_id))["code"])


def is_cut(w: Workspace, person_id: str, code: str) -> None:
    assert w.engine.contacts.of_slack(TEAM, USER) == ""
    assert w.engine.contacts.reach(person_id).contacts == ()
    assert "not valid" in w.command(f"link {code}", "U0OTHER").json()["text"]
    assert w.engine.contacts.of_slack(TEAM, "U0OTHER") == ""


def test_who_lost_every_role_at_the_provider_keeps_nothing_that_acts_for_them(
    workspace: Workspace,
) -> None:
    w, federation = workspace, workspace.engine.federation
    publish(w)
    session = federation.sign_in(IDA, GROUPS)
    who = session.person_id
    token = w.engine.own_tokens.issue(browser(who), "a script", ("read", "write")).token
    code = tied(w, who)
    asked = w.ask()
    deliver(w.engine)
    button = w.approve_button()
    before = w.engine.kernel.store.size()
    with pytest.raises(NotPermitted, match="none of its groups has a role"):
        federation.sign_in(replace(IDA, groups=("strangers",)), GROUPS)
    person = w.engine.kernel.state(Person, who)
    assert (person.roles, person.teams, person.tokens) == ((), (), ())
    assert w.engine.people.of_session(session.secret) == ""
    with pytest.raises(NotPermitted):
        w.engine.access.principal(token)
    is_cut(w, who, code)
    w.press(button)
    assert w.engine.views.handoff(asked)["decision"] is None
    types = [e.type for e in w.engine.kernel.store.events(after=before, limit=8)]
    told = {"person.roles_set", "person.teams_set", "person.token_revoked", "person.signed_out"}
    assert told | {"contact.removed", "access.refused"} <= set(types)
    with pytest.raises(NotPermitted, match="no role here"):
        w.engine.people.begin(who, "oidc")
    again = federation.sign_in(IDA, GROUPS)
    person = w.engine.kernel.state(Person, who)
    assert (again.person_id, person.roles, person.teams) == (who, ("reviewer",), ("dba",))


def test_an_admin_who_signs_somebody_out_cuts_slack(workspace: Workspace) -> None:
    w = workspace
    who = w.engine.federation.sign_in(IDA, GROUPS).person_id
    code = tied(w, who)
    w.engine.sessions.end_of(browser(w.served.person_id), "ida")
    is_cut(w, who, code)


def test_a_new_password_cuts_slack(workspace: Workspace) -> None:
    w, me = workspace, workspace.served.person_id
    code = tied(w, me)
    w.engine.sessions.change_password(browser(me), PASSWORD, "another long password")
    is_cut(w, me, code)


def test_signing_out_everywhere_cuts_slack(workspace: Workspace) -> None:
    w, me = workspace, workspace.served.person_id
    code = tied(w, me)
    w.engine.sessions.end_all(browser(me))
    is_cut(w, me, code)
    w.link()
    assert w.engine.contacts.of_slack(TEAM, USER) == me, "it may be linked anew"


def test_a_message_tells_no_outcome_to_who_may_not_know_of_it_any_more(
    workspace: Workspace,
) -> None:
    w, noor = workspace, browser(workspace.served.person_id)
    publish(w)
    tied(w, w.engine.federation.sign_in(IDA, GROUPS).person_id)
    asked = w.ask()
    deliver(w.engine)
    w.engine.knowing.set_project(noor, "checkout", ["/srv/checkout"], [LOGIN], [])
    seen = w.engine.views.handoff(asked)["presented_digest"]
    given = Decision(asked, DecisionKind.APPROVE, seen, reason="fine")
    w.engine.handoffs.decide(noor, given)
    deliver(w.engine)
    (update,) = w.told("chat.update")
    assert "no longer yours to see" in json.dumps(update)
    assert "make smoke" not in json.dumps(update)
    assert "Noor" not in json.dumps(update)


def test_slacks_own_word_for_what_is_wrong_is_shown(workspace: Workspace) -> None:
    w = workspace
    w.link()
    asked = w.ask(anyway=True)
    w.slack.answer = {"ok": False, "error": "channel_not_found"}
    with pytest.raises(AdapterError, match="channel_not_found"):
        deliver(w.engine)
    assert statuses(w.engine, asked) == ["failing"]


def test_signing_is_as_slack_documents_it() -> None:
    """The example of https://docs.slack.dev/authentication/verifying-requests-from-slack."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    known = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    slack.check_signature(SECRET, "1531420618", body, known, 1531420618)
    for more in ((body + b"x", known, 0), (body, known[:-1] + "0", 0), (body, known, 301)):
        with pytest.raises(NotPermitted):
            slack.check_signature(SECRET, "1531420618", more[0], more[1], 1531420618 + more[2])
    with pytest.raises(NotPermitted, match="no signing secret"):
        slack.check_signature("", "1531420618", body, known, 1531420618)
