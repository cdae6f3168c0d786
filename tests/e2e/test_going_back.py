"""Old with a database of its own: after the switch nothing that new wrote is lost by going back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg
import pytest

from listings.maintenance.migrate import migrate
from listings.maintenance.verify import verify
from ops.devstack import stack as stacks
from ops.devstack.stack import Options, Stack
from tests.support.shared import ROOT
from tests.support.whole_system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ops.devstack.postgres import Postgres
    from ops.devstack.process import Process

OWN_FIELDS = (
    "SELECT to_jsonb(l) - '{id,written_by,sync_id,created_at,updated_at}'::text[]"
    " FROM listings AS l ORDER BY workspace_id, property_number"
)


class StackApart(Stack):
    """As the development stack, but old has a database of its own and the policy says so."""

    def __init__(self, folder: Path, server: Postgres, name: str) -> None:
        config = folder / "config"
        shutil.copytree(ROOT / "config", config)
        policy = config / "rollout.toml"
        shipped = policy.read_text("utf-8")
        policy.write_text(shipped.replace('stores = "one"', 'stores = "two"'), "utf-8")
        extra = {"GATEWAY_POLICY": str(policy), "GATEWAY_RATE_LIMIT_PER_SECOND": "0"}
        super().__init__(
            Options(folder=folder, preferred_ports=False, extra=extra), lambda _part: None
        )
        self.old_url = stacks._create_database(server, name)
        migrate(self.old_url)
        self.old: Process | None = None

    def _spawn(self, name: str, arguments: list[str], environment: dict[str, str]) -> Process:
        if name == "sync_old":
            environment = {**environment, "DATABASE_URL": self.old_url}
        process = super()._spawn(name, arguments, environment)
        if name == "sync_old":
            self.old = process
        return process


@pytest.fixture
def apart(tmp_path: Path, postgres_server: Postgres) -> Iterator[StackApart]:
    """Run the whole system with two databases."""
    name = f"old_alone_{os.getpid()}"
    stack = StackApart(tmp_path, postgres_server, name)
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()
        stacks._drop_database(postgres_server, name)


def until(condition: Callable[[], Any]) -> Any:
    """Wait for what happens after an answer."""
    give_up = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)
    return found


def rows(url: str) -> list[Any]:
    """Give every listing as clients see it."""
    with psycopg.connect(url) as connection:
        return connection.execute(OWN_FIELDS).fetchall()


def push(system: System, number: int, title: str) -> dict[str, Any]:
    """Sync a few listings as a client."""
    listings = [
        {"propertyNumber": f"P{number:03}{letter}", "title": title, "priceYen": number * 1000}
        for letter in "ab"
    ]
    answer = system.sync({"mode": "push", "listings": listings})
    assert (answer.status_code, answer.headers["Sync-System"]) == (200, "new"), answer.text
    body: dict[str, Any] = answer.json()
    return body


def repaired(stack: StackApart, *words: str, code: int = 0) -> dict[str, Any]:
    """Run `syncgate repair` as an operator would."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "repair", "--json", *words],
        env={
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "OLD_DATABASE_URL": stack.old_url,
            **{n: stack.env[n] for n in ("DATABASE_URL", "GATEWAY_ADMIN_URL", "GATEWAY_TOKEN")},
        },
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_going_back_after_the_switch_loses_nothing(apart: StackApart) -> None:
    """Written back as it happens; what old missed while it was dead is known, and repaired."""
    new_url, old_url = apart.env["DATABASE_URL"], apart.old_url
    with httpx2.Client(timeout=60) as http:
        system = System({**apart.env}, http, apart.options.folder)
        assert system.read("/rollout")["mirror"]["write_back"]["needed"] is True
        system.post("/rollout/weight", percent=100)

        def back() -> dict[str, Any]:
            told: dict[str, Any] = system.read("/write-backs")["write_back"]
            return told

        syncs = {push(system, number, "first")["syncId"] for number in range(8)}
        until(lambda: back()["agreed"] == 8)
        assert (back()["failed"], back()["open"]) == (0, 0)
        assert rows(old_url) == rows(new_url)
        with psycopg.connect(old_url) as connection:
            found = connection.execute("SELECT DISTINCT sync_id::text, writer FROM listing_journal")
            assert set(found) == {(sync, "old") for sync in syncs}

        assert apart.old is not None
        apart.old.stop()
        lost = [push(system, number, "while old was dead")["syncId"] for number in range(4, 10)]
        until(lambda: back()["open"] == 6)
        assert rows(old_url) != rows(new_url)
        told = system.read("/write-backs")["items"]
        assert [each["sync_id"] for each in told] == lost[::-1]
        assert {each["reason"] for each in told} == {"old gave no answer: connection refused"}
        assert "syncgate repair" in back()["why"]["en"]
        time.sleep(1.2)  # what failed so shortly before a repair stays open: clocks differ

        would = repaired(apart, "--dry-run")
        assert (would["updated"], would["created"], would["left"]) == (8, 4, 12)
        assert back()["open"] == 6
        done = repaired(apart, "--yes", "--reason", "old is back")
        assert (done["repaired"], done["left"]) == (12, 0)
        assert done["gateway"] == {"told": True, "open": 0}
        assert rows(old_url) == rows(new_url)
        assert verify(old_url).mismatches == 0
        after = back()
        assert (after["open"], after["cleared"], after["repaired"]) == (0, 6, 12)
        newest = system.read("/audit")["items"][0]
        assert (newest["action"], newest["reason"]) == ("write_backs.repaired", "old is back")
        assert repaired(apart, "--yes")["repaired"] == 0
        metrics = http.get(f"{apart.env['GATEWAY_ADMIN_URL']}/metrics").text
        assert "syncgate_write_backs_open 0" in metrics
        assert "syncgate_write_backs_repaired_rows_total 12" in metrics
