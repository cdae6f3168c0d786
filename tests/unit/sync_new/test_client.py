"""
The client against a server that misbehaves as real ones do not on demand.

PostgREST never sends 429, and cannot be asked to break a connection or to be down for exactly two
calls; so here the wire is a script. Everything above the wire is real.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2
import pytest

from listings.errors import StoreRefused, StoreUnavailable
from listings.model import Listing
from listings.store import Action, WriteContext
from sync_new import retry
from sync_new.answers import RowsRefused
from sync_new.postgrest import PostgrestClient, RestSettings, World
from sync_new.rest_store import RestStore

if TYPE_CHECKING:
    from collections.abc import Callable

OK = httpx2.Response(200, json=[])


def said(status: int, code: str | None = None, **headers: str) -> httpx2.Response:
    """An error answer as PostgREST writes it."""
    body = {"code": code, "message": "no", "details": None, "hint": None}
    return httpx2.Response(status, json=body, headers=headers)


@dataclass
class Wire(httpx2.AsyncBaseTransport):
    """Answers from a script, the last entry for ever; notes what was asked, and the pauses."""

    script: list[httpx2.Response | BaseException | Callable[[httpx2.Request], httpx2.Response]]
    requests: list[httpx2.Request] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)
    now_us: int = 0
    draw: float = 0.5

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        self.requests.append(request)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return answer(request)
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses_s.append(seconds)
        self.now_us += round(seconds * 1_000_000)

    def world(self) -> World:
        """The world as this wire makes it."""
        return World(lambda: self.now_us, self.sleep, lambda: self.draw, self)


def client(wire: Wire, **changes: Any) -> PostgrestClient:
    """A client on the wire."""
    settings = {"calls_per_second": 0.0, **changes}
    return PostgrestClient(
        RestSettings("http://rest", "key", "Bearer key", **settings), wire.world()
    )


@pytest.mark.parametrize(
    "failure",
    [
        said(503),
        said(429),
        said(500, "40P01"),
        said(504, "PGRST003"),
        said(502),
        httpx2.ConnectError("refused"),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, content=b'[{"a": 1'),
    ],
    ids=repr,
)
async def test_what_may_pass_is_repeated(failure: httpx2.Response | Exception) -> None:
    """A busy, broken, slow or garbled answer is asked for again, with growing pauses."""
    wire = Wire([failure, failure, OK])
    assert (await client(wire).call("POST", "listings", body=[])).body == []
    assert len(wire.requests) == 3
    assert wire.pauses_s == [0.05, 0.1]
    assert wire.requests[0].content == wire.requests[2].content


@pytest.mark.parametrize("code", ["22003", "23514", "23505", "22P02", "P0001", "PGRST102", "21000"])
@pytest.mark.parametrize("status", [400, 409, 500])
async def test_a_rows_fault_is_not_repeated(code: str, status: int) -> None:
    """A row that cannot be stored is reported at once, whatever the status."""
    wire = Wire([said(status, code)])
    with pytest.raises(RowsRefused) as refused:
        await client(wire).call("POST", "listings", body=[])
    assert refused.value.complaint.code == code
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (said(401, "PGRST301"), "SUPABASE_SERVICE_ROLE_KEY"),
        (said(401, "PGRST303"), "SUPABASE_SERVICE_ROLE_KEY"),
        (httpx2.Response(401, json={"message": "Invalid API key"}), "SUPABASE_SERVICE_ROLE_KEY"),
        (said(403, "42501"), "service_role"),
        (said(404, "42P01"), "syncgate migrate"),
        (said(400, "PGRST204"), "syncgate migrate"),
        (httpx2.Response(404, content=b"<h1>not here</h1>"), "SUPABASE_URL"),
    ],
)
async def test_what_needs_a_person_names_the_setting(answer: httpx2.Response, advice: str) -> None:
    """Wrong keys, missing rights and a missing migration are refused once, with what to change."""
    wire = Wire([answer])
    with pytest.raises(StoreRefused, match=advice):
        await client(wire).call("GET", "listings")
    assert len(wire.requests) == 1


async def test_retry_after_in_seconds_is_honoured() -> None:
    """The pause is never shorter than the server said."""
    wire = Wire([said(429, **{"Retry-After": "3"}), OK])
    await client(wire).call("GET", "listings")
    assert wire.pauses_s == [3.05]


async def test_retry_after_as_a_date_is_honoured() -> None:
    """An HTTP date is understood as well."""
    at = datetime.now(UTC) + timedelta(seconds=5)
    wire = Wire([said(503, **{"Retry-After": format_datetime(at, usegmt=True)}), OK])
    await client(wire).call("GET", "listings")
    assert 3 < wire.pauses_s[0] < 5.2


@pytest.mark.parametrize("value", ["", "soon", "-1", "Tue, 99 Foo", "１"])
def test_an_unreadable_retry_after_is_none(value: str) -> None:
    """Nonsense is no reason to wait, nor to fail."""
    assert retry.parse_retry_after(value, datetime.now(UTC)) is None


async def test_a_long_retry_after_is_passed_on() -> None:
    """Nobody is kept waiting for minutes: the caller hears when to come back."""
    wire = Wire([said(429, **{"Retry-After": "120"})])
    with pytest.raises(StoreUnavailable) as failure:
        await client(wire).call("GET", "listings")
    assert failure.value.retry_after_s == 120
    assert wire.pauses_s == []


async def test_the_breaker_opens_and_one_probe_closes_it() -> None:
    """Five failures stop all calls for a minute; then one call is let through."""
    wire = Wire([httpx2.ConnectError("refused")])
    rest = client(wire)
    with pytest.raises(StoreUnavailable, match="nothing answers"):
        await rest.call("GET", "listings")
    assert len(wire.requests) == 5
    assert rest.breaker_state == "open"
    with pytest.raises(StoreUnavailable, match="failed 5 times in a row") as refused:
        await rest.call("GET", "listings")
    assert len(wire.requests) == 5
    assert 0 < refused.value.retry_after_s <= 60
    wire.now_us += 60_000_000
    wire.script = [OK]
    await rest.call("GET", "listings")
    assert rest.breaker_state == "closed"


async def test_a_busy_server_does_not_open_the_breaker() -> None:
    """429 and 503 come from somebody who is there."""
    wire = Wire([said(429)])
    rest = client(wire)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await rest.call("GET", "listings")
    assert rest.breaker_state == "closed"


async def test_a_cancelled_call_leaves_the_breaker_usable() -> None:
    """A client that went away while the probe was out does not block the next."""
    wire = Wire([httpx2.ConnectError("refused")])
    rest = client(wire)
    with pytest.raises(StoreUnavailable):
        await rest.call("GET", "listings")
    wire.now_us += 60_000_000
    wire.script = [asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        await rest.call("GET", "listings")
    wire.script = [OK]
    await rest.call("GET", "listings")


async def test_the_budget_spaces_calls_and_is_measured() -> None:
    """Thirty calls at ten a second take their time, and show as a used budget."""
    wire = Wire([OK])
    rest = client(wire, calls_per_second=10.0)
    for _ in range(105):
        await rest.call("GET", "listings")
    assert sum(wire.pauses_s) == pytest.approx(10.0)
    assert rest.used_per_second() == pytest.approx(10.0, abs=1)


async def test_every_call_says_who_and_where() -> None:
    """The key, the writer, the sync and the workspace go with each write."""
    wire = Wire([OK])
    context = WriteContext("ws", uuid4())
    await client(wire).call("POST", "listings", context=context, body=[], prefer="a=b")
    headers = wire.requests[0].headers
    assert headers["apikey"] == "key"
    assert headers["Authorization"] == "Bearer key"
    assert headers["Sync-System"] == "new"
    assert headers["Sync-Id"] == str(context.sync_id)
    assert headers["Sync-Workspace"] == "ws"
    assert headers["Prefer"] == "a=b"


async def test_a_store_lost_half_way_says_what_is_stored() -> None:
    """The first batch stands and is reported; the rest failed as unavailable."""

    def stored(request: httpx2.Request) -> httpx2.Response:
        rows = httpx2.Response(200, content=request.content).json()
        now = "2026-04-01T00:00:00+00:00"
        return httpx2.Response(
            201,
            json=[
                row | {"id": str(uuid4()), "sync_id": None, "written_by": "new"}
                | {"created_at": now, "updated_at": now}
                for row in rows
            ],
        )  # fmt: skip

    wire = Wire([stored, httpx2.ConnectError("refused")])
    settings = RestSettings("http://rest", "key", "Bearer key", 2, 0)
    store = RestStore(settings, world=wire.world())
    said_listings = [Listing(f"p{i}", {"title": "t"}) for i in range(5)]
    result = await store.upsert(said_listings, WriteContext("ws", uuid4()))
    assert [record.action for record in result.records] == [Action.CREATED] * 2 + [
        Action.FAILED
    ] * 3
    assert {record.error.code for record in result.records[2:]} == {"store_unavailable"}


async def test_an_unconfirmed_rollback_is_an_alarm() -> None:
    """If a server stops honouring the rollback after its proof, the dry run says so, loudly."""
    no_function = said(404, "PGRST202")
    proof = httpx2.Response(200, json=[], headers={"Preference-Applied": "tx=rollback"})
    wire = Wire([no_function, proof, httpx2.Response(201, json=[])])
    store = RestStore(RestSettings("http://rest", "key", "Bearer key", 2, 0), world=wire.world())
    with pytest.raises(StoreRefused, match="may be stored") as refused:
        await store.upsert([Listing("a", {})], WriteContext("ws", uuid4(), dry_run=True))
    assert refused.value.code == "dry_run_stored"


async def test_the_proof_of_rollback_is_forgotten() -> None:
    """It is taken anew after a minute, and after the connection was lost."""
    confirmed = {"Preference-Applied": "tx=rollback"}

    def answer(request: httpx2.Request) -> httpx2.Response:
        if "rpc" in request.url.path:
            return said(404, "PGRST202")
        return httpx2.Response(200, json=[], headers=confirmed)

    wire = Wire([answer])
    store = RestStore(RestSettings("http://rest", "key", "Bearer key", 2, 0), world=wire.world())

    async def proofs_taken() -> int:
        before = len(wire.requests)
        await store.upsert([Listing("a", {})], WriteContext("ws", uuid4(), dry_run=True))
        return sum("limit=1" in str(each.url) for each in wire.requests[before:])

    assert [await proofs_taken() for _ in range(3)] == [1, 0, 0]
    wire.now_us += 61_000_000
    assert await proofs_taken() == 1
    wire.script = [httpx2.ConnectError("gone"), answer]
    assert await proofs_taken() == 1
