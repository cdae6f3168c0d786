"""
Mirroring on real feeds: last year's listings in the table, this year's written by old and shadowed.

What the shadow must find is known from the two feeds themselves, so nothing here trusts the stores.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from listings.codec import digest, merge
from listings.source.feed import load_feed
from listings.store import Action, DryRun, WriteContext
from sync_new.rest_store import RestStore
from sync_old.postgres_store import PoolSize, PostgresStore
from tests.contract.store.conftest import rest_settings
from tests.support.scale import scale
from tests.support.shared import shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from listings.model import Listing
    from listings.store import ListingStore, Record
    from tests.support.servers import Database, PostgrestFactory

MAPPING = Path(__file__).parents[2] / "support" / "osaka_source.toml"
ROWS = scale(full=10_000, quick=200)


async def read(year: int, folder: Path) -> dict[str, Listing]:
    """One year's feed, by property number."""
    data = folder / f"{year}.csv"
    lines = shared(f"data/osaka_land_price_{year}.csv").read_bytes().splitlines(keepends=True)
    data.write_bytes(b"".join(lines[: ROWS + 1]))
    shutil.copy(MAPPING, folder / "source.toml")
    feed = load_feed(folder / "source.toml", environ=os.environ, source_file=data)
    contents = await feed.read()
    return {each.listing.property_number: each.listing for each in contents.listings}


def without(field: str) -> Callable[[Listing], Listing]:
    """A service that forgets one field."""

    def forget(said: Listing) -> Listing:
        return replace(said, fields={k: v for k, v in said.fields.items() if k != field})

    return forget


def faithful(said: Listing) -> Listing:
    """A service that forgets nothing."""
    return said


async def write(store: ListingStore, said: list[Listing]) -> None:
    """Put a feed into the table."""
    await store.upsert(said, WriteContext("default", uuid4()))


@pytest.mark.parametrize(("before", "after"), [(2024, 2025), (2025, 2024)])
async def test_a_shadow_finds_what_the_feeds_say(
    database: Database,
    postgrest: PostgrestFactory,
    tmp_path: Path,
    before: int,
    after: int,
) -> None:
    """A faithful shadow agrees on every row; a forgetful one differs exactly where it matters."""
    stood, said = await read(before, tmp_path), await read(after, tmp_path)
    old = PostgresStore(database.url, pool=PoolSize(1, 2))
    new = RestStore(rest_settings(postgrest(database, db_tx_end="commit")))
    await write(old, list(stood.values()))
    services = {"none": faithful} | {
        name: without(name) for name in ("price_yen", "station_distance_m")
    }
    disagree: dict[str, set[str]] = {name: set() for name in services}
    numbers = list(said)
    for start in range(0, len(numbers), 100):
        part = [said[number] for number in numbers[start : start + 100]]
        sync_id = uuid4()
        real = await old.upsert(part, WriteContext("default", sync_id))
        for name, service in services.items():
            context = WriteContext("default", uuid4(), dry_run=True, shadow_of=sync_id)
            shadow = await new.upsert([service(each) for each in part], context)
            assert shadow.dry_run is DryRun.APPLIED
            disagree[name] |= _different(real.records, shadow.records)
    assert disagree.pop("none") == set()
    for name, found in disagree.items():
        assert found == {
            number for number, each in said.items() if _matters(name, stood.get(number), each)
        }, name
        assert found, "a field in which nothing changed proves nothing"
    kept = await old.property_numbers("default")
    assert kept == stood.keys() | said.keys()
    await new.close()
    await old.close()


def _different(real: tuple[Record, ...], shadow: tuple[Record, ...]) -> set[str]:
    assert Action.FAILED not in {record.action for record in (*real, *shadow)}
    return {
        a.property_number
        for a, b in zip(real, shadow, strict=True)
        if (a.action, a.digest) != (b.action, b.digest)
    }


def _matters(name: str, stood: Listing | None, said: Listing) -> bool:
    """Whether forgetting this field leaves another row than it should."""
    start = merge(None, stood) if stood is not None else None
    right, wrong = merge(start, said), merge(start, without(name)(said))
    number = said.property_number
    return digest(number, right.fields, right.extra) != digest(number, wrong.fields, wrong.extra)
