"""How Japanese feeds write values: one row per way of writing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from listings.codec import japanese


@pytest.mark.parametrize(
    ("text", "yen"),
    [
        ("3,800万円", 38_000_000),
        ("３，８００万円", 38_000_000),
        ("3800 万", 38_000_000),
        ("1億2,500万円", 125_000_000),
        ("１億　２５００万円", 125_000_000),
        ("1億円", 100_000_000),
        ("1.25億円", 125_000_000),
        ("1億500円", 100_000_500),
        ("3千万円", 30_000_000),
        ("8万5000円", 85_000),
        ("8.5万円／月", 85_000),
        ("38,000,000円", 38_000_000),
        ("¥38,000,000", 38_000_000),
        ("￥３８０００", 38_000),
        ("0円", 0),
        ("-5万円", -50_000),
    ],
)
def test_yen_is_read(text: str, yen: int) -> None:
    """Every usual way of writing a price gives yen."""
    assert japanese.read_yen(text) == yen


@pytest.mark.parametrize(
    "text",
    [
        "応相談",
        "3,800万円〜4,200万円",
        "約3800万円",
        "3,80万円",
        "1億2500",
        "1.5億300万円",
        "1億-500万円",
        "万円",
        "円",
        "¥",
        "38000000円(税込)",
        "1e5",
        "208,000円/㎡",
    ],
)
def test_yen_is_not_guessed(text: str) -> None:
    """A range, an approximation or a malformed number is not understood."""
    assert japanese.read_yen(text) is None


def test_yen_per_sqm_may_name_its_unit() -> None:
    """The unit price accepts the unit that a price must not have."""
    assert japanese.read_yen_per_sqm("20.8万円／㎡") == 208_000


@pytest.mark.parametrize(
    ("text", "sqm"),
    [
        ("85.5㎡", Decimal("85.5")),
        ("85.5 m2", Decimal("85.5")),
        ("８５．５ｍ²", Decimal("85.5")),
        ("1,234.5平米", Decimal("1234.5")),
        ("85.5", Decimal("85.5")),
        ("121坪", Decimal(400)),
        ("120.50㎡（36.45坪）", Decimal("120.50")),
    ],
)
def test_area_is_read(text: str, sqm: Decimal) -> None:
    """Square metres and tsubo (exactly 400/121 of one) give square metres."""
    assert japanese.read_sqm(text) == sqm


@pytest.mark.parametrize("text", ["120㎡(99坪)", "約85㎡", "85畳", "1ha", "85㎡超"])
def test_area_is_not_guessed(text: str) -> None:
    """Two figures that contradict each other, or another unit, are not understood."""
    assert japanese.read_sqm(text) is None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("令和6年4月1日", date(2024, 4, 1)),
        ("令和元年5月1日", date(2019, 5, 1)),
        ("㋿6年4月1日", date(2024, 4, 1)),
        ("平成31年4月30日", date(2019, 4, 30)),
        ("昭和　６３年 １月 ７日", date(1988, 1, 7)),
        ("大正15年12月24日", date(1926, 12, 24)),
        ("明治45.7.29", date(1912, 7, 29)),
        ("R6.4.1", date(2024, 4, 1)),
        ("h31/4/30", date(2019, 4, 30)),
        ("S63-1-7", date(1988, 1, 7)),
        ("4/1/2024", date(2024, 4, 1)),
        ("2024/4/1", date(2024, 4, 1)),
        ("２０２４／０４／０１", date(2024, 4, 1)),
        ("2024.04.01", date(2024, 4, 1)),
        ("2024年4月1日(月)", date(2024, 4, 1)),
        ("20240401", date(2024, 4, 1)),
        ("2024-04-01", date(2024, 4, 1)),
        ("2024-04-01T00:00:00", date(2024, 4, 1)),
        ("2024/4/1 0:00", date(2024, 4, 1)),
        ("2024-02-29", date(2024, 2, 29)),
    ],
)
def test_date_is_read(text: str, day: date) -> None:
    """Era names, both orders of separators, and a midnight that a spreadsheet added."""
    assert japanese.read_date(text) == day


@pytest.mark.parametrize(
    "text",
    [
        "1998年3月",
        "2023-02-29",
        "13/1/2024",
        "令和0年1月1日",
        "24/4/1",
        "2024/4-1",
        "2024-04-01T09:30:00",
        "2024-04-01T00:00:00Z",
        "未定",
        "築10年",
        "0000-01-01",
    ],
)
def test_date_is_not_guessed(text: str) -> None:
    """A missing day, a day that is not in the calendar or a time of day is not a date."""
    assert japanese.read_date(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-04-01T12:00:00Z", datetime(2024, 4, 1, 12, tzinfo=UTC)),
        ("2024-04-01T12:00:00+09:00", datetime(2024, 4, 1, 3, tzinfo=UTC)),
        ("2024-04-01T12:00:00-0330", datetime(2024, 4, 1, 15, 30, tzinfo=UTC)),
        ("2024/4/1 9:05", datetime(2024, 4, 1, 0, 5, tzinfo=UTC)),
        ("2024/4/1 9:05 JST", datetime(2024, 4, 1, 0, 5, tzinfo=UTC)),
        ("令和6年4月1日 9時5分7秒", datetime(2024, 4, 1, 0, 5, 7, tzinfo=UTC)),
        ("4/1/2024 23:59:59", datetime(2024, 4, 1, 14, 59, 59, tzinfo=UTC)),
        ("2024-04-01", datetime(2024, 3, 31, 15, tzinfo=UTC)),
        (
            "2024-04-01 12:00:00.123456789+09",
            datetime(2024, 4, 1, 3, 0, 0, 123456, tzinfo=UTC),
        ),
    ],
)
def test_timestamp_is_read(text: str, moment: datetime) -> None:
    """Without a zone it is Tokyo's time; the answer is always UTC."""
    assert japanese.read_timestamp(text) == moment


