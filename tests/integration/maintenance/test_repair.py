"""Two real databases made equal again, whatever became of them meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from listings.errors import StoreRefused, StoreUnavailable
from listings.maintenance.repair import Conflict, Outcome, Repair, Wish, repair, same_store
from listings.maintenance.verify import verify
from tests.support.scale import scale
from tests.support.servers import create_database, drop_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.devstack.postgres import Postgres
    from tests.support.servers import Database

ROWS = (
    "SELECT workspace_id, property_number, to_jsonb(l) - '{created_at,updated_at}'::text[] "
    "FROM listings AS l ORDER BY 1, 2"
)


@pytest.fixture
def new(database: Database) -> Database:
    """Give the store that new writes: the source."""
    return database


@pytest.fixture
def old(postgres_server: Postgres, _template: Database) -> Iterator[Database]:
    """Give old's own: the target."""
    made = create_database(postgres_server, template=_template.name)
    yield made
    drop_database(postgres_server, made)


def write(
    store: Database, numbers: list[str], title: str, *,
    sync_id: str | None = None, system: str = "new", workspace: str = "default",
) -> str:  # fmt: skip
    """Write listings as a sync of a system does; gives its id."""
    sync_id = sync_id or str(uuid4())
    with psycopg.connect(store.url) as connection:
        connection.execute(
            "SELECT set_config('sync.system', %s, true), set_config('sync.sync_id', %s, true)",
            (system, sync_id),
        )
        connection.cursor().executemany(
            "INSERT INTO listings (workspace_id, property_number, title, land_area_sqm, extra)"
            " VALUES (%s, %s, %s, 1.5, '{\"n\": 1.0}')"
            " ON CONFLICT (workspace_id, property_number) DO UPDATE SET title = EXCLUDED.title",
            [(workspace, number, title) for number in numbers],
        )
    return sync_id


def write_both(new: Database, old: Database, numbers: list[str], title: str, **more: Any) -> str:
    """Write to new, and back to old under the same id."""
    sync_id = write(new, numbers, title, **more)
    return write(old, numbers, title, sync_id=sync_id, system="old", **more)


def delete(store: Database, number: str) -> None:
    """Remove a listing, by hand."""
    with store.connect() as connection:
        connection.execute("DELETE FROM listings WHERE property_number = %s", (number,))


def counts(done: Repair) -> dict[str, int]:
    """Give what is not zero."""
    return {name.value: count for name, count in done.outcomes.items() if count}


def own_rows(store: Database) -> list[tuple[Any, ...]]:
    """Give every row as a client sees it."""
    keep = "to_jsonb(l) - '{id,written_by,sync_id,created_at,updated_at}'::text[]"
    return store.fetch(f"SELECT workspace_id, {keep} FROM listings AS l ORDER BY 1, 2")


def test_what_was_not_written_back_is_and_the_second_run_finds_nothing(
    new: Database, old: Database
) -> None:
    """Created, updated and deleted, in every workspace; the journals stay whole on both sides."""
    numbers = [f"p{n:03}" for n in range(40)]
    for workspace in ("default", "acme"):
        write_both(new, old, numbers, "both", workspace=workspace)
        write(new, numbers[:7], "changed later", workspace=workspace)
        write(new, ["q1", "q2"], "created later", workspace=workspace)
    delete(new, "p039")
    said = []
    done = repair(
        new.url, old.url, wish=Wish(page=16), progress=lambda totals: said.append(totals.checked)
    )
    assert counts(done) == {"agrees": 64, "updated": 14, "created": 4, "deleted": 2}
    assert (done.repaired, done.left, done.checked) == (20, 0, 84)
    assert said == sorted(said)
    assert len(said) == 6
    assert own_rows(old) == own_rows(new)
    assert verify(old.url, workspace_id="acme").mismatches == 0
    assert verify(old.url).mismatches == 0
    entries = old.fetch("SELECT count(*) FROM listing_journal")
    again = repair(new.url, old.url)
    assert counts(again) == {"agrees": 84}
    assert (again.repaired, again.conflicts.total()) == (0, 0)
    assert old.fetch("SELECT count(*) FROM listing_journal") == entries


def test_a_dry_run_says_the_same_and_changes_nothing(new: Database, old: Database) -> None:
    """Not a row, not a journal entry; what it says is left is what it would do."""
    write_both(new, old, ["a", "b"], "both")
    write(new, ["b", "c"], "later")
    before = (old.fetch(ROWS), old.fetch("SELECT * FROM listing_journal ORDER BY seq"))
    tried = repair(new.url, old.url, wish=Wish(dry_run=True))
    assert (old.fetch(ROWS), old.fetch("SELECT * FROM listing_journal ORDER BY seq")) == before
    assert (tried.repaired, tried.left) == (2, 2)
    assert counts(repair(new.url, old.url)) == counts(tried)


def test_write_backs_that_arrived_out_of_order_are_put_in_order(
    new: Database, old: Database
) -> None:
    """Old's entry is the later one, but of a sync that new knows as the earlier."""
    first = write(new, ["a"], "first")
    second = write(new, ["a"], "second")
    write(old, ["a"], "second", sync_id=second, system="old")
    write(old, ["a"], "first", sync_id=first, system="old")
    done = repair(new.url, old.url)
    assert (counts(done), done.conflicts.total()) == ({"updated": 1}, 0)
    assert own_rows(old) == own_rows(new)


def age(store: Database, number: str, seconds: int) -> None:
    """Make a listing's last entry older than it is, as nobody may."""
    with store.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE listing_journal SET at = at - %s * interval '1 second'"
            " WHERE seq = (SELECT max(seq) FROM listing_journal WHERE property_number = %s)",
            (seconds, number),
        )


