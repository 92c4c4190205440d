"""Notifications and the relay: at least once with one id, given up with a page that can be seen."""

import signal
from collections.abc import Iterator
from pathlib import Path

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
