"""The OpenAPI document: every refusal of every operation has the one problem body."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from handfast.server.api.router import routes
from handfast.server.api.schema_org import ProblemOut
from handfast.server.identity import SCHEMES
from handfast.server.problems import MEDIA

REFUSALS = {
    "401": "No valid credential.",
    "403": "Not for this caller.",
    "404": "Nothing with this id, or not this caller's.",
    "409": "It is not in a state that allows this: decided already, stale, used, taken over.",
    "413": "The body is too large.",
    "421": "The Host header does not name this server.",
    "422": "The request is wrong and will stay wrong.",
    "429": "Too many tries.",
    "500": "A fault of the server, or stored data that contradicts itself.",
    "503": "The store cannot take it now.",
}
OPEN = frozenset({"/healthz"})


def document(app: FastAPI) -> dict[str, Any]:
    """Made once, from the routes of the API alone."""
    if app.openapi_schema:
        return app.openapi_schema
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=routes(),
    )
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = ProblemOut.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {
        name: scheme.model_dump(mode="json", by_alias=True, exclude_none=True)
        for name, scheme in SCHEMES.items()
    }
    components["responses"] = {code: _refusal(text) for code, text in REFUSALS.items()}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    app.openapi_schema = made
    return made


def _refusal(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {MEDIA: {"schema": schema}}}


def _complete(path: str, operation: dict[str, Any]) -> None:
    codes = ("421", "500", "503") if path in OPEN else REFUSALS
    refusals = {code: {"$ref": f"#/components/responses/{code}"} for code in codes}
    operation["responses"] = {**operation["responses"], **refusals}
    if path in OPEN:
        operation["responses"].pop("422", None)
    else:
        operation["security"] = [{"token": []}, {"session": []}]
