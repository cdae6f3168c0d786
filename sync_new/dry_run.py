"""
Dry runs through PostgREST: three means, the best that this server allows.

1. The database function ``sync_dry_run``: it executes the very batches a real write would send,
   from the before images of the sync it shadows, and undoes all of it before it answers. That does
   not depend on the server's settings; where the server also honours ``Prefer: tx=rollback``, the
   whole transaction is rolled back on top (means `rollback`), else it is the function alone
   (`raise`).
2. Without that function, the write itself with ``Prefer: tx=rollback``, but only when the server
   has proven to honour it: under its default settings it ignores the header and **commits**. The
   proof is a read with the same header, and whether the answer confirms it; it is kept for a
   minute, and forgotten when the connection was lost, since another server may answer then.
3. A plan: the rows are read, merged here, and nothing is sent. Its digests say what new means to
   write, not what the database would make of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from listings.codec import digest, merge, stored_values
from listings.errors import StoreRefused, StoreUnavailable
from listings.model import PROOF_WORKSPACE
from listings.store import Action, DryRun, DryRunMeans, Record, UpsertResult
from listings.stored import failed_record, row_digest
from sync_new.answers import RowsRefused
from sync_new.batches import batches
from sync_new.query import query
from sync_new.reader import before_images, rows_by_number
from sync_new.writer import ROLLBACK, BatchWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from listings.model import Listing
    from listings.store import WriteContext
    from sync_new.postgrest import PostgrestClient

PROOF_LASTS_US: Final = 60_000_000
_ATTEMPTS: Final = 3  # each may wait a second for a row that live traffic holds
_NO_FUNCTION: Final = frozenset({"PGRST202", "404", "42883"})


class DryRunner:
    """Makes dry runs, and remembers what this server allows."""

    def __init__(self, client: PostgrestClient, writer: BatchWriter, *, batch_size: int) -> None:
        self._client = client
        self._writer = writer
        self._batch_size = batch_size
        self._no_function_until_us = -1
        self._proven_until_us = -1
        self._proven_at_reconnects = -1
        self.means: DryRunMeans | None = None

    async def upsert(self, ordered: Sequence[Listing], context: WriteContext) -> UpsertResult:
        """Dry-run ordered listings by the best means there is."""
        records = await self._by_function(ordered, context)
        if records is None and context.shadow_of is None:
            records = await self._by_rollback(ordered, context)
        if records is None:
            self.means = DryRunMeans.PLAN
            return UpsertResult(
                tuple(await self._plan(ordered, context)), DryRun.PLANNED, self.means
            )
        return UpsertResult(tuple(records), DryRun.APPLIED, self.means)

    async def _by_function(
        self, ordered: Sequence[Listing], context: WriteContext
    ) -> list[Record] | None:
        """Run it in the database; None if this database has no such function."""
        if self._client.now_us() < self._no_function_until_us:
            return None
        records: list[Record] = []
        for start in range(0, len(ordered), self._batch_size):
            part = ordered[start : start + self._batch_size]
            body = {
                "workspace": context.workspace_id,
                "groups": [
                    {"columns": batch.all_columns, "rows": batch.rows(context.workspace_id)}
                    for batch in batches(part, self._batch_size)
                ],
                "shadow_of": str(context.shadow_of) if context.shadow_of else None,
            }
            try:
                answer = await self._client.call(
                    "POST",
                    "rpc/sync_dry_run",
                    context=context,
                    body=body,
                    prefer=ROLLBACK,
                    attempts=_ATTEMPTS,
                )
            except StoreRefused as exc:
                if exc.code not in _NO_FUNCTION:
                    raise
                self._no_function_until_us = self._client.now_us() + PROOF_LASTS_US
                return None
            except RowsRefused as exc:
                # Rows fail one by one inside; what reaches us here is about the call itself.
                raise StoreRefused(
                    f"the dry run itself was refused: {exc.complaint.sentence}",
                    code=exc.complaint.code,
                ) from exc
            honoured = ROLLBACK in answer.preferences
            self.means = DryRunMeans.ROLLBACK if honoured else DryRunMeans.RAISE
            records += map(_record, answer.body)
        if not ordered:
            return []
        return records

    async def _by_rollback(
        self, ordered: Sequence[Listing], context: WriteContext
    ) -> list[Record] | None:
        """Write with ``tx=rollback``; None if this server does not honour it."""
        attempt = 1
        while await self._rolls_back():
            lost = self._client.reconnects
            try:
                self.means = DryRunMeans.ROLLBACK
                return await self._writer.write(ordered, context, roll_back=True)
            except StoreUnavailable:
                # Lost on the way: prove it again before the next attempt.
                if self._client.reconnects == lost or attempt == _ATTEMPTS:
                    raise
            attempt += 1
        return None

    async def _rolls_back(self) -> bool:
        """Find out, safely, whether this server honours ``Prefer: tx=rollback``."""
        fresh = (
            self._client.now_us() < self._proven_until_us
            and self._proven_at_reconnects == self._client.reconnects
        )
        if fresh:
            return True
        answer = await self._client.call(
            "GET",
            f"listings?{query(('select', 'property_number'), ('limit', '1'))}",
            workspace_id=PROOF_WORKSPACE,
            prefer=ROLLBACK,
        )
        if ROLLBACK not in answer.preferences:
            return False
        self._proven_until_us = self._client.now_us() + PROOF_LASTS_US
        self._proven_at_reconnects = self._client.reconnects
        return True

    async def _plan(self, ordered: Sequence[Listing], context: WriteContext) -> list[Record]:
        numbers = [each.property_number for each in ordered]
        rows: dict[str, Mapping[str, Any] | None] = {
            **await rows_by_number(self._client, context.workspace_id, numbers)
        }
        if context.shadow_of is not None:
            rows.update(await before_images(self._client, context, numbers))
        return [_planned(listing, rows.get(listing.property_number)) for listing in ordered]


def _record(result: Mapping[str, Any]) -> Record:
    number = result["property_number"]
    if "code" in result:
        return failed_record(number, result["code"], result["message"])
    row = result["row"]
    if row is None:
        raise StoreUnavailable(f"the dry run lost sight of {number}; try again")
    return Record(number, Action(result["action"]), row_digest(row), row=row)


def _planned(listing: Listing, row: Mapping[str, Any] | None) -> Record:
    plan = merge(stored_values(row) if row is not None else None, listing)
    planned = digest(listing.property_number, plan.fields, plan.extra)
    if row is None:
        action = Action.CREATED
    else:
        action = Action.UNCHANGED if planned == row_digest(row) else Action.UPDATED
    would_be = {"property_number": listing.property_number, **plan.fields, "extra": plan.extra}
    return Record(listing.property_number, action, planned, row=would_be)
