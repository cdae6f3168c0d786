"""The guard's table, row by row."""

from __future__ import annotations

import pytest

from gateway.proxy.configuration import DataPlaneSettings
from gateway.proxy.guard import CHUNKED, NO_BODY, Head, Refusal, Rules, inspect

RULES = Rules.of(DataPlaneSettings("http://o", "http://n", max_body_bytes=100))
HOST = (b"Host", b"gateway.test")


def look(
    *headers: tuple[bytes, bytes], method: bytes = b"GET", target: bytes = b"/a",
    version: str = "1.1", host: bool = True,
) -> Head | Refusal:  # fmt: skip
    """Inspect one head with a good Host."""
    fields = [HOST, *headers] if host else list(headers)
    return inspect(method, target, version, fields, RULES)


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (400, {"method": b"CONNECT"}),
        (405, {"method": b"TRACE"}),
        (405, {"method": b"PROPFIND"}),
        (505, {"version": "2.0"}),
        (505, {"version": "0.9"}),
        (414, {"target": b"/" + b"a" * 8192}),
        (400, {"target": b"*"}),
        (400, {"target": b"/a#b"}),
        (400, {"target": b"/a\\b"}),
        (400, {"target": b"/a%zz"}),
        (400, {"target": b"/a%0"}),
        (400, {"target": b"/a\x80"}),
        (400, {"target": b"/a/../b"}),
        (400, {"target": b"/a/%2e%2E/b"}),
        (400, {"target": b"/a/."}),
        (400, {"target": b"/a/..?x"}),
        (400, {"target": b"http://other/a"}),
        (400, {"host": False}),
    ],
)
def test_request_lines_that_are_refused(status: int, arguments: dict) -> None:
    """Each with the status that tells a client what is wrong."""
    found = look(**arguments)
    assert isinstance(found, Refusal)
    assert found.status == status


@pytest.mark.parametrize(
    ("status", "field"),
    [
        (400, HOST),
        (400, (b"Content_Length", b"1")),
        (400, (b"Content-Length", b"+1")),
        (400, (b"Content-Length", b"1, 1")),
        (400, (b"Content-Length", "１".encode())),
        (413, (b"Content-Length", b"101")),
        (400, (b"Transfer-Encoding", b"gzip, chunked")),
        (400, (b"Transfer-Encoding", b"identity")),
        (400, (b"Transfer-Encoding", b"")),
        (415, (b"Content-Encoding", b"gzip")),
        (417, (b"Expect", b"something")),
        (400, (b"Idempotency-Key", b"")),
        (400, (b"Idempotency-Key", b"a b")),
        (400, (b"Idempotency-Key", b"k" * 256)),
    ],
)
def test_fields_that_are_refused(status: int, field: tuple[bytes, bytes]) -> None:
    """One such field is enough."""
    found = look(field)
    assert isinstance(found, Refusal)
    assert found.status == status


@pytest.mark.parametrize(
    "fields",
    [
        [(b"Content-Length", b"1"), (b"Content-Length", b"1")],
        [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"Connection", b"Upgrade"), (b"Upgrade", b"h2c")],
        [(b"Idempotency-Key", b"a"), (b"Idempotency-Key", b"b")],
    ],
)
def test_pairs_that_contradict_each_other(fields: list[tuple[bytes, bytes]]) -> None:
    """Two parsers could choose differently, so neither may."""
    found = look(*fields)
    assert isinstance(found, Refusal)
    assert found.status == 400


@pytest.mark.parametrize(
    "host", [b"", b"user@g", b"g/path", b"a, b", b"a b", b"[::1", b"g:99999999", b"g:http"]
)
def test_hosts_that_are_none(host: bytes) -> None:
    """A host name or address with an optional port, nothing else."""
    assert isinstance(inspect(b"GET", b"/a", "1.1", [(b"Host", host)], RULES), Refusal)


@pytest.mark.parametrize("host", [b"g", b"g:80", b"127.0.0.1:8080", b"[::1]:80", b"a-b.c_d.e"])
def test_hosts_that_are_some(host: bytes) -> None:
    """Underscores in host names exist in the wild and confuse nobody."""
    assert isinstance(inspect(b"GET", b"/a", "1.1", [(b"Host", host)], RULES), Head)


def test_too_many_and_too_large_heads() -> None:
    """A hundred fields or 64 KiB."""
    assert isinstance(look(*[(b"A", b"b")] * 99), Head)
    many = look(*[(b"A", b"b")] * 100)
    large = look((b"A", b"b" * 65_536))
    assert isinstance(many, Refusal)
    assert isinstance(large, Refusal)
    assert (many.status, large.status) == (431, 431)


def test_chunks_are_not_for_http_1_0() -> None:
    """There they never existed."""
    found = look((b"Transfer-Encoding", b"chunked"), version="1.0")
    assert isinstance(found, Refusal)
    assert found.status == 400


def test_what_is_forwarded() -> None:
    """The line, the fields that travel on, and the host it was sent to."""
    found = look(
        (b"X-Client-Id", b"c"), (b"Connection", b"X-Gone, close"), (b"X-Gone", b"1"),
        (b"Accept", b" text/plain\t"), (b"Sync-System", b"new"), (b"TE", b"trailers"),
        (b"X-Forwarded-Proto", b"gopher"), (b"tracestate", b"orphan=1"),
        method=b"POST", target=b"/a?b=c",
    )  # fmt: skip
    assert isinstance(found, Head)
    assert found.forward == (
        b"POST /a?b=c HTTP/1.1\r\nX-Client-Id: c\r\nAccept: text/plain\r\n"
        b"X-Forwarded-Host: gateway.test\r\n"
    )
    assert found.path == b"/a"
    assert (found.client_id, found.forced, found.keep_alive) == (b"c", b"new", False)


def test_lengths_and_access() -> None:
    """No body, a length, chunks; reads and writes."""
    plain, sized = look(), look((b"Content-Length", b"5"), method=b"POST")
    chunked = look((b"Transfer-Encoding", b"Chunked"), method=b"PUT")
    assert isinstance(plain, Head)
    assert isinstance(sized, Head)
    assert isinstance(chunked, Head)
    assert (plain.length, sized.length, chunked.length) == (NO_BODY, 5, CHUNKED)
    assert (plain.is_read, sized.is_read, chunked.is_read) == (True, False, False)


def test_an_absolute_target_becomes_a_path() -> None:
    """RFC 9112 asks servers to take it; the host must be the one Host names."""
    found = look(target=b"http://gateway.test/a?b")
    bare = look(target=b"HTTP://gateway.test")
    assert isinstance(found, Head)
    assert isinstance(bare, Head)
    assert found.forward.startswith(b"GET /a?b HTTP/1.1\r\n")
    assert bare.forward.startswith(b"GET / HTTP/1.1\r\n")


def test_keep_alive_by_version() -> None:
    """1.1 unless told otherwise, 1.0 only when asked for."""
    cases = {("1.1", b"x"): True, ("1.1", b"close"): False, ("1.0", b"x"): False,
             ("1.0", b"Keep-Alive"): True, ("1.0", b"keep-alive, close"): False}  # fmt: skip
    for (version, connection), kept in cases.items():
        found = look((b"Connection", connection), version=version)
        assert isinstance(found, Head)
        assert found.keep_alive is kept, (version, connection)
