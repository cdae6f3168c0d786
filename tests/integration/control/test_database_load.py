"""How full the database is, read from a real one; and what a silent one says."""

from __future__ import annotations

import socket

import psycopg
import pytest

from gateway.adapters.database_load import DatabaseLoad
from gateway.errors import UnreachableError

pytestmark = pytest.mark.servers


async def test_each_connection_counts(database):
    """Ten more connections raise the ratio by ten of those the server allows."""
    source = DatabaseLoad(database.url)
    before = await source.read()
    opened = [psycopg.connect(database.url) for _ in range(10)]
    try:
        allowed = (
            opened[0]
            .execute(
                "select current_setting('max_connections')::int"
                " - current_setting('superuser_reserved_connections')::int"
            )
            .fetchone()[0]
        )
        assert await source.read() == pytest.approx(before + 10 / allowed, abs=5 / allowed)
    finally:
        for connection in opened:
            connection.close()


async def test_a_database_that_does_not_answer_is_no_idle_one():
    """A port that accepts and says nothing: an error that names the setting's matter, not 0."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:geheim@127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(UnreachableError, match="did not answer"):
            await DatabaseLoad(url, deadline_s=0.3).read()


async def test_no_error_repeats_the_password():
    """A refused connection is told without the address it went to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://u:geheim@127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(UnreachableError) as caught:
            await DatabaseLoad(url).read()
    assert "geheim" not in str(caught.value)
    assert "DATABASE_URL" in str(caught.value)
