"""
What PostgREST answered, and whose fault it is when it is not what we asked for.

A status alone says little: PostgREST answers 500 for a duplicate in the payload and 404 for a
missing migration. The code in the body decides where there is one (a SQLSTATE, or PGRST...); the
status decides for what comes from proxies in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from listings.codec import decode_json
from listings.errors import InvalidInput, ListingsError, StoreRefused


class Blame(Enum):
    """Whose fault an error is, and so what to do about it."""

    ROWS = "these rows cannot be stored; others can"
    REPEAT = "two writers met; the same call will work"
    BUSY = "asked to come back later"
    DOWN = "PostgREST, its database or the way to them is gone"
    SETUP = "nothing will work until somebody changes something"


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    body: Any
    preferences: frozenset[str]
    content_range: str | None

    @property
    def total(self) -> int | None:
        """How many rows there are in all, when ``count=exact`` was asked."""
        _, _, total = (self.content_range or "").partition("/")
        return int(total) if total.isdigit() else None


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error answer: `code` is a SQLSTATE, PGRST..., or the HTTP status."""

    status: int
    code: str
    message: str
    details: str = ""
    hint: str = ""
    retry_after_s: float | None = None

    @property
    def sentence(self) -> str:
        """Everything that was said, in one line."""
        parts = (self.message, self.details, self.hint)
        return "; ".join(" ".join(part.split()) for part in parts if part)


class RowsRefused(ListingsError):  # noqa: N818 - named like its siblings in listings.errors
    """PostgREST refused the rows of one call; cut them down to find which."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.sentence)
        self.complaint = complaint


_BY_CODE: Final = {
    "40001": Blame.REPEAT,
    "40P01": Blame.REPEAT,
    "55P03": Blame.REPEAT,
    "57014": Blame.REPEAT,
    "42501": Blame.SETUP,
    "PGRST000": Blame.DOWN,
    "PGRST001": Blame.DOWN,
    "PGRST002": Blame.BUSY,  # the schema cache is being built
    "PGRST003": Blame.BUSY,  # no pooled connection came free
    "PGRST102": Blame.ROWS,  # the body cannot be read
    "PGRST202": Blame.SETUP,  # no such function
    "PGRST204": Blame.SETUP,  # no such column
    "PGRST205": Blame.SETUP,  # no such table
    "PGRST301": Blame.SETUP,
    "PGRST302": Blame.SETUP,
    "PGRST303": Blame.SETUP,
}
_BY_CLASS: Final = {
    "08": Blame.DOWN,
    "53": Blame.DOWN,
    "57": Blame.DOWN,
    "58": Blame.DOWN,
    "21": Blame.ROWS,
    "22": Blame.ROWS,
    "23": Blame.ROWS,
    "54": Blame.ROWS,  # a row too large for the database
    "P0": Blame.ROWS,
    "42": Blame.SETUP,
    "28": Blame.SETUP,
    "3D": Blame.SETUP,
    "3F": Blame.SETUP,
}
_BY_STATUS: Final = {
    401: Blame.SETUP,
    403: Blame.SETUP,
    404: Blame.SETUP,
    408: Blame.BUSY,
    413: Blame.ROWS,
    429: Blame.BUSY,
    503: Blame.BUSY,
}
_SQLSTATE_LENGTH: Final = 5
_SERVER_ERROR: Final = 500


def complaint(status: int, content: bytes, retry_after_s: float | None) -> Complaint:
    """Read an error answer; a proxy's HTML or plain text is kept as the message."""
    try:
        body = decode_json(content)
    except InvalidInput:
        body = None
    if not isinstance(body, dict):
        text = content[:200].decode("utf-8", "replace").strip() or f"HTTP {status}"
        return Complaint(status, str(status), text, retry_after_s=retry_after_s)
    return Complaint(
        status,
        code=str(body.get("code") or status),
        message=str(body.get("message") or body.get("msg") or f"HTTP {status}"),
        details=str(body.get("details") or ""),
        hint=str(body.get("hint") or ""),
        retry_after_s=retry_after_s,
    )


def blame(said: Complaint) -> Blame:
    """Say whose fault an error answer is."""
    if (known := _BY_CODE.get(said.code)) is not None:
        return known
    if len(said.code) == _SQLSTATE_LENGTH and (known := _BY_CLASS.get(said.code[:2])) is not None:
        return known
    if (known := _BY_STATUS.get(said.status)) is not None:
        return known
    return Blame.DOWN if said.status >= _SERVER_ERROR else Blame.ROWS


def refusal(said: Complaint) -> StoreRefused:
    """Say what somebody must change, and which setting it is."""
    return StoreRefused(f"PostgREST refused: {said.sentence}; {_advice(said)}", code=said.code)


def _advice(said: Complaint) -> str:
    if said.code == "42501":
        return (
            "SUPABASE_SERVICE_ROLE_KEY must be the service_role key, and the workspace the one it"
            " speaks for"
        )
    if said.code in {"PGRST301", "PGRST302", "PGRST303"} or said.status in {401, 403}:
        return "check SUPABASE_SERVICE_ROLE_KEY (and SUPABASE_ANON_KEY): wrong project, or expired"
    if said.code.startswith(("PGRST20", "42")):
        return "run `syncgate migrate`; if it has run, reload PostgREST's schema cache"
    return (
        "check SUPABASE_URL or SUPABASE_REST_URL: is it PostgREST that answers there,"
        " and has `syncgate migrate` run?"
    )
