"""What an upstream may send: whole answers pass, all else is 502 and never looks complete."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.dataplane import RecordingUpstream, data_plane, split_answer, unlimited
from tests.support.shared import shared

# A gateway that never asks for an upgrade is not answered by one (RFC 9110, 7.8).
UPGRADES = {
    "llhttp-resp/connection/HTTP 101 response with Upgrade and Content-Length header",
    "llhttp-resp/connection/HTTP 101 response with Upgrade and Transfer-Encoding header",
}
# Announces 17 bytes and has 16: cut off, whatever the corpus calls it.
SHORT = {"llhttp-resp/connection/HTTP 103 first, then 200"}
# The corpus means the answer to HEAD: nothing in the bytes says so.
TO_HEAD = {"llhttp-resp/content-length/Content-Length reset when no body is received"}


def rows() -> list[tuple[str, str, bytes]]:
    """Id, expectation and bytes of each answer."""
    lines = shared("corpus/llhttp_responses.jsonl").read_text().splitlines()
    parsed = [json.loads(line) for line in lines]
    return [(row["id"], row["expect"], base64.b64decode(row["raw_b64"])) for row in parsed]


async def relayed(raw: bytes, *, method: str = "GET") -> tuple[int, bytes, int]:
    """Status and body a client sees, and how many connections the upstream saw for two requests."""
    async with (
        RecordingUpstream(raw, close_after=True) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        first = f"{method} /api/property-listings/x HTTP/1.1\r\nHost: g\r\n\r\n".encode()
        answer = split_answer(await gateway.exchange(first))
        assert not upstream.faults
        return answer.status, answer.body, upstream.connections


@pytest.mark.parametrize(
    ("expect", "passes"),
    [
        ("good-response", True),
        ("bad-response", False),
        ("incomplete", False),
        ("lenient-only", False),
    ],
)
async def test_answers_pass_as_listed(expect: str, passes: bool) -> None:
    """Good answers pass with their status; all others are 502, however they are broken."""
    failures = []
    for name, expected, raw in rows():
        if expected != expect:
            continue
        status, _, _ = await relayed(raw, method="HEAD" if name in TO_HEAD else "GET")
        if (status != 502) is not (passes and name not in UPGRADES | SHORT):
            failures.append((name, status))
    assert not failures


async def test_an_answer_cut_anywhere_never_looks_complete() -> None:
    """Cut a good answer at every byte: only the whole one is passed on."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: b\r\n\r\nhello world"
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n"
    )
    for raw in (whole, chunked):
        for cut in range(len(raw)):
            status, _, _ = await relayed(raw[:cut])
            assert status == 502, (raw, cut)
        assert (await relayed(raw))[:2] == (200, b"hello world")
