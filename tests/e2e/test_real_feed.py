"""A real feed of two years goes through the system by both ways, and both agree on every row."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING, Any

import psycopg

from tests.support.shared import shared

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.whole_system import System

ROWS_2024 = 1715
ROWS_2025 = 1687


def keys(path: Path) -> set[str]:
    """The property numbers of a land-price file, read without any of the program's code."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return {
            "-".join((row["L01_001"], row["L01_002"], row["L01_003"]))
            for row in csv.DictReader(stream)
        }


def full(system: System, side: str, workspace: str) -> dict[str, Any]:
    """One full sync by one side into one workspace."""
    system.order("weight", percent=100 if side == "new" else 0)
    answer = system.sync({"mode": "full"}, **{"Sync-Workspace": workspace})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Sync-System"] == side
    return answer.json()


def digests(answer: dict[str, Any]) -> dict[str, str]:
    """What a sync says stands now, by property number."""
    return {record["propertyNumber"]: record["digest"] for record in answer["records"]}


def test_two_years_by_both_systems(system: System) -> None:
    """Every row lands by either way with the same digest; a year later only facts have changed."""
    before = {
        side: full(system, side, workspace)
        for side, workspace in (("old", "by-old"), ("new", "by-new"))
    }
    for answer in before.values():
        assert answer["stats"] == {
            "total": ROWS_2024, "success": ROWS_2024, "failed": 0, "skipped": 0,
        }  # fmt: skip
    assert digests(before["old"]) == digests(before["new"])

    year_2025 = shared("data/osaka_land_price_2025.csv")
    shutil.copyfile(year_2025, system.feed)
    gone = keys(shared("data/osaka_land_price_2024.csv")) - keys(year_2025)
    after = {
        side: full(system, side, workspace)
        for side, workspace in (("old", "by-old"), ("new", "by-new"))
    }
    for answer in after.values():
        actions = [record["action"] for record in answer["records"]]
        assert answer["stats"]["success"] == ROWS_2025
        assert actions.count("created") == 9
        assert answer["missing"]["count"] == len(gone) == 37
        assert set(answer["missing"]["propertyNumbers"]) == gone
    assert digests(after["old"]) == digests(after["new"])
    assert after["old"]["stats"] == after["new"]["stats"]


def test_the_same_facts_in_other_spelling_write_nothing(system: System) -> None:
    """The feed of 2025 written as 2024 wrote it (`True`, full-width, blanks) changes no row."""
    shutil.copyfile(shared("data/osaka_land_price_2025.csv"), system.feed)
    full(system, "old", "spelling")
    text = system.feed.read_text(encoding="utf-8-sig")
    respelled = text.replace(",true", ",True").replace(",false", ",False").replace(",_,", ",－,")
    assert respelled != text
    system.feed.write_text(respelled, encoding="utf-8")
    for side in ("old", "new"):
        answer = full(system, side, "spelling")
        assert {record["action"] for record in answer["records"]} == {"unchanged"}
    with psycopg.connect(system.env["DATABASE_URL"]) as connection:
        row = connection.execute(
            "select count(*) from listing_journal where workspace_id = 'spelling'"
        ).fetchone()
    assert row == (ROWS_2025,)
