"""Messages over real protocols to servers on this machine: what they say, and what keeps them away."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from handfast.core.domain.errors import AdapterError, UsageError
from handfast.engine.channels import slack, webhook
from handfast.engine.channels.mail import html, plain
from handfast.engine.channels.message import Case, Message
from handfast.engine.outbound import Poster
from handfast.engine.outlets import read_outlets
from tests.engine_room import HAZARDS, Room, in_a_moment
from tests.receivers import Mailbox, Web, certificate, mail_server, web
from tests.told import deliver, statuses, write_settings

HOSTILE = '</pre><a href="https://evil.example">APPROVED \u202e<script>alert(1)</script> <!channel>'


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as made:
        yield made


def room_with(tmp_path: Path, settings: dict[str, Any]) -> Any:
    write_settings(tmp_path / "home", settings)
    return in_a_moment(tmp_path / "home")


def ask(room: Room, command: str = "git push origin main", says: str = "") -> str:
    return str(room.propose("k1", command, HAZARDS, agent_says=says)["handoff_id"])


def secret_of(room: Room, url: str) -> tuple[str, str]:
    made = room.engine.contacts.add(room.me, "webhook", url, "all")
    return str(made["contact_id"]), str(made["secret"])


def verified(secret: str, got: Any, clock: datetime) -> Any:
    """By the reference package, whose clock is the machine's: the time stamp is moved there, and signed anew
    nowhere: the signature is checked over the original one first."""
    signer = Webhook(secret)
    stamp = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)
    assert abs((stamp - clock).total_seconds()) < 1
    expected = signer.sign(got.headers["webhook-id"], stamp, got.body.decode())
    return expected in got.headers["webhook-signature"].split(" ")


# -- e-mail


def smtp_settings(box: Mailbox, **more: Any) -> dict[str, Any]:
    given = {
        "host": "127.0.0.1",
        "port": box.port,
        "security": "none",
        "from": "Handfast <hf@x.example>",
    }
    return {"smtp": given | more}


def test_mail_has_both_parts_with_our_words_and_the_agents_apart(tmp_path: Path) -> None:
    with mail_server() as box, room_with(tmp_path, smtp_settings(box)) as room:
        room.engine.contacts.add(room.me, "email", "ana@x.example", "all")
        asked = ask(room, says=HOSTILE)
        deliver(room.engine)
        (mail,) = box.mails
        assert mail["To"] == "ana@x.example"
        assert mail["Subject"] == "Handfast (high risk): runs git push origin main"
        assert mail["Auto-Submitted"] == "auto-generated"
        text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        page = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
        for part in (text, page):
            assert "git push origin main" in part
            assert "The agent says (not checked)" in part
            assert "https://handfast.example/n/no_" in part
            assert "\u202e" not in part
            assert "https://evil" not in part, "a mail program makes no link of the agent's words"
        assert "<script" not in page
        assert page.count("<a ") == 1, "the only link is ours"
        assert statuses(room.engine, asked) == ["delivered"]
        (notice,) = room.engine.notices.of_handoff(asked)
        assert notice["delivery_id"]


def test_starttls_with_a_login_and_a_certificate_that_is_checked(tmp_path: Path) -> None:
    ca, tls = certificate(tmp_path)
    (tmp_path / "password").write_text("s3cret\n")
    with mail_server(tls, login=("hf", "s3cret")) as box:
        more = {
            "host": "localhost",
            "security": "starttls",
            "username": "hf",
            "password_file": str(tmp_path / "password"),
        }
        write_settings(tmp_path / "home", smtp_settings(box, **more))
        with in_a_moment(tmp_path / "home") as room:
            room.engine.contacts.add(room.me, "email", "ana@x.example", "all")
            asked = ask(room)
            with pytest.raises(OSError, match="certificate verify failed"):
                deliver(room.engine)
            assert (statuses(room.engine, asked), box.mails) == (["failing"], [])
            found = smtp_settings(box, **more, ca_file=str(ca))
        write_settings(tmp_path / "home", found)
        from handfast.app import open_engine

        engine = open_engine(home=tmp_path / "home")
        deliver(engine)
        assert statuses(engine, asked) == ["delivered"]
        engine.close()
        assert (box.encrypted, box.logins) == ([True], ["hf"])


def test_a_server_without_starttls_gets_nothing_when_it_was_asked_for(tmp_path: Path) -> None:
    with mail_server() as box, room_with(tmp_path, smtp_settings(box, security="starttls")) as room:
        room.engine.contacts.add(room.me, "email", "ana@x.example", "all")
        ask(room)
        with pytest.raises(UsageError, match="does not offer STARTTLS"):
            deliver(room.engine)
        assert box.mails == []


def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    ca, tls = certificate(tmp_path)
    with mail_server(tls, implicit=True) as box:
        settings = smtp_settings(box, host="localhost", security="tls", ca_file=str(ca))
        with room_with(tmp_path, settings) as room:
            room.engine.contacts.add(room.me, "email", "ana@x.example", "all")
            ask(room)
            deliver(room.engine)
            assert len(box.mails) == 1, "and this server speaks nothing but TLS"


def test_a_refused_recipient_is_shown_with_the_servers_words_and_tried_again(
    tmp_path: Path,
) -> None:
    with mail_server() as box, room_with(tmp_path, smtp_settings(box)) as room:
        room.engine.contacts.add(room.me, "email", "ana@x.example", "all")
        asked = ask(room)
        box.refuse = "550 5.1.1 no such mailbox"
        with pytest.raises(OSError, match="no such mailbox"):
            deliver(room.engine)
        (notice,) = room.engine.notices.of_handoff(asked)
        assert (notice["status"], notice["attempts"]) == ("failing", 1)
        assert "no such mailbox" in str(notice["error"])
        box.refuse = ""
        deliver(room.engine)
        assert statuses(room.engine, asked) == ["delivered"]
        assert len({m["Message-ID"] for m in box.mails}) == 1


def test_addresses_of_people_are_bounded(tmp_path: Path) -> None:
    with (
        mail_server() as box,
        room_with(tmp_path, smtp_settings(box, domains=["x.example"])) as room,
    ):
        add = room.engine.contacts.add
        for address in (
            "ana@evil.example",
            "a b@x.example",
            "ana@x.example\nBcc: b@x.example",
            "ana",
        ):
            with pytest.raises(UsageError, match="address"):
                add(room.me, "email", address, "all")
        with pytest.raises(UsageError, match="no channel"):
            add(room.me, "slack", "U1", "all")


# -- webhooks


def test_a_webhook_is_signed_as_the_standard_has_it(tmp_path: Path, hook: Web) -> None:
    with room_with(tmp_path, {"private_hosts": ["127.0.0.1"]}) as room:
        _, secret = secret_of(room, f"{hook.url}/x?y=1")
        asked = ask(room, says=HOSTILE)
        deliver(room.engine)
        got = hook.last()
        assert got.path == "/x?y=1"
        assert verified(secret, got, room.clock.now())
        assert not verified(webhook_secret("other"), got, room.clock.now())
        assert got.json["type"] == "handoff.waiting"
        (case,) = got.json["data"]["handoffs"]
        assert (case["handoff_id"], case["risk"]) == (asked, "high")
        assert case["url"].startswith("https://handfast.example/n/")
        assert got.headers["webhook-id"].startswith("msg_handfast-")


def webhook_secret(word: str) -> str:
    return "whsec_" + base64.b64encode(word.encode().ljust(24, b"x")).decode()


def test_the_reference_package_takes_it_and_refuses_what_was_changed() -> None:
    secret, now, body = webhook_secret("mine"), datetime.now(UTC), b'{"type":"notice.test"}'
    headers = webhook.headers([webhook_secret("new"), secret], "msg_1", body, now)
    assert Webhook(secret).verify(body, headers) == {"type": "notice.test"}
    assert Webhook(webhook_secret("new")).verify(body, headers)
    late = webhook.headers([secret], "msg_1", body, now - timedelta(minutes=6))
    other = webhook.headers([webhook_secret("other")], "msg_1", body, now)
    for changed, said in (
        (b'{"type":"other"}', headers),
        (body, headers | {"webhook-id": "msg_2"}),
        (body, headers | {"webhook-timestamp": str(int(now.timestamp()) - 10)}),
        (body, late),
        (body, other),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(changed, said)


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(tmp_path: Path, hook: Web) -> None:
    with room_with(tmp_path, {"private_hosts": ["127.0.0.1"]}) as room:
        contact, old = secret_of(room, hook.url)
        new = str(room.engine.contacts.rotate(room.me, contact)["secret"])
        room.engine.notices.test(room.me, contact)
        deliver(room.engine)
        assert all(verified(s, hook.last(), room.clock.now()) for s in (old, new))
        room.clock.move(86_401)
        room.engine.notices.test(room.me, contact)
        deliver(room.engine)
        assert verified(new, hook.last(), room.clock.now())
        assert not verified(old, hook.last(), room.clock.now())
        assert hook.last().json["type"] == "notice.test"


def test_a_retry_has_the_same_id_and_the_same_body(tmp_path: Path, hook: Web) -> None:
    with room_with(tmp_path, {"private_hosts": ["127.0.0.1"]}) as room:
        secret_of(room, hook.url)
        asked = ask(room)
        hook.status = 500
        with pytest.raises(AdapterError, match="500"):
            deliver(room.engine)
        assert statuses(room.engine, asked) == ["failing"]
        hook.status = 200
        room.clock.move(60)
        deliver(room.engine)
        first, second = hook.got
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
        assert statuses(room.engine, asked) == ["delivered"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8480/v1/hooks/pause",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://user:pass@192.0.2.1/",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "https://nobody.invalid/",
        "https://exa mple.com/",
    ],
)
def test_a_webhook_never_leads_into_the_servers_own_network(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError):
        Poster().check(url)
    with in_a_moment(tmp_path / "home") as room, pytest.raises(UsageError):
        room.engine.contacts.add(room.me, "webhook", url, "all")


def test_a_host_that_is_private_by_the_time_of_sending_gets_nothing(
    tmp_path: Path, hook: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name meant a public address when it was added, and means this machine now."""
    with in_a_moment(tmp_path / "home") as room:
        import socket

        there = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 443))]
        with monkeypatch.context() as then:
            then.setattr(socket, "getaddrinfo", lambda *_, **__: there)
            secret_of(room, "https://rebound.example/x")
        here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
        asked = ask(room)
        with pytest.raises(UsageError, match="private network") as refused:
            deliver(room.engine)
        assert "127.0.0.1" not in refused.value.message, (
            "which address a name has inside is not told"
        )
        assert statuses(room.engine, asked) == ["failing"]


