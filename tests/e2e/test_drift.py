"""
A new service that is wrong in a known way, behind the running gateway: found is what was seeded.

PostgREST runs with `db-tx-end=commit`, where a request for a rollback is ignored without a word.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg
import pytest

from tests.support import feed_truth
from tests.support.drift import DRIFTS, HARMLESS, Found, listing
from tests.support.drift_stack import DriftStack
from tests.support.feed_truth import changed
from tests.support.scale import SOAK, scale
from tests.support.shared import ROOT, shared
from tests.support.whole_system import System, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.feed_truth import Row

LISTINGS = scale(full=1_500, quick=45)
NEW_ONES = LISTINGS // 3
PER_SYNC = 50
UNDER_WAY = 50
"""So many shadows may wait: a mirror that is faster than both systems would drop the rest."""
YEARS = [(2024, 2025), (2025, 2024)] if SOAK else [(2024, 2025)]
FEED_ROUND = 200
FEED_ROWS_PER_SYNC = 12
SYNCS = scale(full=2_000, quick=20)
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05) if SOAK else (0.2,)
QUICK = (
    "forgets a field of an existing row",
    "updates where it should create",
    "spells a text its own way",
    "refuses a listing",
)
NAMES = tuple(DRIFTS) if SOAK else QUICK
NOISY = """
CREATE OR REPLACE FUNCTION public.test_noise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.workspace_id = 'noisy' THEN
    new.extra := new.extra || jsonb_build_object('token', gen_random_uuid());
    IF current_setting('request.headers', true)::json ->> 'sync-system' = 'new'
       AND right(new.property_number, 1) = '1' THEN
      new.extra := new.extra - 'token';
    END IF;
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER aa_test_noise BEFORE INSERT OR UPDATE ON public.listings
FOR EACH ROW EXECUTE FUNCTION public.test_noise();
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DriftStack]:
    """The stack, and the lever that makes new drift."""
    made = DriftStack(tmp_path_factory.mktemp("drifting"), control_rate=1.0)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def system(stack: DriftStack) -> Iterator[System]:
    """Phase 1, mirroring with proof."""
    with httpx2.Client(timeout=60) as http:
        running = System({**stack.env}, http, stack.feeds["sync_old"])
        running.begin()
        yield running


@pytest.fixture(autouse=True)
def right_again(stack: DriftStack) -> Iterator[None]:
    """No test leaves new wrong."""
    yield
    stack.drift()


def push(system: System, workspace: str, bodies: list[dict[str, Any]]) -> None:
    """Push listings through the gateway, some at a time."""
    for start in range(0, len(bodies), PER_SYNC):
        body = {"mode": "push", "listings": bodies[start : start + PER_SYNC]}
        answer = system.sync(body, **{"Sync-Workspace": workspace})
        assert (answer.status_code, answer.json()["stats"]["failed"]) == (200, 0), answer.text


