"""Commands that go to the database themselves, on a real PostgreSQL; and what starts nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

HEAVY = ("pydantic", "starlette", "uvicorn", "psycopg", "rich", "httpx2", "asyncio")

ROOT = str(Path(__file__).parents[3])


def run(*words: str, cwd, **environment: str):
    """Run the command in an empty folder with this environment only."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": ROOT, **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110, check=False,
        cwd=cwd,
    )  # fmt: skip


def test_migrate_makes_the_tables_and_may_be_run_again(empty_database, tmp_path):
    """First a dry run that does nothing, then everything, then nothing more to do."""
    url = {"DATABASE_URL": empty_database.url}
    would = run("migrate", "--dry-run", "--json", cwd=tmp_path, **url)
    assert would.returncode == 0, would.stderr
    assert json.loads(would.stdout)["applied"]
    first = run("migrate", "--json", cwd=tmp_path, **url)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["applied"] == json.loads(would.stdout)["applied"]
    again = run("migrate", cwd=tmp_path, **url)
    assert (again.returncode, "up to date" in again.stdout) == (0, True)
    back = run("migrate", "--rollback-to", "0000", cwd=tmp_path, **url)
    assert (back.returncode, "--yes" in back.stderr) == (1, True)


def test_verify_finds_what_was_done_behind_the_journals_back(database, tmp_path):
    """A whole table is 0; a row removed with the triggers off is 1, and named."""
    url = {"DATABASE_URL": database.url}
    with psycopg.connect(database.url, autocommit=True) as connection:
        for number in ("A-1", "A-2"):
            connection.execute(
                "INSERT INTO listings (property_number, written_by) VALUES (%s, 'old')", (number,)
            )
    whole = run("verify", "--json", cwd=tmp_path, **url)
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["per_system"]["old"] == 2
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM listings WHERE property_number = 'A-2'")
    broken = run("verify", "--json", cwd=tmp_path, **url)
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["missing"] == 1
    shown = run("verify", "--lang", "ja", cwd=tmp_path, **url)
    assert (shown.returncode, "A-2" in shown.stdout, "欠落" in shown.stdout) == (1, True, True)


def test_verify_never_calls_whole_what_it_did_not_look_at(database, tmp_path):
    """A feed without a mapping is wrong usage, a workspace with nothing in it is no success."""
    url = {"DATABASE_URL": database.url}
    unmapped = run("verify", "--feed", "/nonexistent", cwd=tmp_path, **url)
    assert (unmapped.returncode, "--mapping" in unmapped.stderr) == (2, True)
    for words in ((), ("--lang", "ja"), ("--json",)):
        empty = run("verify", "--workspace", "nope", *words, cwd=tmp_path, **url)
        assert (empty.returncode, "nope" in empty.stderr) == (1, True)
        assert "✓" not in empty.stdout
    assert json.loads(empty.stdout)["error"]["verification"]["rows"] == 0


@pytest.mark.parametrize("command", ["migrate", "verify", "repair"])
def test_an_address_that_is_none_is_wrong_usage(command, tmp_path):
    """Found before anything is connected to, and never shown back with its password."""
    done = run(command, "--database-url", "postgresql://me:secret@[x", "--json", cwd=tmp_path,
               OLD_DATABASE_URL="postgresql://me@127.0.0.1:9/old")  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert json.loads(done.stdout)["error"]["exit_code"] == 2


