"""The services' HTTP: reads, health, metrics, and bad input of every kind."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import validate

from listings.errors import StoreRefused, StoreUnavailable
from listings.model import FIELDS, PROOF_WORKSPACE
from tests.support.memory_store import MemoryStore
from tests.support.service import SYNC, service
from tests.support.shared import shared

if TYPE_CHECKING:
    import httpx2

BASE = "/api/property-listings"
FIRST = "listings[0]"


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """Check that the answer is a whole problem document; return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:syncgate:problem:")
    assert document["title"]
    assert document["detail"]
    return document


def has_nul(value: Any) -> bool:
    """Whether any text in a JSON value has the one character PostgreSQL cannot store."""
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(has_nul, value))
    return isinstance(value, str) and "\x00" in value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"null", "body"),
        (b"[]", "body"),
        (b'"full"', "body"),
        (b"\xff\xfe", "body"),
        (b'{"mode":"full","mode":"push"}', "body"),
        (b'{"mode":"push","listings":[{"propertyNumber":"A","priceYen":NaN}]}', "body"),
        (b'{"mode":"push","listings":[{"propertyNumber":"A","priceYen":Infinity}]}', "body"),
        (b'{"mode":"push","listings":' + b"[" * 10_000, "body"),
        (b'{"mode":"push","listings":[{"propertyNumber":"A","x":' + b"[" * 10_000, "body"),
        (b"{}", "mode"),
        (b'{"mode":"everything"}', "mode"),
        (b'{"mode":5}', "mode"),
        (b'{"mode":"full","colour":1}', "colour"),
        (b'{"mode":"full","limit":0}', "limit"),
        (b'{"mode":"full","limit":-1}', "limit"),
        (b'{"mode":"full","limit":"x"}', "limit"),
        (b'{"mode":"full","limit":1.5}', "limit"),
        (b'{"mode":"full","limit":true}', "limit"),
        (b'{"mode":"full","dryRun":"yes"}', "dryRun"),
        (b'{"mode":"full","confirm":1}', "confirm"),
        (b'{"mode":"full","listings":[{}]}', "listings"),
        (b'{"mode":"push","propertyNumbers":["A"]}', "propertyNumbers"),
        (b'{"mode":"selective"}', "propertyNumbers"),
        (b'{"mode":"selective","propertyNumbers":[]}', "propertyNumbers"),
        (b'{"mode":"selective","propertyNumbers":["A",5]}', "propertyNumbers[1]"),
        (b'{"mode":"push"}', "listings"),
        (b'{"mode":"push","listings":[]}', "listings"),
        (b'{"mode":"push","listings":{}}', "listings"),
        (b'{"mode":"push","listings":[5]}', "listings[0]"),
        (b'{"mode":"push","listings":[{}]}', "listings[0].propertyNumber"),
        (
            b'{"mode":"push","listings":[{"propertyNumber":"\\u0000"}]}',
            "listings[0].propertyNumber",
        ),
        (b'{"mode":"push","listings":[{"propertyNumber":"A","x":1e400}]}', "listings[0].x"),
        (b'{"mode":"push","listings":[{"propertyNumber":"A","x":"\\ud800"}]}', "listings[0].x"),
        (
            b'{"mode":"push","listings":[{"propertyNumber":"A","priceYen":true}]}',
            "listings[0].priceYen",
        ),
    ],
)
async def test_bad_bodies_name_what_is_wrong(body: bytes, field: str) -> None:
    """Whatever is wrong with a body is a 400 that names the place, and nothing is stored."""
    async with service() as it:
        answer = await it.client.post(SYNC, content=body)
        errors = problem(answer, 400)["errors"]
        assert field in [error["field"] for error in errors]
        assert all(error["expected"] and error["got"] for error in errors)
        assert it.store.rows == {}


async def test_duplicates_in_a_push_name_both_places() -> None:
    """Two listings of one number, even in two widths, refuse the push."""
    async with service() as it:
        answer = await it.push(
            {"propertyNumber": "A1"}, {"propertyNumber": "B"}, {"propertyNumber": "Ａ１"}
        )
        (error,) = problem(answer, 400)["errors"]
        assert error["field"] == "listings[2].propertyNumber"
        assert "listings[0]" in error["expected"]
        assert it.store.rows == {}


