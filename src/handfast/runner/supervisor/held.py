"""A run under this runner's lease: kept by heartbeats, spoken about with its epoch."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Self, TypeVar

from handfast.client import Client, calls, runner_calls
from handfast.client.request import Json, Request
from handfast.core.domain.containment import CONTAINED
from handfast.core.domain.errors import (
    HandfastError,
    InvalidTransition,
    NotFound,
    NotPermitted,
    StaleEpoch,
    StorageError,
)
from handfast.core.domain.faults import fault_point
from handfast.core.domain.takeover import HELD_CODE
from handfast.runner.processes import AgentProcess
from handfast.runner.supervisor.leftovers import HOST
from handfast.runner.supervisor.settings import SupervisorSettings
from handfast.runner.suspending import resume, suspend

T = TypeVar("T")
_HEARTBEAT_TIMEOUT_S: Final = 3.0
# Of the lease: the rest is for what the agent does until it is held still.
_SURE: Final = 0.85
_AGAIN_S: Final = 0.5
_DELIVER_S: Final = 15.0
log = logging.getLogger("handfast.runner")


class LetGo(Exception):
    """Stop working on the run and say nothing more about it."""


class TakenOver(Exception):
    """A person has taken the run over: end the agent, and hand the worktree to them."""


class Declined(Exception):
    """The run cannot be worked on here: give it back."""


class Held:
    """One lease. Losing it ends the agent at once."""

    def __init__(
        self,
        client: Client,
        run: Json,
        settings: SupervisorSettings,
        stopping: threading.Event,
        lease_s: float = 6.0,
    ) -> None:
        self.run = run
        self.run_id = str(run["run_id"])
        self.epoch = int(run["epoch"])
        self.settings = settings
        self.stopping = stopping
        self.lost = threading.Event()
        self.taken = threading.Event()  # by a person
        self.contained = str(run.get("containment") or "").startswith(CONTAINED)
        self._client = client
        self._lease_s = settings.lease_s or lease_s
        self._sure_at = time.monotonic()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._process: AgentProcess | None = None
        self._still_since = 0.0
        self._silent = False
        self.killed = False  # a person stopped the agent
        self._thread = threading.Thread(target=self._keep, name=f"lease-{self.run_id}", daemon=True)

    # -- the lease

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(_HEARTBEAT_TIMEOUT_S * 2)

    def _keep(self) -> None:
        """The edge of its thread: a lease that nobody keeps is given up, whatever went wrong."""
        try:
            self._renew()
        except Exception:
            log.exception("the lease of run `%s` is not kept", self.run_id)
            self._give_up()

    def _renew(self) -> None:
        every_s = self._lease_s / 3
        while not self._done.wait(every_s):
            held = self._heard()
            every_s = self._lease_s / 3 if held else min(self._lease_s / 3, _AGAIN_S)
            silent_s = time.monotonic() - self._sure_at
            if held is False or (held is None and silent_s > self.settings.patience_s):
                self._give_up()
                return

    def _heard(self) -> bool | None:
        """Whether the lease is still ours; None when nobody says."""
        fault_point("runner.before_heartbeat")
        asked_at = time.monotonic()
        request = runner_calls.run_heartbeat(self.run_id, self.epoch)
        try:
            told = self._client.send(replace(request, timeout_s=_HEARTBEAT_TIMEOUT_S))
        except (StaleEpoch, NotFound, NotPermitted) as error:
            log.warning("run `%s`, epoch %s: %s", self.run_id, self.epoch, error.message)
            return False
        except HandfastError as error:
            if not self._silent:
                log.warning("the lease of run `%s` was not renewed: %s", self.run_id, error.message)
            self._silent = True
            return None
        self._silent = False
        if told["held"]:
            self._sure_at = asked_at
        if told.get("taken_over"):
            self.taken.set()
        # A person stopped the agent: it ends as if the lease were lost, and goes on when the run is
        # leased again.
        self.killed = bool(told.get("killed"))
        return bool(told["held"]) and not self.killed

    def watch(self, process: AgentProcess) -> None:
        """Hold the agent still while the lease may have run out, and let it go on when it has not."""
        sure = time.monotonic() - self._sure_at < self._lease_s * _SURE
        if not sure and not self._still_since:
            self._still_since = time.monotonic()
            suspend(process.identity)
            log.warning("the agent of run `%s` is held still: its lease is in doubt", self.run_id)
        elif sure and self._still_since and not self.lost.is_set():
            resume(process.identity)
            still_s = time.monotonic() - self._still_since
            self._still_since = 0.0
            self.gap(
                "held-still", f"the server did not answer; the agent stood still {still_s:.0f} s"
            )

    def confirm(self) -> None:
        """Make sure that the lease is ours before anything is done that others see. Raises LetGo."""
        request = calls.about_run(self.run_id, "heartbeat", {"epoch": self.epoch})
        if not self.send(request)["held"]:
            self.lost.set()
            raise LetGo

    def _give_up(self) -> None:
        log.warning("the lease of run `%s` is lost; its agent is ended", self.run_id)
        with self._lock:
            self.lost.set()
            process = self._process
        if process is not None:
            process.end(0)

    def say_lost(self, *, ended: bool) -> None:
        """Put on record that this runner came back too late, as far as the server still listens."""
        what = "its agent was ended here" if ended else "no agent of it ran here"
        detail = f"epoch {self.epoch} is over on {HOST}: {what}"
        fields = {"kind": "lease-lost", "detail": detail}
        try:
            self._client.send(calls.about_run(self.run_id, "gaps", fields))
        except HandfastError as error:
            log.warning("run `%s`: %s; the server was not told: %s", self.run_id, detail, error)

    def adopt(self, process: AgentProcess) -> None:
        """From now on losing the lease ends this process. Raises LetGo when it is lost already."""
        with self._lock:
            self._process = process
            lost = self.lost.is_set()
        if lost:
            process.end(0)
            raise LetGo

    def drop(self) -> None:
        with self._lock:
            self._process = None

    # -- speaking to the server

    def send(self, request: Request[T]) -> T:
        """Waits for a server that is away, as long as the lease may hold. Raises LetGo, TakenOver where the call
        was refused because of that, and what the server raises."""
        until = time.monotonic() + self.settings.patience_s
        while True:
            if self.lost.is_set():
                raise LetGo
            try:
                return self._client.send(request)
            except StaleEpoch:
                self.lost.set()
                raise LetGo from None
            except InvalidTransition as error:
                if error.code != HELD_CODE:
                    raise
                self.taken.set()
                raise TakenOver from None
            except StorageError as error:
                if not (error.retryable and request.repeatable) or time.monotonic() > until:
                    raise
            self.lost.wait(_AGAIN_S)

    def deliver(self, flush: Callable[[], bool]) -> None:
        """Have the hook's records delivered before anything is concluded from them. What cannot be
        delivered in time is concluded to be unknown, and a person is asked."""
        until = time.monotonic() + _DELIVER_S
        while not self.lost.is_set():
            try:
                if flush():
                    return
            except TimeoutError:
                log.warning("the records of run `%s` take long to deliver", self.run_id)
            if time.monotonic() > until:
                log.warning("records of run `%s` may not be delivered yet", self.run_id)
                return
            self.lost.wait(_AGAIN_S)

    def tell(self, what: str, **fields: Any) -> Json:
        """Something about the run, with the epoch. What is None stays out."""
        given = {k: v for k, v in fields.items() if v is not None}
        return self.send(calls.about_run(self.run_id, what, {"epoch": self.epoch, **given}))

    def gap(self, kind: str, detail: str) -> None:
        """Put on record that something was not seen."""
        fields = {"kind": kind, "detail": detail[:500]}
        self.send(calls.about_run(self.run_id, "gaps", fields))

    def refresh(self) -> Json:
        self.run = self.send(calls.run(self.run_id))
        return self.run

    def settle(self) -> list[str]:
        """The agent is gone: the doubts about starts without a result."""
        return [str(d) for d in self.send(calls.settle(self.run_id, self.epoch))["doubts"]]

    def handoffs(self, status: str) -> list[Json]:
        """Those of the run, at most 200."""
        asked = calls.handoffs(status, run_id=self.run_id, limit=200)
        return list(self.send(asked)["items"])

    def steps(self, limit: int = 5_000) -> list[Json]:
        """The run's steps, oldest first; results on a later page are joined to their step."""
        found: dict[str, Json] = {}
        after = 0
        while len(found) < limit:
            page = self.send(calls.steps(self.run_id, after))
            for step in page["items"]:
                known = found.setdefault(step["step_id"], step)
                if known is not step:
                    result = ("failed", "exit_code", "duration_ms", "output", "finished")
                    known |= {name: step[name] for name in result if name in step}
            after = int(page.get("next") or 0)
            if not after:
                break
        return list(found.values())

    def body(self, content: bytes, media: str) -> str:
        return str(self.send(calls.put_body(content, media))["body_id"])

    def read_body(self, body_id: str) -> bytes:
        return self.send(calls.body(body_id, self.run_id))
