"""Serves the hook's endpoint on loopback, in a thread with an event loop of its own."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import uvicorn

from handfast.core.domain.errors import StorageError, UsageError
from handfast.runner import state
from handfast.runner.hook_settings import PATH
from handfast.runner.hooks.endpoint import HookEndpoint, create_app

HOST: Final = "127.0.0.1"
PORT: Final = 8484
_START_S: Final = 30.0
_GRACE_S: Final = 3


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the business of the process that serves."""
        yield


class RunnerServer:
    """The runner's endpoint. Use as a context manager, or `start` and `stop`.

    The port is bound at once, so agents that call meanwhile wait instead of being refused. Raises
    UsageError (`port_taken`). While it runs its address is in `runner.json` of the data folder.
    """

    def __init__(self, endpoint: HookEndpoint, port: int = PORT) -> None:
        self._endpoint = endpoint
        self._socket = _bound(port)
        bound_port = int(self._socket.getsockname()[1])
        self.url = f"http://{HOST}:{bound_port}"
        endpoint.protect(bound_port)
        config = uvicorn.Config(
            create_app(endpoint),
            log_config=None,
            access_log=False,
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ws="none",
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._serve, name="handfast-runner", daemon=True)

    @property
    def hook_url(self) -> str:
        return self.url + PATH

    @property
    def endpoint(self) -> HookEndpoint:
        return self._endpoint

    def start(self) -> Self:
        """Returns once it answers. Raises StorageError when it does not come up."""
        self._thread.start()
        if not self._server.ready.wait(_START_S):
            raise StorageError("the runner's endpoint did not start", hint="Look at its log.")
        state.write_runner_file(self._endpoint.settings.home, self.url, os.getpid())
        return self

    def stop(self) -> None:
        """Calls that wait are answered by a closed connection, which the agents take as a denial."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_START_S)
        self._socket.close()
        state.remove_runner_file(self._endpoint.settings.home, os.getpid())

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise UsageError(
            f"port {port} of {HOST} cannot be used: {error.strerror or error}",
            code="port_taken",
            hint="Another runner may be running there. Stop it, or choose another port.",
        ) from None
    return bound
