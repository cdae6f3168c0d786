"""Laws of the codec that hold for every text, not only for those we thought of."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from listings.codec import japanese, merge, parse_listing, stored_values, to_json
from listings.codec.canonical import canonical, decode_json, digest, encode_json
from listings.errors import InvalidInput
from listings.model import FIELDS, Kind, StoredListing
from tests.support.scale import scale

COUNT = scale(full=2_000, quick=60)
PIECES = st.sampled_from(
    [
        "万", "億", "円", "千", "坪", "㎡", "m2", "年", "月", "日", "時", "分", "令和", "昭和",
        "H", "R", "元", "１", "2", "3,800", ".", "．", "/", "-", "－", "ー", "_", "　", " ",
        "\u200b",
        "\ufeff", "true", "Ｔｒｕｅ", "○", "有", "null", "ﾊﾞ", "ﾞ", "が", "か\u3099", "Ⅱ", "①", "㈱",
        "(", ")", "¥", "￥", "%", "km", "階", "地上", "T", ":", "+09:00", "Z",
        "\r\n", "\r", "\t", "¨",
    ]
)  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=40),
    st.lists(PIECES, max_size=10).map("".join),
    st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=8).map("".join),
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.decimals(allow_nan=False, allow_infinity=False, places=6),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
LISTING = st.fixed_dictionaries(
    {},
    optional={
        **{field.json_name: st.one_of(TEXT, st.none(), st.integers(-5, 500)) for field in FIELDS},
        "extra": st.one_of(st.none(), st.dictionaries(st.text(max_size=8), JSON, max_size=4)),
        "別の欄": TEXT,
    },
)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def parsed(raw: dict[str, Any]) -> Any:
    """Parse, dropping what is refused until it passes; refusing must always name a field."""
    raw = {"propertyNumber": "A1", **raw}
    for _ in range(len(raw) + 1):
        try:
            return parse_listing(raw, "listing")
        except InvalidInput as exc:
            names = {fault.field.split(".")[1] for fault in exc.faults}
            assert names
            assert names <= raw.keys()
            raw = {key: value for key, value in raw.items() if key not in names}
    raise AssertionError("still refused with nothing left")


@settings(max_examples=COUNT, deadline=None)
@given(TEXT)
def test_folding_is_idempotent(text: str) -> None:
    """Normalising twice is normalising once, and blank stays blank."""
    folds = (
        japanese.fold_code, japanese.fold_name, japanese.fold_address, japanese.fold_free,
        japanese.trim,
    )  # fmt: skip
    for fold in folds:
        once = fold(text)
        assert fold(once) == once
        assert japanese.is_blank(once) == japanese.is_blank(text)


@settings(max_examples=COUNT, deadline=None)
@given(TEXT)
def test_readers_answer_for_every_text(text: str) -> None:
    """A reader gives its type or None, and width never decides which."""
    for reader, kind in (
        (japanese.read_yen, Decimal),
        (japanese.read_sqm, Decimal),
        (japanese.read_metres, Decimal),
        (japanese.read_percent, Decimal),
        (japanese.read_floors, Decimal),
        (japanese.read_number, Decimal),
        (japanese.read_boolean, bool),
        (japanese.read_timestamp, datetime),
    ):
        value = reader(text)
        assert value is None or isinstance(value, kind)
        assert reader(japanese.fold_code(text)) == value
    assert japanese.read_date(japanese.fold_code(text)) == japanese.read_date(text)


@settings(max_examples=COUNT, deadline=None)
@given(LISTING)
def test_reading_what_was_written_changes_nothing(raw: dict[str, Any]) -> None:
    """Parse, store, answer, push back: the same row, the same digest."""
    listing = parsed(raw)
    row = merge(None, listing)
    stored = StoredListing(UUID(int=1), "w", "A1", row.fields, row.extra, "old", None, AT, AT)
    body = decode_json(encode_json(to_json(stored)))
    assert isinstance(body, dict)
    again = merge(None, parse_listing(body, "listing"))
    assert digest("A1", again.fields, again.extra) == digest("A1", row.fields, row.extra)


@settings(max_examples=COUNT, deadline=None)
@given(LISTING)
def test_the_digest_survives_the_database(raw: dict[str, Any]) -> None:
    """A row read back as PostgREST's JSON or as typed values has the same digest."""
    row = merge(None, parsed(raw))
    expected = canonical("A1", row.fields, row.extra)
    loaded = decode_json(encode_json({**row.fields, "extra": row.extra}))
    assert isinstance(loaded, dict)
    back = stored_values(loaded)
    assert canonical("A1", back.fields, back.extra) == expected
    typed = stored_values({**row.fields, "extra": row.extra})
    assert canonical("A1", typed.fields, typed.extra) == expected


@settings(max_examples=COUNT, deadline=None)
@given(LISTING)
def test_nothing_said_is_lost(raw: dict[str, Any]) -> None:
    """A text that is not blank ends in its field or in extra."""
    listing = parsed(raw)
    for field in FIELDS:
        said = raw.get(field.json_name)
        if field.name not in listing.fields or not isinstance(said, str):
            continue
        understood = listing.fields[field.name] is not None
        kept = listing.extra is not None and field.json_name in listing.extra
        assert understood or kept or japanese.is_blank(said)
        if field.kind is Kind.TEXT:
            assert understood != japanese.is_blank(said)


@settings(max_examples=COUNT, deadline=None)
@given(st.dictionaries(st.text(max_size=6), JSON, max_size=5), st.randoms())
def test_key_order_does_not_count(extra: dict[str, Any], order: Any) -> None:
    """PostgreSQL's jsonb gives keys back in its own order."""
    keys = list(extra)
    order.shuffle(keys)
    shuffled = {key: extra[key] for key in keys}
    assert canonical("A", {}, shuffled) == canonical("A", {}, extra)
