"""The Google source against a local server that answers in Google's shape."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from listings.errors import SourceUnavailable
from listings.source.google_sheets import ApiKey, GoogleSheet, ServiceAccount

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Google:
    """A spreadsheet of one sheet, and answers to give before the real one."""

    rows: list[list[str]]
    title: str = "物件一覧"
    row_count: int = 0
    first: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Answer as the Sheets API does: empty tails of rows and of ranges are left out."""
        url = urlsplit(path)
        self.asked.append(unquote(url.path))
        if self.first:
            return self.first.pop(0)
        if "/values/" not in url.path:
            grid = {"rowCount": self.row_count or len(self.rows)}
            sheet = {"properties": {"title": self.title, "gridProperties": grid}}
            return 200, {}, json.dumps({"sheets": [sheet]}).encode()
        assert parse_qs(url.query)["valueRenderOption"] == ["FORMATTED_VALUE"]
        area = re.fullmatch(r".*'!(\d+):(\d+)", unquote(url.path))
        assert area
        rows = [self.trimmed(row) for row in self.rows[int(area[1]) - 1 : int(area[2])]]
        while rows and not rows[-1]:
            rows.pop()
        body: dict[str, Any] = {"range": "x", "majorDimension": "ROWS"}
        if rows:
            body["values"] = rows
        return 200, {}, json.dumps(body).encode()

    @staticmethod
    def trimmed(row: list[str]) -> list[str]:
        """Drop empty cells at the end."""
        end = len(row)
        while end and row[end - 1] == "":
            end -= 1
        return row[:end]


@contextmanager
def serving(google: Google) -> Iterator[str]:
    """Serve it on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            google.keys.add(self.headers.get("X-Goog-Api-Key"))
            status, headers, body = google.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Pauses(list[float]):
    """Notes pauses instead of making them."""

    async def __call__(self, seconds: float) -> None:
        """Note one."""
        self.append(seconds)


def sheet(endpoint: str, pauses: Pauses, **options: Any) -> GoogleSheet:
    """A source over the local server."""
    return GoogleSheet("id/1", ApiKey("k"), endpoint=endpoint, pause=pauses, **options)


def error(status: int, message: str) -> tuple[int, dict[str, str], bytes]:
    """An error in Google's shape."""
    return status, {}, json.dumps({"error": {"code": status, "message": message}}).encode()


async def test_pages_and_gaps_are_read_whole() -> None:
    """Short rows are padded; an empty page in the middle is not the end."""
    rows = [["番号", "価格", "備考"], ["A", "1"], [], [], [], ["B", "", "x"]]
    google = Google(rows, row_count=50)
    with serving(google) as endpoint:
        table = await sheet(endpoint, Pauses(), page_rows=2).read()
    assert table.headings == ("番号", "価格", "備考")
    assert [(row.row, row.cells) for row in table.rows] == [
        (2, ("A", "1", "")),
        (6, ("B", "", "x")),
    ]
    assert google.asked[0] == "/v4/spreadsheets/id/1"
    assert google.asked[1] == "/v4/spreadsheets/id/1/values/'物件一覧'!1:2"
    assert google.keys == {"k"}


async def test_busy_google_is_asked_again() -> None:
    """After 429 the named pause is kept, after 500 a growing one."""
    google = Google([["番号"], ["A"]])
    google.first = [
        (429, {"Retry-After": "7"}, b"{}"),
        error(500, "backend error"),
    ]
    pauses = Pauses()
    with serving(google) as endpoint:
        table = await sheet(endpoint, pauses).read()
    assert table.rows[0].cells == ("A",)
    assert pauses == [7.0, 2.0]


async def test_google_that_stays_busy_is_given_up() -> None:
    """The last answer's words are in the error."""
    google = Google([["番号"]])
    google.first = [error(503, "overloaded")] * 3
    with (
        serving(google) as endpoint,
        pytest.raises(SourceUnavailable, match=r"503: overloaded.*3 a"),
    ):
        await sheet(endpoint, Pauses(), attempts=3).read()
    assert len(google.asked) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(403, "The caller does not have permission"), r"403: The caller.*Share the sheet"),
        (error(404, "Requested entity was not found."), r"404: .*spreadsheet_id"),
        (error(400, "Unable to parse range"), "400: Unable"),
        ((200, {}, b"<html>"), "not JSON"),
        ((200, {}, b"[]"), "not a JSON object"),
        ((200, {}, b'{"sheets":[{}]}'), "unknown shape"),
    ],
)
async def test_refusals_say_what_to_do(
    answer: tuple[int, dict[str, str], bytes], words: str
) -> None:
    """Google's own words, and the setting to look at; no second try."""
    google = Google([["番号"]])
    google.first = [answer]
    with serving(google) as endpoint, pytest.raises(SourceUnavailable, match=words):
        await sheet(endpoint, Pauses()).read()
    assert len(google.asked) == 1


async def test_an_unknown_sheet_names_those_there_are() -> None:
    """The names of the sheets help to correct the mapping."""
    with (
        serving(Google([["番号"]])) as endpoint,
        pytest.raises(SourceUnavailable, match=r"no sheet '売買'; it has 物件一覧"),
    ):
        await sheet(endpoint, Pauses(), sheet="売買").read()


async def test_a_sheet_without_headings() -> None:
    """An empty first row is refused, naming header_row."""
    with (
        serving(Google([[], ["A"]])) as endpoint,
        pytest.raises(SourceUnavailable, match="header_row"),
    ):
        await sheet(endpoint, Pauses()).read()


async def test_nobody_there() -> None:
    """A refused connection is tried again, then told."""
    with serving(Google([])) as endpoint:
        pass
    pauses = Pauses()
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        await sheet(endpoint, pauses, attempts=3).read()
    assert len(pauses) == 2


def test_a_service_account_names_what_is_missing() -> None:
    """Without the extra, or without the file, the message says which."""
    with pytest.raises(SourceUnavailable, match=r"google|GOOGLE_APPLICATION_CREDENTIALS"):
        ServiceAccount("/nowhere/key.json")
