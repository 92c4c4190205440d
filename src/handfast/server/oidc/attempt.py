"""One attempt to sign in elsewhere: kept by the browser alone, stamped so that it cannot be made up."""

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

COOKIE = "handfast_signin"
PATH = "/login/oidc"
GOOD_FOR_S = 600
Stamp = Callable[[str, bytes], bytes]
_PURPOSE = "sign-in attempt"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`link` is the session that the account is to be linked to; '' for a sign-in."""

    state: str
    nonce: str
    verifier: str
    next_path: str
    link: str
    made_at: int

    def sealed(self, stamp: Stamp) -> str:
        data = json.dumps(asdict(self)).encode()
        return f"{_text(data)}.{_text(stamp(_PURPOSE, data))}"


def opened(cookie: str, stamp: Stamp, now: float) -> Attempt | None:
    """None for one that is made up, or older than ten minutes."""
    head, _, tail = cookie.partition(".")
    try:
        data = base64.urlsafe_b64decode(head)
        if not hmac.compare_digest(stamp(_PURPOSE, data), base64.urlsafe_b64decode(tail)):
            return None
        found = Attempt(**json.loads(data))
    except (ValueError, TypeError):
        return None
    return found if 0 <= now - found.made_at <= GOOD_FOR_S else None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
