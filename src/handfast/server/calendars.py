"""Fetches the calendars that rotations are read from: https or a file, bounded in size and time.

A calendar's address is written by people who may publish policy, and the server fetches it: so it never
leads into the server's own network. The address is resolved once, checked, and that very address is
connected to; redirects stay on the host. No proxy is used.
"""

import contextlib
import http.client
import ipaddress
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.policy.directory import Calendar
from handfast.engine.calendars import MAX_BYTES
from handfast.engine.facade import Engine

HOSTS_VARIABLE = "HANDFAST_CALENDAR_HOSTS"
TIMEOUT_S, AGAIN_S, MAX_REDIRECTS = 10.0, 60.0, 3
log = logging.getLogger("handfast.server")


def trusted_hosts(environment: Mapping[str, str]) -> frozenset[str]:
    """Hosts that may have a private address, from `HANDFAST_CALENDAR_HOSTS`, separated by commas."""
    listed = environment.get(HOSTS_VARIABLE, "").split(",")
    return frozenset(host.strip().lower() for host in listed if host.strip())


class Fetcher:
    """`hosts` may have private addresses. `tls` is for tests."""

    def __init__(
        self, hosts: frozenset[str] = frozenset(), tls: ssl.SSLContext | None = None
    ) -> None:
        self._hosts = hosts
        self._tls = tls

    def fetch(self, source: str) -> bytes:
        """Raises UsageError saying what is wrong with the address or the answer, OSError."""
        if not source.startswith("https://"):
            return _file(Path(source))
        until = time.monotonic() + TIMEOUT_S
        for _ in range(MAX_REDIRECTS + 1):
            found = self._once(source, until)
            if isinstance(found, bytes):
                return found
            source = _same_host(source, found)
        raise UsageError(f"`{source}` redirects more than {MAX_REDIRECTS} times")

    def _once(self, url: str, until: float) -> bytes | str:
        """What is there, or where it redirects to."""
        try:
            return self._asked(url, until)
        except OSError:  # with its own words: some of these are ValueErrors, too
            raise
        except (http.client.HTTPException, ValueError) as e:
            raise UsageError(f"`{url[:200]}` gave no usable answer: {type(e).__name__}") from None

    def _asked(self, url: str, until: float) -> bytes | str:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = _Pinned(host, port, self._address(host, port), self._tls, _left(until))
        # A socket's time-out begins anew with every byte; this one does not.
        cut = threading.Timer(_left(until), connection.cut)
        cut.daemon = True
        cut.start()
        try:
            connection.request("GET", path, headers={"Accept": "text/calendar"})
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                return answer.headers.get("Location", "")
            if answer.status != 200:
                raise UsageError(f"`{host}` answered with {answer.status}")
            return _bounded(connection, answer, until)
        finally:
            cut.cancel()
            connection.close()

    def _address(self, host: str, port: int) -> str:
        found = [
            str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        ]
        private = [a for a in found if not _public(a)]
        if (private or not found) and host.lower() not in self._hosts:
            raise UsageError(
                f"`{host}` is in a private network ({', '.join(private[:3])})",
                hint=f"{HOSTS_VARIABLE} names hosts that may be.",
            )
        return found[0]


class _Pinned(http.client.HTTPSConnection):
    """Connects to an address that was checked, and speaks to the host by its name."""

    def __init__(
        self, host: str, port: int, address: str, tls: ssl.SSLContext | None, timeout: float
    ) -> None:
        self._context_used = tls or ssl.create_default_context()
        super().__init__(host, port, timeout=timeout, context=self._context_used)
        self._address = address

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._context_used.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def cut(self) -> None:
        """From another thread: whoever reads gets an error now."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _bounded(
    connection: http.client.HTTPSConnection, answer: http.client.HTTPResponse, until: float
) -> bytes:
    found = bytearray()
    while True:
        if connection.sock is not None:
            connection.sock.settimeout(_left(until))
        part = answer.read1(65_536)
        if not part:
            return bytes(found)
        found += part
        if len(found) > MAX_BYTES:
            raise UsageError(f"the calendar is larger than {MAX_BYTES:,} bytes")
        _left(until)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"the calendar did not come within {TIMEOUT_S:g} s")
    return left


def _public(address: str) -> bool:
    """Mapped and translated forms of an IPv4 address count as that address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if inner is not None:
            return inner.is_global
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.ip_address(int(found) & 0xFFFFFFFF).is_global
    return found.is_global and not found.is_multicast


def _same_host(url: str, location: str) -> str:
    wanted = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(wanted)
    if (
        not location
        or new.scheme != "https"
        or (new.hostname, new.port) != (old.hostname, old.port)
    ):
        raise UsageError(
            f"`{old.hostname}` redirects to another host", hint="Write the last address."
        )
    return wanted


def _file(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError(f"`{path}` is not a file")
    with path.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


class CalendarKeeper:
    """Renews the copies that are due. `renew` is called again and again by the server."""

    def __init__(self, engine: Engine, fetcher: Fetcher | None = None) -> None:
        self._engine = engine
        self._fetcher = fetcher or Fetcher(trusted_hosts(os.environ))
        self._tried: dict[str, float] = {}

    def renew(self) -> int:
        """Gives how many were renewed. One that cannot be does not hold up the others."""
        calendars = self._engine.staff.calendars()
        self._tried = {c.source: self._tried.get(c.source, -AGAIN_S) for c in calendars}
        return sum(self._one(calendar) for calendar in calendars)

    def _one(self, calendar: Calendar) -> int:
        now, source = self._engine.kernel.clock.now(), calendar.source
        late = time.monotonic() - self._tried[source] >= AGAIN_S
        if not late or not self._engine.calendars.due(calendar, now):
            return 0
        self._tried[source] = time.monotonic()
        try:
            self._engine.calendars.keep(source, self._fetcher.fetch(source), now)
        except HandfastError as e:
            return self._failed(source, e.message)
        except OSError as e:
            return self._failed(source, str(e) or type(e).__name__)
        return 1

    def _failed(self, source: str, problem: str) -> int:
        log.warning("the calendar `%s` was not renewed: %s", source, problem)
        self._engine.calendars.failed(source, problem)
        return 0
