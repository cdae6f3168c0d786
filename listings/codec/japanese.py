"""
How Japanese listing feeds write numbers, areas, dates and yes or no; pure text in, a value out.

Every reader answers None for what it does not understand. It never guesses: a price range, a month
without a day, "about" and "to be agreed" are not understood, and the caller keeps the raw text.

Folding is decided by what a text is for, because full NFKC damages free text (``Ⅱ`` becomes ``II``,
``塚`` written as a compatibility ideograph becomes another character):

- `fold_code`: whole NFKC, for closed vocabularies (layout, structure) and for reading numbers.
- `fold_name`: only width - full-width letters, digits and spaces, half-width kana - for names.
- `fold_address`: `fold_name`, and a dash between digits is ``-`` (``５－６ー２４`` is ``5-6-24``).
- `fold_free`: line ends and outer space only, for descriptions.

All of them are idempotent.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Final
from unicodedata import normalize

TOKYO: Final = timezone(timedelta(hours=9))
SQM_PER_TSUBO: Final = (Decimal(400), Decimal(121))  # 1 tsubo = 400/121 square metres, exactly

# Every white space there is, and two that are not but look like nothing.
_OUTER: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff\u200b"
_WIDE: Final = {
    **{code: code - 0xFEE0 for code in range(0xFF10, 0xFF1A)},
    **{code: code - 0xFEE0 for code in range(0xFF21, 0xFF3B)},
    **{code: code - 0xFEE0 for code in range(0xFF41, 0xFF5B)},
    0x3000: 0x20,
}
_HALF_KANA: Final = re.compile(r"[\uff61-\uff9f]+")
_VOICED: Final = re.compile(r"[\u3041-\u30ff][\u3099\u309a]")
_DASH_IN_NUMBER: Final = re.compile(r"(?<=[0-9])\s*[-‐‑‒–—―−－ー]\s*(?=[0-9])")
_BLANK: Final = re.compile(r"(?:[-_ー−―—–‐]*|null|n/a|#n/a)", re.IGNORECASE)

_U: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
_N: Final = rf"[+-]?{_U}"
_NUMBER: Final = re.compile(_N)
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_YEN: Final = re.compile(
    rf"(?P<sign>[+-]?)¥?(?:(?P<oku>{_U})億)?(?:(?P<man>{_U})(?P<sen>千)?万)?(?P<rest>{_U})?(?P<yen>円)?"
    r"(?:/月)?"
)
_PER_SQM: Final = re.compile(r"/(?:m2|m\^2|平米)$", re.IGNORECASE)
_SQM: Final = re.compile(
    rf"(?P<sqm>{_N})(?:m2|m\^2|平米|平方メートル|平方m)?(?:\((?P<both>{_N})坪\))?", re.IGNORECASE
)
_TSUBO: Final = re.compile(rf"({_N})坪")
_METRES: Final = re.compile(rf"({_N})(m|メートル|km|キロメートル)?", re.IGNORECASE)
_PERCENT: Final = re.compile(rf"({_N})%?")
_FLOORS: Final = re.compile(r"(?:地上)?([0-9]{1,4})(?:階建て?|階|f)?", re.IGNORECASE)
_ONE_FLOOR: Final = frozenset({"平屋", "平屋建", "平屋建て"})

_ERAS: Final = {
    "令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867,
    "R": 2018, "H": 1988, "S": 1925, "T": 1911, "M": 1867,
}  # fmt: skip
_ERA_DATE: Final = re.compile(
    r"(?P<era>令和|平成|昭和|大正|明治|[RHSTM])(?P<y>元|[0-9]{1,2})"
    r"(?:年(?P<m>[0-9]{1,2})月(?P<d>[0-9]{1,2})日?|(?P<s>[./-])(?P<m2>[0-9]{1,2})(?P=s)(?P<d2>[0-9]{1,2}))",
    re.IGNORECASE,
)
_YMD: Final = re.compile(r"([0-9]{4})(?:年([0-9]{1,2})月([0-9]{1,2})日?)")
_YMD_SEPARATED: Final = re.compile(r"([0-9]{4})([./-])([0-9]{1,2})\2([0-9]{1,2})")
_YMD_COMPACT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_MDY: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_WEEKDAY: Final = re.compile(r"\([月火水木金土日]\)")
_TIME: Final = re.compile(
    r"(?P<h>[0-9]{1,2})(?:時(?P<jm>[0-9]{1,2})分(?:(?P<js>[0-9]{1,2})秒)?"
    r"|:(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2})(?:[.,](?P<f>[0-9]+))?)?)"
    r"\s*(?P<zone>Z|UTC|GMT|JST|[+-][0-9]{2}(?::?[0-9]{2}(?::[0-9]{2})?)?)?",
    re.IGNORECASE,
)
_DATE_THEN_TIME: Final = re.compile(r"(?P<date>.*?[0-9日)])(?:T|\s+)(?P<time>[0-9]{1,2}[:時].*)")

_TRUE: Final = frozenset({"true", "1", "yes", "有", "有り", "あり", "○", "◯", "〇"})
_FALSE: Final = frozenset({"false", "0", "no", "無", "無し", "なし", "×", "✕", "✖"})


def trim(text: str) -> str:
    """Without outer space of any width, byte-order marks and zero-width spaces."""
    return text.strip(_OUTER)


@lru_cache(maxsize=8192)
def is_blank(text: str) -> bool:
    """Whether the text stands for "no value": nothing, dashes, underscores, ``null``."""
    text = trim(text)
    if len(text) > 16:  # noqa: PLR2004 - a longer run of dashes is an ornament, not a blank
        return False
    return _BLANK.fullmatch(trim(normalize("NFKC", text))) is not None


def fold_code(text: str) -> str:
    """NFKC, inner space collapsed to one."""
    if not text.isascii():
        text = normalize("NFKC", text)
    return trim(" ".join(text.split()))


def fold_name(text: str) -> str:
    """Width only: letters, digits and spaces to half, kana to full; punctuation is left alone."""
    if not text.isascii():
        text = text.translate(_WIDE)
        text = _HALF_KANA.sub(lambda run: normalize("NFKC", run[0]), text)
        text = _VOICED.sub(lambda pair: normalize("NFC", pair[0]), text)
    return trim(" ".join(text.split()))


def fold_address(text: str) -> str:
    """`fold_name`, and a dash of any kind between digits is a hyphen."""
    return _DASH_IN_NUMBER.sub("-", fold_name(text))


def fold_free(text: str) -> str:
    """Line ends as LF, outer space gone, the rest untouched."""
    return trim(text.replace("\r\n", "\n").replace("\r", "\n"))


def is_not_finite(text: str) -> bool:
    """Whether the text says NaN or infinity: understood, and never a value."""
    return _NOT_FINITE.fullmatch(text) is not None


def read_number(text: str) -> Decimal | None:
    """Read a plain number, thousands grouped correctly or not at all."""
    tight = _tight(text)
    return _decimal(tight) if _NUMBER.fullmatch(tight) else None


def read_yen(text: str) -> Decimal | None:
    """Read ``1億2,500万円``, ``3千万``, ``¥38,000,000``, ``8.5万円/月``: yen."""
    match = _YEN.fullmatch(_tight(text))
    if match is None or not (match["oku"] or match["man"] or match["rest"]):
        return None
    oku, man, rest = (_decimal(match[part]) for part in ("oku", "man", "rest"))
    if oku is not None and man is None and rest is not None and not match["yen"]:
        return None  # "1億2500" may mean 2500万
    if oku is not None and (man is not None or rest is not None) and oku % 1:
        return None
    if man is not None and rest is not None and man % 1:
        return None
    total = Decimal(0)
    for part, factor in ((oku, 10**8), (man, 10**7 if match["sen"] else 10**4), (rest, 1)):
        total += (part or 0) * factor
    return -total if match["sign"] == "-" else total


def read_yen_per_sqm(text: str) -> Decimal | None:
    """Read ``208,000円/㎡`` or the bare price of one square metre."""
    return read_yen(_PER_SQM.sub("", _tight(text)))


def read_sqm(text: str) -> Decimal | None:
    """``120.5㎡``, ``36.45坪``, ``120.5㎡(36.45坪)`` (both must say the same): square metres."""
    tight = _tight(text)
    if tsubo := _TSUBO.fullmatch(tight):
        return _sqm_of_tsubo(tsubo[1])
    match = _SQM.fullmatch(tight)
    if match is None:
        return None
    sqm = _decimal(match["sqm"])
    if sqm is not None and match["both"] is not None:
        said_twice = _sqm_of_tsubo(match["both"])
        # Each figure is rounded by itself, so they may differ by about half a last digit.
        if abs(said_twice - sqm) > max(Decimal("0.05"), sqm / 100):
            return None
    return sqm


def read_metres(text: str) -> Decimal | None:
    """``750m``, ``1.2km``: metres. Minutes on foot are not converted: that would be a guess."""
    match = _METRES.fullmatch(_tight(text))
    if match is None:
        return None
    number = _decimal(match[1])
    kilo = (match[2] or "").lower() in {"km", "キロメートル"}
    return number * 1000 if number is not None and kilo else number


def read_percent(text: str) -> Decimal | None:
    """``60%`` or ``60``."""
    match = _PERCENT.fullmatch(_tight(text))
    return _decimal(match[1]) if match else None


def read_floors(text: str) -> Decimal | None:
    """``地上10階建``, ``3F``, ``平屋``; with a basement it is two numbers and not understood."""
    tight = _tight(text)
    if tight in _ONE_FLOOR:
        return Decimal(1)
    match = _FLOORS.fullmatch(tight)
    return _decimal(match[1]) if match else None


def read_boolean(text: str) -> bool | None:
    """Read ``True``, ``1``, ``有``, ``あり``, ``○`` and their opposites."""
    word = fold_code(text).lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def read_date(text: str) -> date | None:
    """Read an era date, Y-m-d in any separation, or m/d/Y; midnight after it is allowed."""
    folded = fold_code(text)
    found = _date(folded)
    if found is None and (parts := _DATE_THEN_TIME.fullmatch(folded)):
        time = _TIME.fullmatch(parts["time"])
        if time and not time["zone"] and not any(int(digits) for digits in _clock(time)):
            found = _date(parts["date"])
    return found


def read_timestamp(text: str) -> datetime | None:
    """Read a date with a time; no zone means Asia/Tokyo, the answer is UTC."""
    folded = fold_code(text)
    parts = _DATE_THEN_TIME.fullmatch(folded)
    day = _date(parts["date"] if parts else folded)
    time = _TIME.fullmatch(parts["time"]) if parts else None
    if day is None or (parts and time is None):
        return None
    try:
        at = datetime(day.year, day.month, day.day, tzinfo=TOKYO)
        if time is not None:
            hour, minute, second = (int(digits) for digits in _clock(time)[:3])
            at = at.replace(
                hour=hour,
                minute=minute,
                second=second,
                microsecond=int((time["f"] or "0")[:6].ljust(6, "0")),
                tzinfo=_zone(time["zone"]),
            )
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _clock(time: re.Match[str]) -> tuple[str, str, str, str]:
    return (time["h"], time["jm"] or time["m"], time["js"] or time["s"] or "0", time["f"] or "0")


def _zone(text: str | None) -> timezone:
    if not text or text.upper() == "JST":
        return TOKYO
    if text.upper() in {"Z", "UTC", "GMT"}:
        return timezone.utc  # noqa: UP017 - the type is timezone, not tzinfo
    digits = re.sub(r"[^0-9]", "", text).ljust(6, "0")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:6]))
    return timezone(-span if text[0] == "-" else span)


@lru_cache(maxsize=4096)
def _date(folded: str) -> date | None:
    text = _WEEKDAY.sub("", folded).replace(" ", "")
    year, month, day = _year_month_day(text)
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _year_month_day(text: str) -> tuple[int, int, int]:
    """Return the three numbers of a date; (0, 0, 0), which no calendar has, if it is none."""
    if match := _ERA_DATE.fullmatch(text):
        year = 1 if match["y"] == "元" else int(match["y"])
        base = _ERAS[match["era"].upper()] if year else -year
        return base + year, int(match["m"] or match["m2"]), int(match["d"] or match["d2"])
    if match := _YMD.fullmatch(text):
        return int(match[1]), int(match[2]), int(match[3])
    if match := _YMD_SEPARATED.fullmatch(text):
        return int(match[1]), int(match[3]), int(match[4])
    if match := _YMD_COMPACT.fullmatch(text):
        return int(match[1]), int(match[2]), int(match[3])
    if match := _MDY.fullmatch(text):
        return int(match[3]), int(match[1]), int(match[2])
    return 0, 0, 0


def _tight(text: str) -> str:
    """Fold for reading: NFKC and no space at all."""
    return fold_code(text).replace(" ", "")


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text.replace(",", ""))


def _sqm_of_tsubo(text: str) -> Decimal:
    numerator, denominator = SQM_PER_TSUBO
    return Decimal(text.replace(",", "")) * numerator / denominator
