"""
A strict reading of RFC 9112 in plain Python, slow and obvious, to compare the edge with.

It reads a client's whole stream and says which requests are complete and beyond doubt. The edge may
refuse more than this (it has limits and dislikes of its own), but it must never pass on a request
that is not in this list, in this order, with these bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Several spaces are told apart from one by nobody, so llhttp's leniency there is harmless.
_REQUEST_LINE = re.compile(rb"([A-Z]+) +([!-~]+) +HTTP/1\.([01])\r\n")
# llhttp also takes RTSP; the edge notices on the first request of a read, and a system behind it
# is always spoken to in HTTP, whatever a request sent ahead called itself.
_SENT_AHEAD = re.compile(rb"([A-Z]+) +([!-~]+) +(?:HTTP|RTSP)/1\.([01])\r\n")
_FIELD = re.compile(rb"(%b):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n" % _TOKEN)
_QUOTED = rb"\"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*\""
# Extensions end here, so llhttp's indifference to an empty name or value harms nobody.
_CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:;(?=[^\r])(?:%b)?(?:=(?:%b|%b)?)?)*)\r\n" % (_TOKEN, _TOKEN, _QUOTED)
)


@dataclass(frozen=True)
class Complete:
    """One request that nobody could read differently."""

    method: bytes
    target: bytes
    body: bytes


def read_stream(raw: bytes) -> list[Complete]:
    """Give the complete requests up to the first fault or the end."""
    found: list[Complete] = []
    at = 0
    while at < len(raw):
        # Empty lines before a request are ignored; between two, so are stray halves of them.
        while raw[at : at + 2] == b"\r\n" or (found and raw[at : at + 1] in {b"\r", b"\n"}):
            at += 2 if raw[at : at + 2] == b"\r\n" else 1
        step = _request(raw, at, _SENT_AHEAD if found else _REQUEST_LINE)
        if step is None:
            return found
        request, at, stays_open = step
        found.append(request)
        if not stays_open:
            return found
    return found


def _request(
    raw: bytes, at: int, request_line: re.Pattern[bytes]
) -> tuple[Complete, int, bool] | None:
    line = request_line.match(raw, at)
    if line is None:
        return None
    fields, end = _fields(raw, line.end())
    if fields is None:
        return None
    framing = _framing(fields, version_1_1=line[3] == b"1")
    if framing is None:
        return None
    body, end = _chunks(raw, end) if framing == "chunked" else _sized(raw, end, int(framing))
    if body is None:
        return None
    connection = b",".join(value for name, value in fields if name == b"connection").lower()
    tokens = {token.strip() for token in connection.split(b",")}
    stays_open = b"close" not in tokens and (line[3] == b"1" or b"keep-alive" in tokens)
    return Complete(line[1], line[2], body), end, stays_open


def _fields(raw: bytes, at: int) -> tuple[list[tuple[bytes, bytes]] | None, int]:
    fields = []
    while raw[at : at + 2] != b"\r\n":
        field = _FIELD.match(raw, at)
        if field is None:
            return None, at
        fields.append((field[1].lower(), field[2]))
        at = field.end()
    return fields, at + 2


def _framing(fields: list[tuple[bytes, bytes]], *, version_1_1: bool) -> str | None:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (version_1_1 and not hosts):
        return None
    if codings:
        return "chunked" if codings == [b"chunked"] and not lengths and version_1_1 else None
    if not lengths:
        return "0"
    return lengths[0].decode() if len(lengths) == 1 and lengths[0].isdigit() else None


def _sized(raw: bytes, at: int, length: int) -> tuple[bytes | None, int]:
    return (raw[at : at + length], at + length) if at + length <= len(raw) else (None, at)


def _chunks(raw: bytes, at: int) -> tuple[bytes | None, int]:
    body = b""
    while True:
        chunk = _CHUNK.match(raw, at)
        if chunk is None:
            return None, at
        size, at = int(chunk[1], 16), chunk.end()
        if size == 0:
            trailers, at = _fields(raw, at)
            return (None if trailers is None else body), at
        if raw[at + size : at + size + 2] != b"\r\n":
            return None, at
        body += raw[at : at + size]
        at += size + 2
