"""Several servers of one installation behind one client: who does not answer is passed over.

Servers on one database are equal, so any of them may answer any request. A request is sent to another one
only while nothing of it has been sent; after a time-out the next request, which may be the same one again
under its idempotency key, goes to the next server.
"""

import threading
from collections.abc import Sequence
from typing import Final

import httpx

_CONNECT_S: Final = 2.0
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)


class Servers:
    """The addresses, without paths, and which one is used now. Shared by the transports of a process."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = [httpx.URL(url) for url in urls]
        self._lock = threading.Lock()
        self._now = 0

    def order(self) -> list[int]:
        """All of them, the one used now first."""
        with self._lock:
            return [(self._now + n) % len(self.urls) for n in range(len(self.urls))]

    def answered(self, number: int) -> None:
        with self._lock:
            self._now = number

    def silent(self, number: int) -> None:
        """It took the request and did not answer in time: the next one is used from now on."""
        with self._lock:
            if self._now == number:
                self._now = (number + 1) % len(self.urls)

    def aim(self, request: httpx.Request, number: int) -> None:
        url = self.urls[number]
        request.url = request.url.copy_with(scheme=url.scheme, host=url.host, port=url.port)
        request.headers["Host"] = url.netloc.decode("ascii")
        limits = dict(request.extensions.get("timeout") or {})
        limits["connect"] = min(limits.get("connect") or _CONNECT_S, _CONNECT_S)
        request.extensions = {**request.extensions, "timeout": limits}


class SeveralServers(httpx.BaseTransport):
    """For threads. Clients share it, so closing one of them does not close it."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._inner = httpx.HTTPTransport(verify=_verified(servers))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        failure: httpx.TransportError | None = None
        for number in self._servers.order():
            self._servers.aim(request, number)
            try:
                answer = self._inner.handle_request(request)
            except _NOT_SENT as error:
                failure = failure or error
                continue
            except httpx.TimeoutException:
                self._servers.silent(number)
                raise
            self._servers.answered(number)
            return answer
        raise failure or httpx.ConnectError("no server is named")


class SeveralServersAsync(httpx.AsyncBaseTransport):
    """For one event loop. Clients share it, so closing one of them does not close it."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._inner = httpx.AsyncHTTPTransport(
            verify=_verified(servers),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        failure: httpx.TransportError | None = None
        for number in self._servers.order():
            self._servers.aim(request, number)
            try:
                answer = await self._inner.handle_async_request(request)
            except _NOT_SENT as error:
                failure = failure or error
                continue
            except httpx.TimeoutException:
                self._servers.silent(number)
                raise
            self._servers.answered(number)
            return answer
        raise failure or httpx.ConnectError("no server is named")


def _verified(servers: Servers) -> bool:
    """Loading certificates takes long: only where there is something to verify."""
    return any(url.scheme != "http" for url in servers.urls)
