"""The TLS layer alone, between a socket and a connection that are both made up."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from gateway.proxy.tls import TlsTransport, server_context
from tests.support.dataplane import UNREACHABLE, unlimited
from tests.support.tls import NAME, Certificate, make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One for all tests of this file."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


class _Plane:
    """Counts what was refused."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.draining = False

    def refuse(self, reason: str) -> None:
        self.refused.append(reason)


class _Above(asyncio.Protocol):
    """The connection that is told what the client said."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.heard: list[bytes] = []
        self.told: list[str] = []
        self.stays = False
        self.refuses = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self.refuses:
            self.transport.write(b"HTTP/1.1 503 Too many\r\n\r\n")
            assert not self.transport.can_write_eof()
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.stays

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class _Raw(asyncio.Transport):
    """The socket's transport: keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.ended = self.closing = False
        self.reading = True
        self.unsent = 0

    def write(self, data: Any) -> None:
        assert not self.ended
        self.sent += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Pair:
    """A real TLS client, the layer under test, and the two it stands between."""

    def __init__(self, certificate: Certificate, *, refuses: bool = False) -> None:
        context = server_context(unlimited(UNREACHABLE, UNREACHABLE, **certificate.settings))
        assert context is not None
        self.plane, self.above, self.raw = _Plane(), _Above(), _Raw()
        self.above.refuses = refuses
        self.layer = TlsTransport(self.plane, self.above, context)  # type: ignore[arg-type]
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = certificate.trust.wrap_bio(self.incoming, self.outgoing, server_hostname=NAME)
        self.layer.connection_made(self.raw)

    def carry(self, *, piece: int = 2**20) -> None:
        """Take what either side has for the other across, in pieces."""
        while (sent := self.outgoing.read()) or self.raw.sent:
            for at in range(0, len(sent), piece):
                self.layer.data_received(sent[at : at + piece])
            self.incoming.write(self.raw.sent)
            self.raw.sent = b""
            self._shake()

    def _shake(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.do_handshake()

    def open(self, *, piece: int = 2**20) -> None:
        """Make the handshake."""
        self._shake()
        self.carry(piece=piece)
        assert self.layer.open

    def hears(self) -> bytes:
        """Give what the client can read now."""
        said = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self.client.read(2**20):
                said += data
        return said


@pytest.mark.parametrize("piece", [1, 7, 1000, 2**20])
@pytest.mark.parametrize("size", [1, 16 * 1024, 16 * 1024 + 1, 100_000])
def test_both_ways_whole_however_it_is_cut(certificate: Certificate, piece: int, size: int) -> None:
    """Handshake, a request and an answer in pieces of any size, of one record and of several."""
    pair = Pair(certificate)
    pair.open(piece=piece)
    said = bytes(range(256)) * (size // 256 + 1)
    done = 0
    while done < size:
        done += pair.client.write(memoryview(said)[done:size])
    pair.carry(piece=piece)
    assert b"".join(pair.above.heard) == said[:size]
    pair.above.transport.writelines((b"head", memoryview(said)[:size]))
    pair.above.transport.write(bytearray(b"tail"))
    pair.above.transport.write(b"")
    pair.carry()
    assert pair.hears() == b"head" + said[:size] + b"tail"


def test_what_was_said_with_the_end_of_the_handshake_is_heard(certificate: Certificate) -> None:
    """A client sends its first request with its last word of the handshake."""
    pair = Pair(certificate)
    pair._shake()
    pair.layer.data_received(pair.outgoing.read())
    pair.incoming.write(pair.raw.sent)
    pair.client.do_handshake()
    pair.client.write(b"GET")
    pair.layer.data_received(pair.outgoing.read())
    assert pair.above.heard == [b"GET"]


def test_one_direction_ends_alone(certificate: Certificate) -> None:
    """The client reads to an announced end; what it still sends is dropped, its end closes."""
    pair = Pair(certificate)
    pair.open()
    pair.above.transport.write(b"last")
    pair.above.transport.write_eof()
    assert pair.raw.ended
    assert not pair.raw.closing
    pair.incoming.write(pair.raw.sent)
    assert pair.client.read(100) == b"last"
    assert pair.client.read(100) == b""
    pair.client.write(b"more")
    pair.layer.data_received(pair.outgoing.read())
    pair.above.transport.write(b"too late")
    assert pair.above.heard == []
    assert pair.layer.eof_received() is False


@pytest.mark.parametrize("stays", [False, True])
def test_a_client_may_end_what_it_says_and_still_be_answered(
    certificate: Certificate, stays: bool
) -> None:
    """If a request is under way; else the connection is closed, with an end that is announced."""
    pair = Pair(certificate)
    pair.open()
    pair.above.stays = stays
    pair.client.write(b"GET")
    with contextlib.suppress(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.layer.data_received(pair.outgoing.read())
    assert pair.above.heard == [b"GET"]
    assert pair.above.told == ["eof"]
    assert pair.raw.closing is not stays
    if stays:
        assert pair.layer.eof_received() is True
        pair.layer.data_received(b"what cannot be")
        pair.above.transport.write(b"answer")
        pair.above.transport.close()
        pair.incoming.write(pair.raw.sent)
        assert pair.client.read(100) == b"answer"
        pair.client.unwrap()
    assert pair.raw.closing


def test_an_end_that_was_not_announced_closes(certificate: Certificate) -> None:
    """Whoever is on the way may cut a stream; only the client itself can say that it is over."""
    pair = Pair(certificate)
    pair.open()
    pair.above.stays = True
    assert pair.layer.eof_received() is False
    assert pair.above.told == []


def test_bytes_that_are_no_record_close(certificate: Certificate) -> None:
    """With an alert, and nothing of them is handed on."""
    pair = Pair(certificate)
    pair.open()
    pair.client.write(b"GET")
    sent = bytearray(pair.outgoing.read())
    sent[-1] ^= 1
    pair.layer.data_received(bytes(sent))
    assert pair.above.heard == []
    assert pair.raw.sent
    assert pair.raw.closing
    pair.layer.connection_lost(None)
    assert pair.above.told == ["lost"]
    assert pair.plane.refused == []


def deadline(pair: Pair) -> None:
    """Do what a connection does when its client said nothing in time."""
    pair.above.transport.close()


@pytest.mark.parametrize(
    ("trouble", "counted"),
    [
        (lambda pair: pair.layer.data_received(b"GET / HTTP/1.1\r\nHost: g\r\n\r\n"), True),
        (lambda pair: pair.layer.data_received(b"\x16\x03\x01"), True),
        (deadline, True),
        (lambda pair: None, False),
    ],
    ids=["plain HTTP", "gone in the middle", "silent", "gone without a word"],
)
def test_a_failed_handshake_is_counted_once(
    certificate: Certificate, trouble: Callable[[Pair], None], counted: bool
) -> None:
    """But not who only looked whether the port is open."""
    pair = Pair(certificate)
    trouble(pair)
    assert pair.layer.eof_received() is False
    pair.layer.connection_lost(None)
    assert pair.plane.refused == ["tls"] * counted
    assert pair.above.heard == []
    assert pair.above.told == ["lost"]


def test_who_is_one_too_many_is_closed_without_a_handshake(certificate: Certificate) -> None:
    """Nothing can be said to it yet, and its handshake would cost what the limit is to spare."""
    pair = Pair(certificate, refuses=True)
    assert pair.raw.closing
    assert pair.raw.sent == b""
    pair._shake()
    pair.layer.data_received(pair.outgoing.read())
    pair.layer.connection_lost(None)
    assert pair.raw.sent == b""
    assert pair.plane.refused == []


def test_a_handshake_that_a_drain_ends_did_not_fail(certificate: Certificate) -> None:
    """It was the gateway that left."""
    pair = Pair(certificate)
    pair.plane.draining = True
    pair.above.transport.close()
    pair.layer.connection_lost(None)
    assert pair.plane.refused == []


def test_who_does_not_read_what_tls_itself_answers_is_not_read(certificate: Certificate) -> None:
    """Else it could have memory filled with answers that no deadline is for."""
    pair = Pair(certificate)
    pair.open()
    pair.layer.outgoing.write(b"an answer to a key update")
    pair.raw.unsent = 1
    pair.client.write(b"GET")
    pair.layer.data_received(pair.outgoing.read())
    assert not pair.raw.reading
    assert pair.above.heard == [b"GET"]
    pair.above.transport.pause_reading()
    pair.above.transport.resume_reading()
    assert not pair.raw.reading
    pair.layer.resume_writing()
    assert pair.raw.reading
    assert pair.above.told == ["resume"]


def test_older_tls_is_not_spoken(certificate: Certificate) -> None:
    """1.2 and 1.3, as the settings have no word for others."""
    context = server_context(unlimited(UNREACHABLE, UNREACHABLE, **certificate.settings))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert server_context(unlimited(UNREACHABLE, UNREACHABLE)) is None
