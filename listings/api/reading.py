"""What a request brings besides its JSON: body, query and headers, each refused with its reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from listings.codec.japanese import read_timestamp
from listings.codec.values import fault
from listings.errors import Fault, InvalidInput
from listings.http import headers
from listings.model import PROOF_WORKSPACE
from listings.settings import WORKSPACE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.requests import Request

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_PAGE: Final = 1000
_WORKSPACE: Final = re.compile(WORKSPACE_PATTERN)
_DIGITS: Final = re.compile(r"[0-9]{1,9}")


async def read_body(request: Request) -> bytes:
    """Read a JSON body of at most 16 MiB; anything else is 413 or 415 before it is read whole."""
    content_type = request.headers.get("content-type", "application/json").lower()
    kind, _, parameters = content_type.partition(";")
    charset = re.search(r'charset\s*=\s*"?([^";\s]+)', parameters)
    if kind.strip() != "application/json" or (charset and charset[1] not in ("utf-8", "utf8")):
        raise HTTPException(415, f"Send application/json in UTF-8, not {content_type[:100]!r}.")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        raise HTTPException(415, f"Send the body as it is, not encoded with {encoding[:40]!r}.")
    size = request.headers.get("content-length", "0")
    if _DIGITS.fullmatch(size) is None or int(size) > MAX_BODY_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > MAX_BODY_BYTES:
                raise _too_large()
            chunks.append(chunk)
    except ClientDisconnect as exc:
        raise HTTPException(400, "The connection was closed before the body was whole.") from exc
    return b"".join(chunks)


def read_workspace(found: Mapping[str, str], default: str) -> str:
    """Return the workspace a request names, or the service's own."""
    workspace_id = found.get(headers.SYNC_WORKSPACE)
    if workspace_id is None:
        return default
    if workspace_id == PROOF_WORKSPACE:
        raise HTTPException(
            403, f"The workspace {PROOF_WORKSPACE!r} is kept for proving dry runs; name another."
        )
    if _WORKSPACE.fullmatch(workspace_id) is None:
        raise InvalidInput(
            "The workspace's name is refused.",
            fault(
                headers.SYNC_WORKSPACE,
                "1 to 64 of letters, digits, '.', '_', '-', starting with a letter or digit",
                workspace_id,
            ),
        )
    return workspace_id


def read_limit(text: str | None, *, default: int) -> int:
    """Read a page's size."""
    if text is None:
        return default
    if _DIGITS.fullmatch(text) is None or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidInput(
            "The limit is refused.", fault("limit", f"a whole number from 1 to {MAX_PAGE}", text)
        )
    return int(text)


def read_moment(text: str | None, place: str) -> datetime | None:
    """Read a timestamp of a query."""
    if text is None:
        return None
    # In a query a plus sign that was not escaped arrives as a space.
    moment = read_timestamp(re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", text))
    if moment is None:
        expected = "a timestamp, as the answer's next gave it"
        raise InvalidInput(f"{place} is no timestamp.", Fault(place, expected, repr(text[:80])))
    return moment


def _too_large() -> HTTPException:
    limit_mib = MAX_BODY_BYTES // (1024 * 1024)
    return HTTPException(413, f"The body is above {limit_mib} MiB; send fewer listings at once.")
