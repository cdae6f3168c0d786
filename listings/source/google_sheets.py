"""
A Google Sheet, read through the Sheets API v4 (`values` endpoint) in pages of rows.

The API leaves out empty cells at the end of a row and empty rows at the end of a range, so a short
page does not mean the end: the sheet's own row count does. Values are asked for as people see them
(FORMATTED_VALUE), because the codec reads what people write. Two ways in: an API key for sheets
anybody may read, or a service account (needs the extra ``google``).

What Google refuses is told in its own words with what to do; 429 and 5xx are tried again with a
growing pause, or Google's own ``Retry-After``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

import httpx2
import orjson

from listings.errors import SourceUnavailable
from listings.source.table import Table, TableRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

ENDPOINT: Final = "https://sheets.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/spreadsheets.readonly"
_TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_FORBIDDEN: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_OK: Final = 200
_MAX_PAUSE_S: Final = 30.0


class Credentials(Protocol):
    """What a request to Google carries to be let in."""

    async def headers(self) -> Mapping[str, str]:
        """Give the headers, renewed if need be."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key; reads only sheets that anybody with the link may read."""

    key: str

    async def headers(self) -> Mapping[str, str]:
        """Send the key as a header, where it does not get into logs of addresses."""
        return {"X-Goog-Api-Key": self.key}


class ServiceAccount:
    """A service account's key file; the sheet must be shared with the account's address."""

    def __init__(self, key_file: str) -> None:
        try:
            from google.oauth2 import service_account  # noqa: PLC0415 - an optional extra
        except ImportError as exc:
            raise SourceUnavailable(
                "A service account needs the extra 'google' (pip install 'syncgate[google]'); "
                "or give an API key in GOOGLE_SHEETS_API_KEY."
            ) from exc
        try:
            self._credentials: Any = service_account.Credentials.from_service_account_file(
                key_file, scopes=[_SCOPE]
            )
        except (OSError, ValueError) as exc:
            raise SourceUnavailable(
                f"The service account's key file {key_file} cannot be used; "
                "check GOOGLE_APPLICATION_CREDENTIALS."
            ) from exc

    async def headers(self) -> Mapping[str, str]:
        """Renew the token in a thread when it has run out."""
        if not self._credentials.valid:
            from google.auth.transport.requests import Request  # noqa: PLC0415 - optional extra

            await asyncio.to_thread(self._credentials.refresh, Request())
        return {"Authorization": f"Bearer {self._credentials.token}"}


