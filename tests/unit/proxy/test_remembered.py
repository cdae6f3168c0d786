"""What is known by its shape reads as if it had been read anew; what could differ is not known."""

from __future__ import annotations

from random import Random

import httptools
import pytest

from gateway.proxy.answers import AnswerHead, read_answer
from gateway.proxy.remembered import Heads

SYNC = (
    b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Type: application/json\r\n%b: %b\r\n"
    b"Sync-Id: %b\r\nSync-Status: completed\r\nSync-Records: %b\r\nSync-Digest: %b\r\n\r\n"
)


class _Collector:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def read(head: bytes) -> AnswerHead | None:
    """Read a head the long way."""
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    try:
        parser.feed_data(head)
    except httptools.HttpParserError:
        return None
    return read_answer(
        parser.get_status_code(), b"OK", collector.fields,
        keep_alive=parser.should_keep_alive(), to_head=False,
    )  # fmt: skip


def sync_head(
    length: bytes = b"2", name: bytes = b"Content-Length", identity: bytes = b"0a-1",
    records: bytes = b"3", digest: bytes = b"aa",
) -> bytes:  # fmt: skip
    """Give the head of a sync's answer."""
    return SYNC % (name, length, identity, records, digest)


def knowing(head: bytes) -> Heads:
    """Remember one head."""
    heads = Heads(1_000_000)
    answer = read(head)
    assert answer is not None
    heads.remember(head, answer)
    return heads


def test_heads_of_one_shape_are_read_as_they_would_be_anew() -> None:
    """Whatever id, digest, count and length: the same as the parser and the rules make of it."""
    heads, random = knowing(sync_head()), Random(1)
    for _ in range(200):
        head = sync_head(
            length=b"%d" % random.randrange(1_000_000),
            identity=b"%032x" % random.getrandbits(128),
            records=b"%d" % random.randrange(10_000),
            digest=b"%032x" % random.getrandbits(128),
        )
        known = heads.get(head)
        assert known is not None
        assert known == read(head)


@pytest.mark.parametrize(
    "other",
    [
        sync_head(name=b"Content-length"),
        sync_head(length=b"1000001"),
        sync_head(length=b"1a"),
        sync_head(length=b"9" * 13),
        sync_head(records=b"-1"),
        sync_head(identity=b"a b"),
        sync_head(identity=b""),
        sync_head(digest=b"aa\r\nContent-Length: 3"),
        sync_head(digest=b"aa\r\nTransfer-Encoding: chunked"),
        sync_head(digest=b"aa\r\n folded"),
        sync_head(digest=b"aa\r\nConnection: close"),
        sync_head().replace(b"200 OK", b"500 No"),
        sync_head().replace(b"completed", b"failed"),
        sync_head().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_another_shape_is_not_known(other: bytes) -> None:
    """A field more, a bad value, another status: that must be read."""
    assert knowing(sync_head()).get(other) is None


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 204 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: " + b"a" * 4096 + b"\r\n\r\n",
    ],
)
def test_what_ends_otherwise_is_never_remembered(head: bytes) -> None:
    """Only answers of known length on a connection that stays."""
    assert knowing(head).get(head) is None


def test_a_head_whose_values_are_read_in_pieces_is_not_remembered_by_shape() -> None:
    """Fields that stand twice or are dropped on the way leave no shape behind."""
    for more in (b"Sync-Records: 4\r\n", b"Connection: keep-alive, Sync-Digest\r\n"):
        head = sync_head().replace(b"Sync-Status", more + b"Sync-Status")
        assert knowing(head).get(head) is None


def test_heads_without_an_id_are_known_by_their_bytes() -> None:
    """And forgotten all at once when there are too many."""
    first = b"HTTP/1.1 200 OK\r\nX: 0\r\nContent-Length: 2\r\n\r\n"
    heads = knowing(first)
    assert heads.get(first) is heads.get(first)
    for number in range(1, 513):
        head = first.replace(b"X: 0", b"X: %d" % number)
        answer = read(head)
        assert answer is not None
        heads.remember(head, answer)
    assert heads.get(first) is None


def test_an_empty_value_does_not_stand_for_another_one() -> None:
    """An id without a digest and a digest without an id are two shapes, not one."""
    heads = knowing(sync_head(digest=b""))
    other = sync_head(identity=b"", digest=b"44")
    known = heads.get(other)
    assert known is None or known == read(other)
