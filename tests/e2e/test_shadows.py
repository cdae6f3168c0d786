"""Phase 1 on real servers: mirrored syncs leave no trace, agree, and every drift is found."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.scale import scale
from tests.support.whole_system import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.whole_system import System

SYNCS = scale(full=2_000, quick=40)
TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS
UNDER_WAY = 100
"""So many shadows may wait; the mirror drops those for which there is no room."""
DRIFT = """
CREATE FUNCTION public.test_drift() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('request.headers', true)::json ->> 'sync-system' = 'new' THEN
    {drift}
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER aa_test_drift BEFORE INSERT OR UPDATE ON public.listings
FOR EACH ROW EXECUTE FUNCTION public.test_drift();
"""
NO_DRIFT = "DROP FUNCTION IF EXISTS public.test_drift() CASCADE"


def batch(number: int, *, change: int = 0) -> dict[str, Any]:
    """Push three listings; each sync touches some that others did, too."""
    return {
        "mode": "push",
        "listings": [
            {"propertyNumber": f"P{(number + k) % 20:03}", "title": f"t{k}", "floors": 3,
             "priceYen": 1_000_123 + 1_000 * ((number + k) % 5) + change}
            for k in range(3)
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def mirrored(system: System) -> Iterator[System]:
    """A rollout in phase 1, mirroring with proof."""
    system.begin()
    yield system
    system.order("rollback")


@pytest.fixture
def database(system: System) -> Iterator[psycopg.Connection[Any]]:
    """The database, to let new drift in it for one test."""
    with psycopg.connect(system.env["DATABASE_URL"], autocommit=True) as connection:
        yield connection
        connection.execute(NO_DRIFT)


def push(system: System, workspace: str, syncs: int, *, change: int = 0, since: int = 0) -> None:
    """Send so many syncs through the gateway, each after the other."""
    for number in range(since, since + syncs):
        body = batch(number, change=change)
        answer = system.sync(body, **{"Sync-Workspace": workspace})
        while answer.status_code == TOO_MANY:  # a fast machine is above the client's limit
            time.sleep(float(answer.headers["Retry-After"]))
            answer = system.sync(body, **{"Sync-Workspace": workspace})
        assert answer.headers["Sync-System"] == "old"
        assert answer.json()["status"] == "completed"


def compared(system: System, listings: int) -> dict[str, Any]:
    """Wait until so many listings were compared."""
    return until(
        lambda: (found := system.read("/comparisons"))["listings"] >= listings and found,
        within_s=30 + listings,
    )


@pytest.mark.timeout(900)
def test_mirrored_syncs_leave_what_old_alone_leaves(mirrored: System) -> None:
    """Tables are byte for byte those of old alone; all listings agree, and it is said how."""
    before = mirrored.read("/comparisons")["listings"]
    for done in range(0, SYNCS, UNDER_WAY):
        push(mirrored, "mirrored", min(UNDER_WAY, SYNCS - done), since=done)
        found = compared(mirrored, before + 3 * (done + min(UNDER_WAY, SYNCS - done)))
    assert found["match_rate"] == 1.0
    assert found["differences"] == []
    assert found["means"] in {"rollback", "raise"}
    assert "100 % of" in found["sentence"]
    with_mirror = mirrored.contents("mirrored")
    mirrored.order("rollback")
    push(mirrored, "alone", SYNCS)
    mirrored.begin()
    assert with_mirror == mirrored.contents("alone")
    assert {row["written_by"] for row in with_mirror["listings"]} == {"old"}


SEEDED = """new.price_yen := new.price_yen / 1000 * 1000; new.floors := NULL;
  new.extra := '{"odd": 1}'; IF TG_OP = 'UPDATE' THEN new.title := old.title; END IF;"""
SEEN = {
    ("priceYen", "value", "real"), ("floors", "missing", "real"),
    ("extra", "extra", "real"), ("title", "value", "real"),
}  # fmt: skip


def test_a_drift_seeded_in_the_database_leads_back_to_the_journal(
    mirrored: System, database: psycopg.Connection[Any]
) -> None:
    """What new alone does to a row stands in the comparison, with both values and the sync."""
    push(mirrored, "drift", 3)
    before = mirrored.quiet()
    database.execute(DRIFT.format(drift=SEEDED))
    for number in range(3):
        body = batch(number, change=500)
        for listing in body["listings"]:
            listing["title"] += "x"  # every one of them changes
        mirrored.sync(body, **{"Sync-Workspace": "drift"})
    opened = before["answers_opened"] + 3
    until(lambda: mirrored.read("/comparisons")["answers_opened"] >= opened)
    after = mirrored.read("/comparisons")
    new = {
        (each["path"], each["kind"], each["cause"]): each
        for each in after["differences"]
        if all(each["count"] != one["count"] for one in before["differences"] if same(each, one))
    }
    assert set(new) == SEEN
    for difference in new.values():
        assert difference["verdict"] == "real"
        example = difference["examples"][0]
        assert example["old"] != example["new"]
        written = database.execute(
            "select count(*) from listing_journal where sync_id = %s and workspace_id = %s",
            (example["sync_id"], "drift"),
        ).fetchone()
        assert written == (3,)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two summaries speak of one thing."""
    return all(one[name] == other[name] for name in ("path", "kind", "cause"))
