"""The tables are what the field table says, and guard themselves."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors

from listings.model import FIELDS

if TYPE_CHECKING:
    from tests.support.servers import Database

OWN = [field.name for field in FIELDS]
META = ("id", "workspace_id", "property_number")
TAIL = ("extra", "written_by", "sync_id", "created_at", "updated_at")


def test_columns_are_the_field_table(module_database: Database) -> None:
    """Names, order and types of the listings columns come from `FIELDS`, nothing more or less."""
    columns = module_database.fetch(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
        " WHERE a.attrelid = 'listings'::regclass AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY a.attnum"
    )
    names = [name for name, _ in columns]
    assert names == [*META, *OWN, *TAIL]
    types = {
        name: kind.replace("timestamp with time zone", "timestamptz") for name, kind in columns
    }
    assert {field.name: types[field.name] for field in FIELDS} == {
        field.name: field.sql_type for field in FIELDS
    }


def test_bounds_are_the_field_tables(module_database: Database) -> None:
    """Each bound of a field stands in the database as well, with the same figures."""
    checks = dict(
        module_database.fetch(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'listings'::regclass AND contype = 'c'"
        )
    )
    for field in FIELDS:
        definition = checks.pop(f"listings_{field.name}_check", None)
        figures = re.findall(r"(?<![\w])-?\d+", (definition or "").replace("'", ""))
        if field.max_length is not None:
            assert figures == [str(field.max_length)], field.name
        elif field.minimum is not None:
            assert figures[0] == str(field.minimum), field.name
            assert str(field.maximum) in figures, field.name
        else:
            assert definition is None, field.name
    assert set(checks) == {
        "listings_extra_check",
        "listings_workspace_id_check",
        "listings_property_number_check",
    }


def test_every_field_counts_as_a_change(database: Database) -> None:
    """A change of any one field is written and journaled; of none, nothing is."""
    with database.connect() as connection:
        connection.execute("INSERT INTO listings (property_number) VALUES ('a')")
        for changes, name in enumerate([*OWN, "extra"], start=1):
            kind = {field.name: field.kind.value for field in FIELDS}.get(name, "jsonb")
            value = {
                "text": "'x'", "bigint": "1", "numeric": "1", "boolean": "true",
                "date": "'2026-01-02'", "timestamptz": "'2026-01-02T03:04:05Z'",
                "jsonb": """'{"a": 1}'""",
            }[kind]  # fmt: skip
            for _ in range(2):
                connection.execute(f"UPDATE listings SET {name} = {value}")
            (count,) = connection.execute("SELECT count(*) FROM listing_journal").fetchone()
            assert count == changes + 1, name


def test_meta_is_the_databases_own(database: Database) -> None:
    """Id, creation and key do not change; changing only who wrote is no change."""
    with database.connect() as connection:
        connection.execute("INSERT INTO listings (property_number) VALUES ('a')")
        before = connection.execute("SELECT id, created_at, updated_at FROM listings").fetchone()
        connection.execute("UPDATE listings SET written_by = 'new', sync_id = gen_random_uuid()")
        assert connection.execute("SELECT written_by FROM listings").fetchone() == ("other",)
        connection.execute(
            "UPDATE listings SET id = gen_random_uuid(), created_at = now() - interval '1 day',"
            " title = 't'"
        )
        after = connection.execute("SELECT id, created_at, updated_at FROM listings").fetchone()
        assert after[:2] == before[:2]
        assert after[2] > before[2]
        for key in ("workspace_id", "property_number"):
            with pytest.raises(errors.IntegrityConstraintViolation):
                connection.execute(f"UPDATE listings SET {key} = 'b'")


def test_an_update_in_the_same_instant_is_later(database: Database) -> None:
    """Created and updated in one transaction still differ: that tells created from updated."""
    with database.connect() as connection, connection.transaction():
        connection.execute(
            "INSERT INTO listings (property_number, created_at, updated_at)"
            " VALUES ('a', '2999-01-01', '2999-01-01')"
        )
        connection.execute("UPDATE listings SET title = 't'")
        row = connection.execute("SELECT updated_at - created_at FROM listings").fetchone()
        assert row[0].total_seconds() > 0


def test_images_do_not_depend_on_the_session(database: Database) -> None:
    """Sessions of different zones leave images that follow each other exactly."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO listings (property_number, source_updated_at, floors)"
            " VALUES ('a', '2026-04-01T12:00+09', 0)"
        )
        for floors, zone in enumerate(("Asia/Tokyo", "America/St_Johns", "UTC"), start=1):
            connection.execute(f"SET timezone = '{zone}'")
            connection.execute(f"SET datestyle = 'German'; UPDATE listings SET floors = {floors}")
        images = connection.execute(
            "SELECT before, after FROM listing_journal ORDER BY seq"
        ).fetchall()
    assert all(later[0] == earlier[1] for earlier, later in pairwise(images))


