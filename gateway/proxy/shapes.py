"""
Request heads that differ from one seen before only in values that change with every request.

Many clients give each request an id or a trace, and bodies have their own length; all else in their
heads is the same, byte for byte. What llhttp and the guard made of such a head holds for the next
one, too: its shape, the bytes without those values, has been through both. A value takes part only
if it is of the form the guard would keep, which no parser reads as anything but a value; and the
gateway writes those fields itself, so none of what is forwarded as it came depends on them.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.proxy.guard import CHUNKED, Head, Rules

_ENTRIES: Final = 512
_VARIABLE: Final = re.compile(
    rb"(\r\n(?:content-length: (?=[0-9]{1,9}\r)|x-request-id: (?=[A-Za-z0-9._:@/+=\-]{1,128}\r)"
    rb"|traceparent: (?=00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\r)))([^\r]+)",
    re.IGNORECASE,
)
_LENGTH: Final = b"\r\ncontent-length: "
_REQUEST_ID: Final = b"\r\nx-request-id: "
_TRACE: Final = b"\r\ntraceparent: "
_TRACE_STATE: Final = b"\r\ntracestate:"
_NAMES: Final = (_LENGTH, _REQUEST_ID, _TRACE)
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16


class Shapes:
    """The shapes one worker knows."""

    __slots__ = ("_known", "_rules")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        # Kept in pieces: joined, a place without a value would look like one that lost it.
        self._known: dict[tuple[bytes, ...], Head] = {}

    def get(self, raw: bytes) -> Head | None:
        """Read a whole head of a known shape; None to read it the long way."""
        pieces = _VARIABLE.split(raw)
        names, values = pieces[1::3], pieces[2::3]
        if not names:
            return None
        del pieces[2::3]
        template = self._known.get(tuple(pieces))
        if template is None:
            return None
        length, request_id, trace = template.length, template.request_id, template.traceparent
        for name, value in zip(names, values, strict=True):
            field = name.lower()
            if field == _REQUEST_ID:
                request_id = value
            elif field == _LENGTH:
                length = int(value)
                if length > self._rules.max_body_bytes:
                    return None
            elif value[3:35] == _NO_TRACE or value[36:52] == _NO_SPAN or value != value.lower():
                return None  # no valid trace: for the guard to say so
            else:
                trace = value
        return Head(
            template.method, template.path, template.is_read, template.is_head, template.forward,
            length, template.keep_alive, template.is_1_0, template.expects_continue,
            template.client_id, template.api_key, template.forced, template.operator_token,
            request_id, trace, template.idempotency_key,
        )  # fmt: skip

    def learn(self, raw: bytes, head: Head) -> None:
        """Keep the shape of a head that has been read the long way."""
        pieces = _VARIABLE.split(raw)
        names = [name.lower() for name in pieces[1::3]]
        if not names or head.length == CHUNKED or len(raw) > self._rules.max_header_bytes:
            return
        # A name that stands twice, or not as it is known here: every such head is read anew.
        lower = raw.lower()
        if any(lower.count(name[:-1]) != names.count(name) for name in _NAMES):
            return
        if _TRACE_STATE in lower:
            return  # travels on only with a trace that is valid
        if len(self._known) >= _ENTRIES:
            self._known.clear()
        del pieces[2::3]
        self._known[tuple(pieces)] = head
