"""Hears the commits of other servers on one PostgreSQL, through LISTEN on a connection of its own.

A commit announces the log's size in its own transaction, so the word comes when it is durable. Words sent
while the connection was lost are lost: after each connect a look at the log makes up for them. Nothing
rests on a word alone. Whoever listens also looks by itself, which is all there is behind a pooler that
hands a connection to somebody else after each transaction: that is found out by a word to ourselves.
"""

import logging
import random
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from handfast.core.domain.errors import HandfastError
from handfast.storage.sql.connect import APPLICATION

if TYPE_CHECKING:
    import psycopg

CHANNEL = "handfast_log"
# Said of the tree's row by the statement that changes it: the size is the frontier's first 8 bytes.
WORD = (
    f"pg_notify('{CHANNEL}', "
    "(('x' || encode(substring(frontier from 1 for 8), 'hex'))::bit(64)::bigint)::text)"
)
SCHEMA = "schema "  # how the word of an upgrade begins
PROBE = "probe "
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 30.0
PROBE_WAIT_S, AGAIN_S = 3.0, 60.0
# A connection that a firewall dropped without a word is noticed within a minute.
KEPT_ALIVE_S = 30
log = logging.getLogger("handfast.storage")


class _Deaf(Exception):
    """The connection takes LISTEN and hears nothing."""


class Listener:
    """A thread that calls `heard(size)` for each commit announced, and `look()` after each connect.

    `listening` says whether words come at the moment. `stop` returns when the thread has ended.
    """

    def __init__(self, url: str, heard: Callable[[int], None], look: Callable[[], None]) -> None:
        self._url = url
        self._heard = heard
        self._look = look
        self._stopping = threading.Event()
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="handfast-listen", daemon=True)
        self._said = ""
        self.listening = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._ours.send(b"x")
        self._thread.join()
        self._ours.close()
        self._theirs.close()

    def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._stopping.is_set():
            since = time.monotonic()
            try:
                self._listen()
            except _Deaf:
                self._say(
                    "it takes LISTEN and hears nothing, as behind a pooler in transaction mode"
                )
                wait_s = AGAIN_S
            except Exception as e:  # noqa: BLE001 - the edge: whatever it was, polling goes on
                self._say(str(e).strip().partition("\n")[0][:200] or type(e).__name__)
            self.listening.clear()
            if time.monotonic() - since > LONGEST_WAIT_S:
                wait_s = FIRST_WAIT_S
            self._stopping.wait(wait_s * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
            wait_s = min(2 * wait_s, max(wait_s, LONGEST_WAIT_S))

    def _say(self, why: str) -> None:
        """Once for each reason."""
        if why != self._said and not self._stopping.is_set():
            log.warning(
                "the connection that hears other servers is lost (%s); they are polled instead", why
            )
        self._said = why

    def _listen(self) -> None:
        """Until the connection fails or `stop`."""
        with self._connect() as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._probe(connection)
            if self._said:
                log.warning("the connection that hears other servers is back")
            self._said = ""
            self.listening.set()
            self._look()
            while not self._stopping.is_set():
                for word in connection.notifies(timeout=0):
                    self._take(word.payload)
                select.select([connection.fileno(), self._theirs.fileno()], [], [])

    def _connect(self) -> "psycopg.Connection":
        import psycopg

        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=10,
            fallback_application_name=APPLICATION,
            keepalives_idle=KEPT_ALIVE_S,
            keepalives_interval=10,
            keepalives_count=3,
        )

    def _probe(self, connection: "psycopg.Connection") -> None:
        """Raises _Deaf unless a word sent on another connection arrives."""
        said = PROBE + secrets.token_hex(8)
        with self._connect() as other:
            other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, said))
        deadline = time.monotonic() + PROBE_WAIT_S
        while (left := deadline - time.monotonic()) > 0 and not self._stopping.is_set():
            for word in connection.notifies(timeout=left, stop_after=1):
                if word.payload == said:
                    return
        raise _Deaf

    def _take(self, word: str) -> None:
        if word.isascii() and word.isdigit():
            try:
                self._heard(int(word))
            except HandfastError as e:
                log.warning("a commit that was announced cannot be followed: %s", e.message)
        elif word.startswith(SCHEMA):
            log.error(
                "the database was upgraded to %s: this server writes no more; restart it with the version "
                "that did it",
                word,
            )
