"""The demo's proof finds what it is there to find: each kind of damage fails its own line."""

from __future__ import annotations

import pytest

from listings.stored import row_digest
from ops.devstack.demo.proof import prove

NUMBERS = ("A-1", "A-2", "A-3")


@pytest.fixture
def intact(database):
    """Three listings written by two systems, and what the proof is told about them."""
    with database.connect() as connection:
        for number, writer in zip(NUMBERS, ("old", "old", "new"), strict=True):
            with connection.transaction():
                connection.execute("select set_config('sync.system', %s, true)", (writer,))
                connection.execute(
                    "insert into listings (property_number, price_yen) values (%s, 1)", (number,)
                )
    digests = {
        number: row_digest({"property_number": number, "price_yen": 1}) for number in NUMBERS
    }
    return database, digests, {"A-1": "old", "A-2": "old", "A-3": "new"}


def _failed(database, digests, written_by) -> list[str]:
    checks = prove(database.url, digests=digests, written_by=written_by)
    return [check.claim for check in checks if not check.holds]


def test_what_is_whole_is_proven(intact):
    """Every line holds, with its figures."""
    database, digests, written_by = intact
    checks = prove(database.url, digests=digests, written_by=written_by)
    assert [check.holds for check in checks] == [True] * 4
    assert checks[1].figures.startswith("old 2 + new 1")


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("delete from listings where property_number = 'A-2'", "rows in PostgreSQL = feed"),
        ("update listings set price_yen = 2 where property_number = 'A-2'", "digests"),
        ("delete from listing_journal where property_number = 'A-3'", "change journal complete"),
        ("insert into listings (property_number) values ('B-9')", "rows in PostgreSQL = feed"),
    ],
)
def test_each_damage_is_found(intact, damage, found):
    """A lost row, a changed value, a lost journal entry, a stray row: none passes."""
    database, digests, written_by = intact
    with database.connect() as connection:
        connection.execute(damage)
    assert any(claim.startswith(found) for claim in _failed(database, digests, written_by))


def test_a_write_past_the_journal_is_found(intact):
    """A change made with the triggers off leaves a row unlike its last image."""
    database, digests, written_by = intact
    with database.connect() as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update listings set description = 'x' where property_number = 'A-1'")
    assert "change journal complete" in _failed(database, digests, written_by)


def test_a_wrong_claim_about_the_writer_is_found(intact):
    """The counts per system must be those of the answers."""
    database, digests, written_by = intact
    assert _failed(database, digests, {**written_by, "A-1": "new"}) == ["counts per system"]
