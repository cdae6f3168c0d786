"""
Heads of answers that were read before.

Systems answer most requests with the same head, byte for byte; and the heads of syncs differ only
in a few values: id, digest, number of records, length of the body. So what llhttp and `answers`
made of a head is remembered twice: by its bytes, and by its shape, the bytes without those values.
A value takes part only if it is letters, digits and dashes, and a shape is only kept if what was
read as a whole is what its parts say; so a head that is known by its shape could not have been read
in any other way.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.proxy.answers import AnswerHead

_ENTRIES: Final = 512
REMEMBERED_HEAD_BYTES: Final = 4096
_VARIABLE: Final = re.compile(
    rb"(\r\n(?:content-length|sync-id|sync-digest|sync-records): )([0-9a-z-]{1,64})(?=\r\n)",
    re.IGNORECASE,
)
_MOST_DIGITS: Final = 12


class _Shape(NamedTuple):
    """What heads of one shape have in common; `between` is `forward` without the values."""

    template: AnswerHead
    names: tuple[bytes, ...]
    between: tuple[bytes, ...]


class Heads:
    """What is remembered of one upstream's answers; answers of known length only."""

    __slots__ = ("_known", "_max_body_bytes", "_shapes")

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._known: dict[bytes, AnswerHead] = {}
        # Kept in pieces: joined, a place without a value would look like one that lost it.
        self._shapes: dict[tuple[bytes, ...], _Shape] = {}

    def get(self, head: bytes) -> AnswerHead | None:
        """Give what was made of an equal head, or of one of that shape; None to read it."""
        answer = self._known.get(head)
        if answer is not None:
            return answer
        pieces = _VARIABLE.split(head)
        values = pieces[2::3]
        del pieces[2::3]
        shape = self._shapes.get(tuple(pieces))
        if shape is None:
            return None
        return self._read(shape, values)

    def _read(self, shape: _Shape, values: list[bytes]) -> AnswerHead | None:
        """Put the values of a head into its shape."""
        read = dict(zip(shape.names, values, strict=False))
        length, records = read[b"content-length"], read.get(b"sync-records", b"0")
        if not (length.isdigit() and records.isdigit()):
            return None
        if len(length) > _MOST_DIGITS or len(records) > _MOST_DIGITS:
            return None
        if int(length) > self._max_body_bytes:
            return None
        template = shape.template
        return AnswerHead(
            status=template.status,
            forward=_joined(shape.between, values),
            length=int(length),
            keep_alive=True,
            outcome=template.outcome,
            sync_failed=template.sync_failed,
            sync_id=read.get(b"sync-id", b""),
            sync_digest=read.get(b"sync-digest", b""),
            sync_records=int(records),
            dry_run=template.dry_run,
        )

    def remember(self, head: bytes, answer: AnswerHead) -> None:
        """Keep what was made of a head, if the next one like it may be read the same way."""
        usable = answer.length >= 0 and answer.keep_alive and len(head) <= REMEMBERED_HEAD_BYTES
        if not (usable and head.startswith(b"HTTP/1.1 ")):
            return
        if not answer.sync_id:  # else it is unlike any other
            if len(self._known) >= _ENTRIES:
                self._known.clear()
            self._known[head] = answer
        pieces, forward = _VARIABLE.split(head), _VARIABLE.split(answer.forward)
        names = tuple(name[2:-2].lower() for name in pieces[1::3])
        values = pieces[2::3]
        shape = _Shape(answer, names, (*_without_values(forward),))
        once = len(set(names)) == len(names) and b"content-length" in names
        if not once or forward[2::3] != values or self._read(shape, values) != answer:
            return
        if len(self._shapes) >= _ENTRIES:
            self._shapes.clear()
        del pieces[2::3]
        self._shapes[tuple(pieces)] = shape


def _without_values(pieces: list[bytes]) -> list[bytes]:
    """Give what stands before, between and after the values of a split head."""
    kept = [before + name for before, name in zip(pieces[0::3], pieces[1::3], strict=False)]
    return [*kept, pieces[-1]]


def _joined(between: tuple[bytes, ...], values: list[bytes]) -> bytes:
    made = [b""] * (2 * len(values) + 1)
    made[0::2] = between
    made[1::2] = values
    return b"".join(made)
