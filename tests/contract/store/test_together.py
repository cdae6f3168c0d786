"""Old and new on the same rows at once: no deadlock, no lost update, the same digests."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from listings.store import Action
from tests.contract.store.conftest import (
    Harness,
    assert_continuous,
    by_number,
    listing,
    planned,
)
from tests.contract.store.test_writes import EXTRA, WEIRD, _extremes
from tests.support.scale import scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Database

ROWS = [f"r{i:02}" for i in range(24)]


@pytest.fixture(params=["new-real", "new-standin"])
async def pair(
    request: pytest.FixtureRequest,
    open_store: Callable[..., Any],
    module_database: Database,
    workspace: str,
) -> tuple[Harness, Harness]:
    """Old, and one of the new, in one workspace."""
    return (
        Harness(await open_store("old"), module_database, workspace),
        Harness(await open_store(request.param), module_database, workspace),
    )


async def test_no_update_is_lost(pair: tuple[Harness, Harness]) -> None:
    """Hundreds of overlapping batches, each system on its own fields: every last word stands."""
    old, new = pair
    rounds = scale(full=400, quick=25)
    last: dict[tuple[str, str], int] = {}

    async def writer(harness: Harness, field: str, seed: int) -> None:
        dice = random.Random(seed)
        for step in range(1, rounds + 1):
            chosen = dice.sample(ROWS, 9)
            result = await harness.write(*(listing(n, **{field: step}) for n in chosen))
            assert Action.FAILED not in {record.action for record in result.records}
            last.update({(number, field): step for number in chosen})

    await asyncio.gather(
        writer(old, "rent_yen", 1),
        writer(old, "station_distance_m", 2),
        writer(new, "price_yen", 3),
        writer(new, "management_fee_yen", 4),
    )
    standing = await old.standing()
    assert {(n, field): standing[n].fields[field] for n, field in last} == last
    entries = old.journal()
    assert_continuous(entries)
    assert {entry["writer"] for entry in entries} == {"old", "new"}


async def test_created_once_by_whoever_comes_first(pair: tuple[Harness, Harness]) -> None:
    """Both create the same rows at once: one creates, the other updates, nobody fails."""
    old, new = pair
    for turn in range(scale(full=200, quick=8)):
        numbers = [f"t{turn:03}-{i:02}" for i in range(10)]
        by_old, by_new = await asyncio.gather(
            old.write(*(listing(n, title="t") for n in reversed(numbers))),
            new.write(*(listing(n, city="c") for n in numbers)),
        )
        for a, b in zip(by_old.records, by_new.records, strict=True):
            assert sorted((a.action, b.action)) == [Action.CREATED, Action.UPDATED]
    for stood in (await new.standing()).values():
        assert (stood.fields["title"], stood.fields["city"]) == ("t", "c")
    assert_continuous(old.journal())


async def test_the_same_field_ends_with_the_journals_last_word(
    pair: tuple[Harness, Harness],
) -> None:
    """Fighting over one field, what stands is what the journal says was written last."""
    old, new = pair

    async def fight(harness: Harness, offset: int) -> None:
        for step in range(scale(full=300, quick=15)):
            await harness.write(*(listing(n, price_yen=2 * step + offset) for n in ROWS[:8]))

    await asyncio.gather(fight(old, 0), fight(new, 1), fight(new, 1000))
    entries = old.journal()
    assert_continuous(entries)
    told = {entry["property_number"]: entry["after"]["price_yen"] for entry in entries}
    standing = await old.standing()
    assert {number: row.fields["price_yen"] for number, row in standing.items()} == told


async def test_digests_agree_whoever_wrote(pair: tuple[Harness, Harness]) -> None:
    """What one wrote, the other finds unchanged, with the same digest, extremes included."""
    least, most = _extremes()
    said = [listing("least", EXTRA, **least), listing("most", {}, **most)]
    said += [listing(number, {"n": number}, title=number) for number in WEIRD]
    old, new = pair
    for first, second in ((old, new), (new, old)):
        written = await first.write(*said)
        found = await second.write(*said)
        assert {record.action for record in found.records} == {Action.UNCHANGED}
        digests = {number: record.digest for number, record in by_number(found).items()}
        assert digests == {number: record.digest for number, record in by_number(written).items()}
        assert digests == {each.property_number: planned(each) for each in said}
        with old.database.connect() as connection:
            connection.execute("DELETE FROM listings WHERE workspace_id = %s", (old.workspace,))
