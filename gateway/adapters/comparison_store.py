"""
What was compared, in a SQLite file of its own beside the state.

Losing it costs a comparison, never the rollout: so it is apart from the state, may be deleted while
the gateway is down, and is not fsynced with every second. Everything in it is bounded by its
writer. A file that is no such file is left alone, and said.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.adapters.sqlite_file import FileKind, SqliteFile
from gateway.core.comparison import Cause, Comparison, Difference, Kind, Rule
from gateway.ports.compared import AddedRule, Example, Fix, History, Kept, KeptListing, Tally

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.ports.compared import Changes

_SCHEMA: Final = """
create table if not exists facts (name text primary key, value text not null) strict;
create table if not exists tallies (
  kind text not null, begun_us integer not null, tally text not null, primary key (kind, begun_us)
) strict;
create table if not exists kept (
  kind text not null, slot integer not null, at_us integer not null, comparison text not null,
  primary key (kind, slot)
) strict;
create table if not exists fixes (seq integer primary key, fix text not null) strict;
create table if not exists examples (
  name text not null, place integer not null, example text not null, primary key (name, place)
) strict;
create table if not exists rules (seq integer primary key, rule text not null) strict;
"""
# What was counted then cannot be told from controls; what people decided stays.
_LEAVE_VERSION_1: Final = """
drop table if exists hours; drop table if exists listings;
delete from examples; delete from facts;
"""
COMPARISONS_FILE: Final = FileKind(
    name="comparisons.sqlite3",
    version=2,
    schema=_SCHEMA,
    unavailable="What was compared cannot be kept in {path} ({problem}).",
    unavailable_todo="Check the disk, or move the file away to begin the comparison anew.",
    # 0: a kill once interrupted its making.
    upgrades={0: _SCHEMA, 1: _LEAVE_VERSION_1 + _SCHEMA},
    synchronous="normal",
)
_RULE_KEYS: Final = tuple(each.name for each in fields(Rule) if each.init)


class SqliteComparisons:
    """`ComparisonStore` on a file; belongs to one thread, which opens it with its first call."""

    def __init__(self, directory: Path) -> None:
        self._file = SqliteFile(directory, COMPARISONS_FILE)

    def load(self) -> History:
        """Read everything."""
        with self._understood(), self._file.database() as database:
            facts = dict(database.execute("select name, value from facts"))
            counted = orjson.loads(facts.get("counted", "{}"))
            return History(
                era=facts.get("era", ""),
                last_us=int(facts.get("last_us", 0)),
                next_id=int(facts.get("next_id", 1)),
                shadows=_kept(database, "shadows"),
                controls=_kept(database, "controls"),
                examples={
                    (name, place): _example(orjson.loads(text))
                    for name, place, text in database.execute("select * from examples")
                },
                seen=counted.get("seen", {}),
                means=counted.get("means", {}),
                rules=[
                    _rule(orjson.loads(text))
                    for (text,) in database.execute("select rule from rules order by seq")
                ],
                fixes=[
                    Fix(**orjson.loads(text))
                    for (text,) in database.execute("select fix from fixes order by seq")
                ],
            )

    def save(self, history: History, changes: Changes) -> None:
        """Store what changed in one transaction."""
        with self._understood(), self._file.transaction() as database:
            _write(database, history, changes)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Treat what stands in it and makes no sense as what cannot be read."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._file.unavailable(error) from error


def _write(database: sqlite3.Connection, history: History, changes: Changes) -> None:
    if changes.forget:
        for table in ("tallies", "kept", "examples"):
            database.execute(f"delete from {table}")  # noqa: S608 - names from the line above
    kinds = {"shadows": history.shadows, "controls": history.controls}
    _put(database, "tallies (kind, begun_us, tally)", {
        (kind, begun_us): asdict(kinds[kind].tallies[begun_us])
        for kind, begun_us in changes.tallies if begun_us in kinds[kind].tallies
    })  # fmt: skip
    database.executemany(
        "delete from tallies where kind = ? and begun_us = ?",
        [key for key in changes.tallies if key[1] not in kinds[key[0]].tallies],
    )
    kept = {
        (kind, slot): kinds[kind].listings[slot]
        for kind, slot in changes.listings
        if slot in kinds[kind].listings
    }
    _put(database, "kept (kind, slot, at_us, comparison)", {
        (*key, each.at_us): _plain(each.comparison) for key, each in kept.items()
    })  # fmt: skip
    database.executemany(
        "delete from kept where kind = ? and slot = ?",
        [key for key in changes.listings if key[1] not in kinds[key[0]].listings],
    )
    _put(database, "examples (name, place, example)", {
        key: _plain_example(history.examples[key])
        for key in changes.examples if key in history.examples
    })  # fmt: skip
    database.executemany(
        "delete from examples where name = ? and place = ?",
        [key for key in changes.examples if key not in history.examples],
    )
    if changes.decisions:
        database.execute("delete from rules")
        database.execute("delete from fixes")
        _put(database, "rules (seq, rule)", {
            (seq,): _plain_rule(added) for seq, added in enumerate(history.rules)
        })  # fmt: skip
        _put(database, "fixes (seq, fix)", {
            (seq,): asdict(fix) for seq, fix in enumerate(history.fixes)
        })  # fmt: skip
    counted = orjson.dumps({"seen": history.seen, "means": history.means}).decode()
    database.executemany(
        "insert or replace into facts values (?, ?)",
        [
            ("era", history.era),
            ("last_us", str(history.last_us)),
            ("next_id", str(history.next_id)),
            ("counted", counted),
        ],
    )


def _put(database: sqlite3.Connection, into: str, rows: dict[Any, Any]) -> None:
    marks = ", ".join("?" * (into.count(",") + 1))
    database.executemany(
        f"insert or replace into {into} values ({marks})",  # noqa: S608 - names from above
        [(*key, orjson.dumps(value).decode()) for key, value in rows.items()],
    )


def _kept(database: sqlite3.Connection, kind: str) -> Kept:
    return Kept(
        tallies={
            begun_us: Tally(**orjson.loads(text))
            for begun_us, text in database.execute(
                "select begun_us, tally from tallies where kind = ?", (kind,)
            )
        },
        listings={
            slot: KeptListing(at_us, _comparison(orjson.loads(text)))
            for slot, at_us, text in database.execute(
                "select slot, at_us, comparison from kept where kind = ?", (kind,)
            )
        },
    )


def _plain(comparison: Comparison) -> dict[str, Any]:
    return {
        "truncated": comparison.truncated,
        "differences": [_plain_difference(each) for each in comparison.differences],
    }


def _plain_difference(difference: Difference) -> list[Any]:
    path, place, kind, cause, left, right = difference
    return [path, place, kind.value, cause.value, left, right]


def _difference(plain: list[Any]) -> Difference:
    path, place, kind, cause, left, right = plain
    return Difference(path, place, Kind(kind), Cause(cause), left, right)


def _comparison(plain: dict[str, Any]) -> Comparison:
    return Comparison(tuple(map(_difference, plain["differences"])), plain["truncated"])


def _plain_example(example: Example) -> dict[str, Any]:
    plain = {each.name: getattr(example, each.name) for each in fields(Example)}
    return {**plain, "difference": _plain_difference(example.difference)}


def _example(plain: dict[str, Any]) -> Example:
    return Example(**{**plain, "difference": _difference(plain["difference"])})


def _plain_rule(added: AddedRule) -> dict[str, Any]:
    rule = {key: getattr(added.rule, key) for key in _RULE_KEYS}
    return {"rule": rule, "by": added.by, "at_us": added.at_us}


def _rule(plain: dict[str, Any]) -> AddedRule:
    return AddedRule(Rule(**plain["rule"]), plain["by"], plain["at_us"])
