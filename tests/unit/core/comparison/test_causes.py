"""Every cause, its near misses, and the doubtful cases that must stay real."""

from __future__ import annotations

import pytest

from gateway.core.comparison.causes import classify
from gateway.core.comparison.words import Cause, Kind

SAME = (Kind.FORMAT, Cause.FORMAT_ONLY)
REAL = (Kind.VALUE, Cause.REAL)
PRECISION = (Kind.VALUE, Cause.PRECISION)
ZONE = (Kind.VALUE, Cause.TIME_ZONE)
MADE_UP = (Kind.VALUE, Cause.GENERATED)

CASES = [
    # Texts written differently.
    ("大阪市北区１－２－３", "大阪市北区1-2-3", SAME),
    ("ﾏﾝｼｮﾝ梅田", "マンション梅田", SAME),
    ("1\N{MINUS SIGN}2", "1-2", SAME),
    ("10\N{WAVE DASH}12", "10~12", SAME),
    ("  a   b ", "a b", SAME),
    ("a\N{IDEOGRAPHIC SPACE}b", "a b", SAME),
    ("", "　", SAME),
    ("Osaka", "osaka", REAL),
    ("True", "true", SAME),
    ("False", "true", REAL),
    ("梅田", "難波", REAL),
    ("梅田", "1", REAL),
    ("zebra", "yak", REAL),
    ("a" * 5000, "a" * 5000 + " ", REAL),
    # Numbers.
    (1, 1.0, SAME),
    (1, 2, REAL),
    (0.1 + 0.2, 0.3, PRECISION),
    (62.54, 62.5, PRECISION),
    (62.55, 62.6, PRECISION),
    (62.59, 62.5, PRECISION),
    (1234.6, 1235, PRECISION),
    (1234.6, 1236, REAL),
    (62.5, 62.6, REAL),
    (0.4, 0, REAL),
    (38_000_000_001, 38_000_000_000, REAL),
    (2**53 + 1, 2**53 + 2, PRECISION),
    (float("nan"), 1.0, REAL),
    (float("nan"), 0, REAL),
    (float("nan"), float("inf"), REAL),
    (1e308, -1e308, REAL),
    (float("inf"), 1.0, REAL),
    (10**400, 1.5, REAL),
    (1e-7, 1.004e-7, REAL),
    (10**5000, 10**5000 + 10**4998, REAL),
    (62.5, 62.50000001, PRECISION),
    # Numbers as text.
    ("1,000", "1000", SAME),
    ("1.50", "1.5", SAME),
    ("62.54", "62.5", PRECISION),
    ("1000", "1001", REAL),
    ("0123", "123", REAL),
    ("12a", "12", REAL),
    ("1.0000000000000000000001", "1.0000000000000000000002", PRECISION),
    ("1" * 400 + ".5", "2" * 400 + ".5", REAL),
    ("1.00", "1", SAME),
    # Dates.
    ("2026-01-02", "2026/1/2", SAME),
    ("2026年1月2日", "2026-01-02", SAME),
    ("2026-01-02", "2026-01-02T00:00:00", SAME),
    ("2026-01-02", "2026-01-02T00:00:00.5", REAL),
    ("2026-01-02", "2026-01-02T00:00:01", REAL),
    ("2026-01-02", "2026-01-03", REAL),
    # Instants.
    ("2026-01-02T03:04:05Z", "2026-01-02 03:04:05+00:00", SAME),
    ("2026-01-02T03:04", "2026-01-02T03:04:00.000", SAME),
    ("2026-01-02T12:04:05+09:00", "2026-01-02T03:04:05Z", (Kind.FORMAT, Cause.TIME_ZONE)),
    ("2026-01-02T12:04:05Z", "2026-01-02T03:04:05Z", ZONE),
    ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z", ZONE),
    ("2026-01-02T03:04:05", "2026-01-02T05:04:05Z", REAL),
    ("2026-01-02T03:04:05Z", "2026-01-02T12:05:05Z", REAL),
    ("2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z", REAL),
    ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123Z", PRECISION),
    ("2026-01-02T03:04:05.9Z", "2026-01-02T03:04:05Z", PRECISION),
    ("2026-01-02T03:04:05.123Z", "2026-01-02T03:04:05.987Z", MADE_UP),
    ("2026-01-02T03:04:05Z", "2026-01-02T03:04:09Z", MADE_UP),
    ("2026-01-02T03:04:05.1234567890123456789012345Z", "2026-01-02T03:04:05.1Z", MADE_UP),
    ("2026-13-02T03:04:05Z", "2026-01-02T03:04:05Z", REAL),
    # What systems make up.
    (
        "0b0e3c1a-5d3f-4a8e-9c1b-2f6d7e8a9b0c",
        "1b0e3c1a-5d3f-4a8e-9c1b-2f6d7e8a9b0c",
        MADE_UP,
    ),
    (
        "0B0E3C1A-5D3F-4A8E-9C1B-2F6D7E8A9B0C",
        "0b0e3c1a-5d3f-4a8e-9c1b-2f6d7e8a9b0c",
        SAME,
    ),
    ("01JABCDEFGHJKMNPQRSTVWXYZ0", "01JABCDEFGHJKMNPQRSTVWXYZ1", MADE_UP),
    # Bare hexadecimal is a digest, and digests that differ are the very thing looked for.
    ("5d41402abc4b2a76b9719d911017c592", "7d793037a0760186574b0282f2f435e7", REAL),
    # Same type, neither text nor number.
    (True, False, REAL),
    # Across types.
    ("38000000", 38_000_000, (Kind.TYPE, Cause.FORMAT_ONLY)),
    (1.5, "１．５", (Kind.TYPE, Cause.FORMAT_ONLY)),
    ("38000001", 38_000_000, (Kind.TYPE, Cause.REAL)),
    ("1" * 400, 10**400, (Kind.TYPE, Cause.REAL)),
    ("1", 10**5000, (Kind.TYPE, Cause.REAL)),
    ("1", float("nan"), (Kind.TYPE, Cause.REAL)),
    ("many", 38_000_000, (Kind.TYPE, Cause.REAL)),
    ("True", True, (Kind.TYPE, Cause.FORMAT_ONLY)),
    ("yes", True, (Kind.TYPE, Cause.REAL)),
    (True, 1, (Kind.TYPE, Cause.FORMAT_ONLY)),
    (True, 2, (Kind.TYPE, Cause.REAL)),
    ("a", ["a"], (Kind.TYPE, Cause.REAL)),
    ([], {}, (Kind.TYPE, Cause.REAL)),
    (None, "", (Kind.TYPE, Cause.NULL_AGAINST_ABSENT)),
    ([], None, (Kind.TYPE, Cause.NULL_AGAINST_ABSENT)),
    (None, 5, (Kind.TYPE, Cause.REAL)),
    (None, 0, (Kind.TYPE, Cause.REAL)),
]


@pytest.mark.parametrize(("left", "right", "finding"), CASES, ids=map(str, range(len(CASES))))
def test_the_cause_is_found_from_either_side(left, right, finding):
    """Kind and cause do not depend on which system wrote which."""
    assert classify(left, right) == finding
    assert classify(right, left) == finding
