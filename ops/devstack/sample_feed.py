"""
A sample feed of messy Japanese listings: what the codec must see through, without anybody's data.

Each listing has true values, drawn from a seeded generator and the listing's own number, and is
then written in one of the ways offices write them: full-width digits, ten thousands and hundred
millions, tsubo, era dates, dashes for nothing, True/true, a price "to be agreed". The way of
writing depends on the day, so that the *next day's* feed writes most listings differently although
nothing changed: a good sync updates only what did. `expected_changes` says which those are.
"""

# ruff: noqa: RUF001 - full-width Japanese is what this file is about

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DEFAULT_COUNT: Final = 2000
DEFAULT_SEED: Final = 20_261_121
HEADINGS: Final = (
    "物件番号", "物件名", "種別", "状態", "郵便番号", "都道府県", "市区町村", "所在地",
    "緯度", "経度", "価格", "賃料", "管理費", "平米単価", "土地面積", "建物面積", "間取り",
    "築年月日", "階数", "構造", "最寄駅", "駅距離", "用途地域", "建ぺい率", "容積率",
    "ガス", "水道", "下水", "掲載日", "情報更新日時", "備考", "担当者", "角地",
)  # fmt: skip

_WIDE: Final = str.maketrans(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.-() ",
    "０１２３４５６７８９ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ．－（）　",
)
_TOWNS: Final = (
    ("大阪府", "大阪市北区", "梅田", "大阪", 34.7055, 135.4983),
    ("大阪府", "大阪市都島区", "毛馬町", "城北公園通", 34.7250, 135.5247),
    ("大阪府", "堺市堺区", "南花田口町", "堺東", 34.5749, 135.4839),
    ("東京都", "千代田区", "神田神保町", "神保町", 35.6959, 139.7577),
    ("東京都", "世田谷区", "北沢", "下北沢", 35.6613, 139.6680),
    ("神奈川県", "横浜市西区", "みなとみらい", "桜木町", 35.4560, 139.6310),
    ("愛知県", "名古屋市中区", "栄", "栄町", 35.1709, 136.9083),
    ("福岡県", "福岡市博多区", "博多駅前", "博多", 33.5902, 130.4207),
)
_NAMES: Final = ("ハイツ", "コーポ", "メゾン", "グランドパレス", "サンハイム", "レジデンス")
_PEOPLE: Final = ("佐藤", "鈴木", "高橋", "田中", "伊藤")
_NOTHING: Final = ("", "_", "-", "－", "ー", "　")
_TRUE: Final = ("True", "true", "TRUE", "1", "有", "あり", "○")
_FALSE: Final = ("False", "false", "FALSE", "0", "無", "なし", "×")


@dataclass(frozen=True, slots=True)
class TrueListing:
    """The values behind a row, before anybody wrote them down."""

    number: str
    name: str
    town: tuple[str, str, str, str, float, float]
    block: tuple[int, int, int]
    price_man: int | None
    rent_yen: int | None
    fee_yen: int | None
    land: Decimal | None
    building: Decimal | None
    built_on: date | None
    listed_on: date
    floors: int
    structure: str
    layout: str
    station_m: int
    coverage: int
    ratio: int
    gas: bool
    water: bool
    sewer: bool | None
    remark: str
    person: str
    corner: bool
    to_be_agreed: bool


def generate(count: int = DEFAULT_COUNT, *, seed: int = DEFAULT_SEED, day: int = 1) -> bytes:
    """Return the feed of one day as CSV in UTF-8; the same arguments give the same bytes."""
    return as_csv([write_row(listing, seed, day) for listing in true_listings(count, seed, day)])


def write_feed(
    path: Path, count: int = DEFAULT_COUNT, *, seed: int = DEFAULT_SEED, day: int = 1
) -> None:
    """Write the feed of one day to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(generate(count, seed=seed, day=day))


def true_listings(count: int, seed: int, day: int) -> list[TrueListing]:
    """
    Return the market of one day.

    Day 1 is the numbers 1 to `count`. Each later day takes 1 % away, adds as many new ones, and
    changes 3 %.
    """
    listings = {index: _draw(index, seed) for index in range(1, count + 1)}
    next_index = count + 1
    for today in range(2, day + 1):
        draw = random.Random(f"{seed}/day/{today}")  # noqa: S311 - a sample, no secret
        few = max(1, count // 100)
        for index in draw.sample(sorted(listings), few):
            del listings[index]
        for index in draw.sample(sorted(listings), 3 * few):
            price = listings[index].price_man
            moved = None if price is None else price + draw.choice((-50, -30, 20, 80))
            fee = listings[index].fee_yen
            listings[index] = replace(listings[index], price_man=moved, fee_yen=(fee or 0) + 500)
        for _ in range(few):
            listings[next_index] = _draw(next_index, seed)
            next_index += 1
    return [listings[index] for index in sorted(listings)]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a sync must find after the day before; everything else is unchanged."""

    created: frozenset[str]
    updated: frozenset[str]
    missing: frozenset[str]


