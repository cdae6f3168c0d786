"""The services' OpenAPI 3.1 document; the listing's schema is derived from `FIELDS`."""

from __future__ import annotations

from typing import Any, Final

from listings.http import headers
from listings.model import FIELDS, PROPERTY_NUMBER_MAX, Field, Kind, System
from listings.store import Action, DryRun, DryRunMeans, SyncStatus
from listings.sync.request import MAX_ITEMS, MAX_LIMIT, Mode

_BASE: Final = "/api/property-listings"
_JSON_TYPE: Final = {
    Kind.TEXT: "string",
    Kind.INTEGER: "integer",
    Kind.DECIMAL: "number",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "string",
    Kind.TIMESTAMP: "string",
}
_FORMAT: Final = {Kind.DATE: "date", Kind.TIMESTAMP: "date-time"}
_NUMBER: Final = {"type": "string", "minLength": 1, "maxLength": PROPERTY_NUMBER_MAX}
_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}


def openapi(system: System, version: str) -> dict[str, Any]:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Property listings, the {system.value} sync service",
            "version": version,
            "summary": "Both services answer alike; they differ in where a listing is written.",
        },
        "paths": _paths(),
        "components": {"schemas": _schemas()},
    }


def field_schema(field: Field) -> dict[str, Any]:
    """Describe one field as it is read; text in Japanese notation is accepted on writing too."""
    schema: dict[str, Any] = {"type": [_JSON_TYPE[field.kind], "null"], "title": field.title}
    if field.kind in _FORMAT:
        schema["format"] = _FORMAT[field.kind]
    if field.max_length is not None:
        schema["maxLength"] = field.max_length
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    if field.maximum is not None:
        schema["maximum"] = field.maximum
    return schema


def _schemas() -> dict[str, Any]:
    fields = {field.json_name: field_schema(field) for field in FIELDS}
    extra = {"type": ["object", "null"], "description": "What the sources said beyond the fields."}
    stamp = {"type": "string", "format": "date-time"}
    uuid = {"type": "string", "format": "uuid"}
    written = {
        name: {"anyOf": [schema, {"type": "string"}]} if schema["type"][0] != "string" else schema
        for name, schema in fields.items()
    }
    return {
        "Listing": {
            "type": "object",
            "description": "Absent fields keep their stored value, null clears. Numbers and dates "
            "may be text as feeds write them (3,800万円, 25.5坪, 令和6年4月1日); unknown keys are "
            "kept in extra.",
            "required": ["propertyNumber"],
            "properties": {"propertyNumber": _NUMBER, **written, "extra": extra},
        },
        "StoredListing": {
            "type": "object",
            "required": ["id", "propertyNumber", "extra", "writtenBy", "digest"],
            "properties": {
                "id": uuid,
                "workspaceId": {"type": "string"},
                "propertyNumber": _NUMBER,
                **fields,
                "extra": {"type": "object"},
                "writtenBy": {"type": "string"},
                "syncId": {"type": ["string", "null"], "format": "uuid"},
                "createdAt": stamp,
                "updatedAt": stamp,
                "digest": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            },
        },
        "SyncRequest": _sync_request(),
        "SyncAnswer": _sync_answer(),
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "errors": {"type": "array", "items": _fault()},
            },
        },
    }


def _fault() -> dict[str, Any]:
    fault = _object("field", "expected", "got")
    fault["properties"]["row"] = {"type": "integer"}
    return fault


def _sync_request() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["mode"],
        "additionalProperties": False,
        "properties": {
            "mode": {"enum": [mode.value for mode in Mode]},
            "propertyNumbers": {
                "type": ["array", "null"],
                "items": _NUMBER,
                "maxItems": MAX_ITEMS,
            },
            "listings": {
                "type": ["array", "null"],
                "items": {"$ref": "#/components/schemas/Listing"},
                "maxItems": MAX_ITEMS,
            },
            "limit": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_LIMIT},
            "dryRun": {"type": ["boolean", "null"]},
            "confirm": {
                "type": ["boolean", "null"],
                "description": "Agrees to a full sync that changes the count by more than 20 %.",
            },
        },
    }


def _sync_answer() -> dict[str, Any]:
    counts = {
        name: {"type": "integer", "minimum": 0}
        for name in ("total", "success", "failed", "skipped")
    }
    record = _object(
        "propertyNumber",
        action={"enum": [action.value for action in Action]},
        digest={"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$"},
    )
    for side in ("row", "shadowOfRow"):  # where a shadow disagrees with the sync it shadows
        record["properties"][side] = {"type": ["object", "null"]}
    error = _object(
        "code", "error", propertyNumber={"type": ["string", "null"]}, row={"type": "integer"}
    )
    error["required"] = ["propertyNumber", "code", "error"]
    listed = _object(count={"type": "integer"}, propertyNumbers={"type": "array", "items": _NUMBER})
    answer = _object(
        "syncId",
        "mode",
        "startedAt",
        system={"enum": [system.value for system in System]},
        status={"enum": [status.value for status in SyncStatus if status != "running"]},
        dryRun={"type": "boolean"},
        stats={"type": "object", "required": list(counts), "properties": counts},
        errors={"type": "array", "items": error},
        records={"type": "array", "items": record},
    )
    answer["properties"] |= {
        "completedAt": {"type": ["string", "null"], "format": "date-time"},
        "missing": listed,
        "unknown": listed,
        "stopped": {"type": "boolean"},
        "dryRunMeans": {"enum": [means.value for means in DryRunMeans]},
    }
    return answer