async def test_many_faults_are_counted_and_cut() -> None:
    """A thousand faults are not a megabyte of answer."""
    async with service() as it:
        answer = await it.push(*({"propertyNumber": ""} for _ in range(1000)))
        document = problem(answer, 400)
        assert len(document["errors"]) == 100
        assert "of 1000" in document["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=shift_jis"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"Sync-Dry-Run": "maybe"}, 400),
        ({"Sync-Workspace": "a b"}, 400),
        ({"Sync-Workspace": PROOF_WORKSPACE}, 403),
    ],
)
async def test_bad_headers_are_refused(headers: dict[str, str], status: int) -> None:
    """Each with a reason, before anything is read or stored."""
    async with service() as it:
        body = b'{"mode":"push","listings":[{"propertyNumber":"A"}]}'
        problem(await it.client.post(SYNC, content=body, headers=headers), status)
        assert it.store.rows == {}


async def test_content_type_may_name_utf8() -> None:
    """The usual spelling of JSON's charset passes."""
    async with service() as it:
        body = b'{"mode":"push","listings":[{"propertyNumber":"A"}]}'
        headers = {"content-type": "Application/JSON; charset=UTF-8"}
        assert (await it.client.post(SYNC, content=body, headers=headers)).status_code == 200


async def test_too_large_bodies_are_refused() -> None:
    """By the announced length, and by counting when none is announced."""
    async with service() as it:

        async def endless() -> Any:
            while True:
                yield b" " * 1024 * 1024

        problem(await it.client.post(SYNC, content=endless()), 413)
        headers = {"content-length": str(17 * 1024 * 1024)}
        problem(await it.client.post(SYNC, content=b"{}", headers=headers), 413)


async def test_every_json_of_the_test_suite_is_survived() -> None:
    """318 documents, as body, as listings and as a listing's field: never a 5xx."""
    lines = shared("corpus/json_parsing.jsonl").read_text("utf-8").splitlines()
    assert len(lines) > 300
    async with service() as it:
        for line in lines:
            case = json.loads(line)
            text = base64.b64decode(case["body_b64"])
            wrapped = b'{"mode":"push","listings":[{"propertyNumber":"A","x":' + text + b"}]}"
            for body in (text, b'{"mode":"push","listings":' + text + b"}", wrapped):
                status = (await it.client.post(SYNC, content=body)).status_code
                assert status in (200, 400), case["id"]
            if "/n_" in case["id"] or case["id"].startswith("json/n_"):
                assert status == 400, case["id"]
            elif case["id"].startswith("json/y_") and "duplicated" not in case["id"]:
                assert status == (400 if has_nul(json.loads(text)) else 200), case["id"]


async def test_naughty_strings_are_stored_or_refused() -> None:
    """Every naughty string as number, title and unknown key: 200 or 400, and read back whole."""
    lines = shared("corpus/naughty_strings.jsonl").read_text("utf-8").splitlines()
    async with service() as it:
        for line in lines:
            case = json.loads(line)
            text = case["text"]
            for listing in (
                {"propertyNumber": "A", "description": text, text or "k": text},
                {"propertyNumber": text},
            ):
                body = json.dumps({"mode": "push", "listings": [listing]}).encode()
                status = (await it.client.post(SYNC, content=body)).status_code
                assert status in (200, 400), line
        page = await it.client.get(BASE, params={"limit": 1000})
        assert len(page.json()["listings"]) == len(it.store.rows)


async def test_listings_are_paged_by_keyset() -> None:
    """Pages follow one another without overlap; the last one has no next."""
    async with service() as it:
        await it.push(*({"propertyNumber": f"N{index}"} for index in range(5)))
        seen: list[str] = []
        after = None
        while True:
            params = {"limit": "2"} | ({"after": after} if after else {})
            page = (await it.client.get(BASE, params=params)).json()
            seen += [listing["propertyNumber"] for listing in page["listings"]]
            after = page["next"]
            if after is None:
                break
        assert seen == ["N0", "N1", "N2", "N3", "N4"]


