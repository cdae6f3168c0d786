"""What really changed between two years of a real feed, found without the program's code."""

from __future__ import annotations

import csv
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

MAPPING = tomllib.loads(Path(__file__).with_name("osaka_source.toml").read_text("utf-8"))
KEY = MAPPING["key"]["columns"]
NAMES = {column: name for name, column in MAPPING["fields"].items()}
PLACES = {"lon": 7, "lat": 7}
"""Decimals that mean something: what follows is how a binary number was printed."""
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)


class Row(NamedTuple):
    """One line of the file: as it stands, and what it says by the listing's fields."""

    line: list[str]
    says: dict[str, object]


def rows(path: Path) -> tuple[list[str], dict[str, Row]]:
    """The heading, and every row by its property number."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        heading, *lines = csv.reader(stream)
    found = {}
    for line in lines:
        cells = dict(zip(heading, line, strict=True))
        number = "-".join(cells[column] for column in KEY)
        says = {
            _field(column): _meant(column, text)
            for column, text in cells.items()
            if column not in KEY
        }
        found[number] = Row(line, {name: said for name, said in says.items() if said is not None})
    return heading, found


def write(path: Path, heading: list[str], kept: list[Row]) -> None:
    """A feed of these rows."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([heading, *(row.line for row in kept)])


def changed(one: Row, other: Row) -> set[str]:
    """The fields in which two rows say different things."""
    names = one.says.keys() | other.says.keys()
    return {name for name in names if one.says.get(name) != other.says.get(name)}


def _field(column: str) -> str:
    head, *rest = NAMES.get(column, "").split("_")
    return head + "".join(part.title() for part in rest) if head else f"extra.{column}"


def _meant(column: str, text: str) -> object:
    text = " ".join(normalize("NFKC", text).split())
    if text in {"", "_"}:
        return None
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        places = PLACES.get(column)
        return number if places is None else number.quantize(Decimal(1).scaleb(-places))
    return text
