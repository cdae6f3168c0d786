"""What passes through the data plane, and how it looks on the other side."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.proxy.plane import NOT_ROUTED
from tests.support.dataplane import (
    OK,
    Received,
    RecordingUpstream,
    data_plane,
    routing,
    split_answer,
    unlimited,
)

SYNC = "/api/property-listings/sync"


async def test_a_body_travels_byte_for_byte_both_ways() -> None:
    """What is sent is what arrives, also when it is no valid anything."""
    body = bytes(range(256)) * 300
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\nX-Mine: 1\r\n\r\n" % len(body) + body
    async with (
        RecordingUpstream(answer) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        for _ in range(3):  # the second and third take the short way
            answered = await gateway.ask(SYNC, "POST", {"Content-Type": "x/y"}, body)
            assert (answered.status, answered.body) == (201, body)
            assert answered.headers["x-mine"] == "1"
        assert [request.body for request in upstream.requests] == [body] * 3
        assert all(request.target == SYNC for request in upstream.requests)
        assert not upstream.faults


async def test_a_body_may_arrive_in_any_pieces() -> None:
    """Head and body cut at every byte, with the head known and unknown."""
    raw = f"POST {SYNC} HTTP/1.1\r\nHost: g\r\nContent-Length: 10\r\n\r\n0123456789".encode()
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        for known in (False, True):
            for cut in range(1, len(raw)):
                if not known:
                    gateway.plane.heads.clear()
                reader, writer = await gateway.connect()
                writer.write(raw[:cut])
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                writer.write(raw[cut:])
                assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
                writer.transport.abort()
        assert {request.body for request in upstream.requests} == {b"0123456789"}
        assert len(upstream.requests) == 2 * (len(raw) - 1)


async def test_the_upstream_learns_who_and_which() -> None:
    """Identity is the gateway's to say: what a client claims about it does not get through."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        claims = {
            "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "gopher", "Forwarded": "for=6.6.6.6",
            "X-Forwarded-Host": "evil", "X-Real-Ip": "6.6.6.6", "Sync-Shadow-Of": "x",
        }  # fmt: skip
        answered = await gateway.ask(headers=claims)
        (request,) = upstream.requests
        assert request.header("x-forwarded-for") == "127.0.0.1"
        assert request.header("x-forwarded-proto") == "http"
        assert request.header("x-forwarded-host") == "gateway.test"
        assert request.header("host") == upstream.url.removeprefix("http://")
        for name in ("forwarded", "x-real-ip", "sync-shadow-of"):
            assert request.header(name) is None
        assert request.header("x-request-id") == answered.headers["x-request-id"]
        trace = request.header("traceparent")
        assert trace is not None
        assert len(trace) == 55


async def test_a_callers_ids_are_kept() -> None:
    """A request id and a trace context that came along travel on; a malformed one is replaced."""
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        answered = await gateway.ask(
            headers={"X-Request-Id": "abc-1", "traceparent": good, "tracestate": "a=b"}
        )
        assert answered.headers["x-request-id"] == "abc-1"
        assert upstream.requests[0].header("traceparent") == good
        assert upstream.requests[0].header("tracestate") == "a=b"
        await gateway.ask(headers={"X-Request-Id": "a b", "traceparent": "00-0-0-00"})
        assert upstream.requests[1].header("x-request-id") != "a b"
        assert upstream.requests[1].header("traceparent") != "00-0-0-00"


async def test_a_trace_that_is_not_valid_costs_the_next_one_nothing() -> None:
    """Its state is dropped with it; what comes in the same shape afterwards keeps its own."""
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    none = f"00-{'0' * 32}-00f067aa0ba902b7-01"
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        for trace in (good, none, good):
            await gateway.ask(headers={"tracestate": "a=b", "traceparent": trace})
        states = [request.header("tracestate") for request in upstream.requests]
        assert states == ["a=b", None, "a=b"]


