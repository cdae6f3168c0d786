"""The READMEs: what they tell people to type exists, and both languages tell the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.ja.md")
NAMES = {command.__name__ for command in COMMANDS}


def typed(name: str) -> list[str]:
    """The commands of its examples, without comments and reasons."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    bare = [re.sub(r'\s+#.*|\s+--reason\s+"[^"]*"', "", command) for command in commands]
    return [" ".join(command.split()) for command in bare]


def test_both_languages_show_the_same_commands() -> None:
    """Whoever reads one of them misses nothing."""
    english, japanese = map(typed, READMES)
    assert english == japanese
    assert len(english) > 10


@pytest.mark.parametrize(
    "name", [*READMES, "config/rollout.toml", "config/rollout-reads-first.toml"]
)
def test_every_command_that_is_named_exists(name: str) -> None:
    """Nobody is sent to a command that is not there."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|bin/)syncgate ([a-z]+)", text)) <= NAMES


@pytest.mark.parametrize("name", READMES)
def test_a_variable_of_the_examples_is_set_before_it_is_used(name: str) -> None:
    """The stack's file is read first, and it says all of them."""
    commands = typed(name)
    first = next(number for number, one in enumerate(commands) if "$" in one)
    assert any(". .devstack/env" in one for one in commands[:first])
