"""The published policies as this runner knows them: enough to say whether a read may pass without asking.

Reads never wait for the server. The texts in force are asked for at most every few seconds; while the server
does not answer, the last ones known hold, and before any were known only the built-in policy does.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from handfast.client import Client, policy_calls
from handfast.core.domain.action import Call, Facts
from handfast.core.domain.errors import HandfastError
from handfast.core.policy.subject import Moment, RunFacts, Subject, call_facts, change_facts
from handfast.policyfile.load import Loaded, load

REFRESH_S = 10.0
PATIENCE_S = 2.0  # a server that hangs must not hold up reads
_KEPT = 200


@dataclass(slots=True)
class _Known:
    books: tuple[Loaded, ...] = ()
    usable: bool = True
    asked_at: float = float("-inf")
    digest: str = ""
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Rules:
    """Used from one event loop."""

    def __init__(self, client: Client, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def concern(self, repository: str, call: Call, facts: Facts) -> bool:
        """Whether a published policy has, or may have, something to say about this read.

        Then the server is asked, like for a call with an effect.
        """
        known = await self._of(repository)
        if not known.usable:
            return True
        subject = Subject(
            call=call_facts(call, facts, executor="hooked"),
            request=Moment(self._now()),
            change=change_facts(facts),
            run=RunFacts(repository=repository),
        )
        return any(book.needs_history(call.tool) or book.matches(subject) for book in known.books)

    async def _of(self, repository: str) -> _Known:
        known = self._known.setdefault(repository, _Known())
        self._known.move_to_end(repository)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        if known.asking.locked() and known.digest:
            return known  # what is known holds while somebody else asks
        async with known.asking:
            if time.monotonic() - known.asked_at >= REFRESH_S:
                await self._ask(repository, known)
                known.asked_at = time.monotonic()
        return known

    async def _ask(self, repository: str, known: _Known) -> None:
        try:
            asked = policy_calls.policies_in_force(repository)
            found = await self._client.asend(replace(asked, timeout_s=PATIENCE_S))
        except HandfastError:
            return
        if found.get("digest", known.digest) != known.digest:  # without one it is no answer of ours
            try:
                known.books = tuple(load(str(book["text"])) for book in found["books"])
                known.usable, known.digest = True, str(found["digest"])
            except (HandfastError, KeyError):
                known.usable = False  # a text that this version cannot read: the server decides