def expected_changes(
    count: int = DEFAULT_COUNT, *, seed: int = DEFAULT_SEED, day: int = 2
) -> Changes:
    """Compare the true values of a day with those of the day before."""
    before = {listing.number: listing for listing in true_listings(count, seed, day - 1)}
    after = {listing.number: listing for listing in true_listings(count, seed, day)}
    both = before.keys() & after.keys()
    return Changes(
        created=frozenset(after.keys() - before.keys()),
        updated=frozenset(number for number in both if before[number] != after[number]),
        missing=frozenset(before.keys() - after.keys()),
    )


def as_csv(rows: Sequence[Sequence[str]]) -> bytes:
    """Write headings and rows as CSV in UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(HEADINGS)
    writer.writerows(rows)
    return text.getvalue().encode()


def _draw(index: int, seed: int) -> TrueListing:
    draw = random.Random(f"{seed}/{index}")  # noqa: S311 - a sample, no secret
    town = draw.choice(_TOWNS)
    for_rent = draw.random() < 0.3  # noqa: PLR2004 - a third is for rent
    price = None if for_rent else draw.randrange(480, 25_000, 10)
    return TrueListing(
        number=f"SG{index:06d}",
        name=f"{draw.choice(_NAMES)}{town[2]}{draw.choice(('', ' 2', ' 3', 'Ⅱ'))}",
        town=town,
        block=(draw.randint(1, 7), draw.randint(1, 40), draw.randint(1, 30)),
        price_man=price,
        rent_yen=draw.randrange(38_000, 320_000, 500) if for_rent else None,
        fee_yen=draw.choice((None, 3_000, 5_500, 12_000)),
        land=_area(draw, 40, 400) if draw.random() < 0.7 else None,  # noqa: PLR2004
        building=_area(draw, 18, 180),
        built_on=date(1965, 1, 1) + timedelta(days=draw.randint(0, 21_900))
        if draw.random() < 0.95  # noqa: PLR2004
        else None,
        listed_on=date(2026, 1, 1) + timedelta(days=draw.randint(0, 300)),
        floors=draw.randint(1, 45),
        structure=draw.choice(("RC", "SRC", "S", "W", "LS")),
        layout=draw.choice(("1K", "1LDK", "2LDK", "3LDK", "4LDK+S", "1R")),
        station_m=draw.randrange(80, 2400, 80),
        coverage=draw.choice((40, 50, 60, 80)),
        ratio=draw.choice((80, 100, 200, 300, 400, 600)),
        gas=draw.random() < 0.8,  # noqa: PLR2004
        water=draw.random() < 0.97,  # noqa: PLR2004
        sewer=draw.choice((True, True, True, False, None)),
        remark=draw.choice(
            ("", "南向き、日当たり良好", "ペット相談可\n※大型犬は要相談",
             '"即入居可"　リフォーム済', "駅徒歩圏・スーパー近く（24時間営業）")
        ),
        person=draw.choice(_PEOPLE),
        corner=draw.random() < 0.2,  # noqa: PLR2004
        to_be_agreed=for_rent and draw.random() < 0.05,  # noqa: PLR2004
    )  # fmt: skip


def _area(draw: random.Random, low: int, high: int) -> Decimal:
    return Decimal(draw.randint(low * 100, high * 100)) / 100


def write_row(true: TrueListing, seed: int, day: int) -> tuple[str, ...]:
    """Write one listing down as somebody would on that day."""
    pen = random.Random(f"{seed}/{true.number}/{day}")  # noqa: S311 - a sample, no secret
    prefecture, city, town, station, latitude, longitude = true.town
    chome, block, house = true.block
    dash = pen.choice(("-", "－", "ー", "‐"))
    spot = f"{prefecture}{pen.choice((' ', '　'))}{city}{town}{chome}{dash}{block}{dash}{house}"
    east = Decimal(f"{longitude + block / 10_000:.7f}")
    return (
        _width(true.number, pen),
        true.name if pen.random() < 0.5 else true.name.replace(" ", "　"),  # noqa: PLR2004
        _width("マンション" if true.land is None else "戸建", pen),
        pen.choice(("公開", "公開 ", "　公開")),
        _width(f"530-{int(true.number[2:]) % 10_000:04d}", pen),
        prefecture,
        city,
        _width(spot, pen) if dash != "ー" else spot,
        f"{latitude + chome / 10_000:.7f}",
        # Binary floating point of another program: the same place, more digits.
        f"{east}" if pen.random() < 0.6 else f"{east}00000003",  # noqa: PLR2004
        "応相談" if true.to_be_agreed else _maybe(true.price_man, pen, _price),
        _maybe(true.rent_yen, pen, _rent),
        _maybe(true.fee_yen, pen, _yen),
        _maybe(_per_sqm(true), pen, _yen),
        _maybe(true.land, pen, _sqm),
        _maybe(true.building, pen, _sqm),
        _width(true.layout, pen),
        _maybe(true.built_on, pen, _day),
        pen.choice(("{}", "{}階建", "地上{}階", "{}F")).format(true.floors),
        _width(true.structure, pen),
        station,
        pen.choice((f"{true.station_m}m", f"{true.station_m}", f"{true.station_m / 1000:g}km")),
        pen.choice(("商業地域", "商業地域　")),
        pen.choice((f"{true.coverage}%", f"{true.coverage}", _wide(f"{true.coverage}%"))),
        pen.choice((f"{true.ratio}%", f"{true.ratio}.0", f"{true.ratio}")),
        _truth(true.gas, pen),
        _truth(true.water, pen),
        _truth(true.sewer, pen),
        _day(true.listed_on, pen),
        _moment(true.listed_on, pen),
        true.remark,
        true.person if pen.random() < 0.5 else f"{true.person}　",  # noqa: PLR2004
        pen.choice(("True", "true", "TRUE")) if true.corner else pen.choice(("False", "false")),
    )  # fmt: skip


def _maybe(value: object, pen: random.Random, write: Callable[..., str]) -> str:
    return pen.choice(_NOTHING) if value is None else write(value, pen)


def _per_sqm(true: TrueListing) -> int | None:
    if true.price_man is None or true.building is None:
        return None
    return int((true.price_man * 10_000 / true.building).quantize(Decimal(1), ROUND_HALF_UP))


def _price(man: int, pen: random.Random) -> str:
    oku, rest = divmod(man, 10_000)
    ways = [f"{man:,}万円", f"{man}万円", f"{man * 10_000:,}円", f"¥{man * 10_000:,}",
            _wide(f"{man}") + "万円"]  # fmt: skip
    if oku:
        ways.append(f"{oku}億{rest:,}万円" if rest else f"{oku}億円")
    return pen.choice(ways)


def _rent(yen: int, pen: random.Random) -> str:
    man = f"{Decimal(yen) / 10_000:f}万円"
    return pen.choice((f"{yen:,}円", man, f"{man}/月", f"￥{yen:,}"))


def _yen(yen: int, pen: random.Random) -> str:
    return pen.choice((f"{yen}", f"{yen:,}円", f"¥{yen:,}", _wide(f"{yen}") + "円"))


def _sqm(area: Decimal, pen: random.Random) -> str:
    ways = [f"{area}㎡", f"{area} m2", f"{area}m²", f"{area}", _wide(f"{area}") + "㎡"]
    tsubo = (area * 121 / 400).quantize(Decimal("0.0001"), ROUND_HALF_UP)
    # Written in tsubo only where that says the same to the hundredth of a square metre.
    if (tsubo * 400 / 121).quantize(Decimal("0.01"), ROUND_HALF_UP) == area:
        ways.append(f"{tsubo}坪")
    return pen.choice(ways)


def _day(day: date, pen: random.Random) -> str:
    era, base = ("令和", 2018) if day >= date(2019, 5, 1) else ("平成", 1988)
    if day < date(1989, 1, 8):
        era, base = "昭和", 1925
    year = "元" if day.year == base + 1 else str(day.year - base)
    return pen.choice(
        (
            day.isoformat(),
            f"{day.year}/{day.month}/{day.day}",
            f"{day.month}/{day.day}/{day.year}",
            f"{day.year}年{day.month}月{day.day}日",
            f"{era}{year}年{day.month}月{day.day}日",
            _wide(f"{day.year}") + f"年{day.month}月{day.day}日",
            f"{era}{year}.{day.month}.{day.day}",
        )
    )


def _moment(day: date, pen: random.Random) -> str:
    return pen.choice(
        (
            f"{day.isoformat()}T09:30:00+09:00",
            f"{day.isoformat()}T00:30:00Z",
            f"{day.year}/{day.month}/{day.day} 9:30",
            f"{day.year}年{day.month}月{day.day}日 9時30分",
        )
    )


def _truth(value: bool | None, pen: random.Random) -> str:  # noqa: FBT001 - it is the value itself
    if value is None:
        return pen.choice(_NOTHING)
    return pen.choice(_TRUE if value else _FALSE)


def _width(text: str, pen: random.Random) -> str:
    return _wide(text) if pen.random() < 0.4 else text  # noqa: PLR2004 - often, not always


def _wide(text: str) -> str:
    return text.translate(_WIDE)
