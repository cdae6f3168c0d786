"""What the record's rows look like in Redis: one JSON array each, checked when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from gateway.core.model import Variant
from gateway.errors import StateUnreadableError, StoreUnavailableError
from gateway.ports import (
    Actor,
    AuditEntry,
    Decision,
    DecisionDraft,
    Document,
    Event,
    EventDraft,
    MeasurementDraft,
    ReportSeverity,
    UserReport,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ROW_BYTES: Final = 1024 * 1024
T = TypeVar("T")


def document_text(document: Document) -> str:
    """Write a document the same way every time."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def state_digest(version: int, text: str) -> str:
    """Bind a state's text to its version."""
    return hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()


def _row(*values: object) -> str:
    text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
    if len(text) > MAX_ROW_BYTES:
        raise StoreUnavailableError(f"Refused to store an oversized row ({len(text)} characters).")
    return text


def audit_row(entry: AuditEntry) -> str:
    """Write one link of the chain."""
    actor = entry.actor
    return _row(
        entry.at_us,
        (actor.name, actor.ip, actor.user_agent),
        entry.action,
        entry.before,
        entry.after,
        entry.reason,
        entry.previous,
        entry.digest,
    )


def read_audit(seq: int, row: bytes) -> AuditEntry:
    """Read one link; what was tampered with is shown as it is, and breaks the digest."""
    try:
        at_us, actor, action, before, after, reason, previous, digest = _values(row, 8)
        return AuditEntry(
            seq, at_us, Actor(*actor), action, before, after, reason, previous, digest
        )
    except (ValueError, TypeError):
        text = row.decode(errors="replace")
        return AuditEntry(seq, 0, Actor("unknown"), "unreadable", {}, {"row": text}, "", "", "")


def decision_row(draft: DecisionDraft) -> str:
    """Write one decision."""
    return _row(draft.at_us, draft.verdict, draft.sentence, draft.inputs, draft.outcome)


def read_decision(seq: int, row: bytes) -> Decision:
    """Read one decision."""
    return Decision(seq, *_values(row, 5))


def event_row(draft: EventDraft) -> str:
    """Write one event."""
    return _row(draft.at_us, draft.kind, draft.text, draft.data)


def read_event(seq: int, row: bytes) -> Event:
    """Read one event."""
    return Event(seq, *_values(row, 4))


def measurement_row(draft: MeasurementDraft) -> str:
    """Write one figure; what is no number is refused (JSON would make it null)."""
    if not math.isfinite(draft.value):
        raise StoreUnavailableError(f"Refused to store {draft.value} as {draft.metric}.")
    variant = draft.variant.value if draft.variant else None
    return _row(draft.at_us, draft.metric, draft.value, variant, draft.sample, draft.source)


def read_measurement(row: bytes) -> MeasurementDraft:
    """Read one figure."""
    at_us, metric, value, variant, sample, source = _values(row, 6)
    return MeasurementDraft(
        at_us, metric, value, Variant(variant) if variant else None, sample, source
    )


def report_row(report: UserReport) -> str:
    """Write one user report."""
    return _row(report.at_us, report.severity.value, report.text, report.by)


def read_report(row: bytes) -> UserReport:
    """Read one user report."""
    at_us, severity, text, by = _values(row, 4)
    return UserReport(at_us, ReportSeverity(severity), text, by)


def numbered(entries: list[Any], read: Callable[[int, bytes], T]) -> list[T]:
    """Read the entries of a stream, whose ids are `<number>-0`."""
    with _suspicion():
        return [
            read(int(identifier.partition(b"-")[0]), fields[b"row"])
            for identifier, fields in entries
        ]


def dated(members: list[bytes], read: Callable[[bytes], T]) -> list[T]:
    """Read the members of a sorted set, `<number>|<row>`, in the order they were stored in."""
    with _suspicion():
        parts = [member.partition(b"|") for member in members]
        parts.sort(key=lambda part: int(part[0]))
        return [read(row) for _, _, row in parts]


@contextlib.contextmanager
def _suspicion() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateUnreadableError(
            "A row of the record in Redis is not the gateway's.",
            todo="Choose another prefix (REDIS_URL ...?prefix=name), or restore that Redis.",
        ) from error


def _values(row: bytes, count: int) -> Any:
    values = orjson.loads(row)
    if not isinstance(values, list) or len(values) != count:
        raise ValueError("another shape")
    return values