@pytest.mark.parametrize(
    "text",
    ["2024-04-01T25:00:00", "2024-04-01 12:60", "0001-01-01 00:00", "2024-04-01 12:00+99:00"],
)
def test_timestamp_is_not_guessed(text: str) -> None:
    """An hour no clock shows, a zone no place has, a moment before year 1 in UTC."""
    assert japanese.read_timestamp(text) is None


@pytest.mark.parametrize(
    "text", ["True", "true", "ＴＲＵＥ", "1", "有", "有り", "あり", "○", "◯", "yes"]
)
def test_yes_is_read(text: str) -> None:
    """Every word for yes."""
    assert japanese.read_boolean(text) is True


@pytest.mark.parametrize("text", ["False", "false", "０", "無", "無し", "なし", "×", "no"])
def test_no_is_read(text: str) -> None:
    """Every word for no."""
    assert japanese.read_boolean(text) is False


@pytest.mark.parametrize("text", ["たぶん", "2", "△", "truee"])
def test_maybe_is_neither(text: str) -> None:
    """Anything else is not understood."""
    assert japanese.read_boolean(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "  ", "　", "_", "-", "－", "ー", "ｰ", "−", "—", "--", "null", "NULL", "N/A", "\ufeff"],
)
def test_blank_is_nothing(text: str) -> None:
    """What feeds write for "no value"."""
    assert japanese.is_blank(text)


@pytest.mark.parametrize("text", ["0", "なし", "nil", "_x", "- 1", "none at all"])
def test_words_are_something(text: str) -> None:
    """Zero and words are values."""
    assert not japanese.is_blank(text)


def test_plain_numbers() -> None:
    """Width and grouping of a bare number."""
    assert japanese.read_number("１，２３４．５") == Decimal("1234.5")
    assert japanese.read_number("1,23") is None


def test_other_units() -> None:
    """Metres, percent and floors in their notations."""
    assert japanese.read_metres("1.2km") == 1200
    assert japanese.read_metres("７５０ｍ") == 750
    assert japanese.read_metres("徒歩5分") is None
    assert japanese.read_percent("６０％") == 60
    assert japanese.read_floors("地上10階建") == 10
    assert japanese.read_floors("平屋") == 1
    assert japanese.read_floors("地上10階地下1階建") is None


def test_names_keep_their_characters() -> None:
    """Width is unified; roman numerals, marks and rare forms of a character are not touched."""
    assert japanese.fold_name("ハイツⅡ　㈱ﾊｲﾑ　Ａ１") == "ハイツⅡ ㈱ハイム A1"
    assert japanese.fold_name("塚本①号") == "塚本①号"
    assert japanese.fold_name("か\u3099ーデン") == "がーデン"


def test_address_dashes() -> None:
    """A dash between digits is a hyphen; the long vowel mark of a word stays."""
    assert japanese.fold_address("毛馬町５－６ー２４　コーポ") == "毛馬町5-6-24 コーポ"
    assert japanese.fold_address("1丁目２‐３ 4−5") == "1丁目2-3 4-5"
    assert japanese.fold_address("センター1") == "センター1"


def test_free_text_is_left_alone() -> None:
    """Descriptions lose outer space and carriage returns, nothing else."""
    assert japanese.fold_free("　ａ①\r\n　ｂ　㎡\r ") == "ａ①\n　ｂ　㎡"
