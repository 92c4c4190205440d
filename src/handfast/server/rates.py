"""How fast one caller may ask: a bucket for each person, agent, runner and the operator, in this process.

Several servers on one database count by themselves, so together they let that many times as much through.
Who is not known is not counted here: sign-in has its own limit, by address.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from starlette.requests import Request

from handfast.core.domain.errors import LimitExceeded
from handfast.engine.access import Principal, PrincipalKind
from handfast.engine.facade import Engine
from handfast.engine.settings import Settings
from handfast.server.sessions import SAFE_METHODS

BURST_S: Final = 10
READ_COSTS: Final = 0.1
TOLD_EVERY_S: Final = 60.0
KEPT: Final = 10_000
CODE: Final = "rate_limited"


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    told_at: float = -math.inf


@dataclass(frozen=True, slots=True)
class Refusal:
    """`tell`: nobody was told of one of this caller's within the last minute."""

    rate: int
    retry_after_s: int
    tell: bool


class Rates:
    """Thread-safe. A bucket holds ten seconds' worth; reads take a tenth of what changes something takes."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.monotonic) -> None:
        self._rates = {
            PrincipalKind.PERSON: settings.rate_person,
            PrincipalKind.AGENT: settings.rate_agent,
            PrincipalKind.RUNNER: settings.rate_runner,
            PrincipalKind.OPERATOR: settings.rate_runner,
        }
        self._now = now
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, principal: Principal, *, read: bool) -> Refusal | None:
        """Count one request; None when there is room for it. A refused one takes nothing."""
        rate, cost = self._rates[principal.kind], READ_COSTS if read else 1.0
        name = f"{principal.kind.value}:{principal.id}"
        with self._lock:
            now, most = self._now(), float(rate * BURST_S)
            bucket = self._buckets.pop(name, None) or _Bucket(most, now)
            self._buckets[name] = bucket
            while len(self._buckets) > KEPT:
                self._buckets.popitem(last=False)
            bucket.left = min(most, bucket.left + (now - bucket.at) * rate)
            bucket.at = now
            if bucket.left >= cost:
                bucket.left -= cost
                return None
            tell = now - bucket.told_at >= TOLD_EVERY_S
            bucket.told_at = now if tell else bucket.told_at
            return Refusal(rate, max(1, math.ceil((cost - bucket.left) / rate)), tell)


def count(request: Request, principal: Principal) -> None:
    """Count a request, once. Raises LimitExceeded; the first refusal in a minute is in the audit trail."""
    if getattr(request.state, "counted", False):
        return
    request.state.counted = True
    rates = cast("Rates", request.app.state.rates)
    refused = rates.take(principal, read=request.method in SAFE_METHODS)
    if refused is None:
        return
    if refused.tell:
        engine = cast("Engine", request.app.state.engine)
        operation = request.scope["endpoint"].__name__
        engine.access.refused(
            principal.actor, operation, f"more than {refused.rate} requests a second"
        )
    raise LimitExceeded(
        f"too many requests: {refused.rate} a second are taken of one {principal.kind.value}",
        code=CODE,
        retryable=True,
        hint=f"Nothing was done. Send it again in {refused.retry_after_s} s.",
        details={"retry_after_s": refused.retry_after_s},
    )
