"""Generic webhooks as the Standard Webhooks specification has them.

https://www.standardwebhooks.com: `webhook-id` is the same for every attempt, `webhook-timestamp` is the
attempt's, `webhook-signature` has one `v1,` HMAC-SHA256 for each secret, so that a receiver may change
from one to the next. The receiver refuses old timestamps, and remembers ids to do a thing once.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import AdapterError, UsageError
from handfast.engine.channels.message import Case, Message
from handfast.engine.outbound import Poster

PREFIX = "whsec_"
_AGENT = "handfast-webhooks"


def send(
    poster: Poster, url: str, secrets: Sequence[str], key: str, body: bytes, now: datetime
) -> str:
    """Gives the id it was sent with. Raises AdapterError for any answer but 2xx, UsageError, OSError."""
    answer = poster.post(url, body, headers(secrets, key, body, now))
    if not 200 <= answer.status < 300:
        raise AdapterError(f"the webhook answered with {answer.status}", retryable=True)
    return key


def headers(secrets: Sequence[str], key: str, body: bytes, now: datetime) -> dict[str, str]:
    stamp = int(now.timestamp())
    signatures = " ".join(sign(secret, key, stamp, body) for secret in secrets)
    return {
        "content-type": "application/json",
        "user-agent": _AGENT,
        "webhook-id": key,
        "webhook-timestamp": str(stamp),
        "webhook-signature": signatures,
    }


def sign(secret: str, key: str, stamp: int, body: bytes) -> str:
    """`v1,` and the signature. Raises UsageError for a secret that is not `whsec_` and base64."""
    try:
        if not secret.startswith(PREFIX):
            raise ValueError(secret[:6])
        raw = base64.b64decode(secret.removeprefix(PREFIX) + "==", validate=False)
        if len(raw) < 24:
            raise ValueError("short")
    except (binascii.Error, ValueError):
        raise UsageError(
            "the secret of a webhook is not `whsec_` and the base64 of 24 bytes or more"
        ) from None
    said = f"{key}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(raw, said, "sha256")).decode()


def body_of(message: Message) -> bytes:
    """The same bytes for every attempt to deliver the message."""
    if not message.cases:
        return encoded("notice.test", message.at, {})
    cases = [_case(case) for case in message.cases]
    return encoded("handoff.waiting", message.at, {"handoffs": cases})


def encoded(kind: str, at: datetime, data: Mapping[str, object]) -> bytes:
    """The payload as the specification suggests: type, timestamp, data."""
    whole = {"type": kind, "timestamp": format_time(at), "data": data}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _case(case: Case) -> dict[str, object]:
    return {
        "handoff_id": case.handoff_id,
        "presented_digest": case.presented_digest,
        "kind": case.kind,
        "risk": case.risk,
        "ask": case.ask,
        "why_now": case.why,
        "agent": case.agent,
        "repository": case.repository,
        "due_at": format_time(case.due_at) if case.due_at else "",
        "url": case.link,
        "agent_says": case.says,
    }
