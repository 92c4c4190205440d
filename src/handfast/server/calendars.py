"""Fetches the calendars that rotations are read from: https or a file, bounded in size and time.

A calendar's address is written by people who may publish policy, and the server fetches it: so it never
leads into the server's own network. The address is resolved once, checked, and that very address is
connected to; redirects stay on the host. No proxy is used.
"""

import http.client
import logging
import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.policy.directory import Calendar
from handfast.engine.calendars import MAX_BYTES
from handfast.engine.facade import Engine
from handfast.engine.outbound import Pinned, cut_at, public_address

HOSTS_VARIABLE = "HANDFAST_CALENDAR_HOSTS"
_REMEDY = f"{HOSTS_VARIABLE} names hosts that may be."
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
        tls = self._tls or ssl.create_default_context()
        address = public_address(host, port, self._hosts, _REMEDY)
        connection = Pinned(host, port, address, tls, _left(until))
        with cut_at(connection, until):
            connection.request("GET", path, headers={"Accept": "text/calendar"})
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                return answer.headers.get("Location", "")
            if answer.status != 200:
                raise UsageError(f"`{host}` answered with {answer.status}")
            return _bounded(connection, answer, until)


def _bounded(connection: Pinned, answer: http.client.HTTPResponse, until: float) -> bytes:
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
