"""Slack: a Block Kit message by the Web API, and the check of what Slack sends to us.

https://docs.slack.dev/authentication/verifying-requests-from-slack: `v0=` HMAC-SHA256 of
`v0:TIMESTAMP:BODY`. Texts of others stand in `plain_text` objects, in which nothing is a link, a mention
or a format; the one text that Slack always formats has its three special characters escaped.
"""

import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from handfast.core.domain.errors import AdapterError, NotPermitted
from handfast.engine.channels.message import SAYS, Case, Message
from handfast.engine.outbound import Poster
from handfast.engine.outlets import SlackApp

TOLERANCE_S = 300
APPROVE, OPEN = "handfast.approve", "handfast.open"
EVENT = "handfast_notice"
_LOOKED_AT = 10  # of the newest messages to this person: more would not fit into an answer
Block = dict[str, Any]
_MAX_CASES = 10


def poster_of(app: SlackApp) -> Poster:
    """The API's address is the operator's: it may be anywhere."""
    host = (urlsplit(app.api_url).hostname or "").lower()
    return Poster(frozenset({host}), remedy="See `slack.api_url` in notify.yaml.")


def send(app: SlackApp, user: str, message: Message, *, again: bool = False) -> str:
    """Gives `CHANNEL TIMESTAMP`, by which the message can be changed. Raises AdapterError, OSError.

    Slack takes no idempotency key. The message carries its own as metadata; `again` says that it may have been
    sent before, and looks for it first.
    """
    if again and (sent := _sent_before(app, user, message)):
        return sent
    metadata = {"event_type": EVENT, "event_payload": {"key": message.key}}
    found = call(
        app, "chat.postMessage", {"channel": user, "metadata": metadata, **content(message)}
    )
    return f"{found.get('channel', '')} {found.get('ts', '')}"


def _sent_before(app: SlackApp, user: str, message: Message) -> str:
    """Where an earlier attempt put it; '' where it did not, or where the app may not look (`im:write` and
    `im:history`): then it is better said twice than not at all."""
    try:
        opened = call(app, "conversations.open", {"users": user}).get("channel")
        channel = str(opened["id"]) if isinstance(opened, dict) and opened.get("id") else ""
        asked = {
            "channel": channel,
            "oldest": f"{message.at.timestamp():.0f}",
            "limit": _LOOKED_AT,
            "include_all_metadata": "true",
        }
        found = _read(app, "conversations.history", asked).get("messages") if channel else None
    except AdapterError:
        return ""
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and _key_of(each) == message.key and each.get("ts"):
            return f"{channel} {each['ts']}"
    return ""


def _key_of(message: Mapping[str, Any]) -> object:
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != EVENT:
        return None
    payload = metadata.get("event_payload")
    return payload.get("key") if isinstance(payload, dict) else None


def update(app: SlackApp, channel: str, stamp: str, text: str) -> None:
    """Put one line in the place of a message: its buttons are gone. Raises AdapterError, OSError."""
    blocks = [_section(text)]
    call(
        app,
        "chat.update",
        {"channel": channel, "ts": stamp, "text": escaped(text), "blocks": blocks},
    )


def tell(app: SlackApp, channel: str, user: str, text: str) -> None:
    """Say something that only this user sees. Raises AdapterError, OSError."""
    body = {"channel": channel, "user": user, "text": escaped(text), "blocks": [_section(text)]}
    call(app, "chat.postEphemeral", body)


def call(app: SlackApp, method: str, body: Mapping[str, object]) -> dict[str, Any]:
    """Raises AdapterError with Slack's own word for what is wrong, OSError."""
    sent = json.dumps(body, ensure_ascii=False).encode()
    return _posted(app, method, sent, "application/json; charset=utf-8")


def _read(app: SlackApp, method: str, fields: Mapping[str, object]) -> dict[str, Any]:
    """Methods that read take a form. Raises as `call` does."""
    return _posted(app, method, urlencode(fields).encode(), "application/x-www-form-urlencoded")


def _posted(app: SlackApp, method: str, sent: bytes, media: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {app.token}", "Content-Type": media}
    answer = poster_of(app).post(app.api_url + method, sent, headers)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if answer.status != 200 or not isinstance(found, dict) or found.get("ok") is not True:
        why = found.get("error") if isinstance(found, dict) else None
        raise AdapterError(f"Slack answered {answer.status} {str(why or '')[:100]}", retryable=True)
    return found


def content(message: Message) -> Block:
    """Text for clients that show no blocks, and the blocks."""
    if not message.cases:
        text = "A test of your notifications. Nothing waits for you because of it."
        return {"text": text, "blocks": [_section(text)]}
    blocks: list[Block] = []
    for case in message.cases[:_MAX_CASES]:
        blocks += [*_case(case), {"type": "divider"}]
    if len(message.cases) > _MAX_CASES:
        blocks.append(_section(f"And {len(message.cases) - _MAX_CASES} more in the inbox."))
    return {
        "text": escaped(message.subject),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
        "parse": "none",
    }


def _case(case: Case) -> list[Block]:
    blocks: list[Block] = [
        {"type": "header", "text": _text(case.ask, 150)},
        {"type": "context", "elements": [_text(case.about(" · "), 300)]},
    ]
    if len(case.ask) > 150:
        blocks.append(_section(case.ask))
    if case.call:
        plain = {"type": "text", "text": case.call}
        inside = {"type": "rich_text_preformatted", "elements": [plain]}
        blocks.append({"type": "rich_text", "elements": [inside]})
    if case.details:
        blocks.append(_section("\n".join(f"• {d}" for d in case.details)))
    blocks.append(_section(f"{case.why}\n{case.question}"))
    if case.says:
        blocks.append({"type": "context", "elements": [_text(f"{SAYS}: {case.says}", 600)]})
    blocks.append({"type": "actions", "elements": _buttons(case)})
    return blocks


def _buttons(case: Case) -> list[Block]:
    button = {
        "type": "button",
        "action_id": OPEN,
        "text": _text("Open the case", 75),
        "url": case.link,
    }
    if not case.decide:
        return [button]
    approve = {
        "type": "button",
        "action_id": APPROVE,
        "style": "primary",
        "text": _text("Approve", 75),
        "value": f"{case.notice_id} {case.presented_digest}",
        "confirm": {
            "title": _text("Approve exactly this?", 100),
            "text": _text(case.call or case.ask, 300),
            "confirm": _text("Approve", 30),
            "deny": _text("Not now", 30),
        },
    }
    return [approve, button]


def _section(text: str) -> Block:
    return {"type": "section", "text": _text(text, 3_000)}


def _text(text: str, limit: int) -> Block:
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return {"type": "plain_text", "text": shown or " ", "emoji": False}


def escaped(text: str) -> str:
    """For the texts that Slack formats: no mention, no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def check_signature(secret: str, timestamp: str, body: bytes, signature: str, now_s: float) -> None:
    """Raises NotPermitted for what Slack did not send, or sent more than five minutes ago."""
    if not secret:
        raise _refused("no signing secret is set here")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise _refused("it has no time stamp")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise _refused("its time stamp is more than five minutes off")
    made = hmac.digest(secret.encode(), f"v0:{timestamp}:".encode() + body, "sha256").hex()
    if not hmac.compare_digest(f"v0={made}".encode(), signature.encode("utf-8", "replace")):
        raise _refused("its signature is not Slack's")


def _refused(why: str) -> NotPermitted:
    return NotPermitted(f"the request was refused: {why}", code="not_from_slack")