def test_a_redirect_is_not_followed(tmp_path: Path, hook: Web) -> None:
    with room_with(tmp_path, {"private_hosts": ["127.0.0.1"]}) as room, web() as inside:
        secret_of(room, hook.url)
        hook.status, hook.location = 307, inside.url
        ask(room)
        with pytest.raises(AdapterError, match="307"):
            deliver(room.engine)
        assert inside.got == []


def test_webhooks_of_the_installation_hear_of_what_is_asked_and_decided(
    tmp_path: Path, hook: Web
) -> None:
    for name in ("new", "old"):
        (tmp_path / name).write_text(webhook_secret(name))
    files = [str(tmp_path / "new"), str(tmp_path / "old")]
    settings = {
        "private_hosts": ["127.0.0.1"],
        "webhooks": {"chatops": {"url": hook.url, "secret_files": files}},
    }
    with room_with(tmp_path, settings) as room:
        asked = ask(room)
        deliver(room.engine)
        room.decide(asked)
        deliver(room.engine)
        first, second = hook.got
        assert [g.json["type"] for g in hook.got] == ["handoff.requested", "handoff.decided"]
        assert second.json["data"]["decision"] == "approve"
        assert first.json["data"]["url"] == f"https://handfast.example/handoffs/{asked}"
        for name in ("new", "old"):
            assert verified(webhook_secret(name), first, room.clock.now())


