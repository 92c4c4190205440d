"""The kernel and the store's commits with telemetry around them. Used only while telemetry is on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from handfast.core.domain.errors import HandfastError
from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import WAITING, Handoff
from handfast.engine.clock import Clock
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.projections import BY_NAME, load
from handfast.engine.settings import Settings
from handfast.engine.telemetry import Attributes, Telemetry
from handfast.engine.vault import Vault
from handfast.storage.api import Store, WriteSet

_DECIDED = frozenset({"handoff.decided", "handoff.overridden", "handoff.auto_proceeded"})


class TracedKernel(Kernel):
    """Every command is a span, and is counted with its outcome; every decision is measured."""

    def __init__(
        self, store: Store, vault: Vault, clock: Clock, settings: Settings, telemetry: Telemetry
    ) -> None:
        super().__init__(store, vault, clock, settings)
        self.telemetry = telemetry
        telemetry.watch(
            "handfast.handoffs.waiting",
            lambda: store.count("handoff", [s.value for s in WAITING]),
        )
        telemetry.watch("handfast.outbox.depth", store.keeping.outbox_depth)

    def run(
        self,
        actor: Actor,
        work: Callable[[Unit], Result],
        *,
        key: str = "",
        command: object = None,
        before_commit: Callable[[], None] | None = None,
    ) -> Result:
        name = _name(work)
        started, outcome = time.perf_counter(), "ok"
        with self.telemetry.span("handfast.command", {"command": name, "actor": actor.type}):
            try:
                return super().run(
                    actor, work, key=key, command=command, before_commit=before_commit
                )
            except HandfastError as error:
                outcome = error.code
                raise
            except BaseException:
                outcome = "fault"
                raise
            finally:
                took = time.perf_counter() - started
                self.telemetry.count("handfast.commands", {"command": name, "outcome": outcome})
                self.telemetry.measure("handfast.command.duration", took, {"command": name})

    def committed(self, write: WriteSet) -> None:
        super().committed(write)
        for append in write.appends:
            for event in append.events:
                self.telemetry.count("handfast.events", {"type": event.type})
                if event.type in _DECIDED:
                    self._decided(append.state.doc)

    def _decided(self, doc: bytes) -> None:
        handoff = load(BY_NAME["handoff"], doc)
        if isinstance(handoff, Handoff) and handoff.decision is not None:
            took = handoff.decision.at - handoff.requested_at
            of: Attributes = {
                "kind": handoff.kind.value,
                "risk": handoff.risk,
                "by_machine": handoff.decision.by_machine,
            }
            self.telemetry.measure("handfast.decision.latency", took.total_seconds(), of)


class Groups:
    """What the store calls around each of its transactions."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @contextmanager
    def __call__(self, size: int) -> Iterator[None]:
        started = time.perf_counter()
        with self._telemetry.span("handfast.commit.group", {"size": size}):
            try:
                yield
            finally:
                took = time.perf_counter() - started
                self._telemetry.measure("handfast.commit.duration", took)
                self._telemetry.measure("handfast.commit.group_size", size)


def _name(work: object) -> str:
    """`Runs.lease` of the function that was defined inside it."""
    return str(getattr(work, "__qualname__", type(work).__name__)).partition(".<locals>")[0]
