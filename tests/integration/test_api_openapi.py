"""The OpenAPI document is complete: enough for a generated client."""

from typing import Any

import pytest
from fastapi import FastAPI

from handfast.app import open_engine
from handfast.server.api.router import routes
from handfast.server.application import create_app
from tests.served import Served

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    engine = open_engine(home=tmp_path_factory.mktemp("api"))
    app: FastAPI = create_app(engine)
    engine.close()
    return app.openapi()


def operations(document: Document) -> list[tuple[str, Document]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_is_named_once_and_has_a_tag(document: Document) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids)) >= 48
    assert [name for name, o in operations(document) if not o.get("tags")] == []


def test_every_operation_but_health_says_which_credentials_it_takes(document: Document) -> None:
    free = [name for name, o in operations(document) if not o.get("security")]
    assert free == ["get /healthz"]
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}


def test_every_refusal_is_the_one_problem(document: Document) -> None:
    for name, operation in operations(document):
        for code, answer in operation["responses"].items():
            if int(code) >= 400:
                assert answer == {"$ref": f"#/components/responses/{code}"}, (name, code)
    for answer in document["components"]["responses"].values():
        schema = answer["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_success_has_a_typed_body(document: Document) -> None:
    for name, operation in operations(document):
        good = {c: a for c, a in operation["responses"].items() if int(c) < 300 and c != "204"}
        assert len(good) == 1, name
        content = next(iter(good.values()))["content"]
        assert all(media.get("schema") for media in content.values()), name


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for item in value.values() for r in references(item)]
    return [r for item in value for r in references(item)] if isinstance(value, list) else []


def test_no_reference_leads_nowhere(document: Document) -> None:
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


def test_the_document_is_served_and_the_pages_are_not_in_it(served: Served) -> None:
    served_document = served.client().get("/openapi.json").json()
    assert "/v1/handoffs/{handoff_id}/decisions" in served_document["paths"]
    assert not [p for p in served_document["paths"] if not p.startswith(("/v1/", "/healthz"))]
    assert served.client().get("/docs").status_code == 404


def test_every_server_serves_the_routes_as_they_were_made(served: Served) -> None:
    """Included instead of mounted, each would be analysed again at a server's first request."""
    mounted = {id(route) for route in create_app(served.engine).router.routes}
    assert [route.path for route in routes() if id(route) not in mounted] == []