# -- others, through Apprise


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_service_gets_plain_text_at_the_operators_host(tmp_path: Path, hook: Web) -> None:
    host = hook.url.removeprefix("http://")
    with room_with(tmp_path, {"services": {"phone": f"json://{host}/{{address}}"}}) as room:
        room.engine.contacts.add(room.me, "service:phone", "ana.lind", "all")
        asked = ask(room)
        deliver(room.engine)
        got = hook.last()
        assert got.path == "/ana.lind"
        assert got.json["title"] == "Handfast (high risk): runs git push origin main"
        assert "https://handfast.example/n/no_" in got.json["message"]
        assert statuses(room.engine, asked) == ["delivered"]
        hook.status = 500
        room.engine.notices.test(room.me, _only(room))
        with pytest.raises(AdapterError, match="did not take it"):
            deliver(room.engine)


def _only(room: Room) -> str:
    (contact,) = room.engine.contacts.reach(room.me.id).contacts
    return contact.contact_id


def test_nobody_chooses_the_host_or_the_plugin_of_a_service(tmp_path: Path) -> None:
    with room_with(tmp_path, {"services": {"phone": "json://hooks.example/{address}"}}) as room:
        for address in ("a/../b", "x@evil.example:80", "?overflow=split", "a b", ""):
            with pytest.raises(UsageError, match="address"):
                room.engine.contacts.add(room.me, "service:phone", address, "all")
        with pytest.raises(UsageError, match="no channel"):
            room.engine.contacts.add(room.me, "json://evil.example", "x", "all")
    with pytest.raises(UsageError, match="choose the host"):
        read_outlets({"services": {"phone": "json://{address}/x"}}, {})


