"""The real PostgREST and Valkey, as tests get them."""

from __future__ import annotations

import httpx2
import redis


def test_the_real_postgrest_serves_a_table(empty_database, postgrest):
    """The binary starts on a database of the test's own and acts as the role in the token."""
    with empty_database.connect() as connection:
        connection.execute("create table fruit (name text primary key)")
        connection.execute("insert into fruit values ('柿')")
    server = postgrest(empty_database, kind="real", user=None, db_anon_role="pg_monitor")
    url = f"{server.url}/fruit"
    assert httpx2.get(url).status_code == 401
    bearer = {"Authorization": f"Bearer {server.token('postgres')}"}
    assert httpx2.get(url, headers=bearer).json() == [{"name": "柿"}]
    assert postgrest(empty_database, kind="real", user=None, db_anon_role="pg_monitor") is server


def test_valkey_keeps_what_it_is_told(valkey):
    """The embedded Valkey answers a client over TCP."""
    with redis.Redis.from_url(valkey.url) as client:
        client.set("test:devstack", "kept")
        assert client.get("test:devstack") == b"kept"
