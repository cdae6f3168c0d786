"""
The same question, the same answer: recorded from PostgREST 12.0.2, held by it and by the stand-in.

`answers.json` holds what the real server said to reads, writes, calls and mistakes. The real leg
keeps the record honest, the other leg keeps the stand-in honest. Nothing here stores anything.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ops.devstack import tokens
from tests.support.servers import JWT_SECRET, create_database, drop_database

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((HERE / "answers.json").read_text("utf-8"))["cases"]
COMPARED = (
    "content-range",
    "preference-applied",
    "content-type",
    "location",
    "www-authenticate",
    "retry-after",
)


@pytest.fixture(scope="module", params=["real", "standin"])
def servers(request, postgres_server, module_postgrest) -> Iterator[dict[str, str]]:
    """The URL of PostgREST of one kind, by how its transactions end."""
    database = create_database(postgres_server)
    with database.connect() as connection:
        connection.execute((HERE / "answers.sql").read_text("utf-8"))
    versions = {"real": "postgrest/12.0.2", "standin": None}
    common = {"kind": request.param, "user": None, "db_anon_role": "web_anon"}
    rolling_back = module_postgrest(database, db_tx_end="rollback-allow-override", **common)
    committing = module_postgrest(database, db_tx_end="commit", db_max_rows="2", **common)
    version = httpx2.get(committing.url).headers.get("server")
    if version != versions[request.param]:
        pytest.skip(f"the answers were recorded from 12.0.2, and this is {version}")
    yield {"rollback-allow-override": rolling_back.url, "commit": committing.url}
    module_postgrest.stop()
    drop_database(postgres_server, database)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_recorded_answer(servers, client, case):
    """Status, body and the headers that carry meaning are as recorded."""
    asked, expected = case["request"], case["response"]
    answer = client.request(
        asked["method"],
        servers[case["db_tx_end"]] + asked["path"],
        headers=_headers(asked),
        content=asked["body"].encode() if "body" in asked else None,
    )
    body = json.loads(answer.content) if answer.content else ""
    headers = {name: answer.headers[name] for name in COMPARED if answer.headers.get(name)}
    assert {"status": answer.status_code, "body": body, "headers": headers} == expected


def _headers(asked: dict[str, Any]) -> dict[str, str]:
    headers = dict(asked["headers"])
    if "body" in asked:
        headers.setdefault("Content-Type", "application/json")
    claims = asked.get("claims") or ({"role": asked["role"]} if "role" in asked else None)
    if claims is not None or "claims" in asked:
        secret = JWT_SECRET[::-1] if asked.get("forged") else JWT_SECRET
        headers["Authorization"] = f"Bearer {tokens.sign(claims or {}, secret)}"
    return headers
