"""Reading an upstream's head."""

from __future__ import annotations

from gateway.core.model import Outcome
from gateway.proxy.answers import CHUNKED, EMPTY, AnswerHead, read_answer
from gateway.proxy.bodies import JOIN_BELOW_BYTES, same, tail


def read(*headers: tuple[bytes, bytes], status: int = 200, to_head: bool = False):
    """Read one head."""
    return read_answer(status, b"Fine", headers, keep_alive=True, to_head=to_head)


def test_an_answer_must_say_where_it_ends() -> None:
    """Length or chunks, not both, not neither; unless it has no body by definition."""
    length, chunked = (b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked")
    assert read(length).length == 2
    assert read(chunked).length == CHUNKED
    assert read() is None
    assert read(length, chunked) is None
    assert read(length, length) is None
    assert read((b"Content-Length", b"x")) is None
    assert read((b"Transfer-Encoding", b"gzip, chunked")) is None
    for status in (103, 204, 304):
        assert read(status=status).length == EMPTY
    assert read(to_head=True).length == EMPTY


def test_what_the_client_sees_of_it() -> None:
    """Our own names and hop-by-hop fields do not pass; sync fields are read and passed."""
    answer = read(
        (b"Content-Length", b"2"), (b"Sync-System", b"fake"), (b"X-Request-Id", b"fake"),
        (b"Sync-Status", b"failed"), (b"Sync-Id", b"i"), (b"Sync-Digest", b"d"),
        (b"Sync-Records", b"7"), (b"Connection", b"X-Hop"), (b"X-Hop", b"1"),
    )  # fmt: skip
    assert answer == AnswerHead(
        status=200,
        forward=b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nSync-Status: failed\r\nSync-Id: i\r\n"
        b"Sync-Digest: d\r\nSync-Records: 7\r\n",
        length=2, keep_alive=True, outcome=Outcome.ERROR, sync_failed=True,
        sync_id=b"i", sync_digest=b"d", sync_records=7,
    )  # fmt: skip


def test_a_senseless_count_is_none() -> None:
    """The number of records comes from outside."""
    for value in (b"-1", b"x", b"9" * 13, b""):
        assert read((b"Content-Length", b"2"), (b"Sync-Records", value)).sync_records == 0


def test_what_an_answer_says_of_its_system() -> None:
    """5xx and a sync that failed are errors whatever the status; other 4xx are rejections."""
    length, failed = (b"Content-Length", b"2"), (b"Sync-Status", b"failed")
    for status, expected in (
        (200, Outcome.OK), (399, Outcome.OK), (400, Outcome.REJECTED), (499, Outcome.REJECTED),
        (500, Outcome.ERROR),
    ):  # fmt: skip
        assert read(length, status=status).outcome is expected
        assert read(length, failed, status=status).outcome is Outcome.ERROR


def test_bodies_are_compared_whole_however_they_lie() -> None:
    """Views of longer bytes and plain bytes, equal or not."""
    small, large = b"x" * 10, b"x" * JOIN_BELOW_BYTES
    head = b"head"
    for body in (small, large):
        forms = [body, tail(head + body, len(head)), tail(body, 0)]
        other = tail(head + body[:-1] + b"y", len(head))
        assert all(same(one, two) for one in forms for two in forms)
        assert not any(same(one, other) or same(other, one) for one in forms)
        assert not any(same(one, body[1:]) or same(body[1:], one) for one in forms)
    assert isinstance(tail(head + large, len(head)), memoryview)
    assert isinstance(tail(head + small, len(head)), bytes)