def test_the_journal_is_append_only(database: Database) -> None:
    """No entry is ever changed; only the owner removes any; nobody truncates listings."""
    with database.connect() as connection:
        connection.execute("INSERT INTO listings (property_number) VALUES ('a')")
        with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
            connection.execute("UPDATE listing_journal SET writer = 'old'")
        with pytest.raises(errors.InsufficientPrivilege, match="DELETE FROM listings"):
            connection.execute("TRUNCATE listings")
        connection.execute("GRANT ALL ON listing_journal TO service_role")  # somebody's mistake
        with connection.transaction():
            connection.execute("SET LOCAL ROLE service_role")
            for statement in ("DELETE FROM listing_journal", "TRUNCATE listing_journal"):
                with (
                    pytest.raises(errors.InsufficientPrivilege, match="append-only"),
                    connection.transaction(),
                ):
                    connection.execute(statement)
        connection.execute("DELETE FROM listing_journal")  # retention, by the owner
        assert connection.execute("SELECT count(*) FROM listing_journal").fetchone() == (0,)


def _as(connection: psycopg.Connection, role: str, workspace: str | None) -> None:
    connection.execute(f"SET LOCAL ROLE {role}")
    if workspace is not None:
        connection.execute("SELECT set_config('sync.workspace', %s, true)", (workspace,))


