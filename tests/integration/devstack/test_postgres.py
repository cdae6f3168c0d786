"""The embedded PostgreSQL: usable by tests, isolated, and gone when it should be."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest

from ops.devstack import postgres

FOUND = {str(found.bin): found for found in postgres.installations() if found.bin.is_dir()}


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


@pytest.mark.parametrize("path", FOUND)
def test_every_postgresql_on_this_machine_can_serve(path, tmp_path):
    """The wheel's versions and the system's start, answer and leave nothing behind."""
    server = postgres.start_own(FOUND[path], log=tmp_path / "log")
    with psycopg.connect(server.url) as connection:
        assert connection.info.server_version >= 150000
        (data,) = connection.execute("show data_directory").fetchone()
    server.stop()
    assert not Path(data).exists()
    assert server.process.exit_code == 0


def test_what_was_committed_survives_a_crash(tmp_path):
    """A killed backend takes the server down and up again, and no committed row with it."""
    server = postgres.start_own(postgres.find_installation(), log=tmp_path / "log")
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("create table t (a int)")
            for number in range(50):
                connection.execute("insert into t values (%s)", (number,))
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        server.process.wait_until(lambda: postgres._answers(server.url))
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select count(*) from t").fetchone() == (50,)
    finally:
        server.stop()
