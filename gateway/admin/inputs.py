"""
What the admin API takes: exactly that, and a named fault for anything else.

Inputs are strict: unknown keys, numbers in quotes, booleans as numbers, NaN and blank reasons are
mistakes of the caller. Text is one line without control characters, because it ends in terminals
and logs.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
)

from gateway.admin.models import System  # noqa: TC001 - pydantic reads it at run time

REASON_MAX: Final = 500
TEXT_MAX: Final = 2_000


_BREAKS: Final = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_RFC3339: Final = re.compile(
    r"\A\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def _one_line(value: str) -> str:
    """Refuse what cannot be seen; control characters must not reach a terminal or a log."""
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _BREAKS.sub(" ", value)).strip()
    if not line:
        raise ValueError("text that is not blank")
    return line


def _in_steps(value: float) -> float:
    """Refuse finer steps than basis points; in decimals, for 12.34 is no binary fraction."""
    if Decimal(str(value)) % Decimal("0.01"):
        raise ValueError("a multiple of 0.01")
    return value


def _whole(value: object) -> object:
    """Take 6.0 for 6, as JSON does; what has a fraction stays and is refused."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = BeforeValidator(_whole)
"""For integers: JSON knows only numbers."""


def _text(max_length: int, description: str, example: str) -> Any:
    return Field(
        min_length=1,
        max_length=max_length,
        description=description,
        json_schema_extra={"pattern": r"[^\s\x85]"},
        examples=[example],
    )


Reason = Annotated[
    str,
    _text(REASON_MAX, "Why; kept in the audit for good.", "two clean days, going on"),
    AfterValidator(_one_line),
]
Text = Annotated[
    str,
    _text(TEXT_MAX, "What the user said.", "My listing shows the old price"),
    AfterValidator(_one_line),
]
Percent = Annotated[
    float,
    Field(
        ge=0,
        le=100,
        strict=True,
        allow_inf_nan=False,
        description="Share to the new system, 0 to 100 in steps of 0.01.",
        json_schema_extra={"multipleOf": 0.01},
        examples=[25],
    ),
    AfterValidator(_in_steps),
]


def _rfc3339(value: object) -> object:
    """Refuse what only looks like an instant: a bare number, a local time."""
    if isinstance(value, str) and _RFC3339.match(value):
        return datetime.fromisoformat(value.upper())
    raise ValueError("an instant with its offset, such as 2026-11-21T01:02:03Z")


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]


class Input(BaseModel):
    """What a caller sends: nothing unknown, nothing bent to fit."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class Change(Input):
    """Any change that needs nothing but its reason."""

    reason: Reason


class Promotion(Change):
    """Go on to the next phase."""

    force: bool = Field(
        default=False, description="Although gates do not pass: needs the admin scope."
    )


class WeightChange(Change):
    """Set the share of the new system."""

    percent: Percent


class Severity(StrEnum):
    """How bad a user says it is."""

    MINOR = "minor"
    SERIOUS = "serious"


class Reported(Input):
    """What every measurement may say besides its value."""

    system: Annotated[System | None, Field(strict=False)] = None
    """Which one, where it applies; default: of no one system."""
    sample: Annotated[int | None, Field(ge=1, le=10**12), WholeNumber] = None
    """How many observations it rests on."""
    at: Instant | None = None
    """When it was taken; default now. Not in the future: the gateway's clock decides (409)."""


class RatioMeasurement(Reported):
    """A share, 0..1."""

    metric: Literal[
        "error_ratio",
        "success_ratio",
        "match_ratio",
        "compared_ratio",
        "api_usage_ratio",
        "cpu_ratio",
        "memory_ratio",
        "disk_ratio",
        "network_ratio",
        "database_load_ratio",
    ]
    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class AmountMeasurement(Reported):
    """A time in milliseconds or seconds, or one in multiples of old's."""

    metric: Literal["latency_p95_ms", "sync_seconds_per_1000", "sync_time_to_old"]
    value: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class CountMeasurement(Reported):
    """So many listings, mismatches or reports: there is no half one."""

    metric: Literal["listings_synced", "integrity_mismatches", "data_loss", "user_reports"]
    value: Annotated[int, Field(ge=0, le=10**12), WholeNumber]


class FlagMeasurement(Reported):
    """Something that is (1) or is not (0)."""

    metric: Literal["system_down", "security_breach"]
    value: Annotated[float, Field(ge=0, le=1, json_schema_extra={"multipleOf": 1})]

    @field_validator("value")
    @classmethod
    def _is_or_is_not(cls, value: float) -> float:
        if value not in {0, 1}:
            raise ValueError("0 or 1")
        return value


Measured = RatioMeasurement | AmountMeasurement | CountMeasurement | FlagMeasurement
MeasurementIn = Annotated[Measured, Field(discriminator="metric")]
"""A figure that only somebody outside can know."""


class UserReportIn(Input):
    """What a user told us."""

    severity: Annotated[Severity, Field(strict=False)]
    text: Text