class GoogleSheet:
    """A Source over one sheet of a spreadsheet; the first sheet if none is named."""

    def __init__(
        self,
        spreadsheet_id: str,
        credentials: Credentials,
        *,
        sheet: str | None = None,
        endpoint: str = ENDPOINT,
        header_row: int = 1,
        page_rows: int = 1000,
        attempts: int = 4,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout_s: float = 30.0,
    ) -> None:
        self._base = f"{endpoint.rstrip('/')}/v4/spreadsheets/{quote(spreadsheet_id, safe='')}"
        self._credentials = credentials
        self._sheet = sheet
        self._header_row = header_row
        self._page_rows = page_rows
        self._attempts = attempts
        self._pause = pause
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """Name the sheet for messages."""
        return f"Google sheet {self._sheet!r}" if self._sheet else "Google sheet (the first one)"

    async def read(self) -> Table:
        """Read every page of the sheet."""
        async with httpx2.AsyncClient(timeout=self._timeout_s) as client:
            title, row_count = await self._properties(client)
            rows: list[TableRow] = []
            for first in range(self._header_row, row_count + 1, self._page_rows):
                last = min(first + self._page_rows - 1, row_count)
                rows += await self._page(client, title, first, last)
        if not rows or rows[0].row != self._header_row:
            raise SourceUnavailable(
                f"The {self.name} has no headings in row {self._header_row}; "
                "set header_row in [google_sheets] of SYNC_SOURCE."
            )
        width = len(rows[0].cells)
        padded = [TableRow(row.row, row.cells + ("",) * (width - len(row.cells))) for row in rows]
        return Table(padded[0].cells, padded[1:])

    async def _properties(self, client: httpx2.AsyncClient) -> tuple[str, int]:
        answer = await self._get(
            client, self._base, {"fields": "sheets(properties(title,gridProperties(rowCount)))"}
        )
        try:
            counts = {
                str(sheet["properties"]["title"]): int(
                    sheet["properties"].get("gridProperties", {}).get("rowCount", 0)
                )
                for sheet in answer["sheets"]
            }
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise SourceUnavailable(f"Google's list of sheets has an unknown shape: {exc}") from exc
        title = self._sheet or next(iter(counts), "")
        if title not in counts:
            raise SourceUnavailable(
                f"The spreadsheet has no sheet {title!r}; it has {', '.join(counts) or 'none'}. "
                "Set sheet in [google_sheets] of SYNC_SOURCE."
            )
        return title, counts[title]

    async def _page(
        self, client: httpx2.AsyncClient, title: str, first: int, last: int
    ) -> list[TableRow]:
        quoted = title.replace("'", "''")
        area = quote(f"'{quoted}'!{first}:{last}", safe="")
        answer = await self._get(
            client,
            f"{self._base}/values/{area}",
            {"majorDimension": "ROWS", "valueRenderOption": "FORMATTED_VALUE"},
        )
        values = answer.get("values", [])
        if not isinstance(values, list) or not all(isinstance(cells, list) for cells in values):
            raise SourceUnavailable("Google's answer has values of an unknown shape.")
        return [
            TableRow(first + offset, tuple("" if cell is None else str(cell) for cell in cells))
            for offset, cells in enumerate(values)
            if any(cell not in ("", None) for cell in cells)
        ]

    async def _get(
        self, client: httpx2.AsyncClient, url: str, params: dict[str, str]
    ) -> dict[str, Any]:
        for attempt in range(1, self._attempts + 1):
            failure, pause_s = "", min(2.0 ** (attempt - 1), _MAX_PAUSE_S)
            try:
                answer = await client.get(
                    url, params=params, headers=dict(await self._credentials.headers())
                )
            except httpx2.HTTPError as exc:
                failure = f"Google cannot be reached ({type(exc).__name__})"
            else:
                if answer.status_code == _OK:
                    return _object(answer.content)
                if answer.status_code not in _TRY_AGAIN:
                    raise SourceUnavailable(_refusal(answer.status_code, answer.content))
                failure = _refusal(answer.status_code, answer.content)
                pause_s = _retry_after_s(answer.headers.get("Retry-After"), pause_s)
            if attempt == self._attempts:
                raise SourceUnavailable(f"{failure}; given up after {attempt} attempts.")
            await self._pause(pause_s)
        raise AssertionError("unreachable: attempts is at least 1")


def _object(content: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError as exc:
        raise SourceUnavailable("Google's answer is not JSON; is a proxy in between?") from exc
    if not isinstance(answer, dict):
        raise SourceUnavailable("Google's answer is not a JSON object; is a proxy in between?")
    return answer


def _refusal(status: int, content: bytes) -> str:
    try:
        said = str(orjson.loads(content)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        said = "no reason given"
    advice = ""
    if status in _FORBIDDEN:
        advice = " Share the sheet with the service account, or check GOOGLE_SHEETS_API_KEY."
    elif status == _NOT_FOUND:
        advice = " Check spreadsheet_id in [google_sheets] of SYNC_SOURCE."
    return f"Google answered {status}: {said[:300]}{advice}"


def _retry_after_s(text: str | None, otherwise: float) -> float:
    """Honour Google's word when it is a number of seconds, within reason."""
    if text is None or not text.isascii() or not text.isdigit():
        return otherwise
    return min(float(text[:6]), _MAX_PAUSE_S)
