"""
How many listings a second one core compares: equal ones, and ones that differ.

    python -m tests.bench.comparison_speed
"""

from __future__ import annotations

import sys
from copy import deepcopy
from json import dumps, loads
from time import process_time
from typing import Any

from gateway.core.comparison import Rules, compare

LISTING = {
    "propertyNumber": "AA12345",
    "address": "大阪府大阪市北区梅田1丁目2番3号",
    "priceYen": 38_000_000,
    "areaM2": 62.5,
    "landRights": "所有権",
    "buildYear": 1998,
    "station": "梅田",
    "stationDistanceM": 450,
    "useDistrict": "商業",
    "buildingCoveragePercent": 80,
    "floorAreaRatioPercent": 600,
    "layout": "3LDK",
    "latitude": 34.70254,
    "longitude": 135.49595,
    "active": True,
    "publishedAt": "2026-11-01T09:30:00+09:00",
    "notes": None,
    "extra": {"front": "南", "roads": ["市道", "国道"], "gas": True, "water": True},
}


def listings_per_second(pairs: list[tuple[Any, Any]], *, seconds: float = 0.5) -> float:
    """Compare the pairs over and over for so much CPU time; the best of three rounds."""
    rules, best = Rules(), 0.0
    for _ in range(3):
        started, done = process_time(), 0
        while process_time() - started < seconds:
            for left, right in pairs:
                compare(left, right, rules)
            done += len(pairs)
        best = max(best, done / (process_time() - started))
    return best


def decoded_twice(changes: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """Pairs as they come from two answers: nothing is shared between the sides."""
    return [(loads(dumps(LISTING)), deepcopy(loads(dumps(LISTING)) | change)) for change in changes]


def main() -> None:
    """Print both figures."""
    equal = decoded_twice([{}] * 100)
    different = decoded_twice(
        [
            {"priceYen": 39_000_000 + n, "address": "大阪府大阪市北区梅田１丁目２番３号"}
            for n in range(100)
        ]
    )
    lines = [
        "Comparison, listings a second per core (18 fields, one of them nested)",
        f"equal          {listings_per_second(equal):>12,.0f}   (wanted: 300,000)",
        f"two differ     {listings_per_second(different):>12,.0f}   (wanted:  50,000)",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
