"""Every refusal has the same body, on every route, and tells nothing of the inside."""

import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from handfast.app import open_engine
from handfast.core.domain import errors
from handfast.core.domain.errors import HandfastError
from handfast.engine.tasks import Tasks
from handfast.server.application import create_app
from handfast.server.problems import MEDIA, problem_of, status_of
from tests.served import Json, Served

MEMBERS = {"type", "title", "status", "detail", "code", "hint", "retryable"}


def check(answer: httpx.Response, status: int, code: str) -> Json:
    assert answer.headers["content-type"] == MEDIA, answer.text
    body: Json = answer.json()
    assert set(body) >= MEMBERS
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["detail"]
    assert body["type"] == f"urn:handfast:problem:{code}"
    return body


def routes(app: FastAPI) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    return [(m.upper(), p) for p, ms in paths.items() if p.startswith("/v1/") for m in ms]


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "1", path)


@pytest.fixture
def app() -> Iterator[FastAPI]:
    engine = open_engine()
    yield create_app(engine)
    engine.close()


def test_without_a_credential_every_route_answers_401_with_the_one_body(
    served: Served, app: FastAPI
) -> None:
    client = served.client()
    found = routes(app)
    assert len(found) >= 45
    for method, path in found:
        answer = client.request(method, filled(path))
        body = check(answer, 401, "unauthenticated")
        assert body["hint"]
        assert answer.headers["www-authenticate"] == "Bearer"


def test_an_unknown_id_is_404_on_every_route_that_names_one(served: Served, app: FastAPI) -> None:
    client = served.client("operator")
    named = [p for m, p in routes(app) if m == "GET" and "_id}" in p]
    assert len(named) >= 7
    for path in named:
        unknown = filled(path).replace("/1", "/zz_00000000000000000000000000")
        check(
            client.get(unknown, params={"of": "run_0"} if "/bodies/" in path else {}),
            404,
            "not_found",
        )


def test_wrong_paths_and_methods(served: Served) -> None:
    client = served.client("operator")
    check(client.get("/v1/nothing"), 404, "not_found")
    check(client.get("/nothing"), 404, "not_found")
    check(client.put("/v1/runs"), 405, "method_not_allowed")
    assert client.get("/v1/runs/%00").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"", "body"),
        (b"[]", "body"),
        (b'{"brief": {}, "surprise": 1, "repository": "/r"}', "surprise"),
        (b'{"repository": "/r"}', "brief"),
        (b'{"brief": {"intent": "x"}, "repository": 7}', "repository"),
    ],
)
def test_a_request_of_the_wrong_shape_names_the_member(
    served: Served, body: bytes, field: str
) -> None:
    client = served.client("operator", **{"Content-Type": "application/json"})
    problem = check(client.post("/v1/tasks", content=body), 422, "invalid_request")
    assert any(field in each["field"] for each in problem["errors"]), problem


def test_deep_and_odd_values_are_refused_and_not_a_fault(served: Served) -> None:
    client = served.client("operator", **{"Content-Type": "application/json"})
    deep = b'{"repository":"/r","brief":{"intent":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    assert client.post("/v1/tasks", content=deep).status_code in (400, 422)
    run = served.session_run()
    call = {"tool": "Bash", "arguments": {"timeout": 1.5}}
    body = {"key": "t", "call": call, "facts": {"effect": "exec", "summary": "s"}}
    check(served.client("runner").post(f"/v1/runs/{run}/actions", json=body), 422, "usage")
    half = b'{"brief": {"intent": "\\ud800"}, "repository": "/r"}'
    assert client.post("/v1/tasks", content=half).status_code == 422
    raw = '{"key":"t","call":{"tool":"B","arguments":{"a":' + "[" * 3_000 + "]" * 3_000
    raw += '}},"facts":{"effect":"exec","summary":"s"}}'
    asked = served.client("runner", **{"Content-Type": "application/json"})
    assert asked.post(f"/v1/runs/{run}/actions", content=raw).status_code in (400, 422)
    for path in ("/v1/events?after=99999999999999999999", "/v1/runs?after=9.99999999999999999999"):
        check(client.get(path), 422, "invalid_request")


def test_a_broken_brief_is_named_with_the_remedy(served: Served) -> None:
    body = {"brief": {"intent": "x", "budgett": {}}, "repository": "/r"}
    problem = check(served.client("operator").post("/v1/tasks", json=body), 422, "usage")
    assert "`budgett`" in problem["detail"]
    assert "Known here" in problem["hint"]


def test_a_large_body_is_refused_before_and_while_it_arrives(served: Served) -> None:
    client = served.client("operator", **{"Content-Type": "application/json"})
    check(client.post("/v1/tasks", content=b"x" * (1024 * 1024 + 1)), 413, "body_too_large")
    chunks = (b"x" * 65_536 for _ in range(64))
    check(client.post("/v1/tasks", content=chunks), 413, "body_too_large")
    stored = client.post("/v1/bodies", content=b"y" * (2 * 1024 * 1024))
    assert stored.status_code == 201
    assert stored.json()["size"] == 2 * 1024 * 1024


def test_a_name_that_is_not_this_server_is_refused(served: Served) -> None:
    client = served.client("operator", Host="rebound.example:8480")
    check(client.get("/v1/runs"), 421, "unknown_host")
    check(client.get("/healthz"), 421, "unknown_host")
    assert served.client("operator", Host="localhost:1").get("/v1/runs").status_code == 200


def test_a_fault_tells_a_reference_and_nothing_else(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(Tasks, "create", broken)
    body = {"brief": {"intent": "x"}, "repository": "/r"}
    answer = served.client("operator").post("/v1/tasks", json=body)
    problem = check(answer, 500, "internal")
    assert "secret" not in answer.text
    assert problem["reference"] in caplog.text
    assert "secret inside" in caplog.text


def every_error(root: type[HandfastError]) -> Iterator[type[HandfastError]]:
    yield root
    for each in root.__subclasses__():
        yield from every_error(each)


def test_every_error_has_a_status() -> None:
    expected = {
        errors.UsageError: 422, errors.NotFound: 404, errors.NotPermitted: 403, errors.AlreadyDecided: 409,
        errors.StaleDecision: 409, errors.GateClosed: 409, errors.StaleEpoch: 409, errors.InvalidTransition: 409,
        errors.LimitExceeded: 429, errors.Incomplete: 422, errors.Unavailable: 503, errors.Concurrency: 503,
        errors.DiskFull: 503, errors.SchemaVersion: 503, errors.IntegrityError: 500, errors.AdapterError: 502,
    }  # fmt: skip
    for cls in every_error(HandfastError):
        assert status_of(cls("m")) == expected.get(cls, status_of(cls("m"))) >= 400
        assert set(problem_of(cls("m", details={"status": 1})).body()) >= MEMBERS
    assert problem_of(errors.NotFound("m", details={"status": 1})).body()["status"] == 404


def test_every_answer_carries_the_security_headers(served: Served) -> None:
    client = served.client("operator", Accept="text/html")
    for path in ("/v1/runs", "/healthz", "/login", "/nothing", "/static/app.css"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")
        assert "server" not in headers
