"""Where a chunked message ends, held to llhttp on whatever it is cut into."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.chunks import Chunks, MalformedChunkError

BODIES = st.lists(st.binary(min_size=1, max_size=40) | st.just(b"\r\n\r\n"), max_size=6)
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b';a="b c"'])
TRAILERS = st.lists(
    st.sampled_from([b"X: 1\r\n", b"Y:\r\n", b"Long: " + b"z" * 50 + b"\r\n"]), max_size=3
)
HEAD = b"POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"


def message(pieces: list[bytes], extension: bytes, trailers: list[bytes]) -> bytes:
    """One chunked body."""
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(each), extension, each) for each in pieces)
    return chunks + b"0%b\r\n" % extension + b"".join(trailers) + b"\r\n"


class Listener:
    """Notes when llhttp thinks that a message ended."""

    ended = False

    def on_message_complete(self) -> None:
        """It did."""
        self.ended = True


@given(BODIES, EXTENSIONS, TRAILERS, st.lists(st.integers(1, 30), max_size=40))
def test_the_end_is_where_llhttp_has_it(
    pieces: list[bytes], extension: bytes, trailers: list[bytes], cuts: list[int]
) -> None:
    """In pieces of any size; what follows the message is not looked at."""
    raw = message(pieces, extension, trailers)
    chunks, listener = Chunks(), Listener()
    parser = httptools.HttpRequestParser(listener)
    parser.feed_data(HEAD)
    stream, at = raw + b"POST /next", 0
    for cut in [*cuts, len(stream)]:
        data = stream[at : at + cut]
        end = chunks.end(data, 0)
        parser.feed_data(data[:end])
        at += end
        if listener.ended or end < len(data):
            break
    assert listener.ended
    assert at == len(raw)


@pytest.mark.parametrize(
    "line", [b"", b"g", b"-1", b"+1", b"1 ", b" 1", b"1_0", b"0x1", b"1" * 17, b"1\n", b";a"]
)
def test_a_size_that_cannot_be_read_is_refused(line: bytes) -> None:
    """Also where Python would have taken it for a number."""
    with pytest.raises(MalformedChunkError):
        Chunks().end(line + b"\r\n0\r\n\r\n", 0)


def test_what_is_announced_is_known_before_it_comes() -> None:
    """Of all chunks so far."""
    chunks = Chunks()
    chunks.end(b"3\r\nabc\r\nffffffffffffffff\r\nx", 0)
    assert chunks.announced == 3 + 2**64 - 1


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    """Sixty-four kilobytes of an extension are enough."""
    chunks = Chunks()
    chunks.end(b"1;" + b"a" * 60_000, 0)
    with pytest.raises(MalformedChunkError):
        chunks.end(b"a" * 6_000, 0)
