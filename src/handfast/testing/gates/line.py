"""A line to a server that can be cut: connections through it break, and new ones are refused."""

import contextlib
import socket
import threading
from collections.abc import Iterator

_CHUNK = 65_536


class Line:
    """Forwards a loopback port of its own to a server's. Close it when done."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._down = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """While inside, nothing answers."""
        with self._lock:
            self._down = True
            broken = list(self._open)
        for each in broken:
            _shut(each)
        try:
            yield
        finally:
            self._down = False

    def close(self) -> None:
        _shut(self._listening)
        self._listening.close()
        with self._lock:
            left = list(self._open)
        for each in left:
            _shut(each)

    def _accept(self) -> None:
        while True:
            try:
                inward, _ = self._listening.accept()
            except OSError:
                return
            if self._down:
                inward.close()
                continue
            threading.Thread(target=self._carry, args=(inward,), daemon=True).start()

    def _carry(self, inward: socket.socket) -> None:
        with inward, socket.create_connection(self._to) as outward:
            with self._lock:
                self._open |= {inward, outward}
                if self._down:
                    _shut(inward)
            back = threading.Thread(target=_copy, args=(outward, inward), daemon=True)
            back.start()
            _copy(inward, outward)
            back.join()
            with self._lock:
                self._open -= {inward, outward}


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    _shut(source)
    _shut(target)


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
