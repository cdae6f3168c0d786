"""One transition written out for the commit script: once, however often it is sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import orjson

from gateway.adapters import audit_chain
from gateway.adapters.redis_store import rows
from gateway.errors import StoreUnavailableError
from gateway.ports import AuditEntry, Event

if TYPE_CHECKING:
    from gateway.adapters.redis_store.scripts import Argument
    from gateway.ports import Transition

MAX_DOCUMENT_BYTES: Final = 1024 * 1024


class Work:
    """One transition, written out once however often it is sent."""

    def __init__(self, transition: Transition) -> None:
        self.transition = transition
        self.begun_us = steady_us()
        self.text: str | None = None
        self.digest = ""
        if transition.document is not None:
            self.text = rows.document_text(transition.document)
            self.digest = rows.state_digest(transition.expected_version + 1, self.text)
            if not transition.document or len(self.text.encode()) > MAX_DOCUMENT_BYTES:
                raise StoreUnavailableError(
                    f"Refused to store a blank or oversized state ({len(self.text)} characters)."
                )
        self.counts = (
            len(transition.decisions),
            len(transition.events),
            len(transition.measurements),
            len(transition.reports),
        )
        self.rows: list[Argument] = [
            *map(rows.decision_row, transition.decisions),
            *map(rows.event_row, transition.events),
        ]
        for figure in transition.measurements:
            self.rows += [figure.at_us, rows.measurement_row(figure)]
        for report in transition.reports:
            self.rows += [report.at_us, rows.report_row(report)]
        self.content = orjson.dumps(
            [
                transition.expected_version,
                self.text,
                [audit_chain.digest_of(draft, seq=0, previous="") for draft in transition.audit],
                self.rows,
            ]
        )

    def linked(self, count: int, head: str) -> tuple[AuditEntry, ...]:
        """Make the audit entries the chain's next ones."""
        entries: list[AuditEntry] = []
        for draft in self.transition.audit:
            entry = audit_chain.link(draft, seq=count + 1, previous=head)
            count, head = entry.seq, entry.digest
            entries.append(entry)
        return tuple(entries)

    def events(self, first: int) -> tuple[Event, ...]:
        """Give the events the numbers they were stored under."""
        return tuple(
            Event(first + index, draft.at_us, draft.kind, draft.text, draft.data)
            for index, draft in enumerate(self.transition.events)
        )


def steady_us() -> int:
    """Return microseconds of the clock that is never set."""
    return time.monotonic_ns() // 1_000
