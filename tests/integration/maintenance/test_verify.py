"""Verification finds each kind of damage, and nothing where there is none."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from listings.errors import StoreRefused
from listings.maintenance.verify import verify
from listings.model import Listing
from listings.store import WriteContext
from sync_old.postgres_store import PoolSize, PostgresStore

if TYPE_CHECKING:
    import psycopg

    from tests.support.servers import Database

FEED = [
    Listing(f"p{i:02}", {"title": f"t{i}", "land_area_sqm": Decimal("1.50")}, {"n": Decimal("1.0")})
    for i in range(40)
]


@pytest.fixture
async def filled(database: Database) -> Database:
    """A database that holds the feed, written in two steps."""
    store = PostgresStore(database.url, pool=PoolSize(0, 1))
    for part in ([Listing(each.property_number, {"floors": 1}) for each in FEED], FEED):
        await store.upsert(part, WriteContext("default", uuid4()))
    await store.close()
    return database


def without_triggers(database: Database, statement: str) -> None:
    """Do what nobody may: change rows behind the journal's back."""
    connection: psycopg.Connection
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statement)


async def test_a_whole_database_has_nothing_to_report(filled: Database) -> None:
    """Rows, counts per system and journal agree, with the feed as well."""
    found = verify(filled.url, feed=FEED)
    assert found.mismatches == 0
    assert found.as_json() == {
        "workspace": "default", "rows": 40, "duplicates": 0, "missing": 0, "extra": 0,
        "different": 0, "per_system": {"old": 40, "new": 0}, "mismatches": 0, "against": "feed",
        "feed_listings": 40,
        "journal": {
            "entries": 80, "gaps": 0, "missing": 0, "extra": 0, "different": 0, "unjournaled": 0,
        },
        "examples": {"duplicates": [], "missing": [], "extra": [], "different": [], "gaps": []},
    }  # fmt: skip
    assert verify(filled.url, workspace_id="elsewhere").as_json()["rows"] == 0


async def test_format_alone_is_no_difference(filled: Database) -> None:
    """Numbers written otherwise, and fields the feed does not speak of, agree."""
    said = [
        Listing(each.property_number, {"land_area_sqm": Decimal("1.5")}, {"n": 1}) for each in FEED
    ]
    assert verify(filled.url, feed=said).mismatches == 0


async def test_a_lost_row_is_data_loss(filled: Database) -> None:
    """A row that is gone without a journal entry is found without any feed."""
    without_triggers(filled, "DELETE FROM listings WHERE property_number = 'p07'")
    found = verify(filled.url)
    assert (found.lost, found.against_journal.missing) == (1, ("p07",))
    assert found.as_json()["missing"] == 1
    assert verify(filled.url, feed=FEED).mismatches == 2  # the feed misses it as well


async def test_writes_past_the_journal_are_found(filled: Database) -> None:
    """A changed row differs from its last image; a new one is unjournaled; a deleted one extra."""
    without_triggers(filled, "UPDATE listings SET title = 'x' WHERE property_number = 'p01'")
    without_triggers(filled, "INSERT INTO listings (property_number) VALUES ('q')")
    with filled.connect() as connection:
        connection.execute("DELETE FROM listings WHERE property_number = 'p02'")
    without_triggers(filled, "INSERT INTO listings (property_number) VALUES ('p02')")
    found = verify(filled.url)
    assert found.against_journal.different == ("p01",)
    assert found.against_journal.extra == ("p02",)
    assert found.unjournaled == 1


async def test_a_gap_in_the_journal_is_found(filled: Database) -> None:
    """A removed entry in the middle breaks the chain of that listing, and of no other."""
    with filled.connect() as connection:
        connection.execute("UPDATE listings SET floors = 3 WHERE property_number = 'p05'")
        connection.execute(
            "DELETE FROM listing_journal WHERE seq = (SELECT seq FROM listing_journal"
            " WHERE property_number = 'p05' ORDER BY seq OFFSET 1 LIMIT 1)"
        )
    found = verify(filled.url)
    assert len(found.gaps) == 1
    with filled.connect() as connection:  # retention takes the oldest: that is no gap
        connection.execute("DELETE FROM listing_journal WHERE property_number = 'p05'")
    assert verify(filled.url).gaps == ()


async def test_differences_from_the_feed_name_the_field(filled: Database) -> None:
    """Missing, extra and different are told apart, with the field, the expected and the found."""
    said = [*FEED[1:], Listing("new", {})]
    said[3] = Listing("p04", {"title": "other", "has_gas": True}, {"n": 1})
    found = verify(filled.url, feed=said).as_json()
    assert (found["missing"], found["extra"], found["different"]) == (1, 1, 1)
    assert found["examples"]["missing"] == ["new"]
    assert found["examples"]["extra"] == ["p00"]
    assert found["examples"]["different"] == [
        {"propertyNumber": "p04", "field": "title", "expected": "other", "found": "t4"},
        {"propertyNumber": "p04", "field": "has_gas", "expected": "True", "found": None},
    ]


async def test_numbers_that_mean_the_same_are_duplicates(filled: Database) -> None:
    """Spellings that the codec makes one number of are one property stored twice."""
    with filled.connect() as connection:
        connection.execute(
            "INSERT INTO listings (property_number) VALUES ('ｐ０１'), ('a b'), ('a\u3000b')"
        )
    found = verify(filled.url)
    assert found.duplicates == (("a b", "a\u3000b"), ("p01", "ｐ０１"))


async def test_a_login_that_sees_only_part_is_refused(filled: Database) -> None:
    """Row-level security would thin the answer out; that is an error, not a clean report."""
    with filled.connect() as connection:
        connection.execute("CREATE ROLE half_sighted LOGIN IN ROLE syncgate_readonly")
    try:
        with pytest.raises(StoreRefused, match="every row"):
            verify(filled.url_as("half_sighted"))
    finally:
        with filled.connect() as connection:
            connection.execute("DROP ROLE half_sighted")


async def test_without_tables_it_says_to_migrate(empty_database: Database) -> None:
    """An empty database is told what to run."""
    with pytest.raises(StoreRefused, match="syncgate migrate"):
        verify(empty_database.url)