# -- the words themselves


def _case(**more: Any) -> Case:
    given = {
        "notice_id": "no_1", "handoff_id": "ho_1", "presented_digest": "sha256:aa", "ask": "runs x",
        "risk": "low", "kind": "approval", "agent": "a", "repository": "r", "why": "w", "question": "q",
        "link": "https://h.example/n/1",
    }  # fmt: skip
    return Case(**{**given, **more})


@pytest.mark.parametrize("field", ["ask", "agent", "repository", "why", "question", "call", "says"])
def test_no_field_of_a_message_becomes_markup(field: str) -> None:
    message = Message("msg_1", datetime(2026, 3, 4, tzinfo=UTC), (_case(**{field: HOSTILE}),))
    page = html(message)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert '<a href="https://evil' not in page
    blocks = slack.content(message)
    assert "<!channel>" not in blocks["text"]
    assert any("alert(1)" in text for _, text in _texts(blocks["blocks"]))
    for kind, text in _texts(blocks["blocks"]):
        assert kind in ("plain_text", "text"), (kind, text)
    assert "Open the case: https://h.example/n/1" in plain(message)


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value["type"], value["text"]
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"smtp": {"host": "x"}}, "smtp.from"),
        ({"smtp": {"host": "x", "from": "a@b", "security": "maybe"}}, "security"),
        (
            {"smtp": {"host": "x", "from": "a@b", "security": "none", "username": "u"}},
            "unencrypted",
        ),
        ({"smtp": {"host": "x", "from": "a@b", "passwrd": "u"}}, "passwrd"),
        ({"slack": {}}, "no token"),
        ({"webhooks": {"a b": {}}}, "a b"),
        ({"webhooks": {"a": {"url": "https://x", "secret_files": []}}}, "secret"),
        ({"webhooks": {"a": {"url": "https://x", "secret_files": ["/nowhere"]}}}, "/nowhere"),
        ({"mail": {}}, "mail"),
        ([], "the file"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(settings: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_outlets(settings, {})


def test_the_files_with_the_settings_and_the_secrets_are_no_agents_to_see(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("xoxb-1")
    (tmp_path / "hook").write_text(webhook_secret("mine"))
    settings = {
        "slack": {"token_file": str(tmp_path / "token")},
        "webhooks": {"a": {"url": "https://x.example", "secret_files": [str(tmp_path / "hook")]}},
    }
    with room_with(tmp_path, settings) as room:
        found = room.engine.contacts.outlets()
        names = {path.name for path in found.files}
        assert names == {"notify.yaml", "token", "hook"}
        assert "xoxb-1" not in repr(found), "and no secret stands in what might be logged"
        assert webhook_secret("mine") not in repr(found)
