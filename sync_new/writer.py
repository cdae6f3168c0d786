"""
Writing listings through PostgREST: in batches, halved on error, unchanged listings left out.

Nothing is written that would change nothing. Either the rows are read first and the unchanged ones
left out, or they are written first and the database drops the unchanged ones (its write trigger),
which are then read for their digests. What the last set turned out to be decides: a repeated full
sync costs one read for many rows, a push of changes one write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from listings.codec import digest, merge, stored_values
from listings.errors import StoreRefused, StoreUnavailable
from listings.store import Action, Record
from listings.stored import failed_record, row_digest, unchanged_record, written_record
from sync_new import retry
from sync_new.answers import RowsRefused
from sync_new.batches import Batch, batches
from sync_new.query import query
from sync_new.reader import rows_by_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from listings.model import Listing
    from listings.store import WriteContext
    from sync_new.postgrest import PostgrestClient

ROLLBACK: Final = "tx=rollback"
_UPSERT: Final = "resolution=merge-duplicates,missing=default,return=representation"


@dataclass(slots=True)
class _Progress:
    """What is known so far, by property number."""

    records: dict[str, Record] = field(default_factory=dict)
    wrote: bool = False

    def add(self, records: Iterable[Record]) -> None:
        self.records.update((record.property_number, record) for record in records)

    def missing(self, listings: Iterable[Listing]) -> list[Listing]:
        return [each for each in listings if each.property_number not in self.records]


class BatchWriter:
    """Writes sets of listings; remembers whether the last one was mostly unchanged."""

    def __init__(self, client: PostgrestClient, *, batch_size: int) -> None:
        self._client = client
        self._batch_size = batch_size
        self._read_first = False

    async def write(
        self, ordered: Sequence[Listing], context: WriteContext, *, roll_back: bool = False
    ) -> list[Record]:
        """Write ordered listings; when the store is lost half-way, the rest of the records say so.

        `roll_back` asks for ``tx=rollback`` on every write and insists on hearing it confirmed.
        """
        progress = _Progress()
        try:
            await self._write(ordered, context, progress, roll_back=roll_back)
        except (StoreUnavailable, StoreRefused) as exc:
            if roll_back or not progress.wrote:
                raise
            code = exc.code if isinstance(exc, StoreRefused) else "store_unavailable"
            progress.add(
                failed_record(each.property_number, code, exc.detail)
                for each in progress.missing(ordered)
            )
        records = [progress.records[each.property_number] for each in ordered]
        same = sum(1 for record in records if record.action is Action.UNCHANGED)
        self._read_first = 2 * same > len(records)
        return records

    async def _write(
        self,
        ordered: Sequence[Listing],
        context: WriteContext,
        progress: _Progress,
        *,
        roll_back: bool,
    ) -> None:
        if self._read_first:
            progress.add(await self._unchanged(ordered, context))
        for batch in batches(progress.missing(ordered), self._batch_size):
            await self._send(batch, context, progress, roll_back=roll_back)
        if left := progress.missing(ordered):
            numbers = [each.property_number for each in left]
            rows = await rows_by_number(self._client, context.workspace_id, numbers)
            progress.add(_left_standing(number, rows.get(number)) for number in numbers)

    async def _unchanged(self, ordered: Sequence[Listing], context: WriteContext) -> list[Record]:
        """Read the rows, and give the records of those that a write would not change."""
        numbers = [each.property_number for each in ordered]
        rows = await rows_by_number(self._client, context.workspace_id, numbers)
        return [
            unchanged_record(row)
            for listing in ordered
            if (row := rows.get(listing.property_number)) is not None
            and planned_digest(listing, row) == row_digest(row)
        ]

    async def _send(
        self, batch: Batch, context: WriteContext, progress: _Progress, *, roll_back: bool
    ) -> None:
        """Send one batch; a refused one is cut in halves until the row at fault stands alone."""
        address = query(
            ("on_conflict", "workspace_id,property_number"),
            ("columns", ",".join(batch.all_columns)),
        )
        try:
            answer = await self._client.call(
                "POST",
                f"listings?{address}",
                context=context,
                body=batch.rows(context.workspace_id),
                prefer=f"{_UPSERT},{ROLLBACK}" if roll_back else _UPSERT,
                # Another server may answer the second attempt, and it has proven nothing.
                attempts=1 if roll_back else retry.ATTEMPTS,
            )
        except RowsRefused as exc:
            if len(batch.listings) > 1:
                for half in batch.halves():
                    await self._send(half, context, progress, roll_back=roll_back)
                return
            number = batch.listings[0].property_number
            said = exc.complaint
            progress.add([failed_record(number, said.code, said.sentence)])
            return
        if roll_back and ROLLBACK not in answer.preferences:
            raise StoreRefused(
                "PostgREST did not confirm the rollback of a dry run: its rows may be stored;"
                " set db-tx-end to commit-allow-override, or run `syncgate migrate`",
                code="dry_run_stored",
            )
        progress.wrote = True
        progress.add(written_record(row) for row in answer.body)


def planned_digest(listing: Listing, row: Mapping[str, Any] | None) -> str:
    """Digest the row as it would stand after writing `listing` over `row`."""
    plan = merge(stored_values(row) if row is not None else None, listing)
    return digest(listing.property_number, plan.fields, plan.extra)


def _left_standing(number: str, row: Mapping[str, Any] | None) -> Record:
    """Give the record of a row that a write did not return: it stood like that already."""
    if row is None:
        return failed_record(number, "40001", "the listing was deleted meanwhile")
    return unchanged_record(row)
