"""
The gateway's own answers, as bytes: RFC 9457 problem documents and small JSON documents.

Answers that depend on nothing but their status are rendered once; what varies per request (request
id, whether the connection closes) is added by the connection that writes them.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

import orjson

JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer(NamedTuple):
    """Status line and header fields (each with its line end), and the body."""

    status: int
    head: bytes
    body: bytes


def document(status: int, body: bytes, kind: bytes = JSON, fields: bytes = b"") -> Answer:
    """Make an answer around a body; `fields` are whole header lines."""
    head = (
        b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nCache-Control: no-store\r\n%b"
        % (
            status,
            HTTPStatus(status).phrase.encode(),
            kind,
            len(body),
            fields,
        )
    )
    return Answer(status, head, body)


@lru_cache(maxsize=256)
def problem(status: int, detail: str, fields: bytes = b"") -> Answer:
    """Make an RFC 9457 document; `detail` says what is wrong in one sentence."""
    body = orjson.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
    )
    return document(status, body, PROBLEM, fields)


def limited(detail: str, *, name: str, quota: int, window_s: int, retry_after_s: int) -> Answer:
    """Make a 429 with what the client needs to behave better."""
    fields = (
        f"Retry-After: {retry_after_s}\r\n"
        f'RateLimit: "{name}";r=0;t={retry_after_s}\r\n'
        f'RateLimit-Policy: "{name}";q={quota};w={window_s}\r\n'
    )
    return problem(429, detail, fields.encode())


def unavailable(detail: str, retry_after_s: int) -> Answer:
    """Make a 503 that says when to come back."""
    return problem(503, detail, b"Retry-After: %d\r\n" % retry_after_s)
