"""Traces and metrics of our own operation, as a collector on loopback receives them; and nothing when off."""

import gzip
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from handfast.app import open_engine, open_telemetry
from handfast.core.domain.errors import UsageError
from handfast.engine.people import NewPerson
from handfast.engine.runs import Session
from handfast.engine.telemetry import METRICS, OFF, SPANS, Telemetry, wanted
from handfast.server.serving import ServerThread
from tests.engine_room import OPERATOR, PASSWORD, PIN
from tests.served import _TLS

ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-the-agent"


@dataclass
class Collector:
    """Decodes what arrives, as OTLP over HTTP."""

    url: str
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    resources: list[Any] = field(default_factory=list)
    raw: bytes = b""

    def take(self, path: str, body: bytes) -> None:
        self.raw += body
        if path.endswith("/v1/traces"):
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(group.resource)
                self.spans += [s for scope in group.scope_spans for s in scope.spans]
        else:
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics += [m for scope in group.scope_metrics for m in scope.metrics]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [_plain(s.attributes) for s in self.spans if s.name == name]

    def points(self, name: str) -> list[Any]:
        found = [m for m in self.metrics if m.name == name]
        return [
            p for m in found for kind in (m.sum, m.histogram, m.gauge) for p in kind.data_points
        ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Collector, Telemetry]]:
    for name in [n for n in os.environ if n.lower().endswith("_proxy") or n.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
        yield collector, open_telemetry(os.environ)


def _work(url: str, engine: Any, home: Path) -> None:
    """Stop a call, decide it, lease nothing; a refusal, and a page that is not there."""
    from handfast.engine.access import PrincipalKind

    tokens = {
        kind: engine.access.ensure_file_token(home, kind)
        for kind in (PrincipalKind.OPERATOR, PrincipalKind.RUNNER)
    }
    agent_id = str(engine.agents.add(OPERATOR, "claude", "claude-code")["agent_id"])
    engine.people.set_up(engine.people.invite(), NewPerson("Ana", "ana", PASSWORD, PIN))
    from handfast.core.domain.events_work import Mode

    session = Session(agent_id, "claude-code", "s1", "/repo", Mode.ENFORCE)
    run_id = engine.runs.session(OPERATOR, session)["run_id"]

    def client(kind: PrincipalKind) -> httpx.Client:
        headers = {"Authorization": f"Bearer {tokens[kind]}"}
        return httpx.Client(base_url=url, headers=headers, trust_env=False, verify=_TLS)

    with client(PrincipalKind.RUNNER) as runner, client(PrincipalKind.OPERATOR) as operator:
        call = {"tool": "Bash", "arguments": {"command": f"git push {SECRET}"}}
        facts = {"effect": "network", "summary": f"pushes {SECRET}", "hazards": ["git.push"]}
        asked = runner.post(
            f"/v1/runs/{run_id}/actions", json={"key": "k", "call": call, "facts": facts}
        ).json()
        seen = operator.get(f"/v1/handoffs/{asked['handoff_id']}").json()["presented_digest"]
        decision = {"kind": "approve", "presented_digest": seen, "reason": SECRET}
        path = f"/v1/handoffs/{asked['handoff_id']}/decisions"
        assert operator.post(path, json=decision).status_code == 403
        proof = {"person": "ana", "pin": PIN}
        assert operator.post(path, json={**decision, **proof}).status_code == 201
        assert operator.get(f"/v1/runs/{SECRET}").status_code == 404
        lease = {"runner_id": "r1", "host": "h", "capacity": 1}
        assert runner.post("/v1/leases", json=lease).status_code == 204


def test_a_collector_gets_spans_and_metrics_and_no_content(
    asked_for: tuple[Collector, Telemetry], tmp_path: Path
) -> None:
    collector, telemetry = asked_for
    home = tmp_path / "home"
    engine = open_engine(home=home, telemetry=telemetry)
    with closing(telemetry), closing(engine), ServerThread(engine, relay=True) as server:
        _work(server.url, engine, home)
        delivered = threading.Event()
        while engine.kernel.store.outbox(10):
            delivered.wait(0.05)
    assert {s.name for s in collector.spans} == set(SPANS)
    assert {m.name for m in collector.metrics} <= set(METRICS)
    missing = set(METRICS) - {m.name for m in collector.metrics}
    assert missing == {"handfast.lease.takeovers"}  # nothing was taken over
    by_id = {s.span_id: s for s in collector.spans}
    gate = next(s for s in collector.spans if s.name == "handfast.gate.check")
    assert _plain(gate.attributes) == {"verdict": "wait", "risk": "high"}
    assert by_id[gate.parent_span_id].name == "http.request"
    command = next(s for s in collector.spans if s.parent_span_id == gate.span_id)
    assert _plain(command.attributes)["command"] == "Actions.propose"
    group = next(s for s in collector.spans if s.parent_span_id == command.span_id)
    assert group.name == "handfast.commit.group"
    assert _plain(group.attributes) == {"size": 1}
    requests = collector.named("http.request")
    assert {
        "http.request.method": "POST",
        "http.route": "/v1/runs/{run_id}/actions",
        "http.response.status_code": 200,
    } in requests
    assert {r["http.response.status_code"] for r in requests} >= {200, 201, 204, 403, 404}
    assert {"leased": False, "epoch": 0} in collector.named("handfast.runner.lease")
    resource = _plain(collector.resources[0].attributes)
    assert (resource["service.name"], resource["deployment.environment"]) == ("handfast", "test")
    assert SECRET.encode() not in collector.raw
    assert b"Ana" not in collector.raw


def test_metrics_count_what_happened(
    asked_for: tuple[Collector, Telemetry], tmp_path: Path
) -> None:
    collector, telemetry = asked_for
    home = tmp_path / "home"
    engine = open_engine(home=home, telemetry=telemetry)
    with closing(telemetry), closing(engine), ServerThread(engine) as server:
        _work(server.url, engine, home)
    decided = collector.points("handfast.decision.latency")
    assert [p.count for p in decided] == [1]
    assert _plain(decided[0].attributes) == {
        "kind": "approval",
        "risk": "high",
        "by_machine": False,
    }
    counted = {
        (a["command"], a["outcome"]): p.as_int
        for p in collector.points("handfast.commands")
        for a in [_plain(p.attributes)]
    }
    assert counted["Actions.propose", "ok"] == 1
    assert counted["Handoffs.decide", "ok"] == 1
    events = {_plain(p.attributes)["type"]: p.as_int for p in collector.points("handfast.events")}
    assert (events["handoff.decided"], events["access.refused"]) == (1, 1)
    assert [p.as_int for p in collector.points("handfast.handoffs.waiting")] == [0]


def test_a_run_that_is_taken_over_is_counted(
    asked_for: tuple[Collector, Telemetry], tmp_path: Path
) -> None:
    from handfast.testing.clock import FrozenClock
    from tests.engine_room import RUNNER, Room, _furnished

    collector, telemetry = asked_for
    clock, home = FrozenClock(), tmp_path / "home"
    with closing(telemetry), closing(open_engine("", home, clock, telemetry)) as engine:
        room: Room = _furnished(engine, clock, home)
        run_id = room.queued_run()
        assert engine.runs.lease(RUNNER, "one", "host") is not None
        clock.move(3_600)
        taken = engine.runs.lease(RUNNER, "two", "host")
        assert taken is not None
        assert taken.run_id == run_id
    assert [p.as_int for p in collector.points("handfast.lease.takeovers")] == [1]


def test_a_collector_that_is_away_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    telemetry = open_telemetry({"HANDFAST_OTEL": "1"})
    with closing(open_engine(home=tmp_path / "home", telemetry=telemetry)) as engine:
        assert engine.agents.add(OPERATOR, "claude", "claude-code")["agent_id"]
    telemetry.close()


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"HANDFAST_OTEL": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"HANDFAST_OTEL": "1"}, True),
        ({"HANDFAST_OTEL": "1", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, True),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_when_it_is_on(environment: dict[str, str], on: bool) -> None:
    assert wanted(environment) is on
    if not on:
        assert open_telemetry(environment) is OFF


def test_a_wrong_setting_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match="HANDFAST_OTEL is `yes`"):
        open_telemetry({"HANDFAST_OTEL": "yes"})
    with pytest.raises(UsageError, match="OTEL_TRACES_EXPORTER"):
        open_telemetry({"HANDFAST_OTEL": "1", "OTEL_TRACES_EXPORTER": "jaeger"})
    grpc = {"HANDFAST_OTEL": "1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert open_telemetry(grpc) is OFF
    assert "grpc" in caplog.text


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry.sdk") or name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from handfast.core.domain.errors import UsageError
from handfast.app import open_telemetry
from handfast.engine.telemetry import OFF
assert open_telemetry({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}) is OFF
try:
    open_telemetry({"HANDFAST_OTEL": "1"})
except UsageError as e:
    print(e.hint)
"""


def test_what_is_not_installed_is_said_where_it_was_asked_for() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ABSENT], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert "handfast[otel]" in ran.stdout
    assert "handfast[otel]" in ran.stderr


IDLE = """
import sys
from handfast.app import open_engine, open_telemetry
from handfast.app import open_telemetry
engine = open_engine(telemetry=open_telemetry())
engine.agents.add(__import__("handfast.core.domain.events").core.domain.events.SYSTEM, "a", "none")
engine.close()
print(*(m for m in sys.modules if m.split(".")[0] == "opentelemetry"))
import handfast.server.serving
print(*(m for m in sys.modules if m.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))))
print(*(m for m in sys.modules if m in ("handfast.engine.otel", "requests")))
"""


def test_off_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    """The engine loads no part of OpenTelemetry. FastAPI loads its API, and we nothing of the rest."""
    ran = subprocess.run(
        [sys.executable, "-c", IDLE],
        cwd=ROOT / "src",
        env={"PATH": os.defpath, "HANDFAST_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines() == ["", "", ""]


def test_one_module_knows_opentelemetry() -> None:
    naming = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if re.search(r"^\s*(from|import) opentelemetry", path.read_text(), re.MULTILINE)
    ]
    assert naming == ["src/handfast/engine/otel.py"]


def test_every_span_and_metric_is_documented() -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    for name, says in SPANS.items():
        assert f"| `{name}` | {says} |" in page, name
    for name, (kind, unit, says) in METRICS.items():
        assert f"| `{name}` | {kind}, {unit} | {says} |" in page, name
    named = set(re.findall(r"^\| `((?:http|handfast)\.[\w.]+)`", page, re.MULTILINE))
    assert named == set(SPANS) | set(METRICS)
