"""The running server, as commands reach it: the client's calls, sent by the standard library.

A command makes one or two requests and a person waits for it, so it does without the full client's
HTTP library, which takes longer to load than all else the command does.
"""

import http.client
import os
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlencode, urlsplit

from handfast.cli.place import find
from handfast.client import discovery
from handfast.client.problems import unreachable
from handfast.client.request import Answer, Request
from handfast.core.domain.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from handfast.client import Client

T = TypeVar("T")
Json: TypeAlias = dict[str, Any]
AGENT_PREFIX = "hfa_"
_TIMEOUT_S = 30.0
_MAX_ANSWER = 64 << 20


class Control:
    """One server and a credential. `send` raises what the server raised, Unavailable without one."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"`{url}` is not the address of a server",
                hint="It looks like http://127.0.0.1:8480.",
            )
        self.url = url.rstrip("/")
        self._parts = parts
        self._token = token

    def send(self, request: Request[T]) -> T:
        path = self._parts.path.rstrip("/") + request.path
        if request.query:
            path += f"?{urlencode(request.query)}"
        headers = {**request.headers, "Authorization": f"Bearer {self._token}"}
        connection = self._connection(request.timeout_s or _TIMEOUT_S)
        try:
            connection.request(request.method, path, request.payload, headers)
            response = connection.getresponse()
            kind = response.headers.get("content-type", "")
            answer = Answer(response.status, response.read(_MAX_ANSWER), kind)
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.url, str(error) or type(error).__name__) from None
        finally:
            connection.close()
        return request.read(answer)

    def client(self) -> "Client":
        """The full client with the same address and credential. The caller closes it."""
        from handfast.client import Client

        return Client(self.url, self._token)

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout_s)
        return http.client.HTTPConnection(host, port, timeout=timeout_s)


def running() -> Control | None:
    """The server HANDFAST_URL names, or the one that runs on this data folder; None without one.

    The credential is HANDFAST_TOKEN, else the operator's token file. Raises NotPermitted.
    """
    home = discovery.data_folder()
    url = os.environ.get(discovery.URL_VARIABLE, "")
    if not url:
        place = find(home)
        if place is None:
            return None
        url = place.url
    token = os.environ.get(discovery.TOKEN_VARIABLE, "")
    return Control(url, token or discovery.file_token(home, discovery.OPERATOR_TOKEN))


def server() -> Control:
    """The running server. Raises Unavailable (code `no_server`) when none runs."""
    control = running()
    if control is None:
        raise no_server()
    return control


def no_server() -> Unavailable:
    return Unavailable(
        f"no server runs for the data folder `{discovery.data_folder()}`",
        code="no_server",
        hint="Start it in another terminal: `handfast serve`.",
    )
