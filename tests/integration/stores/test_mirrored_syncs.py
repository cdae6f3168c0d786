"""Mirrored syncs leave what old alone would have left, on a server that ignores rollbacks."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from listings.model import FIELDS, Listing
from listings.store import Action, WriteContext
from sync_new.rest_store import RestStore
from sync_old.postgres_store import PoolSize, PostgresStore
from tests.contract.store.conftest import rest_settings
from tests.support.scale import scale
from tests.support.servers import create_database, drop_database

if TYPE_CHECKING:
    from listings.store import UpsertResult
    from ops.devstack.postgres import Postgres
    from tests.support.servers import Database, PostgrestFactory

SYNCS = scale(full=2000, quick=80)
OWN = ", ".join(field.name for field in FIELDS)
TABLE = (
    f"SELECT workspace_id, property_number, written_by, extra, {OWN} FROM listings ORDER BY 1, 2"
)
META = "'{id,sync_id,created_at,updated_at}'::text[]"
JOURNAL = (
    "SELECT property_number, op, writer, before - " + META + ", after - " + META
    + " FROM listing_journal ORDER BY seq"
)  # fmt: skip


def syncs() -> list[list[Listing]]:
    """Syncs of one to nine listings each: some new, some changed, some as they stood."""
    dice = random.Random(4)
    return [
        [
            Listing(f"p{number:02}", _fields(dice), {"n": 1} if dice.random() < 0.3 else None)
            for number in sorted(dice.sample(range(40), dice.randint(1, 9)))
        ]
        for _ in range(SYNCS)
    ]


def _fields(dice: random.Random) -> dict[str, Any]:
    choices: dict[str, list[Any]] = {
        "title": ["a", "b", None],
        "price_yen": [1, 2, None],
        "has_gas": [True, False],
    }
    return {name: dice.choice(values) for name, values in choices.items() if dice.random() < 0.7}


async def test_mirroring_leaves_no_trace(
    database: Database, postgres_server: Postgres, postgrest: PostgrestFactory
) -> None:
    """Table and journal are, row for row, those of a database that was never mirrored."""
    alone = create_database(postgres_server, template=database.name)
    mirrored = PostgresStore(database.url, pool=PoolSize(1, 2))
    control = PostgresStore(alone.url, pool=PoolSize(1, 2))
    shadow = RestStore(rest_settings(postgrest(database, db_tx_end="commit")))
    shadows = []
    outstanding = asyncio.Semaphore(4)

    async def mirror(said: list[Listing], context: WriteContext) -> UpsertResult:
        async with outstanding:
            return await shadow.upsert(said, context)

    for said in syncs():
        sync_id = uuid4()
        await control.upsert(said, WriteContext("default", uuid4()))
        real = await mirrored.upsert(said, WriteContext("default", sync_id))
        # A shadow runs beside the syncs that come after its own.
        context = WriteContext("default", uuid4(), dry_run=True, shadow_of=sync_id)
        shadows.append((real, asyncio.create_task(mirror(said, context))))
    compared = 0
    for real, task in shadows:
        for one, other in zip(real.records, (await task).records, strict=True):
            if one.action is not Action.UNCHANGED:
                compared += 1
                assert (one.action, one.digest) == (other.action, other.digest)
    assert compared > SYNCS
    assert database.fetch(TABLE) == alone.fetch(TABLE)
    assert database.fetch(JOURNAL) == alone.fetch(JOURNAL)
    assert {writer for _, _, writer, *_ in database.fetch(JOURNAL)} == {"old"}
    for store in (mirrored, control, shadow):
        await store.close()
    drop_database(postgres_server, alone)
