"""
The proof that a dry run stores nothing, taken from the database and not from anybody's word.

A random listing is dry-run in a workspace that no traffic may name, and afterwards that workspace's
rows and journal are read back. An answer that says "dry run" proves nothing: under PostgREST's
default settings a request for a rollback is silently ignored and the write commits.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from uuid import uuid4

from listings.errors import StoreRefused
from listings.model import PROOF_WORKSPACE, Listing
from listings.store import Action, DryRunMeans, DryRunProof, WriteContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from listings.store import ListingStore


async def prove(
    store: ListingStore, left_behind: Callable[[str], Awaitable[tuple[int, int]]]
) -> DryRunProof:
    """Dry-run one listing and look for it; `left_behind` counts its rows and journal entries.

    Raises StoreRefused when something was stored, or when the dry run did not execute as it should.
    """
    number = f"proof-{secrets.token_hex(12)}"
    listing = Listing(number, {"title": number, "price_yen": secrets.randbelow(10**9)}, {"a": 1})
    context = WriteContext(workspace_id=PROOF_WORKSPACE, sync_id=uuid4(), dry_run=True)
    result = await store.upsert([listing], context)
    rows, entries = await left_behind(number)
    if rows or entries:
        raise StoreRefused(
            f"a dry run stored {rows} rows and {entries} journal entries of {number} in workspace"
            f" {PROOF_WORKSPACE}: dry runs are not safe here; keep mirroring off",
            code="dry_run_stored",
        )
    record = result.records[0]
    if record.action is not Action.CREATED or result.means is None:
        said = record.error.error if record.error else f"the record says {record.action.value}"
        raise StoreRefused(
            f"the dry run of a new listing did not execute: {said}", code="dry_run_failed"
        )
    how = "planned without writing" if result.means is DryRunMeans.PLAN else "executed, undone"
    return DryRunProof(
        result.means, f"{number}: {how}; read back, no row and no journal entry was there"
    )
