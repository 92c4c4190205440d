"""Delivers results and reads to the server: at once where an answer may depend on it, else in batches."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from handfast.client import Client, calls
from handfast.client.request import Json
from handfast.core.domain.errors import HandfastError, RejectedError, UsageError
from handfast.runner.hooks.sessions import Session, Sessions
from handfast.runner.hooks.spool import Entry, Spool

EVERY_S: Final = 1.0
_MAX_PAUSE_S: Final = 10.0
_BATCH_CHARS: Final = 400_000
log = logging.getLogger("handfast.runner")


class Delivery:
    """Used from one event loop. Order is kept: nothing overtakes what is in the spool."""

    def __init__(self, client: Client, sessions: Sessions, spool: Spool) -> None:
        self._client = client
        self._sessions = sessions
        self._spool = spool
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self.last_error = ""

    def read(self, session: Session, step: Json) -> None:
        """Keep a read that went ahead by itself."""
        self._spool.add({"kind": "read", **session.note(), "step": step})

    async def say(self, session: Session, kind: str, fields: Json) -> None:
        """Tell the server `result`, `gap`, `usage` or `settle`; what cannot be said now is kept and said later."""
        entry = {"kind": kind, **session.note(), "fields": fields}
        async with self._busy:
            try:
                await self._drain()
                await self._one(entry)
            except HandfastError as error:
                self._failed(error)
                self._spool.add(entry, needed=True)
                self._wake.set()

    async def flush(self) -> bool:
        """Deliver everything that waits. False when something is left."""
        async with self._busy:
            try:
                await self._drain()
            except HandfastError as error:
                self._failed(error)
                return False
        return True

    async def run(self) -> None:
        """Deliver in the background until cancelled."""
        pause_s = EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_s)
            self._wake.clear()
            try:
                done = await self.flush()
            except OSError as error:
                log.warning("the spool cannot be read: %s", error)
                done = False
            pause_s = EVERY_S if done else min(pause_s * 2, _MAX_PAUSE_S)

    async def _drain(self) -> None:
        while entries := self._spool.next():
            for group in _groups(entries):
                await self._deliver(group)
        self.last_error = ""

    async def _deliver(self, group: list[Entry]) -> None:
        try:
            if len(group) > 1 or group[0].fields.get("kind") == "read":
                await self._reads(group)
            else:
                await self._one(group[0].fields)
        except (RejectedError, UsageError, KeyError, TypeError, ValueError) as error:
            await self._refused(group, error)
            return
        self._spool.done(group[-1])

    async def _refused(self, group: list[Entry], error: Exception) -> None:
        """The server will never take it. Find the one that is wrong, keep it apart, go on."""
        if len(group) > 1:
            for entry in group:
                await self._deliver([entry])
            return
        log.warning("a record was refused: %s", error)
        self._spool.done(group[0], refused=True)

    async def _reads(self, group: list[Entry]) -> None:
        run_id = await self._sessions.run_of(group[0].fields)
        mark = group[-1].after
        key = f"spool:{run_id}:{mark.segment}:{mark.offset}"
        steps = [entry.fields["step"] for entry in group]
        await self._client.asend(calls.record_reads(run_id, steps, key))

    async def _one(self, entry: Json) -> None:
        run_id = await self._sessions.run_of(entry)
        fields: dict[str, Any] = dict(entry["fields"])
        send: dict[str, Callable[[], Awaitable[object]]] = {
            "result": lambda: self._client.asend(calls.record_result(run_id, fields)),
            "gap": lambda: self._client.asend(calls.about_run(run_id, "gaps", fields)),
            "settle": lambda: self._client.asend(calls.settle(run_id)),
            "usage": lambda: self._client.asend(calls.report_usage(run_id, fields)),
        }
        await send[entry["kind"]]()

    def _failed(self, error: HandfastError) -> None:
        if error.message != self.last_error:
            log.warning("records wait for the server: %s", error.message)
        self.last_error = error.message


def _groups(entries: list[Entry]) -> list[list[Entry]]:
    """Runs of reads of one session, bounded in size; everything else by itself."""
    groups: list[list[Entry]] = []
    size = 0
    for entry in entries:
        chars = len(str(entry.fields))
        if groups and size + chars < _BATCH_CHARS and _together(groups[-1][-1], entry):
            groups[-1].append(entry)
            size += chars
        else:
            groups.append([entry])
            size = chars
    return groups


def _together(one: Entry, other: Entry) -> bool:
    a, b = one.fields, other.fields
    same = all(a.get(k) == b.get(k) for k in ("run_id", "agent_id", "session_id"))
    return a.get("kind") == b.get("kind") == "read" and same