def _object(*texts: str, **properties: Any) -> dict[str, Any]:
    named = {name: {"type": "string"} for name in texts} | properties
    return {"type": "object", "required": list(named), "properties": named}


def _paths() -> dict[str, Any]:
    sync_id = _parameter("syncId", "query", {"type": "string", "format": "uuid"})
    limit = _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 1000})
    after = _parameter("after", "query", {"type": "string"})
    before = _parameter("before", "query", {"type": "string", "format": "date-time"})
    workspace = _parameter(headers.SYNC_WORKSPACE, "header", {"type": "string"})
    number = _parameter("propertyNumber", "path", _NUMBER, required=True)
    stored = {"$ref": "#/components/schemas/StoredListing"}
    page = _object(listings={"type": "array", "items": stored})
    return {
        "/health": {"get": _operation("The process is alive")},
        f"{_BASE}/health": {"get": _operation("The store can be reached", refused=(502, 503))},
        "/api/metrics": {"get": _operation("Measurements of this process")},
        _BASE: {
            "get": _operation(
                "Listings in property-number order; next is the cursor for after",
                page,
                parameters=(limit, after, workspace),
                refused=(400, 403, 502, 503),
            )
        },
        f"{_BASE}/{{propertyNumber}}": {
            "get": _operation(
                "One listing",
                stored,
                parameters=(number, workspace),
                refused=(400, 403, 404, 502, 503),
            )
        },
        f"{_BASE}/sync": {"post": _sync_operation(workspace)},
        f"{_BASE}/sync/stop": {
            "post": _operation(
                "Stop running syncs after their batch", parameters=(sync_id,), refused=(400,)
            )
        },
        f"{_BASE}/sync/status": {
            "get": _operation(
                "What the service is doing, or one sync's state",
                parameters=(sync_id, workspace),
                refused=(400, 403, 404, 502, 503),
            )
        },
        f"{_BASE}/sync/history": {
            "get": _operation(
                "Runs, newest first; next is the cursor for before",
                parameters=(limit, before, workspace),
                refused=(400, 403, 502, 503),
            )
        },
        f"{_BASE}/sync/dry-run-proof": {
            "post": _operation("Prove that dry runs store nothing", refused=(502, 503))
        },
    }


def _sync_operation(workspace: dict[str, Any]) -> dict[str, Any]:
    operation = _operation(
        "Sync the feed, chosen numbers of it, or the listings sent",
        {"$ref": "#/components/schemas/SyncAnswer"},
        parameters=(
            _parameter(headers.SYNC_DRY_RUN, "header", {"enum": ["true", "false"]}),
            _parameter(headers.SYNC_SHADOW_OF, "header", {"type": "string", "format": "uuid"}),
            _parameter(headers.SYNC_WRITE_BACK_OF, "header", {"type": "string", "format": "uuid"}),
            _parameter(headers.SYNC_SHADOW_DIGEST, "header", {"type": "string"}),
            workspace,
        ),
        refused=(400, 403, 409, 413, 415, 502, 503),
    )
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SyncRequest"}}},
    }
    dry_run = {"enum": [value.value for value in DryRun]}
    operation["responses"]["200"]["headers"] = {
        headers.SYNC_ID: {"schema": {"type": "string", "format": "uuid"}},
        headers.SYNC_STATUS: {"schema": {"enum": ["completed", "partial", "failed"]}},
        headers.SYNC_RECORDS: {"schema": {"type": "string", "pattern": "^[0-9]+$"}},
        headers.SYNC_DIGEST: {"schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}},
        headers.SYNC_DRY_RUN: {"schema": dry_run},
    }
    return operation


def _parameter(
    name: str, place: str, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _operation(
    summary: str,
    schema: dict[str, Any] | None = None,
    *,
    parameters: tuple[dict[str, Any], ...] = (),
    refused: tuple[int, ...] = (),
) -> dict[str, Any]:
    content = {"application/json": {"schema": schema or {"type": "object"}}}
    responses: dict[str, Any] = {"200": {"description": summary, "content": content}}
    for status in refused:
        responses[str(status)] = {
            "description": "Refused; the problem says what to do",
            "content": {headers.PROBLEM_JSON: {"schema": _PROBLEM}},
        }
    return {"summary": summary, "parameters": list(parameters), "responses": responses}