def test_of_two_that_were_written_apart_the_later_one_wins_and_it_is_said(
    new: Database, old: Database
) -> None:
    """Old's own later write is kept, its earlier one overwritten, and a near one is not judged."""
    write_both(new, old, ["early", "late", "near"], "both")
    for number in ("early", "late", "near"):
        write(new, [number], f"{number} by new")
        write(old, [number], f"{number} by old", system="old")
    write(old, ["alone"], "only old ever had it", system="old")
    age(old, "early", 60)
    age(new, "late", 60)
    ((moment,),) = new.fetch("SELECT max(at) FROM listing_journal WHERE property_number = 'near'")
    with old.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE listing_journal SET at = %s WHERE property_number = 'near'", (moment,)
        )
    tried = repair(new.url, old.url, wish=Wish(dry_run=True))
    done = repair(new.url, old.url)
    assert tried.conflicts == done.conflicts
    assert done.conflicts == {
        Conflict.OVERWRITTEN: 1, Conflict.KEPT: 1, Conflict.UNDECIDED: 1
    }  # fmt: skip
    told = {each.property_number: (each.what, each.fields) for each in done.found}
    assert told == {
        "early": ("overwritten", ("title",)),
        "late": ("kept", ("title",)),
        "near": ("undecided", ("title",)),
    }
    assert (counts(done), done.left) == ({"updated": 1, "unknown": 1}, 2)
    assert dict(old.fetch("SELECT property_number, title FROM listings")) == {
        "early": "early by new", "late": "late by old", "near": "near by old",
        "alone": "only old ever had it",
    }  # fmt: skip
    forced = repair(new.url, old.url, wish=Wish(overwrite=True))
    assert (forced.conflicts[Conflict.OVERWRITTEN], forced.left) == (2, 0)
    assert repair(new.url, old.url).conflicts.total() == 0


def test_going_the_other_way_brings_new_what_old_wrote_alone(new: Database, old: Database) -> None:
    """Source and target are only roles."""
    write_both(new, old, ["a"], "both")
    write(old, ["a", "b"], "by old", system="old")
    age(new, "a", 60)
    assert counts(repair(old.url, new.url)) == {"updated": 1, "created": 1}
    assert own_rows(old) == own_rows(new)


class _Cut(Exception):  # noqa: N818 - what a test does to itself
    pass


def test_what_was_done_before_it_broke_off_stays_and_the_rest_is_done_next_time(
    new: Database, old: Database
) -> None:
    """The target's connections are cut in the middle, twice; no page is half written."""
    numbers = [f"p{n:04}" for n in range(scale(full=2_000, quick=120))]
    write(new, numbers, "new")
    cut = []

    def interrupt(totals: Repair) -> None:
        cut.append(totals.repaired)
        if len(cut) in {2, 4}:
            with old.connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            repair(new.url, old.url, wish=Wish(page=20), progress=interrupt)
        ((stored,),) = old.fetch("SELECT count(*) FROM listings")
        assert stored % 20 == 0
        assert 0 < stored < len(numbers)
    assert repair(new.url, old.url, progress=interrupt).left == 0
    assert own_rows(old) == own_rows(new)


def test_what_both_write_meanwhile_comes_out_right(new: Database, old: Database) -> None:
    """Between two pages new goes on, with its write-back; the newest value stands in the end."""
    numbers = [f"p{n:03}" for n in range(60)]
    write_both(new, old, numbers, "both")
    write(new, numbers, "lost on the way")

    def meanwhile(totals: Repair) -> None:
        write_both(new, old, [numbers[5], numbers[-5], f"x{totals.checked}"], "meanwhile")

    repair(new.url, old.url, wish=Wish(page=20), progress=meanwhile)
    assert repair(new.url, old.url, wish=Wish(dry_run=True)).left == 0
    titles = dict(old.fetch("SELECT property_number, title FROM listings"))
    assert titles[numbers[5]] == titles[numbers[-5]] == "meanwhile"
    assert own_rows(old) == own_rows(new)


def test_a_row_the_target_does_not_take_fails_alone(new: Database, old: Database) -> None:
    """It is counted, named with the reason, and keeps the stores from being called equal."""
    with old.connect() as connection:
        connection.execute("ALTER TABLE listings ADD CHECK (title <> 'bad')")
    write(new, ["a", "c"], "good")
    write(new, ["b"], "bad")
    done = repair(new.url, old.url)
    assert (counts(done), done.left) == ({"created": 2, "failed": 1}, 1)
    (found,) = done.found
    assert (found.property_number, found.what) == ("b", Outcome.FAILED)
    assert "violates check constraint" in found.detail


def test_one_workspace_can_be_chosen(new: Database, old: Database) -> None:
    """The others are not looked at."""
    write(new, ["a"], "x", workspace="acme")
    write(new, ["a"], "x", workspace="other")
    done = repair(new.url, old.url, wish=Wish(workspaces=("acme",)))
    assert (done.workspaces, done.repaired) == (["acme"], 1)
    assert old.fetch("SELECT DISTINCT workspace_id FROM listings") == [("acme",)]


def test_one_database_by_two_names_is_one(new: Database, old: Database) -> None:
    """However the connection string is spelt."""
    assert same_store(new.url, new.url)
    assert same_store(new.url, f"{new.url}{'&' if '?' in new.url else '?'}connect_timeout=7")
    assert not same_store(new.url, old.url)


def test_stores_of_different_shape_are_refused(new: Database, old: Database) -> None:
    """A column that one lacks would be lost without a word."""
    with old.connect() as connection:
        connection.execute("ALTER TABLE listings ADD COLUMN more text")
    with pytest.raises(StoreRefused, match=r"more.*syncgate migrate"):
        repair(new.url, old.url)
