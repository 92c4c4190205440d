"""A runner as the server knows it: this process is announced, kept in sight by heartbeats, and signed off."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import handfast
from handfast.client import Client, runner_calls
from handfast.core.domain.errors import HandfastError, NotFound, NotPermitted, StaleEpoch
from handfast.runner.supervisor.leftovers import HOST

_TIMEOUT_S: Final = 3.0
_AGAIN_S: Final = 0.5
log = logging.getLogger("handfast.runner")


class Presence:
    """`refused` says why this process may not work any more; empty as long as it may. `on_refusal` is called
    once then. `capacity` is how many runs it takes."""

    def __init__(
        self, client: Client, home: Path, capacity: int, on_refusal: Callable[[], None]
    ) -> None:
        self.runner_id = ""
        self.instance = 0
        self.lease_s = 0.0
        self.refused = ""
        self._client = client
        self._name = f"{HOST} {sha256(str(home.absolute()).encode()).hexdigest()[:8]}"
        self._capacity = capacity
        self._on_refusal = on_refusal
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="handfast-presence", daemon=True)

    @property
    def begun(self) -> bool:
        return self.instance > 0

    def begin(self) -> None:
        """Announce this process. Raises what the client raises; a refusal is also kept."""
        fields = {
            "host": HOST,
            "pid": os.getpid(),
            "version": handfast.__version__,
            "capacity": self._capacity,
            "name": self._name,
        }
        try:
            told = self._client.send(runner_calls.start_runner(fields))
        except NotPermitted as error:
            self._refuse(error)
            raise
        self.runner_id, self.instance = str(told["runner_id"]), int(told["instance"])
        self.lease_s = float(told["lease_s"])
        self._thread.start()

    def end(self, reason: str) -> None:
        """Sign off. What cannot be said now is seen by the silence."""
        self._done.set()
        if not self.begun:
            return
        self._thread.join(_TIMEOUT_S * 2)
        if self.refused:
            return
        request = runner_calls.stop_runner(self.runner_id, self.instance, reason)
        try:
            self._client.send(replace(request, timeout_s=_TIMEOUT_S))
        except HandfastError as error:
            log.warning("the server was not told that this runner stops: %s", error.message)

    def _keep(self) -> None:
        every_s = self.lease_s / 3
        while not self._done.wait(every_s):
            request = runner_calls.runner_heartbeat(self.runner_id, self.instance)
            try:
                told = self._client.send(replace(request, timeout_s=_TIMEOUT_S))
                every_s = float(told["lease_s"]) / 3
            except (StaleEpoch, NotPermitted, NotFound) as error:
                self._refuse(error)
                return
            except HandfastError:
                every_s = _AGAIN_S  # the runs say what comes of it

    def _refuse(self, error: HandfastError) -> None:
        self.refused = f"{error.message}. {error.hint}".strip()
        log.error("this runner stops: %s", self.refused)
        self._on_refusal()
