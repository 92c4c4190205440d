"""The one way to the control plane for runners, adapters, the command line and users.

    client = Client.from_environment()
    handoff = client.send(calls.handoff("ho_…"))        # in a thread
    handoff = await client.asend(calls.handoff("ho_…")) # in an event loop

A call is built once, in `calls`, and sent by either face of one Client; answers and errors are read
in one place, and a problem comes back as the error class that the server raised.

Lives here: the Client over HTTP, the calls it can make, finding a server and a token.

May enter: `core`, an HTTP library. The library is loaded when Client is first used, so that a command
line which only needs `calls` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handfast.client.connection import Client
    from handfast.client.request import Json, Request

__all__ = ["Client", "Json", "Request"]

_HOME_OF = {
    "Client": "handfast.client.connection",
    "Json": "handfast.client.request",
    "Request": "handfast.client.request",
}


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found: object = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = found
        return found
