"""The only ways out of a sandbox: doors that listen inside and are answered by threads out here.

A `Straight` door leads to one address. The `Proxy` door speaks HTTP: `CONNECT` and requests with a whole
address, to hosts on the run's list and nowhere else. A name on the list that resolves to this machine is
refused: whoever answers for the name could point it at our server.
"""

import contextlib
import ipaddress
import logging
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from handfast.core.domain.containment import split_host
from handfast.core.domain.inert import inert

_HEAD_BYTES: Final = 65536
_CHUNK: Final = 65536
_DIAL_S: Final = 20.0
_HEAD_S: Final = 30.0
_MAX_OPEN: Final = 256
_LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost")
log = logging.getLogger("handfast.runner")


def is_loopback(name: str) -> bool:
    """Whether a host of the list means this machine itself."""
    if name in _LOOPBACK_NAMES:
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


@dataclass(frozen=True, slots=True)
class Straight:
    """Every connection goes to one address."""

    host: str
    port: int

    def __call__(self, inner: socket.socket) -> None:
        with _dialled(self.host, self.port) as outer:
            _pump(inner, outer)


@dataclass(frozen=True, slots=True)
class Proxy:
    """`hosts` are `name:port`. With `upstream`, the person's own proxy as an `http://` address, all but
    this machine and the names in `direct` (a value of NO_PROXY) is asked for there."""

    hosts: frozenset[str]
    upstream: str = ""
    direct: str = ""

    def __call__(self, inner: socket.socket) -> None:
        inner.settimeout(_HEAD_S)
        asked = _request(inner)
        if asked is None:
            return
        method, target, head, rest = asked
        where, onward = _destination(method, target, head)
        if where not in self.hosts:
            log.info("a contained agent was refused a connection to %s", inert(where, 200))
            _refuse(inner, 403, f"{where or 'this address'} is not on the list of this run. A person "
                    "may allow it: handfast run --allow-host HOST:PORT")  # fmt: skip
            return
        try:
            outer = self._dialled(*split_host(where))
        except OSError as error:
            _refuse(inner, 502, f"{where} cannot be reached: {error}")
            return
        with outer:
            if method == "CONNECT":
                inner.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            outer.sendall(onward + rest)
            _pump(inner, outer)

    def _dialled(self, name: str, port: int) -> socket.socket:
        if not self.upstream or is_loopback(name):
            return _dialled(name, port)
        if _is_direct(name, self.direct):
            return _dialled(name, port)
        return _through(self.upstream, f"[{name}]:{port}" if ":" in name else f"{name}:{port}")


def _request(inner: socket.socket) -> tuple[str, str, bytes, bytes] | None:
    """Method, target, head and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = inner.recv(_CHUNK)
        if not more or len(data) > _HEAD_BYTES:
            return None
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    method, _, target = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    return method, target.partition(" ")[0], head, rest


def _destination(method: str, target: str, head: bytes) -> tuple[str, bytes]:
    """Where to, as `name:port`, and the head to send there. Empty when it cannot be told."""
    try:
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        port = url.port or (80 if url.scheme == "http" else 0)
    except ValueError:
        return "", b""
    name = (url.hostname or "").lower()
    if not name or not port or (method != "CONNECT" and url.scheme != "http"):
        return "", b""
    where = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    if method == "CONNECT":
        return where, b""
    path = url._replace(scheme="", netloc="").geturl() or "/"
    lines = head.split(b"\r\n")[1:]
    kept = [x for x in lines if not x.lower().startswith((b"proxy-", b"connection:"))]
    # One request for each connection: the next could name another host.
    first = f"{method} {path} HTTP/1.1".encode("latin-1")
    return where, b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


def _dialled(name: str, port: int) -> socket.socket:
    """Raises OSError. Addresses of this machine and its links only for a name that says so."""
    own = is_loopback(name)
    failure = OSError("it has no address that may be used")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        name, port, type=socket.SOCK_STREAM
    ):
        if not own and _near(str(address[0])):
            continue
        made = socket.socket(family, kind, protocol)
        made.settimeout(_DIAL_S)
        try:
            made.connect(address)
        except OSError as error:
            made.close()
            failure = error
            continue
        made.settimeout(None)
        return made
    raise failure


def _is_direct(name: str, listed: str) -> bool:
    """As NO_PROXY is read: `*`, a name, or the end of one."""
    named = [each.strip().lstrip(".").lower() for each in listed.split(",") if each.strip()]
    return any(each in ("*", name) or name.endswith(f".{each}") for each in named)


def _through(upstream: str, where: str) -> socket.socket:
    """A tunnel of another proxy. Raises OSError."""
    url = urlsplit(upstream)
    if url.scheme != "http" or not url.hostname:
        raise OSError("the proxy of this machine is not an http:// one")
    # Named by the person, so it may be on this machine.
    outer = socket.create_connection((url.hostname, url.port or 80), _DIAL_S)
    try:
        head = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n"
        if url.username:
            pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
            head += f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
        outer.sendall(f"{head}\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            more = outer.recv(1)  # no byte of what follows may be taken
            if not more or len(answer) > _HEAD_BYTES:
                raise OSError("the proxy of this machine broke off")
            answer += more
        status = answer.split(b"\r\n", 1)[0].decode("latin-1")
        if " 200" not in status:
            raise OSError(f"the proxy of this machine answered: {status}")
    except BaseException:
        outer.close()
        raise
    outer.settimeout(None)
    return outer


def _near(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or found
    return bool(mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified)


def _refuse(inner: socket.socket, status: int, why: str) -> None:
    body = f"handfast: {inert(why, 500, multiline=False)}\n".encode()
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    inner.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until both are over."""
    one.settimeout(None)
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Relay:
    """Answers doors until it is closed."""

    def __init__(
        self, doors: Sequence[tuple[socket.socket, Callable[[socket.socket], None]]]
    ) -> None:
        self._doors = [door for door, _ in doors]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        for door, answer in doors:
            threading.Thread(target=self._accept, args=(door, answer), daemon=True).start()

    def close(self) -> None:
        """Nothing goes through any more. Idempotent."""
        with self._lock:
            self._closed = True
            left = [*self._doors, *self._open]
        for each in left:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for door in self._doors:
            door.close()

    def _accept(self, door: socket.socket, answer: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                inner, _ = door.accept()
            except OSError:
                return
            with self._lock:
                if self._closed or len(self._open) >= _MAX_OPEN:
                    inner.close()
                    continue
                self._open.add(inner)
            threading.Thread(target=self._serve, args=(inner, answer), daemon=True).start()

    def _serve(self, inner: socket.socket, answer: Callable[[socket.socket], None]) -> None:
        try:
            with inner:
                answer(inner)
        except OSError as error:
            log.debug("a connection of a contained agent ended: %s", error)
        finally:
            with self._lock:
                self._open.discard(inner)
