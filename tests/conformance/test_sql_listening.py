"""Commits are heard by other servers on one PostgreSQL; what cannot be heard is looked for."""

import logging
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psycopg
import pytest

from handfast.core.domain.errors import Concurrency
from handfast.storage.sql import listening
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import whole, write

pytestmark = pytest.mark.postgres
WITHIN_S = 120.0


@contextmanager
def _hearing(url: str) -> Iterator[tuple[SqlStore, "queue.Queue[int]"]]:
    """A store of another server, and the sizes its listener was called with. It polls nothing."""
    heard: queue.Queue[int] = queue.Queue()
    with closing(SqlStore(url)) as store:
        store.subscribe(heard.put)
        assert store._hearing is not None
        assert store._hearing.listening.wait(WITHIN_S)
        yield store, heard


def _until(heard: "queue.Queue[int]", size: int) -> list[int]:
    found: list[int] = []
    while not found or found[-1] < size:
        found.append(heard.get(timeout=WITHIN_S))
    return found


def test_a_commit_of_another_server_is_heard(pg_ready_url: str) -> None:
    with closing(SqlStore(pg_ready_url)) as writer, _hearing(pg_ready_url) as (_, heard):
        writer.commit(whole("one"))
        assert _until(heard, 1)[-1] == 1
        writer.commit(write("thing/many", 0, 300))
        assert _until(heard, 301) == [301], "one word a commit, whatever it holds"


def test_what_was_not_committed_is_not_announced(pg_ready_url: str) -> None:
    with closing(SqlStore(pg_ready_url)) as writer, _hearing(pg_ready_url) as (_, heard):
        writer.commit(write("thing/1"))
        _until(heard, 1)
        with pytest.raises(Concurrency):
            writer.commit(write("thing/1"))
        writer.commit(write("thing/2"))
        assert _until(heard, 2) == [2]


def test_own_commits_are_told_once(pg_ready_url: str) -> None:
    with _hearing(pg_ready_url) as (store, heard), closing(SqlStore(pg_ready_url)) as other:
        for n in range(1, 6):
            store.commit(write(f"thing/{n}"))
        other.commit(write("thing/last"))
        found = _until(heard, 6)
        assert sorted(set(found)) == found


def test_what_was_said_while_nobody_listened_is_made_up_for(pg_ready_url: str) -> None:
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN handfast_log'"
    )
    with _hearing(pg_ready_url) as (store, heard), closing(SqlStore(pg_ready_url)) as writer:
        assert store._hearing is not None
        with psycopg.connect(pg_ready_url, autocommit=True) as server:
            ended = 0
            while not ended:  # the probe's answer may still be the newest query
                ended = len(server.execute(cut).fetchall())
        writer.commit(write("thing/1", 0, 3))
        assert _until(heard, 3)[-1] == 3
        assert store._hearing.listening.wait(WITHIN_S)
        writer.commit(write("thing/2"))
        assert _until(heard, 4)[-1] == 4


class _Pooler:
    """Between a client and the server: drops every notification, as a pooler in transaction mode does.

    Nobody asks for TLS on a Unix socket, so every message of the server has a length.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self._server = server
        self.dropped = 0
        self._pairs: list[threading.Thread] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(folder / ".s.PGSQL.5432"))
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                pair = threading.Thread(target=self._between, args=(client, server), daemon=True)
                pair.start()
                self._pairs.append(pair)

    def _between(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, server.makefile("rb") as stream:
            asking = threading.Thread(target=self._ask, args=(client, server))
            asking.start()
            with suppress(OSError):
                self._answer(stream, client)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            asking.join()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _answer(self, stream: BinaryIO, client: socket.socket) -> None:
        while kind := stream.read(1):
            length = stream.read(4)
            rest = stream.read(int.from_bytes(length, "big") - 4)
            if kind == b"A":
                self.dropped += 1
            else:
                client.sendall(kind + length + rest)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for pair in self._pairs:
            pair.join(WITHIN_S)


def test_a_pooler_in_transaction_mode_is_found_out(
    pg_ready_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listening, "PROBE_WAIT_S", 0.3)
    monkeypatch.setattr(listening, "AGAIN_S", 0.1)
    host = psycopg.conninfo.conninfo_to_dict(pg_ready_url)["host"]
    pooler = _Pooler(tmp_path, f"{host}/.s.PGSQL.5432")
    heard: queue.Queue[int] = queue.Queue()
    through = pg_ready_url.replace(str(host), str(tmp_path))
    with caplog.at_level(logging.WARNING, "handfast.storage"), closing(SqlStore(through)) as store:
        store.subscribe(heard.put)
        while pooler.dropped < 2:  # it tries again
            assert heard.empty()
        assert store._hearing is not None
        assert not store._hearing.listening.is_set()
        store.commit(write("thing/1"))
        assert heard.get(timeout=WITHIN_S) == 1, "its own commits are told without the database"
    pooler.close()
    said = [r.message for r in caplog.records if "pooler in transaction mode" in r.message]
    assert len(said) == 1, "said once, not at every try"


def test_an_upgrade_is_heard(pg_ready_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "handfast.storage"), _hearing(pg_ready_url) as (_, heard):
        with psycopg.connect(pg_ready_url, autocommit=True) as c:
            c.execute("SELECT pg_notify('handfast_log', 'schema 9001')")
        with closing(SqlStore(pg_ready_url)) as writer:
            writer.commit(write("thing/1"))
        _until(heard, 1)
    assert any("upgraded to schema 9001" in r.message for r in caplog.records)
