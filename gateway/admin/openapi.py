"""
The OpenAPI 3.1 document, made from the table of endpoints and the models they use.

Nothing is described twice: a field, bound or sentence here comes from the model that checks it. Of
the two answers that are not JSON only the kind is told, and of the event stream that it never ends.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from gateway.admin import models
from gateway.admin.auth import Scope
from gateway.admin.endpoints import ENDPOINTS, PREFIX, Endpoint
from gateway.admin.problems import MEDIA_TYPE

_REF: Final = "#/components/schemas/{model}"
_DESCRIPTION: Final = """\
Watch and steer the rollout. Send `Authorization: Bearer <token>`; scopes are viewer < operator <
admin. Every change carries a `reason`, is written to the audit and answers the state that resulted.
Refusals are RFC 9457 problem documents. `GET /api/v1/events` streams events (text/event-stream;
resumes with `Last-Event-ID`)."""

_REFUSALS: Final = {
    400: "The body is not JSON.",
    401: "No valid token.",
    403: "The token's scope does not reach this far.",
    404: "There is no such thing.",
    409: "The rollout's rules say no; names the gates that stand in the way.",
    413: "The body is too large.",
    422: "A field is not as expected; names it.",
    429: "Too many wrong tokens.",
    503: "The state cannot be stored or read at the moment.",
}


def document(version: str) -> dict[str, Any]:
    """Build the document."""
    schemas, refs = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        operation = _operation(endpoint, refs)
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = operation
    for path, kind, summary in _PLAIN:
        paths[PREFIX + path] = {"get": _plain(path, kind, summary)}
    for path, summary in (("/healthz", "The process is alive"), ("/readyz", "Traffic is served")):
        paths[path] = {"get": _probe(path, summary)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "syncgate admin API", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


_PLAIN: Final = (
    (
        "/events",
        "text/event-stream",
        "Events as they happen; does not end, and resumes with the header Last-Event-ID",
    ),
    ("/comparisons/differences.csv", "text/csv", "Every kept difference, for a spreadsheet"),
)
"""What is answered in another form than JSON."""


def _plain(path: str, kind: str, summary: str) -> dict[str, Any]:
    stream = kind == "text/event-stream"
    content = {kind: {"schema": {"type": "string"}}}
    responses = {"200": {"description": "The answer.", "content": content}}
    responses |= {str(status): _refusal(status) for status in (401, 403, 429)}
    operation: dict[str, Any] = {
        "operationId": "get" + path.replace("/", "_").replace(".", "_"),
        "summary": summary,
        "description": "Needs scope viewer.",
        "security": [{"bearer": []}],
        "responses": responses,
    }
    if stream:
        responses |= {str(status): _refusal(status) for status in (422, 503)}
        schema = {"type": "string", "pattern": "^[0-9]{1,18}$"}
        operation["parameters"] = [
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": schema}
        ]
    return operation


def _schemas() -> tuple[dict[str, Any], dict[Any, dict[str, Any]]]:
    """Collect every model once; gives the definitions and where each shape is."""
    inputs = {endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None}
    outputs = {endpoint.answer for endpoint in ENDPOINTS} | {models.Problem, models.Health}
    wanted: list[tuple[Any, Any, TypeAdapter[Any]]] = []
    wanted += [(shape, "validation", TypeAdapter(shape)) for shape in inputs]
    wanted += [(shape, "serialization", TypeAdapter(shape)) for shape in outputs]
    wanted.sort(key=lambda one: str(one[0]))
    found, definitions = TypeAdapter.json_schemas(wanted, ref_template=_REF)
    refs = {shape: schema for (shape, _), schema in found.items()}
    return dict(sorted(definitions.get("$defs", {}).items())), refs


def _operation(endpoint: Endpoint, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, dict[str, Any]] = {
        str(endpoint.status): {
            "description": "Taken in." if endpoint.status == 202 else "The answer.",  # noqa: PLR2004 - Accepted
            "content": {"application/json": {"schema": refs[endpoint.answer]}},
        }
    }
    if endpoint.page:
        responses["200"]["content"]["text/html"] = {"schema": {"type": "string"}}
    for status in _refusals(endpoint):
        responses[str(status)] = _refusal(status)
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "description": f"Needs scope {Scope(endpoint.scope).name.lower()}.",
        "security": [{"bearer": []}],
        "responses": responses,
    }
    parameters = _parameters(endpoint)
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {"application/json": {"schema": refs[endpoint.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _refusals(endpoint: Endpoint) -> list[int]:
    statuses = [401, 403, 422, 429, 503]
    if endpoint.body is not None:
        statuses += [400, 413]
    if endpoint.item:
        statuses.append(404)
    if endpoint.refuses:
        statuses.append(409)
    return sorted(statuses)


def _refusal(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _REFUSALS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
    }
    header = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}.get(status)
    if header:
        answer["headers"] = {header: {"schema": {"type": "string"}}}
    return answer


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    if endpoint.item:
        schema = {"type": "integer", "minimum": 1, "maximum": 2**53}
        parameters.append({"name": endpoint.item, "in": "path", "required": True, "schema": schema})
    if endpoint.asked is not None:
        asked = endpoint.asked.model_json_schema()
        for name, schema in asked["properties"].items():
            plain = {key: value for key, value in schema.items() if key != "title"}
            if "anyOf" in plain:  # an absent parameter is absent, not null
                plain |= plain.pop("anyOf")[0]
                plain.pop("default", None)
            if "$ref" in plain:  # the one place where a shape of the query is needed
                named = asked["$defs"][plain.pop("$ref").rpartition("/")[2]]
                plain |= {key: value for key, value in named.items() if key in {"type", "enum"}}
            parameters.append({"name": name, "in": "query", "required": False, "schema": plain})
    return parameters


def _operation_id(endpoint: Endpoint) -> str:
    words = endpoint.path.replace("{", "").replace("}", "").replace("/", "_").replace("-", "_")
    return f"{endpoint.method.lower()}{words}"


def _probe(path: str, summary: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(model="Health")}}}
    responses: dict[str, Any] = {"200": {"description": "Yes.", "content": content}}
    if path == "/readyz":
        responses["503"] = {"description": "Not now; says why.", "content": content}
    return {
        "operationId": path.strip("/"),
        "summary": summary,
        "security": [],
        "responses": responses,
    }
