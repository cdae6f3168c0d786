"""The layout is part of the product: what stands where, how long a file may grow."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "LICENSE", "Makefile",
    "README.ja.md", "README.md", "config", "docs", "gateway", "listings", "ops", "pyproject.toml",
    "requirements", "sync_new", "sync_old", "tests",
}  # fmt: skip
PROGRAM = ("gateway", "listings", "sync_old", "sync_new", "ops")
MOST_LINES = 420
MOST_FUNCTION_LINES = 70


def tracked() -> list[Path]:
    """Every file git knows, or would know at the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def program_files() -> list[Path]:
    """The Python files that run in production or in the dev stack."""
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PROGRAM and path.exists()
    ]


def test_nothing_stands_at_the_top_without_a_place() -> None:
    """A new folder or file at the top is a decision, made here on purpose."""
    found = {path.relative_to(ROOT).parts[0] for path in tracked() if path.exists()}
    assert found <= TOP, f"no place for {sorted(found - TOP)}"


def test_files_stay_readable_in_one_sitting() -> None:
    """A file that outgrew its subject is to be divided."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in program_files()
        if (lines := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert not long


def test_functions_do_one_thing() -> None:
    """A function that needs scrolling reads, decides and writes at once."""
    long: dict[str, int] = {}
    for path in program_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno
                if lines > MOST_FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert not long


def test_no_name_says_nothing() -> None:
    """`utils` is where things go that nobody named."""
    empty = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    bad = [str(p.relative_to(ROOT)) for p in tracked() if {p.stem, p.parent.name} & empty]
    assert not bad


def test_no_download_address_is_recorded() -> None:
    """A lock that records where a file came from ties the project to one mirror."""
    address = re.compile(r"https?://|--index-url|--extra-index-url|--find-links")
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert locks
    assert not [lock.name for lock in locks if address.search(lock.read_text())]