async def test_hop_by_hop_fields_stop_here() -> None:
    """What belongs to one connection, and what Connection names, does not travel on."""
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Up\r\nX-Up: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Trailer: X\r\nContent-Length: 2\r\nX-Stay: 1\r\n\r\nok"
    )
    async with (
        RecordingUpstream(answer) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        answered = await gateway.ask(
            headers={"Connection": "X-Down, close", "X-Down": "1", "TE": "trailers",
                     "Proxy-Authorization": "x", "X-Stay": "1"}
        )  # fmt: skip
        (request,) = upstream.requests
        for name in ("x-down", "te", "proxy-authorization", "connection"):
            assert request.header(name) is None
        assert request.header("x-stay") == "1"
        assert "x-up" not in answered.headers
        assert "trailer" not in answered.headers
        assert answered.headers["x-stay"] == "1"
        assert answered.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "raw", "status", "length", "body"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "5", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, None, b""),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, None, b""),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', 304, None, b""),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n",
            200, "2", b"ab",
        ),
    ],
)  # fmt: skip
async def test_answers_without_a_plain_body(
    method: str, raw: bytes, status: int, length: str | None, body: bytes
) -> None:
    """HEAD, 204, 304 and chunks keep their meaning, and the connection stays usable."""
    async with (
        RecordingUpstream(raw) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        for _ in range(3):
            answered = await gateway.ask(method=method)
            assert (answered.status, answered.body) == (status, body)
            assert answered.headers.get("content-length") == length
            assert "x" not in answered.headers
        assert upstream.connections == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    """A hundred sent ahead, answered by an upstream that takes random time."""

    async def slow_first(request: Received) -> bytes:
        number = int(request.target.rpartition("/")[2])
        await asyncio.sleep(0.002 if number % 7 == 0 else 0)
        body = str(number).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async with (
        RecordingUpstream(slow_first) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        raw = b"".join(
            b"GET /api/property-listings/%d HTTP/1.1\r\nHost: g\r\n\r\n" % n for n in range(100)
        )
        answers = await gateway.exchange(raw)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [str(n).encode() for n in range(100)]
        assert len(upstream.requests) == 100


async def test_expect_continue_is_answered_before_the_body_is_awaited() -> None:
    """The client holds its body back until it is asked for it."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        reader, writer = await gateway.connect()
        head = (
            f"POST {SYNC} HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        for _ in range(2):
            writer.write(head.encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"[]")
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
        assert [request.body for request in upstream.requests] == [b"[]", b"[]"]
        assert upstream.requests[0].header("expect") is None
        writer.transport.abort()


async def test_early_hints_are_passed_on() -> None:
    """A 103 reaches the client before the final answer."""
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    async with (
        RecordingUpstream(raw) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        answer = await gateway.exchange(b"GET /api/property-listings/x HTTP/1.1\r\nHost: g\r\n\r\n")
        assert answer.startswith(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
        )


@pytest.mark.parametrize("more", [b"", b"Host: g\r\n", b"Host: g\r\nConnection: keep-alive\r\n"])
async def test_http_1_0_is_given_no_early_hint(more: bytes) -> None:
    """It has no 1xx."""
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    async with (
        RecordingUpstream(raw) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        answer = await gateway.exchange(b"GET /api/property-listings/x HTTP/1.0\r\n%b\r\n" % more)
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_after_an_early_hint_the_answer_has_all_its_time() -> None:
    """A hint is no part of an answer: silence behind it is no stall, up to the call's deadline."""

    async def hints(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await asyncio.sleep(1)
        writer.write(OK)

    server = await asyncio.start_server(hints, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with data_plane(unlimited(url, url, read_timeout_ms=300)) as gateway:
        sync = "/api/property-listings/sync"
        assert (await gateway.ask(sync, "POST", body=b"{}")).status == 200
    server.close()


async def test_an_early_hint_has_no_length() -> None:
    """An upstream that gives it one does not mislead the client."""
    raw = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\nLink: </a>\r\n\r\n" + OK
    async with (
        RecordingUpstream(raw) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        answer = await gateway.exchange(b"GET /api/property-listings/x HTTP/1.1\r\nHost: g\r\n\r\n")
        assert answer.count(b"Content-Length") == 1
        assert answer.endswith(b"\r\n\r\nok")


async def test_a_client_that_half_closes_gets_its_answer() -> None:
    """shutdown(SHUT_WR) after the request says: no more requests; not: no answer please."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        assert (await gateway.ask()).status == 200
        assert (await gateway.ask("/health")).status == 200


async def test_http_1_0_is_spoken_to_in_kind() -> None:
    """No keep-alive unless asked for, no Host needed."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        plain = split_answer(
            await gateway.exchange(b"GET /api/property-listings/x HTTP/1.0\r\n\r\n")
        )
        assert plain.headers["connection"] == "close"
        reader, writer = await gateway.connect()
        for _ in range(2):
            writer.write(b"GET /api/property-listings/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Connection: keep-alive\r\n" in head
            await reader.readexactly(2)
        writer.transport.abort()


async def test_what_the_gateway_answers_by_itself() -> None:
    """Alive, ready, figures; and a problem document for everything else."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url), routing(12.5)) as gateway,
    ):
        alive = await gateway.ask("/health")
        assert (alive.status, json.loads(alive.body)) == (200, {"status": "ok"})
        assert (await gateway.ask("/readyz")).status == 200
        await gateway.ask()
        figures = json.loads((await gateway.ask("/api/metrics")).body)
        assert figures["weight"] == 12.5
        assert figures["systems"]["old"]["requests"] + figures["systems"]["new"]["requests"] == 1
        assert figures["systems"]["old"]["breaker"] == "closed"
        elsewhere = await gateway.ask("/admin")
        assert elsewhere.status == 404
        assert elsewhere.headers["content-type"] == "application/problem+json"
        assert json.loads(elsewhere.body)["status"] == 404
        assert (await gateway.ask("/health", "POST", body=b"")).status == 405
        assert (await gateway.ask("/api/property-listingsX")).status == 404
        assert (await gateway.ask("/api/property-listings/../admin")).status == 400
        assert len(upstream.requests) == 1


async def test_who_was_told_no_weight_yet_is_not_ready_and_serves() -> None:
    """Before the first routing everything goes to old, and nobody should send it anything."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        gateway.plane.routing = NOT_ROUTED
        early = await gateway.ask("/readyz")
        assert (early.status, json.loads(early.body)) == (503, {"status": "starting"})
        assert (await gateway.ask()).headers["sync-system"] == "old"
        gateway.plane.route(routing(version=0))
        assert (await gateway.ask("/readyz")).status == 200


async def test_who_is_about_to_leave_says_so_while_it_still_serves() -> None:
    """Told that the end is near: not ready, and each answer asks its client to come elsewhere."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        gateway.plane.route(routing(version=2))
        assert (await gateway.ask("/readyz")).status == 200
        gateway.plane.route(routing(version=2, draining=True))
        refused = await gateway.ask("/readyz")
        assert (refused.status, refused.headers["connection"]) == (503, "close")
        served = await gateway.ask("/api/property-listings/sync/status")
        assert (served.status, served.headers["connection"]) == (200, "close")
        assert len(upstream.requests) == 1


async def test_a_thousand_headers_and_other_giants_are_refused() -> None:
    """Each limit has its own status, and the upstream hears nothing."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url, max_body_bytes=1000)) as gateway,
    ):
        start = b"GET /api/property-listings/x HTTP/1.1\r\nHost: g\r\n"
        post = f"POST {SYNC} HTTP/1.1\r\nHost: g\r\n".encode()
        chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
        cases = {
            "headers": (start + b"A: b\r\n" * 1000 + b"\r\n", 431),
            "header": (start + b"A: " + b"b" * 1_000_000 + b"\r\n\r\n", 431),
            "target": (
                b"GET /api/property-listings/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: g\r\n\r\n",
                414,
            ),
            "body": (post + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001, 413),
            "chunks": (chunked + b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n", 413),
            "chunk size": (chunked + b"10000000000000000\r\n", 400),
            "extension": (chunked + b"1;a=" + b"b" * 500_000, 400),
            "gzip": (post + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", 415),
            "expect": (post + b"Expect: tea\r\nContent-Length: 2\r\n\r\n[]", 417),
            "version": (b"GET / HTTP/2.0\r\nHost: g\r\n\r\n", 505),
        }
        for name, (raw, status) in cases.items():
            answered = split_answer(await gateway.exchange(raw))
            assert answered.status == status, name
            assert answered.headers["connection"] == "close", name
            assert json.loads(answered.body)["detail"], name
        assert not upstream.requests


async def test_every_byte_in_a_header_name() -> None:
    """Only token characters pass, and the underscore does not."""
    token = b"!#$%&'*+-.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        for value in range(256):
            upstream.requests.clear()
            name = b"a%cz" % value
            raw = b"GET /api/property-listings/x HTTP/1.1\r\nHost: g\r\n%b: 1\r\n\r\n" % name
            answered = split_answer(await gateway.exchange(raw))
            passes = value in token or name == b"a:z"  # a header `a` with the value `z: 1`
            assert (answered.status == 200) is passes, value
            assert len(upstream.requests) == passes, value
