"""When `Prefer: tx=rollback` really rolls back: the matrix, held by the real server and ours.

A dry run that is silently committed would be the worst of all failures, so both the answer and the
table are looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.servers import Database, create_database, drop_database
from tests.support.shared import SHARED, shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

FILE = "contracts/postgrest_tx_matrix.json"
MATRIX: list[dict[str, Any]] = (
    json.loads((SHARED / FILE).read_text("utf-8"))["matrix"] if (SHARED / FILE).exists() else []
)
TABLES = """
create table item (id int primary key, note text,
                   twin int, constraint one_twin unique (twin) deferrable initially deferred);
insert into item values (1, 'kept', 1);
"""


@pytest.fixture(scope="module")
def tables(postgres_server) -> Iterator[Database]:
    """A database with one table."""
    database = create_database(postgres_server)
    with database.connect() as connection:
        connection.execute(TABLES)
    yield database
    drop_database(postgres_server, database)


@pytest.fixture(scope="module", params=["real", "standin"])
def serve(request, tables, module_postgrest):
    """Starts PostgREST of one kind on the table, ending transactions as asked."""
    (superuser,) = tables.fetch("select current_user")[0]

    def start(db_tx_end: str) -> str:
        return module_postgrest(
            tables, kind=request.param, user=None, db_anon_role=superuser, db_tx_end=db_tx_end
        ).url

    return start


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row['db_tx_end']}, {row['prefer']}")
def test_a_write_is_kept_or_undone_as_the_matrix_says(client, serve, tables, row):
    """Every kind of write is persisted, or not, and says so, as the matrix says."""
    url = serve(row["db_tx_end"])
    prefer = ["return=representation", *([row["prefer"]] if row["prefer"] else [])]
    headers = [("Prefer", wish) for wish in prefer]
    for method, path, body, status in (
        ("POST", "/item", {"id": 2, "note": "new", "twin": 2}, 201),
        ("PATCH", "/item?id=eq.1", {"note": "changed"}, 200),
        ("PUT", "/item?id=eq.3", {"id": 3, "note": "put", "twin": 3}, 201),
        ("DELETE", "/item?id=eq.1", None, 200),
    ):
        before = tables.fetch("select * from item order by id")
        answer = client.request(method, url + path, headers=headers, json=body)
        after = tables.fetch("select * from item order by id")
        _restore(tables)
        assert answer.status_code == status
        assert (after != before) is row["persisted"], method
        _says(answer, row["preference_applied_contains"])


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row['db_tx_end']}, {row['prefer']}")
def test_a_read_is_a_safe_probe(client, serve, row):
    """A GET says whether `tx=` is listened to, exactly as a write would."""
    headers = {"Prefer": row["prefer"]} if row["prefer"] else {}
    _says(
        client.get(serve(row["db_tx_end"]) + "/item", headers=headers),
        row["preference_applied_contains"],
    )


@pytest.mark.parametrize("prefer", ["tx=rollback", "tx=commit"])
def test_a_rolled_back_write_fails_where_a_kept_one_would(client, serve, tables, prefer):
    """Deferred constraints are checked before the rollback, and an error claims no preference."""
    answer = client.post(
        serve("commit-allow-override") + "/item",
        headers={"Prefer": prefer},
        json={"id": 9, "twin": 1},
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "23505")
    assert "preference-applied" not in answer.headers
    assert tables.fetch("select id from item") == [(1,)]


def test_strict_handling_does_not_protect(client, serve, tables):
    """Without leave to override, a strict client's dry run is committed all the same."""
    answer = client.post(
        serve("commit") + "/item",
        headers={"Prefer": "tx=rollback, handling=strict"},
        json={"id": 5},
    )
    kept = tables.fetch("select 1 from item where id = 5")
    _restore(tables)
    assert (answer.status_code, kept) == (201, [(1,)])


def test_the_matrix_is_here():
    """Missing data shows as one skipped test with its reason, not as silence."""
    assert len(json.loads(shared(FILE).read_text("utf-8"))["matrix"]) == len(MATRIX) == 12


def _says(answer: httpx2.Response, expected: str | None) -> None:
    applied = answer.headers.get("preference-applied", "")
    assert ("tx=" in applied) is (expected is not None)
    assert (expected or "") in applied


def _restore(tables: Database) -> None:
    with tables.connect() as connection:
        connection.execute("truncate item")
        connection.execute("insert into item values (1, 'kept', 1)")
