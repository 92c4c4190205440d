"""Telemetry on OpenTelemetry, sent as OTLP over HTTP. The only module that knows OpenTelemetry.

Endpoint, headers, interval, sampler and resource are the standard OTEL_* variables. Providers are objects
of this installation, never the process-wide ones: what a library would report by itself stays unsent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import Status, StatusCode

from handfast import __version__
from handfast.core.domain.errors import HandfastError, RejectedError, UsageError
from handfast.engine.telemetry import METRICS, SPANS, Attributes, Span

CLOSE_MS = 3_000


class OpenTelemetry:
    """`handfast.engine.telemetry.Telemetry`. Exports in threads of its own."""

    on = True

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = "OTEL_SERVICE_NAME" in environment
        own = {"service.version": __version__} | ({} if named else {"service.name": "handfast"})
        resource = Resource.create(own)
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        if _sends(environment, "OTEL_TRACES_EXPORTER"):
            self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        readers: list[MetricReader] = []
        if _sends(environment, "OTEL_METRICS_EXPORTER"):
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
        self._meters = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._tracer = self._tracers.get_tracer("handfast", __version__)
        self._meter = self._meters.get_meter("handfast", __version__)
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for name, (kind, unit, says) in METRICS.items():
            if kind == "counter":
                self._counters[name] = self._meter.create_counter(name, unit, says)
            elif kind == "histogram":
                self._histograms[name] = self._meter.create_histogram(name, unit, says)

    @contextmanager
    def span(self, name: str, attributes: Attributes = {}) -> Iterator[Span]:  # noqa: B006
        if name not in SPANS:
            raise UsageError(f"`{name}` is no span of Handfast")
        # What an exception says may quote an agent: its kind is recorded, its text is not.
        with self._tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield _Span(span)
            except BaseException as error:
                span.set_attribute("error.type", _code(error))
                if not isinstance(error, RejectedError):
                    span.set_status(Status(StatusCode.ERROR))
                raise

    def count(self, name: str, attributes: Attributes = {}) -> None:  # noqa: B006
        self._counters[name].add(1, dict(attributes))

    def measure(self, name: str, value: float, attributes: Attributes = {}) -> None:  # noqa: B006
        self._histograms[name].record(value, dict(attributes))

    def watch(self, name: str, read: Callable[[], int]) -> None:
        _, unit, says = METRICS[name]

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            with suppress(HandfastError):  # a store that does not answer has no figure
                return [Observation(read())]
            return []

        self._meter.create_observable_gauge(name, [observe], unit, says)

    def close(self) -> None:
        self._tracers.force_flush(CLOSE_MS)
        self._tracers.shutdown()
        self._meters.shutdown(timeout_millis=CLOSE_MS)


class _Span:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def add(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))


def _code(error: BaseException) -> str:
    return error.code if isinstance(error, HandfastError) else type(error).__name__


def _sends(environment: Mapping[str, str], name: str) -> bool:
    """Raises UsageError for an exporter this does not have."""
    said = environment.get(name, "otlp")
    if said not in ("otlp", "none"):
        raise UsageError(f"{name} is `{said}`", hint="Write otlp or none.")
    return said == "otlp"