@pytest.fixture
def two_workspaces(database: Database) -> Database:
    """One listing and one run in each of two workspaces."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO listings (workspace_id, property_number) VALUES ('a', '1'), ('b', '1')"
        )
        connection.execute(
            "INSERT INTO sync_history (workspace_id, system, sync_id, mode, status, started_at)"
            " SELECT w, 'old', gen_random_uuid(), 'push', 'completed', now()"
            " FROM unnest(ARRAY['a', 'b']) AS w"
        )
    return database


TABLES = ("listings", "listing_journal", "sync_history", "sync_state")


@pytest.mark.parametrize("role", ["sync_old", "syncgate_readonly"])
def test_a_role_sees_one_workspace(two_workspaces: Database, role: str) -> None:
    """Row-level security: only the workspace spoken for, and none without one."""
    with two_workspaces.connect() as connection:
        for workspace, expected in (("a", {"a"}), ("b", {"b"}), (None, set()), ("c", set())):
            with connection.transaction():
                _as(connection, role, workspace)
                for table in TABLES:
                    rows = connection.execute(f"SELECT workspace_id FROM {table}").fetchall()
                    assert {row[0] for row in rows} == expected, table


WRITES = (
    "INSERT INTO listings (workspace_id, property_number) VALUES ('{w}', '2')",
    "UPDATE listings SET title = 't' WHERE workspace_id = '{w}'",
    "DELETE FROM listings WHERE workspace_id = '{w}'",
)


def _write_as(connection: psycopg.Connection, role: str, statement: str) -> int:
    """Write for workspace a; how many rows it touched."""
    with connection.transaction():
        _as(connection, role, "a")
        return connection.execute(statement).rowcount


def _entries(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT count(*) FROM listing_journal").fetchone()[0]


def test_rls_keeps_a_writer_in_its_workspace(two_workspaces: Database) -> None:
    """Rows of another workspace cannot be made, and are not there to be changed."""
    with two_workspaces.connect() as connection:
        before = _entries(connection)
        insert, update, delete = (write.format(w="b") for write in WRITES)
        with pytest.raises(errors.InsufficientPrivilege):
            _write_as(connection, "sync_old", insert)
        assert _write_as(connection, "sync_old", update) == 0
        assert _write_as(connection, "sync_old", delete) == 0
        assert _entries(connection) == before


def test_the_trigger_keeps_the_service_key_in_its_workspace(two_workspaces: Database) -> None:
    """The role that bypasses row-level security is refused by the write trigger."""
    with two_workspaces.connect() as connection:
        before = _entries(connection)
        for write in WRITES:
            with pytest.raises(errors.InsufficientPrivilege, match="speaks for workspace a"):
                _write_as(connection, "service_role", write.format(w="b"))
        assert _entries(connection) == before


@pytest.mark.parametrize("role", ["sync_old", "service_role"])
def test_a_writer_writes_its_own_workspace(two_workspaces: Database, role: str) -> None:
    """In the workspace it speaks for, each writer inserts, updates and deletes."""
    with two_workspaces.connect() as connection:
        touched = [_write_as(connection, role, write.format(w="a")) for write in WRITES]
    assert touched == [1, 2, 2]


REFUSED = (
    *(write.format(w="a") for write in WRITES),
    (
        "INSERT INTO listing_journal (workspace_id, property_number, op, writer, after)"
        " VALUES ('a', '1', 'insert', 'old', '{}')"
    ),
    "DELETE FROM sync_history",
)


@pytest.mark.parametrize("role", ["syncgate_readonly", "anon", "authenticator"])
@pytest.mark.parametrize("statement", REFUSED)
def test_others_write_nothing(module_database: Database, role: str, statement: str) -> None:
    """A role that only reads, and those that do not even, are refused every write."""
    with (
        module_database.connect() as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        _write_as(connection, role, statement)


def test_a_signed_workspace_outranks_a_claimed_one(two_workspaces: Database) -> None:
    """The token's workspace wins over the header's and the setting's."""
    with two_workspaces.connect() as connection, connection.transaction():
        _as(connection, "syncgate_readonly", "b")
        connection.execute(
            "SELECT set_config('request.headers', '{\"sync-workspace\": \"b\"}', true),"
            " set_config('request.jwt.claims', '{\"workspace_id\": \"a\"}', true)"
        )
        assert connection.execute("SELECT workspace_id FROM listings").fetchall() == [("a",)]


def test_force_binds_an_owner_too(two_workspaces: Database) -> None:
    """A service that connects as the tables' owner is bound; with row_security off it is told."""
    with two_workspaces.connect() as connection:
        connection.execute("CREATE ROLE temporary_owner")
        try:
            connection.execute("GRANT CREATE ON SCHEMA public TO temporary_owner")
            connection.execute("ALTER TABLE listings OWNER TO temporary_owner")
            with connection.transaction():
                _as(connection, "temporary_owner", "a")
                assert connection.execute("SELECT count(*) FROM listings").fetchone() == (1,)
                connection.execute("SET LOCAL row_security = off")
                with (
                    pytest.raises(errors.InsufficientPrivilege),
                    connection.transaction(),
                ):
                    connection.execute("SELECT count(*) FROM listings")
        finally:
            connection.execute("ALTER TABLE listings OWNER TO CURRENT_USER")
            connection.execute("DROP OWNED BY temporary_owner; DROP ROLE temporary_owner")
