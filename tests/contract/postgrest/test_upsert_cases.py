"""
PostgREST's own upsert specification, held by the real server and by the stand-in alike.

The cases and their tables are extracted from PostgREST's test suite (see ../shared/contracts).
Every case runs against the pristine fixture: the server rolls back each request.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support.servers import create_database, drop_database
from tests.support.shared import SHARED, shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from ops.devstack.postgrest import Postgrest

FILE = "contracts/postgrest_upsert_cases.json"
CASES: list[dict[str, Any]] = (
    json.loads((SHARED / FILE).read_text("utf-8"))["cases"] if (SHARED / FILE).exists() else []
)
# The fixture was extracted without the rows that the case on embedded albums reads.
ALBUMS = """
insert into artists values (1, 'duster'), (2, 'black country, new road'), (3, 'bjork');
insert into albums values (1, 'stratosphere', 1), (2, 'ants from up above', 2),
                          (3, 'contemporary movement', 1);
"""


# The binary that npm has is 12.0.2; the specification is of a later commit.
TOO_OLD = {
    ("postgrest/12.0.2", "UpsertSpec:62"): "12.0.2 does not order embedded rows after a write",
    ("postgrest/12.0.2", "UpsertSpec:63"): "12.0.2 does not order the rows after a write",
}


@pytest.fixture(scope="module", params=["real", "standin"])
def server(request, postgres_server, module_postgrest) -> Iterator[Postgrest]:
    """PostgREST of one kind on the specification's tables, rolling everything back."""
    script = shared("contracts/postgrest_upsert_fixture.sql").read_text("utf-8")
    database = create_database(postgres_server)
    with database.connect() as connection:
        connection.execute(script)
        connection.execute(ALBUMS)
        (superuser,) = connection.execute("select current_user").fetchone()
    yield module_postgrest(
        database,
        kind=request.param,
        user=None,
        db_schemas="test",
        db_anon_role=superuser,
        db_tx_end="rollback-allow-override",
    )
    module_postgrest.stop()
    drop_database(postgres_server, database)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_upsert_case(server, client, case, request):
    """The server answers this request of the specification exactly as specified."""
    answer = _send(client, server.url, case["request"])
    if reason := TOO_OLD.get((answer.headers.get("server"), case["id"])):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    expected = case["response"]
    assert (answer.status_code, _body(answer)) == (
        expected["status"],
        expected["body"].get("json", expected["body"].get("text")),
    )
    for name, value in expected["headers"]:
        assert answer.headers.get(name) == value
    for name in expected.get("headers_absent", ()):
        assert name not in answer.headers


def test_the_specification_is_here():
    """Missing data shows as one skipped test with its reason, not as silence."""
    assert len(json.loads(shared(FILE).read_text("utf-8"))["cases"]) == len(CASES) == 63


def _send(client: httpx2.Client, url: str, request: dict[str, Any]) -> httpx2.Response:
    headers = [(name, value) for name, value in request["headers"]]
    content = None
    if "body" in request:
        content = json.dumps(request["body"]["json"], ensure_ascii=False).encode()
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
    path = quote(request["path"], safe="/?&=,.()*:")
    return client.request(request["method"], url + path, headers=headers, content=content)


def _body(answer: httpx2.Response) -> object:
    return json.loads(answer.content) if answer.content else ""
