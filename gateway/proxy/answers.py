"""
What an upstream's answer must look like before a client may see it.

The mirror image of `guard`: llhttp has refused what is no HTTP; here the rest is refused whose end
cannot be known. An answer that ends with the connection looks the same whether it is whole or cut
off, so it is not believed: an answer is delimited by Content-Length or by chunks, or has no body by
definition. Hop-by-hop fields stop here; the client's side adds its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.core.model import Outcome
from gateway.proxy.guard import without

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNKED: Final = -1
EMPTY: Final = -2
FIRST_FINAL: Final = 200
CLIENT_ERROR: Final = 400
SERVER_ERROR: Final = 500
_DRY_RUNS: Final = frozenset({b"applied", b"planned"})
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304
_ORDINARY: Final = frozenset({b"close", b"keep-alive"})
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"trailer",
     b"transfer-encoding", b"upgrade", b"sync-system", b"x-request-id"}
)  # fmt: skip


@dataclass(slots=True)
class AnswerHead:
    """A head that may be passed on: `forward` is status line and fields, each with its line end.

    Never changed, but not frozen: that would make every new head a microsecond dearer.

    `length` is `CHUNKED`, `EMPTY` (no body by definition) or bytes; with a length, the field that
    says so is part of `forward`. The sync fields are those of a sync's answer.
    """

    status: int
    forward: bytes
    length: int
    keep_alive: bool
    outcome: Outcome
    """What it says of the system that gave it."""
    sync_failed: bool = False
    sync_id: bytes = b""
    sync_digest: bytes = b""
    sync_records: int = 0
    dry_run: bool = False
    """It confirms that it was a dry run."""


def _outcome(status: int, *, sync_failed: bool) -> Outcome:
    """Judge; a sync may fail with any status."""
    if status >= SERVER_ERROR or sync_failed:
        return Outcome.ERROR
    return Outcome.REJECTED if status >= CLIENT_ERROR else Outcome.OK


def read_answer(  # noqa: C901 - one row per field that means something
    status: int,
    reason: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    keep_alive: bool,
    to_head: bool,
) -> AnswerHead | None:
    """Read one parsed head; None if the answer must not be passed on."""
    kept: list[bytes] = [b"HTTP/1.1 %d " % status, reason, b"", b"\r\n"]
    sync: dict[bytes, bytes] = {}
    named: set[bytes] = set()
    length, chunked = EMPTY, False
    for name, raw in headers:
        lower = name.lower()
        value = raw.strip(b" \t")
        if lower == b"content-length":
            if length != EMPTY or not value.isdigit():
                return None
            length = int(value)
        elif lower == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                return None
            chunked = True
        elif lower == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
        elif lower.startswith(b"sync-"):
            sync[lower] = value
        if lower not in _HOP_BY_HOP:
            kept += (name, b": ", value, b"\r\n")
    bodiless = to_head or status in {_NO_CONTENT, _NOT_MODIFIED} or status < FIRST_FINAL
    if not bodiless and (chunked == (length != EMPTY)):
        return None  # neither or both: nobody could say where this answer ends
    if status == _NO_CONTENT or status < FIRST_FINAL:
        named.add(b"content-length")
    if named - _ORDINARY:
        kept = without(kept, named)
    sync_failed = sync.get(b"sync-status") == b"failed"
    return AnswerHead(
        status=status,
        forward=b"".join(kept),
        length=EMPTY if bodiless else CHUNKED if chunked else length,
        keep_alive=keep_alive,
        outcome=_outcome(status, sync_failed=sync_failed),
        sync_failed=sync_failed,
        sync_id=sync.get(b"sync-id", b""),
        sync_digest=sync.get(b"sync-digest", b""),
        sync_records=_count(sync.get(b"sync-records", b"")),
        dry_run=sync.get(b"sync-dry-run") in _DRY_RUNS,
    )


def _count(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) <= 12 else 0  # noqa: PLR2004 - sane counts
