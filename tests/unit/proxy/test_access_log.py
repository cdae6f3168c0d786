"""The access log: written as far as somebody takes it, counted otherwise, in nobody's way."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.proxy.access_log import AccessLog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Where a log is read, and where it is written."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


def request(path: bytes = b"/x") -> Any:
    """As much of an exchange as the log looks at."""
    return SimpleNamespace(
        head=SimpleNamespace(method=b"GET", path=path),
        request_id=b"1",
        side=SimpleNamespace(name="old"),
    )


def test_lines_come_as_they_were_noted(pipe: tuple[int, int]) -> None:
    """One document a line; a long path is cut, so that a line stays a line."""
    log = AccessLog(1, descriptor=pipe[1])
    log.note(request(), 200, 15)
    log.note(request(b"/" + b"p" * 8_000), 404, 16)
    log.flush()
    first, second = map(json.loads, os.read(pipe[0], 65_536).splitlines())
    assert (first["path"], first["status"], first["took_us"]) == ("/x", 200, 15)
    assert (len(second["path"]), second["status"]) == (1_024, 404)
    log.flush()
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)
    assert log.lost == 0


def test_a_reader_that_stands_still_stops_nobody(pipe: tuple[int, int]) -> None:
    """What the pipe does not take is lost and counted; what it took is whole lines."""
    log = AccessLog(1, descriptor=pipe[1])
    for _ in range(3):
        for _ in range(900):
            log.note(request(), 200, 15)
        log.flush()
    taken = b""
    while len(portion := _read(pipe[0])):
        taken += portion
    lines = [json.loads(line) for line in taken.splitlines()]
    assert 0 < len(lines) < 2_700
    assert log.lost == 2_700 - len(lines)


def test_a_reader_that_is_gone_stops_nobody(pipe: tuple[int, int]) -> None:
    """The next tick comes all the same."""
    log = AccessLog(1, descriptor=pipe[1])
    os.close(pipe[0])
    log.note(request(), 200, 15)
    log.flush()
    assert log.lost == 1


def test_between_two_ticks_so_many_are_kept(pipe: tuple[int, int]) -> None:
    """Beyond that they are lost and counted."""
    log = AccessLog(2, descriptor=pipe[1])
    for _ in range(2_100):
        log.note(request(), 200, 15)
    assert log.lost == 50


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except BlockingIOError:
        return b""
