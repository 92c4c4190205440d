"""Wakes coroutines when the log grows: one reader for all that wait, no thread each.

Commits of this process wake it at once, and those of other servers where the store hears them; a look
twice a second finds all the others.
While nobody waits nothing is read, so that gate checks do not pay for it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice

from anyio import to_thread

from handfast.core.domain.errors import StorageError
from handfast.storage.api import EventRow, Store

POLL_S = 0.5
# Commits that come this close together are read in one go.
TOGETHER_S = 0.02
PAGE = 500
KEPT = 2_000
KEPT_BYTES = 8 << 20
log = logging.getLogger("handfast.server")


class Hub:
    """Used from one event loop only. `position` is the last entry that was announced, `following`
    how many streams are open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: deque[EventRow] = deque()
        self._bytes = 0
        self._watched: dict[str, set[asyncio.Event]] = {}
        self._wake = asyncio.Event()
        self._tick = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._undo: Callable[[], None] | None = None
        self.position = 0
        self.following = 0
        self._asleep = True
        self.closing = False

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._undo = self._store.subscribe(lambda _: _poke(loop, self._wake))
        self._task = asyncio.create_task(self._follow())

    def close(self) -> None:
        """Everything that waits returns now. Idempotent."""
        self.closing = True
        self._wake.set()
        self._tick.set()
        for events in self._watched.values():
            for event in events:
                event.set()

    async def stop(self) -> None:
        self.close()
        if self._undo is not None:
            self._undo()
        if self._task is not None:
            await self._task

    @contextmanager
    def watch(self, stream: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever this stream of the log grew. The waiter clears it."""
        event = asyncio.Event()
        self._watched.setdefault(stream, set()).add(event)
        self._rouse()
        try:
            yield event
        finally:
            others = self._watched[stream]
            others.discard(event)
            if not others:
                del self._watched[stream]

    def waiting(self, stream: str) -> int:
        """How many wait for this stream of the log."""
        return len(self._watched.get(stream, ()))

    @contextmanager
    def follow(self) -> Iterator[None]:
        """Around everything that calls `grown`: the log is read while at least one is open."""
        self.following += 1
        self._rouse()
        try:
            yield
        finally:
            self.following -= 1

    async def end(self) -> int:
        """The last position of the log, now."""
        return await to_thread.run_sync(self._store.size)

    def _rouse(self) -> None:
        if self._asleep:
            self._wake.set()

    async def grown(self, after: int, timeout_s: float) -> bool:
        """Wait until the log is longer than `after`. False after `timeout_s` and while closing."""
        while self.position <= after and not self.closing:
            try:
                await asyncio.wait_for(self._tick.wait(), timeout_s)
            except TimeoutError:
                return False
        return not self.closing

    async def after(self, position: int) -> list[EventRow]:
        """The next entries, from memory where they are recent. At most 500, in order."""
        first = self._recent[0].position if self._recent else self.position + 1
        if first - 1 <= position <= self.position:
            start = position + 1 - first
            return list(islice(self._recent, start, start + PAGE))
        return await to_thread.run_sync(lambda: self._store.events(after=position, limit=PAGE))

    async def _follow(self) -> None:
        while not self.closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_S)
            self._wake.clear()
            try:
                if not (self._watched or self.following):
                    self._asleep = True
                    continue
                await (self._catch_up() if self._asleep else self._announce())
                await asyncio.sleep(TOGETHER_S)
            except StorageError as e:
                log.warning("the log cannot be followed: %s", e.message)
                await asyncio.sleep(POLL_S)

    async def _catch_up(self) -> None:
        """Skip what nobody waited for, and let everyone look again: it may have been theirs."""
        self._recent.clear()
        self._bytes = 0
        self.position = await to_thread.run_sync(self._store.size)
        self._asleep = False
        self._tell(set(self._watched))

    async def _announce(self) -> None:
        while not self.closing:
            rows = await to_thread.run_sync(
                lambda: self._store.events(after=self.position, limit=PAGE)
            )
            if not rows:
                return
            self._keep(rows)
            self.position = rows[-1].position
            self._tell({row.stream for row in rows})

    def _keep(self, rows: list[EventRow]) -> None:
        """The newest entries, few enough and small enough. Who is behind them reads the store."""
        self._recent.extend(rows)
        self._bytes += sum(len(row.data) for row in rows)
        while len(self._recent) > KEPT or self._bytes > KEPT_BYTES:
            self._bytes -= len(self._recent.popleft().data)

    def _tell(self, streams: set[str]) -> None:
        for stream in streams:
            for event in self._watched.get(stream, ()):
                event.set()
        tick, self._tick = self._tick, asyncio.Event()
        tick.set()


def _poke(loop: asyncio.AbstractEventLoop, wake: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop may be gone while the store still closes
        loop.call_soon_threadsafe(wake.set)
