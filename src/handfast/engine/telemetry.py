"""The seam for traces and metrics of our own operation. Off unless asked for, and then `otel` fills it.

Never the content of a call, a path, a name or a reason: names of routes and commands, kinds, codes, sizes.
`SPANS` and `METRICS` are all there is.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

from handfast.core.domain.errors import UsageError

Attributes: TypeAlias = Mapping[str, str | int | bool]

SPANS: Mapping[str, str] = {
    "http.request": "one HTTP request, from its first byte to the last of the answer",
    "handfast.gate.check": "a hook or an adapter asked whether a call may run",
    "handfast.command": "one command: read, decide, commit, again when outrun",
    "handfast.commit.group": "one transaction of the store, for every command that came together",
    "handfast.relay.delivery": "one row of the outbox handed to its sinks",
    "handfast.runner.lease": "a runner asked for work",
}
# name: (kind, unit, what it says)
METRICS: Mapping[str, tuple[str, str, str]] = {
    "http.server.request.duration": ("histogram", "s", "HTTP requests by method, route and status"),
    "handfast.commands": ("counter", "{command}", "commands by name and outcome"),
    "handfast.command.duration": ("histogram", "s", "how long commands took, by name"),
    "handfast.events": ("counter", "{event}", "events written, by type"),
    "handfast.commit.duration": ("histogram", "s", "how long a transaction of the store took"),
    "handfast.commit.group_size": ("histogram", "{command}", "commands that one transaction held"),
    "handfast.decision.latency": (
        "histogram",
        "s",
        "from asking to the decision, by kind and risk",
    ),
    "handfast.lease.takeovers": ("counter", "{lease}", "runs taken from a runner that fell silent"),
    "handfast.relay.deliveries": ("counter", "{delivery}", "deliveries by topic and outcome"),
    "handfast.handoffs.waiting": ("gauge", "{handoff}", "handoffs that wait for a person"),
    "handfast.outbox.depth": ("gauge", "{row}", "deliveries that have not left yet"),
}
_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


class Span(Protocol):
    def add(self, attributes: Attributes) -> None:
        """What was not known when it began."""
        ...


class Telemetry(Protocol):
    """Thread-safe. Nothing it does may fail the work it watches."""

    @property
    def on(self) -> bool: ...

    def span(self, name: str, attributes: Attributes = ...) -> AbstractContextManager[Span]:
        """A span of `SPANS` around a block; a block that raises marks it."""
        ...

    def count(self, name: str, attributes: Attributes = ...) -> None: ...

    def measure(self, name: str, value: float, attributes: Attributes = ...) -> None: ...

    def watch(self, name: str, read: Callable[[], int]) -> None:
        """`read` is called when metrics leave, in another thread."""
        ...

    def close(self) -> None:
        """Send what is left. Waits a few seconds at most."""
        ...


class _NoSpan:
    def add(self, attributes: Attributes) -> None:
        pass


_NO_SPAN: AbstractContextManager[Span] = nullcontext(_NoSpan())


class Off:
    """Nothing is recorded, and nothing is loaded for it."""

    on = False

    def span(self, name: str, attributes: Attributes = {}) -> AbstractContextManager[Span]:  # noqa: B006, ARG002
        return _NO_SPAN

    def count(self, name: str, attributes: Attributes = {}) -> None:  # noqa: B006
        pass

    def measure(self, name: str, value: float, attributes: Attributes = {}) -> None:  # noqa: B006
        pass

    def watch(self, name: str, read: Callable[[], int]) -> None:
        pass

    def close(self) -> None:
        pass


OFF = Off()


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for telemetry. Raises UsageError for a HANDFAST_OTEL that is neither
    0 nor 1."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    said = environment.get("HANDFAST_OTEL")
    if said is not None:
        if said not in ("0", "1"):
            raise UsageError(f"HANDFAST_OTEL is `{said}`", hint="Write 1 or 0.")
        return said == "1"
    return any(environment.get(name) for name in _ENDPOINTS)
