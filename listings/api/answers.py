"""The answers in their JSON form, and the headers by which two sync answers are compared unread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from listings.codec import answer_digest
from listings.codec.canonical import timestamp_text
from listings.http import headers

if TYPE_CHECKING:
    from datetime import datetime

    from listings.model import System
    from listings.store import ApiUsage, Record, SyncRun
    from listings.sync import Running, SyncAnswer
    from listings.sync.shadowing import Pair

LISTED: Final = 100


def sync_body(answer: SyncAnswer) -> dict[str, Any]:
    """Return a sync's answer; `missing` and `unknown` list the first hundred and count them all."""
    run = answer.run
    body: dict[str, Any] = {
        "syncId": str(run.sync_id),
        "system": answer.system.value,
        "mode": run.mode,
        "status": run.status.value,
        "dryRun": answer.dry_run is not None,
        "startedAt": timestamp_text(run.started_at),
        "completedAt": _at(run.completed_at),
        "stats": _stats(run),
        "errors": [
            {"propertyNumber": error.property_number, "code": error.code, "error": error.error}
            | ({"row": error.row} if error.row is not None else {})
            for error in answer.errors
        ],
        "records": [
            _record(record, answer.pairs.get(record.property_number)) for record in answer.records
        ],
    }
    if answer.means is not None:
        body["dryRunMeans"] = answer.means.value
    if answer.stopped:
        body["stopped"] = True
    if answer.missing is not None:
        body["missing"] = _numbers(answer.missing)
    if answer.unknown:
        body["unknown"] = _numbers(answer.unknown)
    return body


def sync_headers(answer: SyncAnswer) -> dict[str, str]:
    """Return what a comparison needs."""
    found = {
        headers.SYNC_ID: str(answer.run.sync_id),
        headers.SYNC_STATUS: answer.run.status.value,
        headers.SYNC_RECORDS: str(len(answer.records)),
        headers.SYNC_DIGEST: answer_digest(
            (record.property_number, record.digest) for record in answer.records
        ),
    }
    if answer.dry_run is not None:
        found[headers.SYNC_DRY_RUN] = answer.dry_run.value
    return found


def run_body(run: SyncRun) -> dict[str, Any]:
    """Return one run as the history has it."""
    return {
        "syncId": str(run.sync_id),
        "mode": run.mode,
        "status": run.status.value,
        "startedAt": timestamp_text(run.started_at),
        "completedAt": _at(run.completed_at),
        "stats": _stats(run),
        "errors": [
            {"propertyNumber": number or None, "code": error.code, "error": error.error}
            for number, error in run.errors
        ],
    }


def running_body(running: Running) -> dict[str, Any]:
    """Return a sync under way."""
    return {
        "syncId": str(running.sync_id),
        "mode": running.mode.value,
        "dryRun": running.dry_run,
        "startedAt": timestamp_text(running.started_at),
        "total": running.total,
        "done": running.done,
        "stopping": running.stop,
    }


def usage_body(usage: ApiUsage) -> dict[str, Any]:
    """Return the call budget; `ratio` is null where there is none."""
    return {
        "used": usage.used,
        "limit": usage.limit,
        "ratio": usage.used / usage.limit if usage.limit else None,
    }


def status_body(
    system: System, running: list[Running], last: SyncRun | None, usage: ApiUsage
) -> dict[str, Any]:
    """Return what the service is doing."""
    state = "idle"
    if running:
        state = "stopping" if all(one.stop for one in running) else "running"
    return {
        "system": system.value,
        "status": state,
        "running": [running_body(one) for one in running],
        "lastSync": run_body(last) if last else None,
        "apiUsage": usage_body(usage),
    }


def _record(record: Record, pair: Pair | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "propertyNumber": record.property_number,
        "action": record.action.value,
        "digest": record.digest,
    }
    if pair is not None:
        body["row"] = pair.row
        body["shadowOfRow"] = pair.shadow_of_row
    return body


def _stats(run: SyncRun) -> dict[str, int]:
    return {
        "total": run.total,
        "success": run.success,
        "failed": run.failed,
        "skipped": run.skipped,
    }


def _numbers(numbers: tuple[str, ...]) -> dict[str, Any]:
    return {"count": len(numbers), "propertyNumbers": list(numbers[:LISTED])}


def _at(at: datetime | None) -> str | None:
    return None if at is None else timestamp_text(at)