def pushes(listings: list[str]) -> int:
    """How many syncs that makes."""
    return -(-len(listings) // PER_SYNC)


def compared(system: System, due: int) -> int:
    """Wait until so many shadows were counted."""
    until(lambda: system.read("/comparisons")["coverage"]["due"] >= due, within_s=300)
    return due


def all_there(system: System, syncs: int) -> dict[str, Any] | None:
    """What was compared, when all shadows and all controls were counted, and none was lost."""
    found = system.read("/comparisons")
    shadows, controls = found["coverage"], found["control"]["coverage"]
    if shadows["due"] < syncs or controls["due"] < syncs:
        return None
    assert (shadows["lost"], controls["lost"]) == ({}, {})
    opened = found["answers_opened"] == found["answers_differed"]
    return found if opened and found["control"]["listings"] >= found["listings"] else None


def numbers(share: float, name: str) -> list[str]:
    """Listings that stand already, and new ones; enough for at least one to be chosen."""
    standing = [f"old-{index}" for index in range(LISTINGS - NEW_ONES)]
    both = standing + [f"new-{index}" for index in range(NEW_ONES)]
    assert any(DRIFTS[name].touches(name, each, share) for each in both)
    return both


@pytest.mark.timeout(900)
@pytest.mark.parametrize("place", range(len(NAMES)), ids=NAMES)
def test_what_is_found_is_what_was_seeded(stack: DriftStack, system: System, place: int) -> None:
    """Every listing, field, kind and cause that new got wrong, and no other."""
    name = NAMES[place]
    share = SHARES[place % len(SHARES)]
    drift, workspace = DRIFTS[name], f"drift-{place}"
    while not any(drift.touches(name, f"old-{i}", share) or drift.touches(name, f"new-{i}", share)
                  for i in range(NEW_ONES)):  # fmt: skip
        share *= 2
    both = numbers(share, name)
    before = [each for each in both if each.startswith("old-")]
    before += [f"spare-{index}" for index in range(NEW_ONES)]
    due = system.read("/comparisons")["coverage"]["due"]
    push(system, workspace, [listing(each, later=False) for each in before])
    due = compared(system, due + pushes(before))
    opened = system.read("/comparisons")["answers_opened"]
    seen = {each["id"] for each in system.differences()}
    stack.drift(name=name, share=share)
    push(system, workspace, [listing(each, later=True) for each in both])
    compared(system, due + pushes(both))
    wrong = [place for place, each in enumerate(both) if drift.touches(name, each, share)]
    opened += len({place // PER_SYNC for place in wrong})
    until(lambda: system.read("/comparisons")["answers_opened"] >= opened)
    after = system.read("/comparisons")
    assert after["answers_opened"] == opened
    found = [
        Found(each["property_number"], each["field"], each["kind"], each["cause"])
        for each in system.differences()
        if each["id"] not in seen
    ]
    seeded = [one for each in both if drift.touches(name, each, share) for one in drift.finds(each)]
    assert sorted(found) == sorted(seeded)
    summed = {(each["path"], each["kind"], each["cause"]): each for each in after["differences"]}
    for one in seeded:
        shown = summed[one.field, one.kind, one.cause]
        assert shown["verdict"] == ("harmless" if name in HARMLESS else "real")
    assert after["coverage"]["lost"] == {}
    assert after["control"]["coverage"]["lost"] == {}


def test_what_old_makes_up_itself_is_noise_and_its_loss_is_not(
    stack: DriftStack, system: System
) -> None:
    """A token made anew by every write always differs; where new forgets it, that is real."""
    system.count_anew()
    with psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as database:
        database.execute(NOISY)
        try:
            push(system, "noisy", [listing(f"old-{index}", later=False) for index in range(60)])
            found = until(lambda: all_there(system, 2))
        finally:
            database.execute("DROP FUNCTION public.test_noise() CASCADE")
    verdicts = {
        (each["path"], each["kind"], each["cause"]): (each["verdict"], each["count"])
        for each in found["differences"]
    }
    assert verdicts == {
        ("extra.token", "value", "generated"): ("noise", 54),
        ("extra.token", "missing", "real"): ("real", 6),
    }
    assert (found["matched"], found["listings"]) == (54, 60)
    assert found["control"]["listings"] == 60
    assert found["lower_bound"] < found["match_rate"] == 0.9


@pytest.mark.timeout(900)
def test_not_one_row_is_stored_where_the_server_commits(stack: DriftStack, system: System) -> None:
    """Tables are byte for byte what old alone leaves, with shadows, controls and all."""

    def syncs(workspace: str) -> None:
        for number in range(SYNCS):
            if workspace == "mirrored" and number % UNDER_WAY == 0:
                compared(system, number - UNDER_WAY)
            body = [listing(f"old-{(number + k) % 20}", later=number % 7 > 3) for k in range(3)]
            push(system, workspace, body)

    system.count_anew()
    syncs("mirrored")
    found = until(lambda: all_there(system, SYNCS), within_s=300)
    assert (found["match_rate"], found["differences"], found["means"]) == (1.0, [], "raise")
    assert (found["listings"], found["control"]["listings"]) == (3 * SYNCS, 3 * SYNCS)
    with_mirror = system.contents("mirrored")
    system.go_back()
    syncs("alone")
    assert with_mirror == system.contents("alone")
    assert {row["written_by"] for row in with_mirror["listings"]} == {"old"}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("old_year", "new_year"), YEARS)
def test_two_years_of_a_real_feed_differ_in_what_really_changed(
    stack: DriftStack, system: System, old_year: int, new_year: int
) -> None:
    """Old reads one year and new the other: every change of a fact is found, and no spelling."""
    workspace = f"feed-{old_year}"
    heading, before = feed_truth.rows(shared(f"data/osaka_land_price_{old_year}.csv"))
    other, after = feed_truth.rows(shared(f"data/osaka_land_price_{new_year}.csv"))
    numbers = sample(sorted(before.keys() | after.keys()), before, after)
    feed_truth.write(
        stack.feeds["sync_old"], heading, [before[each] for each in numbers if each in before]
    )
    feed_truth.write(
        stack.feeds["sync_new"], other, [after[each] for each in numbers if each in after]
    )
    system.go_back()
    assert system.sync({"mode": "full"}, **{"Sync-Workspace": workspace}).status_code == 200
    system.begin()
    for start in range(0, len(numbers), FEED_ROUND):
        if start:
            system.count_anew()
        part = numbers[start : start + FEED_ROUND]
        for place in range(0, len(part), FEED_ROWS_PER_SYNC):
            asked = part[place : place + FEED_ROWS_PER_SYNC]
            body = {"mode": "selective", "propertyNumbers": asked}
            assert system.sync(body, **{"Sync-Workspace": workspace}).status_code == 200
        compared(system, -(-len(part) // FEED_ROWS_PER_SYNC))
        system.quiet()
        real, spelled = set(), set()
        for each in system.differences():
            if not each["closed"]:
                found = (each["property_number"], each["field"])
                (spelled if each["kind"] == "format" else real).add(found)
        assert real == truth(part, before, after)
        assert not {found for found in spelled if found in real}
    assert system.contents(workspace)["sync_history"][-1]["system"] == "old"


def sample(numbers: list[str], before: dict[str, Row], after: dict[str, Row]) -> list[str]:
    """All of them, or some of each sort: in both years, gone, new."""
    if SOAK:
        return numbers
    both = [each for each in numbers if each in before and each in after][:30]
    alone = [each for each in numbers if (each in before) is not (each in after)]
    return both + alone[:3] + alone[-3:]


def truth(numbers: list[str], before: dict[str, Row], after: dict[str, Row]) -> set[Any]:
    """What must be found: by listing and field, or the listing as a whole."""
    found: set[Any] = set()
    for each in numbers:
        if each in before and each in after:
            found |= {(each, field) for field in changed(before[each], after[each])}
        else:
            found.add((each, "records[*]"))
    return found


def test_a_service_that_stores_its_dry_runs_is_sent_no_writes(
    stack: DriftStack, system: System
) -> None:
    """It claims that all was rolled back; the proof finds the row, and everything says why."""
    stack.drift(stores=True)
    system.go_back()
    with psycopg.connect(stack.env["DATABASE_URL"]) as database:
        count = "select count(*) from listings where written_by = 'new' and workspace_id = %s"
        assert database.execute(count, ("default",)).fetchone() == (0,)
        system.order("start")
        restart(stack)
        until(lambda: disproven(system))
        push(system, "default", [listing("old-1", later=False)])
        shown = system.read("/rollout")["mirror"]
        assert not shown["on"]
        assert "a dry run stored 1 rows" in shown["why_off"]
        for name in ("match_rate", "compared"):
            until(
                lambda name=name: "a dry run stored 1 rows" in system.gate(name).get("reason", "")
            )
            assert system.gate(name)["verdict"] == "error"
        assert "a dry run stored 1 rows" in system.read("/comparisons")["mirror_off"]
        assert "a dry run stored 1 rows" in command(system, "compare")
        assert "a dry run stored 1 rows" in command(system, "status")
        assert database.execute(count, ("default",)).fetchone() == (0,)


def disproven(system: System) -> bool:
    """Whether new was asked; where it was away for so long that it went back, start once more."""
    shown = system.read("/rollout")
    if shown["status"] == "rolled_back":
        shown = system.order("start")
    return shown["mirror"]["proven"] is False


def command(system: System, name: str) -> str:
    """What the command line says."""
    address = ["--url", system.env["GATEWAY_ADMIN_URL"], "--token", system.env["GATEWAY_TOKEN"]]
    asked = [sys.executable, "-m", "gateway", name, "--lang", "en", *address]
    return subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def restart(stack: DriftStack) -> None:
    """Start new again, on the same port."""
    part = next(part for part in stack.parts if part.name == "sync_new")
    assert part.process is not None
    part.process.stop()
    again = stack._launch_service("sync_new", "SYNC_NEW", int(part.url.rpartition(":")[2]))
    stack._await(again)
