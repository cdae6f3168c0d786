"""Feeds as files: encodings, quoting, ragged rows, and the mapping that reads them."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pytest

from listings.errors import InvalidInput, SourceUnavailable
from listings.model import FIELD_BY_NAME, FIELDS
from listings.source.csv_file import CsvFile, read_csv
from listings.source.feed import load_feed
from listings.source.mapping import Column, ColumnMapping, FeedContents, read_listings
from tests.support.shared import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MAPPING = ColumnMapping(
    key=("番号", "枝番"),
    columns={
        FIELD_BY_NAME["price_yen"]: Column("価格"),
        FIELD_BY_NAME["description"]: Column("備考", optional=True),
    },
    ignore=frozenset({"担当"}),
)
HEAD = "番号,枝番,価格,備考,担当,角地\n"


def contents(text: str, mapping: ColumnMapping = MAPPING) -> FeedContents:
    """Read a feed's text."""
    return read_listings(read_csv(text.encode(), "feed.csv"), mapping, "feed.csv")


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (b"", "cp932"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_encodings_are_found(mark: bytes, encoding: str) -> None:
    """What Excel and offices save is read without being told."""
    table = read_csv(mark + "物件番号,価格\r\nA1,３８００万円\r\n".encode(encoding), "f")
    assert table.headings == ("物件番号", "価格")
    assert table.rows[0].cells == ("A1", "３８００万円")


def test_unknown_bytes_name_the_line() -> None:
    """A file in no known encoding says where it breaks."""
    with pytest.raises(SourceUnavailable, match=r"line 2.*SYNC_SOURCE"):
        read_csv(b"a,b\nx,\x81 \n", "f")


def test_rows_keep_their_line_numbers() -> None:
    """A quoted line break and blank lines do not shift what an editor shows."""
    table = read_csv(b'a,b\n"x\ny",1\n\n,\nz,2\n', "f")
    assert [(row.row, row.cells) for row in table.rows] == [(2, ("x\ny", "1")), (6, ("z", "2"))]


@pytest.mark.parametrize("text", ['a,b\nx,"never closed\ny,1\n', 'a,b\n"x"y,1\n'])
def test_broken_quotes_are_not_a_shorter_feed(text: str) -> None:
    """A quote that swallows the rest is an error that names its line."""
    with pytest.raises(SourceUnavailable, match="line 2"):
        read_csv(text.encode(), "f")


def test_nothing_at_all_has_no_headings() -> None:
    """An empty file is refused as such."""
    with pytest.raises(SourceUnavailable, match="empty"):
        read_csv(b"\n\n", "f")


async def test_a_missing_file_says_what_to_check(tmp_path: Path) -> None:
    """The path and the settings that lead to it are named."""
    with pytest.raises(SourceUnavailable, match=r"nowhere\.csv.*SYNC_SOURCE"):
        await CsvFile(tmp_path / "nowhere.csv").read()


def test_mapping_reads_key_fields_and_extra() -> None:
    """The key is composed, mapped columns are fields, the rest is extra, ignored is gone."""
    found = contents(HEAD + "27，001,３８００万円,南向き,佐藤,True\n".replace("，", ","))
    (entry,) = found.listings
    assert entry.row == 2
    assert entry.listing.property_number == "27-001"
    assert entry.listing.fields == {"price_yen": 38_000_000, "description": "南向き"}
    assert entry.listing.extra == {"角地": True}


def test_headings_are_compared_without_width() -> None:
    """A heading in another width, or with outer space, is the same heading."""
    found = contents(" 番号 ,枝番,価格　,ﾋﾞｺｳ,担当,角地\n1,2,5,x,y,false\n")
    assert found.listings[0].listing.fields == {"price_yen": 5}
    assert found.listings[0].listing.extra == {"ビコウ": "x", "角地": False}


def test_missing_columns_name_what_there_is() -> None:
    """A feed without a mapped column is refused whole, naming both sides."""
    with pytest.raises(SourceUnavailable, match=r"no column 枝番, 価格; it has 番号, 値段"):
        contents("番号,値段\n1,2\n")


def test_a_column_twice_is_ambiguous() -> None:
    """Two columns of one mapped heading cannot be told apart."""
    with pytest.raises(SourceUnavailable, match="価格 more than once"):
        contents("番号,枝番,価格,価格\n1,2,3,4\n")


def test_unnamed_columns_are_kept_by_position() -> None:
    """Columns without a heading of their own lose nothing."""
    found = contents("番号,枝番,価格,,甲,甲\n1,2,3,x,y,z\n")
    assert found.listings[0].listing.extra == {"column_4": "x", "甲_5": "y", "甲_6": "z"}


def test_bad_rows_fail_alone() -> None:
    """Ragged rows, a missing key and a bad value are failures; the good row stands."""
    found = contents(HEAD + "1,1,5,a,b,c\n1,2,5\n1,3,5,a,b,c,d\n,4,5,a,b,c\n1,5,-5,a,b,c\n_,,,,,\n")
    assert [entry.listing.property_number for entry in found.listings] == ["1-1"]
    shown = [(f.row, f.property_number, f.faults[0].field) for f in found.failures]
    assert shown == [
        (3, "1-2", "row"), (4, "1-3", "row"), (5, None, "番号-枝番"), (6, "1-5", "価格"),
    ]  # fmt: skip


def test_trailing_empty_cells_are_no_harm() -> None:
    """Commas that a spreadsheet added at the end of a row are not a shift."""
    assert contents(HEAD + "1,1,5,a,b,c,,\n").failures == ()


def test_the_shipped_mapping_covers_every_field() -> None:
    """config/source.toml feeds every field from a heading that is its title."""
    feed = load_feed(ROOT / "config/source.toml", environ={})
    mapped = {field.name: column.heading for field, column in feed.mapping.columns.items()}
    assert mapped == {field.name: field.title for field in FIELDS}


def faults_of(tmp_path: Path, text: str, **environ: str) -> dict[str, str]:
    """Load a mapping that must be refused; return its faults by key."""
    path = tmp_path / "source.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_feed(path, environ=environ)
    return {fault.field: fault.expected for fault in caught.value.faults}


def test_every_fault_of_a_mapping_is_told_at_once(tmp_path: Path) -> None:
    """Unknown tables, keys and wrong types are all named."""
    found = faults_of(
        tmp_path,
        'x = 1\n[source]\nkind = 5\ncolour = "red"\n[key]\ncolumns = "番号"\n[extra]\nkeep = 1\n',
    )
    assert found.keys() == {
        "x", "source.kind", "source.colour", "key.columns", "extra.keep", "fields",
    }  # fmt: skip


def test_every_fault_of_the_contents_is_told_at_once(tmp_path: Path) -> None:
    """Unknown fields, columns that are none, and a missing key and path are all named."""
    found = faults_of(
        tmp_path,
        '[source]\ndelimiter = ";;"\nencoding = "klingon"\n[fields]\nprise = "価格"\n'
        "title = 5\ncity = { column = 1 }\n",
    )
    assert found.keys() == {
        "key.columns", "fields.prise", "fields.title", "fields.city", "source.delimiter",
        "source.encoding", "source.path",
    }  # fmt: skip


def test_a_google_mapping_needs_its_id_and_a_key(tmp_path: Path) -> None:
    """What Google needs is named, the secret by its variable."""
    found = faults_of(
        tmp_path,
        '[source]\nkind = "google_sheets"\n[key]\ncolumns = ["番号"]\n[fields]\n'
        "[google_sheets]\npage_rows = 0\n",
    )
    assert found.keys() == {
        "google_sheets.spreadsheet_id", "google_sheets.page_rows", "GOOGLE_SHEETS_API_KEY",
    }  # fmt: skip


def test_a_mapping_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    """Both say which file."""
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_feed(tmp_path / "none.toml", environ={})
    assert next(iter(faults_of(tmp_path, "a = = 1"))).endswith("source.toml")
