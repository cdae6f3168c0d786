"""
Rows as the tables hold them, for both stores: a listing, a run of the history.

The two stores get the same columns by different ways (typed values, or JSON), and both must make
the same objects of them; so the reading is here once.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from listings.codec import digest, stored_values
from listings.model import FIELDS, StoredListing
from listings.store import Action, Record, RecordError, SyncRun, SyncStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from listings.model import System


def stored_listing(row: Mapping[str, Any]) -> StoredListing:
    """Read one row of `listings`, whole."""
    own = stored_values(row)
    sync_id = row["sync_id"]
    return StoredListing(
        id=_uuid(row["id"]),
        workspace_id=row["workspace_id"],
        property_number=row["property_number"],
        fields=own.fields,
        extra=own.extra,
        written_by=row["written_by"],
        sync_id=_uuid(sync_id) if sync_id is not None else None,
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def row_digest(row: Mapping[str, Any]) -> str:
    """Digest the own fields of one row of `listings`."""
    own = stored_values(row)
    return digest(row["property_number"], own.fields, own.extra)


def written_record(row: Mapping[str, Any]) -> Record:
    """Make the record of a row that a write returned.

    The write trigger moves `updated_at` strictly past `created_at` on every change, so they are
    equal exactly when this write created the row.
    """
    created = _time(row["updated_at"]) == _time(row["created_at"])
    action = Action.CREATED if created else Action.UPDATED
    return Record(row["property_number"], action, row_digest(row))


def unchanged_record(row: Mapping[str, Any]) -> Record:
    """Make the record of a row that a write left as it stood."""
    return Record(row["property_number"], Action.UNCHANGED, row_digest(row))


def failed_record(property_number: str, code: str, error: str) -> Record:
    """Make the record of a listing that was not written."""
    return Record(property_number, Action.FAILED, error=RecordError(code, error))


def row_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give one row's own fields under their JSON names; what is not known is absent."""
    own = stored_values(row)
    known = {
        field.json_name: own.fields[field.name]
        for field in FIELDS
        if own.fields.get(field.name) is not None
    }
    number = {"propertyNumber": row["property_number"]}
    return {**number, **known, **({"extra": own.extra} if own.extra else {})}


def run_row(run: SyncRun, system: System) -> dict[str, Any]:
    """Give the columns of `sync_history`; `errors` is plain JSON."""
    return {
        "workspace_id": run.workspace_id,
        "system": system.value,
        "sync_id": run.sync_id,
        "mode": run.mode,
        "status": run.status.value,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "total": run.total,
        "success": run.success,
        "failed": run.failed,
        "skipped": run.skipped,
        "errors": [
            {"propertyNumber": number, "code": error.code, "error": error.error}
            for number, error in run.errors
        ],
    }


def stored_run(row: Mapping[str, Any]) -> SyncRun:
    """Read one row of `sync_history`."""
    completed_at = row["completed_at"]
    return SyncRun(
        sync_id=_uuid(row["sync_id"]),
        workspace_id=row["workspace_id"],
        mode=row["mode"],
        status=SyncStatus(row["status"]),
        started_at=_time(row["started_at"]),
        completed_at=_time(completed_at) if completed_at is not None else None,
        total=row["total"],
        success=row["success"],
        failed=row["failed"],
        skipped=row["skipped"],
        errors=tuple(_errors(row["errors"])),
    )


def _errors(rows: Iterable[Mapping[str, str]]) -> Iterable[tuple[str, RecordError]]:
    for row in rows:
        yield row["propertyNumber"], RecordError(row["code"], row["error"])


def _uuid(value: str | UUID) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _time(value: str | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