async def test_one_listing_is_read_by_its_number() -> None:
    """Any width of the number, slashes included; every field is there under its JSON name."""
    async with service() as it:
        await it.push({"propertyNumber": "大阪/1 2", "landAreaSqm": "12.50", "agent": "佐藤"})
        answer = await it.client.get(f"{BASE}/大阪%2F１　2")
        listing = answer.json()
        assert listing["propertyNumber"] == "大阪/1 2"
        assert b'"landAreaSqm":12.5,' in answer.content
        assert listing["extra"] == {"agent": "佐藤"}
        assert {field.json_name for field in FIELDS} <= listing.keys()
        problem(await it.client.get(f"{BASE}/none"), 404)
        problem(await it.client.get(f"{BASE}/%00"), 400)


@pytest.mark.parametrize(
    "path",
    [
        f"{BASE}?limit=0", f"{BASE}?limit=-1", f"{BASE}?limit=x", f"{BASE}?limit=1001",
        f"{BASE}?limit=", f"{BASE}?after=%00", f"{SYNC}/history?before=x",
        f"{SYNC}/history?limit=%EF%BC%91", f"{SYNC}/status?syncId=x",
    ],
)  # fmt: skip
async def test_bad_queries_are_refused(path: str) -> None:
    """A 400 that names the parameter."""
    async with service() as it:
        document = problem(await it.client.get(path), 400)
        assert document["errors"][0]["field"] in ("limit", "after", "before", "syncId")


async def test_workspaces_are_apart() -> None:
    """A workspace sees its own listings and runs only."""
    async with service() as it:
        other = {"Sync-Workspace": "tokyo"}
        body = {"mode": "push", "listings": [{"propertyNumber": "A"}]}
        done = await it.client.post(SYNC, json=body, headers=other)
        assert list(it.store.rows) == [("tokyo", "A")]
        problem(await it.client.get(f"{BASE}/A"), 404)
        assert (await it.client.get(f"{BASE}/A", headers=other)).status_code == 200
        sync_id = done.json()["syncId"]
        problem(await it.client.get(f"{SYNC}/status", params={"syncId": sync_id}), 404)


async def test_status_names_its_system_and_last_sync() -> None:
    """Idle, the last run, one run by its id."""
    async with service() as it:
        status = (await it.client.get(f"{SYNC}/status")).json()
        assert (status["system"], status["status"], status["lastSync"]) == ("old", "idle", None)
        sync_id = (await it.push({"propertyNumber": "A"})).json()["syncId"]
        status = (await it.client.get(f"{SYNC}/status")).json()
        assert status["lastSync"]["syncId"] == sync_id
        assert status["apiUsage"] == {"used": 0, "limit": 0, "ratio": None}
        one = (await it.client.get(f"{SYNC}/status", params={"syncId": sync_id})).json()
        assert (one["system"], one["status"]) == ("old", "completed")
        unknown = "01890a5d-ac96-774b-bcce-b302099a8057"
        problem(await it.client.get(f"{SYNC}/status", params={"syncId": unknown}), 404)


async def test_status_answers_though_the_store_does_not() -> None:
    """Who routes by the status must get it while the database is away."""

    class Away(MemoryStore):
        async def runs(self, *_args: Any, **_named: Any) -> Any:
            raise StoreUnavailable("away")

    async with service(Away()) as it:
        assert (await it.client.get(f"{SYNC}/status")).json()["system"] == "old"
        problem(await it.client.get(f"{SYNC}/history"), 503)


async def test_history_is_paged_newest_first() -> None:
    """The cursor leads from page to page; each run has its figures."""
    moments = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(100))
    async with service() as it:
        for index in range(5):
            await it.push({"propertyNumber": f"N{index}"})
        for sync_id, moment in zip(list(it.store.history), moments, strict=False):
            run = it.store.history[sync_id]
            object.__setattr__(run, "started_at", moment)
        seen: list[str] = []
        params = {"limit": "2"}
        while True:
            page = (await it.client.get(f"{SYNC}/history", params=params)).json()
            seen += [run["syncId"] for run in page["runs"]]
            if page["next"] is None:
                break
            params = {"limit": "2", "before": page["next"]}
        assert seen == [str(sync_id) for sync_id in reversed(it.store.history)]


async def test_stop_without_a_sync() -> None:
    """Nothing runs, nothing is stopped."""
    async with service() as it:
        answer = await it.client.post(f"{SYNC}/stop")
        assert answer.json() == {"system": "old", "stopping": []}


