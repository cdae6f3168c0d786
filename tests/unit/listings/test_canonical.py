"""The canonical form: the values alone decide the bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

import pytest

from listings.codec.canonical import answer_digest, canonical, decode_json, digest, encode_json
from listings.errors import InvalidInput
from listings.model import System


def test_canonical_bytes_are_as_documented() -> None:
    """One row, byte for byte: other programs may compute it too."""
    fields = {
        "title": "ハイツ",
        "price_yen": 38_000_000,
        "land_area_sqm": Decimal("120.50"),
        "has_gas": False,
        "city": None,
        "source_updated_at": datetime(2024, 4, 1, 12, 0, 0, 120000, timezone(timedelta(hours=9))),
    }
    extra = {"b": Decimal("1.50"), "a": [True, None, 10**20], "あ": "x"}
    assert canonical("AA1", fields, extra).decode() == (
        '{"extra":{"a":[true,null,100000000000000000000],"b":1.5,"あ":"x"},"hasGas":false,'
        '"landAreaSqm":"120.5","priceYen":38000000,"propertyNumber":"AA1",'
        '"sourceUpdatedAt":"2024-04-01T03:00:00.12Z","title":"ハイツ"}'
    )


def test_digest_is_blake2b_of_it() -> None:
    """32 hex digits of BLAKE2b-128."""
    expected = blake2b(b'{"propertyNumber":"A"}', digest_size=16).hexdigest()
    assert digest("A", {"title": None}, {}) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.50"), 1.5),
        (Decimal("1E+2"), 100),
        (Decimal("-0.0"), 0),
        ({"x": 1, "y": 2}, {"y": 2.0, "x": Decimal("1.000")}),
        ([1e22], [10**22]),
    ],
)
def test_number_formats_do_not_count(one: Any, other: Any) -> None:
    """What jsonb may give back in another spelling is the same."""
    assert canonical("A", {}, {"v": one}) == canonical("A", {}, {"v": other})


@pytest.mark.parametrize(
    ("one", "other"), [("1", 1), (True, 1), (None, "null"), ("a", "A"), ([1, 2], [2, 1]), (0, None)]
)
def test_values_do_count(one: Any, other: Any) -> None:
    """Different values have different bytes, text and number included."""
    assert canonical("A", {}, {"v": one}) != canonical("A", {}, {"v": other})


def test_answer_digest_is_as_documented() -> None:
    """Order of the records does not matter, a failed one has an empty digest."""
    expected = blake2b("A\t00\nB\t\nあ\t11\n".encode(), digest_size=16).hexdigest()
    assert answer_digest([("あ", "11"), ("B", None), ("A", "00")]) == expected
    assert answer_digest([]) == blake2b(b"", digest_size=16).hexdigest()


def test_json_numbers_survive_exactly() -> None:
    """Neither 2^64 nor many decimals become a float on the way."""
    text = b'{"a":18446744073709551616,"b":0.10000000000000000000001,"c":[1e2]}'
    value = decode_json(text)
    assert encode_json(value) == text.replace(b"1e2", b"100")


def test_json_writes_what_python_has() -> None:
    """UUIDs, moments, enums and mappings are written as the contract spells them."""
    at = datetime(2024, 4, 1, 12, tzinfo=UTC)
    assert encode_json([UUID(int=0), at, at.date(), System.OLD]) == (
        b'["00000000-0000-0000-0000-000000000000","2024-04-01T12:00:00Z","2024-04-01","old"]'
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[NaN]",
        b"[-Infinity]",
        b"\xff",
        b"[1e99999999999999999999]",
        b"[" + b"9" * 5000 + b"]",
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b'{"a":1,"a":1}',
        b"[1] x",
        b'["\n"]',
    ],
)
def test_json_is_read_strictly(text: bytes) -> None:
    """Anything else than one JSON value is refused with a reason."""
    with pytest.raises(InvalidInput) as caught:
        decode_json(text)
    assert caught.value.faults[0].field == "body"


def test_json_may_carry_a_mark() -> None:
    """A byte-order mark before the text is allowed."""
    assert decode_json(b"\xef\xbb\xbf{}") == {}
