"""HTTP to addresses that people wrote down: never into the server's own network, bounded in time and size.

An address is resolved once, checked, and that very address is connected to, so that a name which changes
its meaning in between leads nowhere else. No proxy is used, and no redirect is followed here.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from handfast.core.domain.errors import UsageError

MAX_ANSWER = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is cut after 64 KiB."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def is_public(address: str) -> bool:
    """Mapped and translated forms of an IPv4 address count as that address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is not None:
            return inner.is_global
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.ip_address(int(found) & 0xFFFFFFFF).is_global
    return found.is_global and not found.is_multicast


def public_address(host: str, port: int, trusted: frozenset[str], remedy: str) -> str:
    """An address of `host` to connect to. Only `trusted` hosts may have a private one.

    `remedy` says how a host becomes trusted. Raises UsageError, OSError.
    """
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    private = not found or any(not is_public(a) for a in found)
    if private and host.lower() not in trusted:
        # Which address it has is not told to who may only ask.
        raise UsageError(f"`{host}` is in a private network", hint=remedy)
    return found[0]


class Pinned(http.client.HTTPConnection):
    """Connects to an address that was checked, and speaks to the host by its name. `tls` None is plain."""

    def __init__(
        self, host: str, port: int, address: str, tls: ssl.SSLContext | None, timeout: float
    ) -> None:
        super().__init__(host, port, timeout=timeout)
        self._tls = tls
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls is None:
            self.sock = plain
            return
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def cut(self) -> None:
        """From another thread: whoever reads gets an error now."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cut_at(connection: Pinned, until: float) -> Iterator[None]:
    """Ends the connection at `until` (monotonic): a socket's own time-out begins anew with every byte."""
    timer = threading.Timer(max(0.0, until - time.monotonic()), connection.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()


@dataclass(frozen=True, slots=True)
class Poster:
    """Sends by POST. `trusted` hosts may have private addresses, and only they may be without TLS."""

    trusted: frozenset[str] = frozenset()
    timeout_s: float = 20.0
    tls: ssl.SSLContext | None = None
    remedy: str = "An operator lists hosts that may be under `private_hosts` of notify.yaml."

    def check(self, url: str) -> None:
        """Raises UsageError for an address that nothing is ever sent to, as far as it shows now."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        plain_ok = parts.scheme == "http" and host in self.trusted
        if len(url) > 2_000 or not url.isascii() or not url.isprintable() or " " in url:
            raise UsageError("the address is not a URL of at most 2000 characters")
        if not host or parts.username is not None or not (parts.scheme == "https" or plain_ok):
            raise UsageError(
                "the address is not `https://HOST/…` without a user name", hint=self.remedy
            )
        try:
            self._address(host, parts.port or 0)
        except (OSError, ValueError) as e:
            raise UsageError(f"`{host}` cannot be found: {e}") from None

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises UsageError for an address that is not permitted, OSError and http.client.HTTPException."""
        self.check(url)
        parts = urlsplit(url)
        host, tls = (parts.hostname or "").lower(), None
        if parts.scheme == "https":
            tls = self.tls or ssl.create_default_context()
        port = parts.port or (443 if tls else 80)
        until = time.monotonic() + self.timeout_s
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = Pinned(host, port, self._address(host, port), tls, self.timeout_s)
        with cut_at(connection, until):
            connection.request("POST", path, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(MAX_ANSWER), dict(answer.headers.items()))

    def _address(self, host: str, port: int) -> str:
        return public_address(host, port, self.trusted, self.remedy)