@pytest.mark.parametrize("command", ["migrate", "verify"])
def test_a_database_that_is_not_there_is_said(command, tmp_path):
    """Not set is a usage error, not reachable is 3; never a traceback."""
    unset = run(command, cwd=tmp_path)
    assert (unset.returncode, "DATABASE_URL" in unset.stderr) == (2, True)
    gone = run(command, cwd=tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")
    assert gone.returncode == 3, gone.stderr
    assert "Traceback" not in gone.stderr
    japanese = run(
        command,
        "--lang",
        "ja",
        cwd=tmp_path,
        DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing",
    )
    assert "接続できません" in japanese.stderr


def test_serve_names_every_mistake_at_once(tmp_path):
    """Settings and policy in one go, each by name, with what was expected."""
    policy = tmp_path / "policy.toml"
    policy.write_text("phases = 3\n")
    done = run(
        "serve", cwd=tmp_path, GATEWAY_PORT="x", SYNC_OLD_URL="ftp://1", GATEWAY_POLICY=str(policy),
        GATEWAY_ADMIN_TOKENS="only-a-name",
    )  # fmt: skip
    assert done.returncode == 2
    for name in ("GATEWAY_PORT", "SYNC_OLD_URL", "GATEWAY_ADMIN_TOKENS", "policy.toml:"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_looks_at_everything_and_says_what_to_do(tmp_path):
    """Without services there is something to do, so it ends with 1."""
    done = run(
        "doctor", "--json", cwd=tmp_path, SYNC_OLD_URL="http://127.0.0.1:9",
        SYNC_NEW_URL="http://127.0.0.1:9", GATEWAY_ADMIN_URL="http://127.0.0.1:9",
        GATEWAY_PORT="0", GATEWAY_ADMIN_PORT="0",
    )  # fmt: skip
    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["settings"]["status"] == checks["policy"]["status"] == "pass"
    assert checks["old"]["status"] == checks["new"]["status"] == "fail"
    assert checks["database"]["status"] == checks["gateway"]["status"] == "todo"
    assert all(check["fix"] for check in checks.values() if check["status"] != "pass")


SCENARIO = """
name = "short"
title = "An hour in which somebody looks and goes home"
begins = 2026-11-02T00:00:00Z
lasts = "1h"
[expect]
status = "running"
weight_percent = {percent}
"""


def test_simulate_runs_a_scenario_and_judges_it(tmp_path):
    """The shape others test against; an expectation that is not met is 1."""
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(SCENARIO.format(percent=0))
    bad.write_text(SCENARIO.format(percent=50))
    done = run("simulate", str(good), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["final"] == {"status": "running", "weight_percent": 0}
    assert {"at", "event", "weight_percent"} <= set(result["timeline"][0])
    assert run("simulate", str(bad), cwd=tmp_path).returncode == 1
    missing = run("simulate", "no_such_scenario", cwd=tmp_path)
    assert (missing.returncode, "hard_outage" in missing.stderr) == (2, True)


def test_the_command_starts_without_its_machinery():
    """`--help` and a call to the gateway must not pay for servers, databases and models."""
    code = "import gateway.cli.app, gateway.cli.orders, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "typer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_with_one_database_there_is_nothing_to_repair(database, tmp_path):
    """No second one, or the same by another name: said, in both languages, and no error."""
    url = {"DATABASE_URL": database.url}
    told = run("repair", "--json", cwd=tmp_path, **url)
    assert (told.returncode, json.loads(told.stdout)["needed"]) == (0, False), told.stderr
    joined = "&" if "?" in database.url else "?"
    same = f"{database.url}{joined}connect_timeout=7"
    shown = run("repair", "--yes", "--lang", "ja", cwd=tmp_path, OLD_DATABASE_URL=same, **url)
    assert (shown.returncode, "不要" in shown.stdout) == (0, True), shown.stderr
    assert run("repair", cwd=tmp_path).returncode == 2
    assert run("repair", "--into", "both", cwd=tmp_path, **url).returncode == 2


def test_repair_asks_first_says_what_differs_and_that_nobody_was_told(
    database, empty_database, tmp_path
):
    """Without --yes nothing happens; without a gateway the rows are mended all the same."""
    run("migrate", cwd=tmp_path, DATABASE_URL=empty_database.url)
    with psycopg.connect(database.url, autocommit=True) as connection:
        for number in ("A-1", "A-2"):
            connection.execute("INSERT INTO listings (property_number) VALUES (%s)", (number,))
    with psycopg.connect(empty_database.url, autocommit=True) as connection:
        connection.execute("INSERT INTO listings (property_number, title) VALUES ('A-2', 'x')")
    urls = {
        "DATABASE_URL": database.url, "OLD_DATABASE_URL": empty_database.url,
        "GATEWAY_ADMIN_URL": "http://127.0.0.1:1",
    }  # fmt: skip
    asked = run("repair", cwd=tmp_path, **urls)
    assert (asked.returncode, "--yes" in asked.stderr) == (1, True)
    done = run("repair", "--yes", cwd=tmp_path, **urls)
    assert done.returncode == 1
    assert "1 listings still differ" in done.stdout
    assert "default/A-2  title" in done.stdout
    assert "was not told" in done.stderr
    won = run("repair", "--yes", "--overwrite", "--json", cwd=tmp_path, **urls)
    assert won.returncode == 0, won.stderr
    found = json.loads(won.stdout)
    assert (found["left"], found["conflicts"]["overwritten"]) == (0, 1)
    assert found["gateway"]["told"] is False
    gone = run(
        "repair",
        "--yes",
        cwd=tmp_path,
        **{**urls, "OLD_DATABASE_URL": "postgresql://u@127.0.0.1:1/x"},
    )
    assert gone.returncode == 3
