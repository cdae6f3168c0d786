"""
The one Listing definition.

`FIELDS` is the table from which everything else is derived: SQL columns, JSON names, validation,
OpenAPI schema, canonical form. Adding a field is one row here and one migration.

A `Listing` is what a source *said*: a field it did not speak of is absent from `fields` and never
overwrites a stored value; a field it left blank is present with ``None`` and clears it. The two are
different on purpose. A `StoredListing` is what stands in the table: there every field is present.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

Value: TypeAlias = str | int | Decimal | bool | date | datetime | None
Json: TypeAlias = "str | int | float | Decimal | bool | list[Json] | dict[str, Json] | None"

PROPERTY_NUMBER_MAX: Final = 64
DEFAULT_WORKSPACE: Final = "default"
# No client traffic may name it: dry runs are proven here (their rows and journal are read back).
PROOF_WORKSPACE: Final = "syncgate-proof"


class System(StrEnum):
    """The two services, by their names on the wire."""

    OLD = "old"
    NEW = "new"


class Kind(Enum):
    """What a field holds; the value is its PostgreSQL type."""

    TEXT = "text"
    INTEGER = "bigint"
    DECIMAL = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamptz"


@cache
def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


class Unit(Enum):
    """What a number counts; each has its own way of being written."""

    YEN = "yen"
    YEN_PER_SQM = "yen per sqm"
    SQM = "sqm"
    METRE = "m"
    PERCENT = "percent"
    FLOOR = "floor"


class Fold(Enum):
    """How a text is normalised, from everything to nothing."""

    CODE = "code"
    NAME = "name"
    ADDRESS = "address"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a listing.

    `minimum` and `maximum` are inclusive; `scale` is the number of decimals kept of a DECIMAL;
    `unit` decides how the codec reads a number's text (``万円``, ``坪``, ``km``, ``階建``);
    `fold` how much of a text's spelling is width and may be unified (see listings.codec.japanese).
    """

    name: str
    kind: Kind
    title: str
    minimum: int | None = None
    maximum: int | None = None
    max_length: int | None = None
    scale: int | None = None
    unit: Unit | None = None
    fold: Fold = Fold.NAME

    @property
    def json_name(self) -> str:
        """The camelCase name on the wire: ``price_yen`` is ``priceYen``."""
        return _camel(self.name)

    @property
    def sql_type(self) -> str:
        """The column type, e.g. ``numeric(20,2)``."""
        if self.kind is Kind.DECIMAL:
            return f"numeric(20,{self.scale or 0})"
        return str(self.kind.value)


def _text(name: str, title: str, max_length: int = 500, fold: Fold = Fold.NAME) -> Field:
    return Field(name, Kind.TEXT, title, max_length=max_length, fold=fold)


def _code(name: str, title: str, max_length: int = 100) -> Field:
    return _text(name, title, max_length, Fold.CODE)


def _yen(name: str, title: str, unit: Unit = Unit.YEN) -> Field:
    return Field(name, Kind.INTEGER, title, minimum=0, maximum=10**15, unit=unit)


def _sqm(name: str, title: str) -> Field:
    return Field(name, Kind.DECIMAL, title, minimum=0, maximum=10**9, scale=2, unit=Unit.SQM)


def _percent(name: str, title: str, maximum: int) -> Field:
    return Field(name, Kind.DECIMAL, title, minimum=0, maximum=maximum, scale=2, unit=Unit.PERCENT)


FIELDS: Final[tuple[Field, ...]] = (
    _text("title", "物件名"),
    _code("property_type", "種別"),
    _code("status", "状態"),
    _code("postal_code", "郵便番号", 16),
    _text("prefecture", "都道府県", 16),
    _text("city", "市区町村", 100),
    _text("address", "所在地", 500, Fold.ADDRESS),
    Field("latitude", Kind.DECIMAL, "緯度", minimum=-90, maximum=90, scale=7),
    Field("longitude", Kind.DECIMAL, "経度", minimum=-180, maximum=180, scale=7),
    _yen("price_yen", "価格"),
    _yen("rent_yen", "賃料"),
    _yen("management_fee_yen", "管理費"),
    _yen("price_per_sqm_yen", "平米単価", Unit.YEN_PER_SQM),
    _sqm("land_area_sqm", "土地面積"),
    _sqm("building_area_sqm", "建物面積"),
    _code("layout", "間取り"),
    Field("built_on", Kind.DATE, "築年月日"),
    Field("floors", Kind.INTEGER, "階数", minimum=0, maximum=300, unit=Unit.FLOOR),
    _code("structure", "構造"),
    _text("nearest_station", "最寄駅", 200),
    Field("station_distance_m", Kind.INTEGER, "駅距離", minimum=0, maximum=10**6, unit=Unit.METRE),
    _code("zoning", "用途地域"),
    _percent("building_coverage_percent", "建ぺい率", 100),
    _percent("floor_area_ratio_percent", "容積率", 2000),
    Field("has_gas", Kind.BOOLEAN, "ガス"),
    Field("has_water", Kind.BOOLEAN, "水道"),
    Field("has_sewer", Kind.BOOLEAN, "下水"),
    Field("listed_on", Kind.DATE, "掲載日"),
    Field("source_updated_at", Kind.TIMESTAMP, "情報更新日時"),
    _text("description", "備考", 20_000, Fold.FREE),
)
FIELD_BY_NAME: Final[Mapping[str, Field]] = {field.name: field for field in FIELDS}
FIELD_BY_JSON_NAME: Final[Mapping[str, Field]] = {field.json_name: field for field in FIELDS}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source said about one property.

    `fields` holds only the fields it spoke of, by SQL name, in their Python types; `extra` what was
    said beyond them (None: nothing was said, keep what is stored).
    """

    property_number: str
    fields: Mapping[str, Value]
    extra: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class StoredListing:
    """One row as it stands: `fields` has every field of `FIELDS`, `extra` is never None."""

    id: UUID
    workspace_id: str
    property_number: str
    fields: Mapping[str, Value]
    extra: Mapping[str, Json]
    written_by: str
    sync_id: UUID | None
    created_at: datetime
    updated_at: datetime
