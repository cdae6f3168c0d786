"""
The real new service, wrong in one chosen way: `python -m tests.support.drifting_new`.

Real HTTP before it, the real PostgREST client behind it. The file that SYNC_DRIFT names says what
is wrong just now: {"name": one of `DRIFTS`, "share": 0..1}, or {"stores": true} for a service that
stores its dry runs; {} for none.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sync_new.__main__ as sync_new_process
from listings.model import System
from listings.service import run
from listings.store import DryRun, DryRunMeans
from sync_new.rest_store import RestStore
from tests.support.drift import DRIFTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from listings.model import Listing
    from listings.store import UpsertResult, WriteContext


class DriftingStore(RestStore):
    """Does to each listing what the file says."""

    async def upsert(self, listings: Sequence[Listing], context: WriteContext) -> UpsertResult:
        """Write what is left of the listings."""
        wrong: dict[str, Any] = json.loads(Path(os.environ["SYNC_DRIFT"]).read_text("utf-8"))
        if wrong.get("stores") and context.dry_run:
            stored = await super().upsert(listings, replace(context, dry_run=False))
            return replace(stored, dry_run=DryRun.APPLIED, means=DryRunMeans.ROLLBACK)
        if (name := wrong.get("name")) is not None:
            drift, share = DRIFTS[name], wrong["share"]
            changed = [
                drift.does(each) if drift.touches(name, each.property_number, share) else each
                for each in listings
            ]
            listings = [each for each in changed if each is not None]
        return await super().upsert(listings, context)


if __name__ == "__main__":
    sync_new_process.RestStore = DriftingStore  # type: ignore[misc]  # made where the real one is
    raise SystemExit(run(System.NEW, sync_new_process.make_store))
