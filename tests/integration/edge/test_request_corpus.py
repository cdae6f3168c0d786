"""Public conformance corpora against the edge: what must be refused never reaches an upstream."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.dataplane import (
    Memory,
    RecordingUpstream,
    data_plane,
    split_answer,
    unlimited,
)
from tests.support.scale import scale
from tests.support.shared import shared

WHOLE_CUT_BELOW_BYTES = 4096
CUTS_ABOVE = 200


@dataclass(frozen=True)
class Vector:
    """One row of a corpus."""

    id: str
    expect: str
    steps: tuple[bytes, ...]

    @property
    def raw(self) -> bytes:
        """All the client sends."""
        return b"".join(self.steps)


def vectors(name: str) -> list[Vector]:
    """The rows of one corpus that have bytes to send."""
    found = []
    for line in shared(f"corpus/{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        steps = row.get("steps_b64") or [row.get("send_b64")]
        raw = tuple(base64.b64decode(step) for step in steps if step is not None)
        if raw:  # a few rows only describe what to generate
            found.append(Vector(row["id"], row["expect"], raw))
    return found


def described_only() -> list[dict[str, Any]]:
    """The rows without bytes."""
    lines = shared("corpus/http11probe.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if not (row["steps_b64"] or row.get("send_b64"))]


def rejected() -> list[Vector]:
    """Everything a strict gateway must refuse."""
    everything = vectors("http11probe") + vectors("llhttp_requests")
    return [vector for vector in everything if vector.expect in {"reject", "lenient-only"}]


def accepted() -> list[Vector]:
    """Everything that must pass."""
    everything = vectors("http11probe") + vectors("llhttp_requests")
    return [vector for vector in everything if vector.expect == "accept"]


async def test_refused_vectors_never_reach_an_upstream() -> None:
    """Sent whole over a socket: refused or hung up on, and nothing complete upstream."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url, prefix="/")) as gateway,
    ):
        failures = []
        for vector in rejected():
            upstream.requests.clear()
            answer = await gateway.exchange(vector.raw)
            status = split_answer(answer).status
            if upstream.requests or upstream.faults or (answer and status < 400):
                failures.append((vector.id, vector.expect, status, len(upstream.requests)))
        assert not failures
        assert len(rejected()) == 87 + 52 + 28


async def test_refused_vectors_stay_refused_however_they_are_cut() -> None:
    """Cut in two at every byte: no cut makes a parser forget what it has seen."""
    memory = Memory(asyncio.get_running_loop())
    failures = []
    for vector in rejected():
        if vector.expect != "reject":
            continue  # some lenient-only vectors are a good request and then garbage
        raw = vector.raw
        points = range(1, len(raw))
        most = scale(full=CUTS_ABOVE if len(raw) > WHOLE_CUT_BELOW_BYTES else len(raw), quick=40)
        for cut in points[:: max(1, len(raw) // most)]:
            connection, transport = memory.fresh()
            connection.data_received(raw[:cut])
            connection.data_received(raw[cut:])
            refused = transport.sent.startswith(b"HTTP/1.1 4") or transport.sent.startswith(
                b"HTTP/1.1 5"
            )
            waiting = not transport.sent and not connection.ahead and connection.begun
            if memory.pool.calls or not (refused or waiting):
                failures.append((vector.id, cut, transport.sent[:40], len(memory.pool.calls)))
    assert not failures


async def test_an_unquoted_etag_is_the_systems_business() -> None:
    """`CAP-INM-UNQUOTED` has no bytes, only a description: it passes, and the field with it."""
    described = next(v for v in described_only() if v["id"].endswith("CAP-INM-UNQUOTED"))
    assert described["expected"] == "200"
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url, prefix="/")) as gateway,
    ):
        asked = await gateway.ask("/", headers={"If-None-Match": "abc123"})
        assert asked.status == 200
        assert upstream.requests[0].header("if-none-match") == "abc123"


async def test_accepted_vectors_pass_with_the_same_bytes() -> None:
    """Method, target and body arrive as they were sent."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url, prefix="/")) as gateway,
    ):
        for vector in accepted():
            upstream.requests.clear()
            answer = split_answer(await gateway.exchange(vector.raw))
            assert answer.status == 200, vector.id
            assert not upstream.faults, vector.id
            assert len(upstream.requests) == len(vector.steps), vector.id
            for step, received in zip(vector.steps, upstream.requests, strict=True):
                method, target, _ = step.split(b"\r\n")[0].split(b" ")
                assert (received.method, received.target) == (method.decode(), target.decode())
                if b"Transfer-Encoding" not in step:
                    assert received.body == step.partition(b"\r\n\r\n")[2], vector.id
                elif b"A\r\n" in step:
                    assert received.body == b"helloworld"
                else:
                    assert received.body in {b"hello", b"hello world"}


@pytest.mark.parametrize("name", ["http11probe", "llhttp_requests"])
async def test_every_vector_gets_an_orderly_end(name: str) -> None:
    """Whatever is allowed either way: no crash, no hang, no malformed request upstream."""
    async with (
        RecordingUpstream() as upstream,
        data_plane(unlimited(upstream.url, upstream.url, prefix="/")) as gateway,
    ):
        for vector in vectors(name):
            answer = await gateway.exchange(vector.raw)
            assert not answer or answer.startswith(b"HTTP/1.1 "), vector.id
            assert not upstream.faults, (vector.id, upstream.faults)
