"""What stands between two processes and misbehaves: a wire that loses answers, a network that repeats.

`CommitCutter` speaks enough of PostgreSQL's protocol (version 3) to know a commit. `Repeater` forwards
HTTP, holds requests back so that others overtake them, and delivers them again.
"""

import http.client
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
HELD_S = 0.15


class CommitCutter:
    """Between a server and PostgreSQL's Unix socket: loses the answer to a commit, and the connection.

    `arm(n)` has the nth commit from now on that wrote entries carried out and not answered.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._left = 0
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        port = self._listener.getsockname()[1]
        return (
            f"postgresql://postgres@127.0.0.1:{port}/{database}?sslmode=disable&gssencmode=disable"
        )

    def arm(self, nth: int = 1) -> None:
        with self._lock:
            self._left = nth

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server:
            try:
                server.connect(self._upstream)
            except OSError:
                return
            wire = _Wire(client, server)
            up = threading.Thread(target=wire.up, daemon=True)
            up.start()
            with suppress(OSError):
                wire.down(self._strikes)
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            up.join()

    def _strikes(self) -> bool:
        with self._lock:
            if self._left == 0:
                return False
            self._left -= 1
            self.cut += self._left == 0
            return self._left == 0


@dataclass
class _Wire:
    """One connection. `_wrote` is whether its transaction has put entries into the log."""

    client: socket.socket
    server: socket.socket
    _statements: dict[bytes, bool] = field(default_factory=dict)
    _wrote: bool = False

    def up(self) -> None:
        """What the client says. The first message has no type."""
        with suppress(OSError):
            self.server.sendall(_exactly(self.client, _length(self.client)))
            while True:
                kind, body = _message(self.client)
                self._note(kind, body)
                self.server.sendall(kind + struct.pack("!I", len(body) + 4) + body)
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)

    def _note(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._wrote |= b"INTO event" in body
        elif kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._statements[name] = b"INTO event" in rest
        elif kind == b"B":
            _, _, rest = body.partition(b"\0")
            self._wrote |= self._statements.get(rest.partition(b"\0")[0], False)

    def down(self, strikes: Callable[[], bool]) -> None:
        """What the server answers, until it is to be lost."""
        while True:
            kind, body = _message(self.server)
            if kind == b"C" and body in (b"COMMIT\0", b"ROLLBACK\0"):
                wrote, self._wrote = self._wrote and body == b"COMMIT\0", False
                if wrote and strikes():
                    return
            self.client.sendall(kind + struct.pack("!I", len(body) + 4) + body)


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        more = source.recv(size - len(parts))
        if not more:
            raise ConnectionError("closed")
        parts += more
    return parts


def _length(source: socket.socket) -> int:
    """Of the start-up message, read without taking it away."""
    raw = b""
    while len(raw) < 4:
        raw = source.recv(4, socket.MSG_PEEK)
        if not raw:
            raise ConnectionError("closed")
    return int(struct.unpack("!I", raw)[0])


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], _exactly(source, length - 4)


@dataclass(frozen=True)
class Sent:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news here."""


class Repeater:
    """Between clients and a server: each command may be held back, delivered twice, and again later."""

    def __init__(self, url: str, seed: int, *, doubled: float = 0.5) -> None:
        self._to = urlsplit(url).netloc
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._doubled = doubled
        self.seen: list[Sent] = []  # what was answered; else a repeat may be the first to arrive
        self.repeated = 0
        repeater = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                repeater.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                return

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, asked: BaseHTTPRequestHandler) -> None:
        size = int(asked.headers.get("Content-Length") or 0)
        kept = {k: v for k, v in asked.headers.items() if k.lower() not in HOP}
        if kept.get("Host") == self.url.removeprefix("http://"):
            del kept[
                "Host"
            ]  # the server's own stands in its place; a name of the pages is passed on
        sent = Sent(asked.command, asked.path, kept, asked.rfile.read(size))
        try:
            if sent.method == "GET":
                self._through(asked, sent)
            else:
                self._command(asked, sent)
        except (OSError, http.client.HTTPException):
            asked.close_connection = True

    def _command(self, asked: BaseHTTPRequestHandler, sent: Sent) -> None:
        """Perhaps later than others, perhaps twice at once; the client hears one of the answers."""
        with self._lock:
            held, twice = self._random.uniform(0, HELD_S), self._random.random() < self._doubled
            self.repeated += twice
        time.sleep(held)
        again = threading.Thread(target=self._alone, args=(sent,), daemon=True) if twice else None
        if again:
            again.start()
        status, headers, body = self.deliver(sent)
        if again:
            again.join()
        if status < 300:
            with self._lock:
                self.seen.append(sent)
        asked.send_response(status)
        for name, value in headers:
            asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)

    def _alone(self, sent: Sent) -> None:
        with suppress(OSError, http.client.HTTPException):
            self.deliver(sent)

    def deliver(self, sent: Sent) -> tuple[int, list[tuple[str, str]], bytes]:
        with self._open() as connection:
            connection.request(sent.method, sent.path, sent.body, sent.headers)
            answer = connection.getresponse()
            headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP]
            return answer.status, headers, answer.read()

    def replay(self) -> list[int]:
        """Everything that was carried out, once more and in another order. Gives the answers' statuses."""
        with self._lock:
            again = list(self.seen)
            self._random.shuffle(again)
        return [self.deliver(sent)[0] for sent in again]

    def _through(self, asked: BaseHTTPRequestHandler, sent: Sent) -> None:
        """A read, which may be a stream: passed on as it comes."""
        with self._open() as connection:
            connection.request("GET", sent.path, headers=sent.headers)
            answer = connection.getresponse()
            asked.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    asked.send_header(name, value)
            asked.send_header("Connection", "close")
            asked.end_headers()
            asked.close_connection = True
            while part := answer.read1(65_536):
                asked.wfile.write(part)
                asked.wfile.flush()

    @contextmanager
    def _open(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(self._to, timeout=300)
        try:
            yield connection
        finally:
            connection.close()
