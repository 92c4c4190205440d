"""Notifications and the relay: at least once with one id, given up with a page that can be seen."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from standardwebhooks.webhooks import Webhook

from handfast.core.domain.events import Actor
from handfast.core.domain.ids import PersonId
from tests.faults.relay_process import Relays, opened
from tests.receivers import Web, web
from tests.served import set_up
from tests.told import browser, write_settings

pytestmark = pytest.mark.faults


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as made:
        yield made


@pytest.fixture
def relays(store_url: str, tmp_path: Path) -> Iterator[Relays]:
    write_settings(tmp_path / "home", {"private_hosts": ["127.0.0.1"]})
    made = opened(store_url, tmp_path)
    yield made
    made.close()


def contact(relays: Relays, url: str) -> tuple[Actor, str, str]:
    me = browser(set_up(relays.engine))
    made = relays.engine.contacts.add(me, "webhook", url, "all")
    return me, str(made["contact_id"]), str(made["secret"])


def test_killed_between_sending_and_recording_it_is_sent_again_with_the_same_id(
    relays: Relays, hook: Web
) -> None:
    me, contact_id, secret = contact(relays, hook.url)
    notice = str(relays.engine.notices.test(me, contact_id)["notice_id"])
    relays.start("first", "notify.after_send:kill", relay_lease_s=1)
    assert relays.ended("first") == -signal.SIGKILL
    assert len(hook.got) == 1, "it was sent"
    assert relays.engine.notices.one(notice)["status"] == "sending", "and not recorded"
    relays.start("second", relay_lease_s=1)
    relays.until(relays.empty, "it is delivered")
    first, second = hook.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    for got in hook.got:
        assert Webhook(secret).verify(got.body, got.headers)["type"] == "notice.test"
    assert relays.engine.notices.one(notice)["status"] == "delivered"
    assert relays.engine.deliveries.dead() == []


def test_what_never_arrives_is_given_up_seen_and_tried_again_when_asked(
    relays: Relays, hook: Web
) -> None:
    me, contact_id, _ = contact(relays, hook.url)
    hook.status = 503
    notice = str(relays.engine.notices.test(me, contact_id)["notice_id"])
    relays.start("one", relay_attempts=2, relay_backoff_s=1, relay_backoff_max_s=1)
    (dead,) = relays.until(relays.engine.deliveries.dead, "it is given up")
    assert (dead["topic"], dead["attempts"]) == ("notify.webhook", 2)
    assert "503" in str(dead["error"])
    shown = relays.engine.notices.one(notice)
    assert (shown["attempts"], "503" in str(shown["error"])) == (2, True)
    pages = relays.engine.views.handoffs("waiting").items
    assert [p["ask"] for p in pages] == ["Deliveries of notify.webhook do not arrive"]
    hook.status = 200
    relays.engine.deliveries.retry(me, int(str(dead["delivery_id"])))
    relays.until(lambda: relays.engine.notices.one(notice)["status"] == "delivered", "it arrived")
    ids = {got.headers["webhook-id"] for got in hook.got if got.json["type"] == "notice.test"}
    assert len(ids) == 1, "also after it was given up"
    assert PersonId(str(shown["person_id"])) == me.id


def channel(slack: Web, *, may_look: bool = True) -> None:
    """A Slack that keeps what is posted, as far as this needs it."""
    posted: list[dict[str, Any]] = []

    def post(body: bytes) -> dict[str, Any]:
        posted.insert(0, {**json.loads(body), "ts": f"17.{len(posted)}"})
        return {"ok": True, "channel": "D1", "ts": posted[0]["ts"]}

    def history(body: bytes) -> dict[str, Any]:
        asked = parse_qs(body.decode())
        assert (asked["channel"], asked["include_all_metadata"]) == (["D1"], ["true"])
        kept = [{k: m[k] for k in ("ts", "metadata")} for m in posted]
        return {"ok": True, "messages": [{"ts": "1.1", "text": "hi"}, *kept]}

    def opened_(_: bytes) -> dict[str, Any]:
        return (
            {"ok": True, "channel": {"id": "D1"}}
            if may_look
            else {"ok": False, "error": "missing_scope"}
        )

    slack.by_path = {
        "/api/chat.postMessage": post,
        "/api/conversations.open": opened_,
        "/api/conversations.history": history,
    }


@pytest.mark.parametrize("may_look", [True, False])
def test_a_message_in_slack_is_looked_for_before_it_is_repeated(
    store_url: str, tmp_path: Path, hook: Web, may_look: bool
) -> None:
    token = tmp_path / "token"
    token.write_text("xoxb-1")
    settings = {"slack": {"token_file": str(token), "api_url": f"{hook.url}/api/"}}
    write_settings(tmp_path / "home", settings)
    relays = opened(store_url, tmp_path)
    channel(hook, may_look=may_look)
    try:
        me = browser(set_up(relays.engine))
        code = str(relays.engine.contacts.slack_code(me)["code"])
        relays.engine.contacts.link_slack(code, "T1", "U1")
        (contact_id,) = (
            c.contact_id for c in relays.engine.contacts.reach(PersonId(me.id)).contacts
        )
        notice = str(relays.engine.notices.test(me, contact_id)["notice_id"])
        relays.start("first", "notify.after_send:kill", relay_lease_s=1)
        assert relays.ended("first") == -signal.SIGKILL
        relays.start("second", relay_lease_s=1)
        relays.until(relays.empty, "it is delivered")
        assert relays.engine.notices.one(notice)["status"] == "delivered"
    finally:
        relays.close()
    sent = [
        g.json["metadata"]["event_payload"]["key"]
        for g in hook.got
        if g.path.endswith("postMessage")
    ]
    assert len(sent) == (1 if may_look else 2)
    assert len(set(sent)) == 1
