"""
What a request must look like before anything else happens to it.

llhttp, strict, has already refused what is no HTTP at all. What is left is HTTP that two programs
may read differently, and that is how requests are smuggled: so everything ambiguous is refused,
not repaired. The rules for header fields stand in one table, by name; a field that is not in the
table travels on as it came. The result depends on the bytes alone, never on time or peer, so that
equal heads may share one result.

What leaves for the upstream is `Head.forward`: the request line and the fields that travel on. The
sender adds the rest (Host, framing, identity), so nothing a client says about those can get past.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gateway.proxy.configuration import DataPlaneSettings

CHUNKED: Final = -1
NO_BODY: Final = -2
_NAME_BYTES: Final = 256


class Refusal(NamedTuple):
    """Why a request is not served, as the client will read it."""

    status: int
    detail: str


@dataclass(slots=True)
class Head:
    """A request that may be served. `length` is of the body: `CHUNKED`, `NO_BODY` or bytes.

    Never changed, but not frozen: that would make every new head two microseconds dearer.
    """

    method: bytes
    path: bytes
    is_read: bool
    is_head: bool
    forward: bytes
    length: int
    keep_alive: bool
    is_1_0: bool
    expects_continue: bool
    client_id: bytes | None
    api_key: bytes | None
    forced: bytes | None
    operator_token: bytes | None
    request_id: bytes | None
    traceparent: bytes | None
    idempotency_key: bytes | None


class Rules(NamedTuple):
    """The limits a head is held to."""

    max_headers: int
    max_header_bytes: int
    max_target_bytes: int
    max_body_bytes: int

    @classmethod
    def of(cls, settings: DataPlaneSettings) -> Rules:
        """Take the limits out of the settings."""
        return cls(
            settings.max_headers,
            settings.max_header_bytes,
            settings.max_target_bytes,
            settings.max_body_bytes,
        )


class _RefusedError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(status, detail)


_READS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
_METHODS: Final = _READS | {b"POST", b"PUT", b"PATCH", b"DELETE"}
_PLAIN: Final = rb"[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]|{}]*"
_TARGET: Final = re.compile(rb"/%b(?:%%[0-9A-Fa-f]{2}%b)*" % (_PLAIN, _PLAIN))
_DOT_SEGMENT: Final = re.compile(rb"/(?:\.|%2e){1,2}(?:/|\?|$)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(
    rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
)
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:@/+=\-]{1,128}")
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_VISIBLE: Final = re.compile(rb"[\x21-\x7e]{1,255}")


class _Reading:
    """The fields that mean something to the gateway, while a head is being read.

    Defaults are the class's, so that making one costs nothing and only what was sent is stored.
    """

    host: bytes | None = None
    length = NO_BODY
    chunked = False
    connection: tuple[bytes, ...] = ()
    upgrade = False
    expects_continue = False
    client_id: bytes | None = None
    api_key: bytes | None = None
    forced: bytes | None = None
    operator_token: bytes | None = None
    request_id: bytes | None = None
    traceparent: bytes | None = None
    tracestate: tuple[bytes, ...] = ()
    idempotency_key: bytes | None = None


@lru_cache(maxsize=1024)
def _is_authority(value: bytes) -> bool:
    return _AUTHORITY.fullmatch(value) is not None


def _host(reading: _Reading, value: bytes) -> None:
    if reading.host is not None:
        raise _RefusedError(400, "Host stands twice.")
    if not _is_authority(value):
        raise _RefusedError(400, "Host is not a host name with an optional port.")
    reading.host = value


def _content_length(reading: _Reading, value: bytes) -> None:
    if reading.length != NO_BODY or not value.isdigit():
        raise _RefusedError(400, "Content-Length is not one decimal number.")
    reading.length = int(value)


def _transfer_encoding(reading: _Reading, value: bytes) -> None:
    if reading.chunked or value.lower() != b"chunked":
        raise _RefusedError(400, "Transfer-Encoding may only be one 'chunked'.")
    reading.chunked = True


def _content_encoding(_reading: _Reading, value: bytes) -> None:
    if value.lower() not in {b"identity", b""}:
        raise _RefusedError(415, "Content-Encoding is not supported; send the body as it is.")


def _connection(reading: _Reading, value: bytes) -> None:
    reading.connection += tuple(token.strip().lower() for token in value.split(b","))


def _upgrade(reading: _Reading, _value: bytes) -> None:
    reading.upgrade = True


def _expect(reading: _Reading, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise _RefusedError(417, "Expect may only be 100-continue.")
    reading.expects_continue = True


def _client_id(reading: _Reading, value: bytes) -> None:
    reading.client_id = reading.client_id or _name(value)


def _api_key(reading: _Reading, value: bytes) -> None:
    reading.api_key = reading.api_key or _name(value)


def _name(value: bytes) -> bytes:
    """Bound what tables keep of a client: a long name goes by its digest."""
    return value if len(value) <= _NAME_BYTES else blake2b(value, digest_size=24).digest()


def _forced(reading: _Reading, value: bytes) -> None:
    reading.forced = value


def _operator_token(reading: _Reading, value: bytes) -> None:
    reading.operator_token = value


def _request_id(reading: _Reading, value: bytes) -> None:
    if _REQUEST_ID.fullmatch(value):
        reading.request_id = value


def _traceparent(reading: _Reading, value: bytes) -> None:
    if _TRACEPARENT.fullmatch(value):
        reading.traceparent = value


def _tracestate(reading: _Reading, value: bytes) -> None:
    reading.tracestate += (value,)


def _idempotency_key(reading: _Reading, value: bytes) -> None:
    if reading.idempotency_key is not None or not _VISIBLE.fullmatch(value):
        raise _RefusedError(400, "Idempotency-Key must stand once, 1 to 255 visible characters.")
    reading.idempotency_key = value


def _dropped(_reading: _Reading, _value: bytes) -> None:
    """Hop-by-hop, or a word that only the gateway itself may say to an upstream."""


# What is read here travels on only if it is in _ALSO_FORWARDED; every other name travels as it is.
_FIELDS: Final[Mapping[bytes, Callable[[_Reading, bytes], None]]] = {
    b"host": _host,
    b"content-length": _content_length,
    b"transfer-encoding": _transfer_encoding,
    b"content-encoding": _content_encoding,
    b"connection": _connection,
    b"upgrade": _upgrade,
    b"expect": _expect,
    b"x-client-id": _client_id,
    b"apikey": _api_key,
    b"sync-system": _forced,
    b"sync-operator-token": _operator_token,
    b"x-request-id": _request_id,
    b"traceparent": _traceparent,
    b"tracestate": _tracestate,
    b"idempotency-key": _idempotency_key,
    b"sync-shadow-of": _dropped,
    b"sync-shadow-digest": _dropped,
    b"sync-write-back-of": _dropped,
    b"keep-alive": _dropped,
    b"proxy-connection": _dropped,
    b"proxy-authenticate": _dropped,
    b"proxy-authorization": _dropped,
    b"te": _dropped,
    b"trailer": _dropped,
    b"forwarded": _dropped,
    b"x-real-ip": _dropped,
    b"http2-settings": _dropped,
}
_ALSO_FORWARDED: Final = frozenset(
    {b"x-client-id", b"apikey", b"content-encoding", b"idempotency-key"}
)


def inspect(
    method: bytes,
    target: bytes,
    version: str,
    headers: Sequence[tuple[bytes, bytes]],
    rules: Rules,
    *,
    upgrade: bool = False,
) -> Head | Refusal:
    """Hold one parsed request head against every rule."""
    try:
        return _inspect(method, target, version, headers, rules, upgrade=upgrade)
    except _RefusedError as error:
        return error.refusal


def _inspect(
    method: bytes,
    target: bytes,
    version: str,
    headers: Sequence[tuple[bytes, bytes]],
    rules: Rules,
    *,
    upgrade: bool,
) -> Head:
    if version not in {"1.1", "1.0"}:
        raise _RefusedError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if method not in _METHODS:
        raise _RefusedError(400 if method == b"CONNECT" else 405, "This method is not served.")
    if len(target) > rules.max_target_bytes:
        raise _RefusedError(414, f"The target is longer than {rules.max_target_bytes} bytes.")
    reading = _Reading()
    forwarded = _read_fields(headers, reading, rules)
    _check_framing(reading, version, rules)
    if upgrade or (reading.upgrade and b"upgrade" in reading.connection):
        raise _RefusedError(400, "Upgrades are not served.")
    if reading.host is None and version == "1.1":
        raise _RefusedError(400, "Host is missing.")
    target = _origin_form(target, reading.host)
    if reading.host is not None:
        forwarded.append(b"X-Forwarded-Host: %b\r\n" % reading.host)
    is_1_0 = version == "1.0"
    wants_more = b"close" not in reading.connection
    return Head(
        method=method,
        path=target.partition(b"?")[0],
        is_read=method in _READS,
        is_head=method == b"HEAD",
        forward=b"".join((method, b" ", target, b" HTTP/1.1\r\n", *forwarded)),
        length=CHUNKED if reading.chunked else reading.length,
        keep_alive=wants_more and (not is_1_0 or b"keep-alive" in reading.connection),
        is_1_0=is_1_0,
        expects_continue=reading.expects_continue and not is_1_0,
        client_id=reading.client_id or None,
        api_key=reading.api_key or None,
        forced=reading.forced,
        operator_token=reading.operator_token,
        request_id=reading.request_id,
        traceparent=reading.traceparent,
        idempotency_key=reading.idempotency_key,
    )


def _read_fields(
    headers: Sequence[tuple[bytes, bytes]], reading: _Reading, rules: Rules
) -> list[bytes]:
    """Measure, apply the table, and return the pieces of the fields that travel on."""
    if len(headers) > rules.max_headers:
        raise _RefusedError(431, f"More than {rules.max_headers} header fields.")
    size = 4 * len(headers)
    kept: list[bytes] = []
    for name, raw in headers:
        size += len(name) + len(raw)
        lower = name.lower()
        if b"_" in lower:
            # CGI-like servers read Content_Length and Content-Length as one name.
            raise _RefusedError(400, "A header name contains an underscore.")
        value = raw.strip(b" \t")
        rule = _FIELDS.get(lower)
        if rule is not None:
            rule(reading, value)
            if lower not in _ALSO_FORWARDED:
                continue
        elif lower.startswith(b"x-forwarded-"):
            continue
        kept += (name, b": ", value, b"\r\n")
    if size > rules.max_header_bytes:
        raise _RefusedError(431, f"The header is longer than {rules.max_header_bytes} bytes.")
    if reading.traceparent is not None:
        for value in reading.tracestate:
            kept += (b"tracestate", b": ", value, b"\r\n")
    return without(kept, reading.connection) if reading.connection else kept


def without(kept: list[bytes], named: Collection[bytes]) -> list[bytes]:
    """Leave out the fields that Connection names; pieces come in fours, the name first."""
    return [
        piece
        for at in range(0, len(kept), 4)
        if kept[at].lower() not in named
        for piece in kept[at : at + 4]
    ]


def _check_framing(reading: _Reading, version: str, rules: Rules) -> None:
    if reading.chunked and reading.length != NO_BODY:
        raise _RefusedError(400, "Content-Length and Transfer-Encoding exclude each other.")
    if reading.chunked and version == "1.0":
        raise _RefusedError(400, "HTTP/1.0 has no Transfer-Encoding.")
    if reading.length > rules.max_body_bytes:
        raise _RefusedError(413, f"The body is larger than {rules.max_body_bytes} bytes.")


def _origin_form(target: bytes, host: bytes | None) -> bytes:
    """Give the path and query; an absolute target must name the host that Host names."""
    if not target.startswith(b"/") and target[:7].lower() == b"http://":
        authority, slash, rest = target[7:].partition(b"/")
        if authority != host:
            raise _RefusedError(400, "The target and Host name different hosts.")
        target = slash + rest or b"/"
    if not _TARGET.fullmatch(target):
        raise _RefusedError(400, "The target is not a path with an optional query.")
    if (b"/." in target or b"/%2" in target) and _DOT_SEGMENT.search(target.partition(b"?")[0]):
        raise _RefusedError(400, "The target contains dot segments.")
    return target