async def test_health_tells_process_from_store() -> None:
    """The process is alive while the store is not; what to fix is in the problem."""
    async with service() as it:
        assert (await it.client.get("/health")).json()["status"] == "ok"
        assert (await it.client.get(f"{BASE}/health")).json()["store"] == "ok"
    for failure, status in (
        (StoreUnavailable("down"), 503),
        (StoreRefused("wrong key", code="401"), 502),
    ):
        async with service(MemoryStore(check_failure=failure)) as it:
            assert (await it.client.get("/health")).status_code == 200
            problem(await it.client.get(f"{BASE}/health"), status)


async def test_metrics_count_what_happened() -> None:
    """Requests by status, syncs by outcome, the store's own figures; unmeasured is null."""
    async with service(MemoryStore(bad_numbers={"B"})) as it:
        before = (await it.client.get("/api/metrics")).json()
        assert before["syncs"]["successRatio"] is None
        assert before["listingsSynced"] is None
        await it.push({"propertyNumber": "A"})
        await it.push({"propertyNumber": "B"})
        await it.push({"propertyNumber": "C"}, dryRun=True)
        await it.client.get("/nowhere")
        metrics = (await it.client.get("/api/metrics")).json()
        assert metrics["syncs"] == {
            "completed": 1, "partial": 0, "failed": 1, "running": 0, "successRatio": 0.5,
        }  # fmt: skip
        assert metrics["requests"] == {"total": 5, "2xx": 4, "4xx": 1}
        assert (metrics["fullSyncs"], metrics["listingsSynced"]) == (0, None)
        assert len(metrics["syncSecondsPer1000"]) == 1
        assert metrics["store"] == {"rows": 1.0}
        assert metrics["process"]["memoryBytes"] > 0


async def test_the_dry_run_can_be_proven() -> None:
    """The store's own proof is handed on."""
    async with service() as it:
        answer = await it.client.post(f"{SYNC}/dry-run-proof")
        assert answer.status_code == 200
        assert answer.json()["means"] == "transaction"


async def test_unknown_paths_and_methods_are_problems() -> None:
    """404 and 405 in the same form as all others."""
    async with service() as it:
        problem(await it.client.get("/nowhere"), 404)
        answer = await it.client.put(SYNC)
        assert problem(answer, 405)["type"].endswith("method-not-allowed")
        assert answer.headers["allow"]


@pytest.mark.parametrize("path", ["", "/stop", "/dry-run-proof"])
async def test_what_is_only_posted_is_no_listing_to_be_read(path) -> None:
    """A GET of it is the wrong method, and the right one is named."""
    async with service() as it:
        answer = await it.client.get(f"{SYNC}{path}")
        assert problem(answer, 405)["type"].endswith("method-not-allowed")
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "field", "got"),
    [
        ('{"mode":"push","nope":1,"listings":[{}]}', "nope", "an unknown key"),
        ('{"mode":"push","listings":[]}', "listings", "an empty array"),
        ('{"mode":', "body", "an end at line 1 column 9, before it is complete"),
        ("", "body", "nothing"),
        ('{"mode":"full",}', "body", "'}' at line 1 column 16"),
        ('{"mode":"full', "body", "a text that begins at line 1 column 9 and does not end"),
        ('{"mode":"nope"}', "mode", "'nope'"),
    ],
)
async def test_what_stood_there_is_quoted_only_if_it_was_sent(body, field, got) -> None:
    """What is told in words has no quotes, and the reader of JSON keeps its jargon to itself."""
    async with service() as it:
        answer = await it.client.post(
            SYNC, content=body, headers={"Content-Type": "application/json"}
        )
        assert {each["field"]: each["got"] for each in problem(answer, 400)["errors"]}[field] == got


async def test_openapi_is_valid_and_derived() -> None:
    """The document is OpenAPI 3.1 and has every field of the Listing definition."""
    async with service() as it:
        document = (await it.client.get("/openapi.json")).json()
    validate(document)
    properties = document["components"]["schemas"]["StoredListing"]["properties"]
    assert {field.json_name for field in FIELDS} <= properties.keys()
    assert properties["priceYen"]["maximum"] == 10**15


async def test_the_store_is_closed_with_the_app() -> None:
    """Everything is given back."""
    async with service() as it:
        store = it.store
        assert not store.closed
    assert store.closed
