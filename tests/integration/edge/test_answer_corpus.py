"""What an upstream may send: whole answers pass, all else is 502 and never looks complete."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.dataplane import RecordingUpstream, data_plane, split_answer, unlimited
from tests.support.shared import shared

# The corpus calls three answers good that are 502 here: it asks whether a parser takes the bytes.
# A gateway that never asks for an upgrade is not answered by one (RFC 9110, 7.8), and passing it on
# would turn a checked connection into a tunnel.
UPGRADES = {
    "llhttp-resp/connection/HTTP 101 response with Upgrade and Content-Length header",
    "llhttp-resp/connection/HTTP 101 response with Upgrade and Transfer-Encoding header",
}
# Announces 17 bytes and has 16; a parser that is fed them has seen no error yet, but it is cut off.
SHORT = {"llhttp-resp/connection/HTTP 103 first, then 200"}
# The corpus means the answer to HEAD: nothing in the bytes says so.
TO_HEAD = {"llhttp-resp/content-length/Content-Length reset when no body is received"}


def rows() -> list[tuple[str, str, bytes]]:
    """Id, expectation and bytes of each answer."""
    lines = shared("corpus/llhttp_responses.jsonl").read_text().splitlines()
    parsed = [json.loads(line) for line in lines]
    return [(row["id"], row["expect"], base64.b64decode(row["raw_b64"])) for row in parsed]


async def relayed(
    raw: bytes, *, method: str = "GET", fields: bytes = b""
) -> tuple[int, bytes, int]:
    """Status and body a client sees, and how many connections the upstream saw for two requests."""
    async with (
        RecordingUpstream(raw, close_after=True) as upstream,
        data_plane(unlimited(upstream.url, upstream.url)) as gateway,
    ):
        first = f"{method} /api/property-listings/x HTTP/1.1\r\nHost: g\r\n".encode()
        answer = split_answer(await gateway.exchange(first + fields + b"\r\n"))
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


async def test_what_the_corpus_means_by_the_three_passes() -> None:
    """With the missing byte the early hint and its answer pass; an upgrade passes in no form."""
    raws = {name: raw for name, _, raw in rows()}
    (short,) = (raws[name] for name in SHORT)
    assert (await relayed(short))[0] == 502
    assert (await relayed(short + b"!"))[:2] == (200, b"response content!")
    for name in UPGRADES:
        assert (await relayed(raws[name]))[:2][0] == 502
        asked = await relayed(raws[name], fields=b"Connection: upgrade\r\nUpgrade: h2c\r\n")
        assert asked[0] == 400  # nor can a client ask for one


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
