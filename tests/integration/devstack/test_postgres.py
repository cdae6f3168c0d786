"""The embedded PostgreSQL: usable by tests, isolated, and gone when it should be."""

from __future__ import annotations


def test_an_empty_database_is_empty_and_ours(empty_database):
    """A test's database has no table of anybody else's, and its owner may do everything."""
    assert empty_database.fetch("select count(*) from pg_tables where schemaname = 'public'") == [
        (0,)
    ]
    with empty_database.connect() as connection:
        connection.execute("create table t (a int)")
    assert empty_database.fetch("select count(*) from t") == [(0,)]


def test_text_sorts_by_code_point_and_holds_japanese(empty_database):
    """The server stores UTF-8 and compares by code point, as the stores promise."""
    rows = empty_database.fetch("select x from (values ('あ'), ('Z'), ('a')) v(x) order by x")
    assert [row[0] for row in rows] == ["Z", "a", "あ"]
