"""
Two stores made equal again, from their change journals.

After the switch what new writes is written back to old, and some of it may not have arrived. This
goes through both stores page by page in property-number order, one workspace after the other, and
brings one of them (the target) up to what the other (the source) holds. Equal rows are left alone,
so it may be run at any time, again after it broke off, and while both are written to.

*What may be overwritten?* A row of the target that is only behind: it stands as the source had it
before, or its last writer was a sync that the source knows (a write-back carries the sync's own
id). Anything else is a conflict: somebody wrote there what the source never had. Then the later of
the two last journal entries wins, the difference between both servers' clocks taken into account,
and either way the conflict is reported; where the clocks cannot tell, the target keeps its row.

*What changed meanwhile?* The target's rows are locked before the source is read. So what is
compared is never newer on the target's side than it is here, and a write-back under way waits and
comes out on top.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import psycopg
from psycopg.types.json import Jsonb, set_json_loads

from listings.codec import decode_json, encode_json
from listings.errors import StoreRefused
from listings.maintenance import repair_statements as statements
from listings.maintenance.connection import connect, translated
from listings.maintenance.repair_totals import EXAMPLES, Conflict, Found, Outcome, Repair, Wish
from listings.model import PROOF_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    Connection: TypeAlias = psycopg.Connection[dict[str, Any]]
    Image: TypeAlias = "Mapping[str, Any] | None"

__all__ = ["Conflict", "Found", "Outcome", "Repair", "Wish", "repair", "same_store"]

NEAR: Final = timedelta(seconds=1)
"""Entries this close in time have no sure order, whatever the clocks say."""
_BOOKKEEPING: Final = frozenset({"id", "written_by", "sync_id", "created_at", "updated_at"})


@dataclass(frozen=True, slots=True)
class _Entry:
    """The last journal entry of a listing."""

    at: datetime
    sync_id: UUID | None


@dataclass(frozen=True, slots=True)
class _Clocks:
    """How far the target's clock is ahead of the source's, and how sure that is."""

    ahead: timedelta
    margin: timedelta


def same_store(one_url: str, other_url: str) -> bool:
    """Tell whether two connection strings lead to one database. Raises as `connect` does."""
    if one_url == other_url:
        return True
    with ExitStack() as stack:
        found = []
        for url in (one_url, other_url):
            connection = stack.enter_context(connect(url, application_name="syncgate repair"))
            with translated():
                found.append(connection.execute(statements.IDENTITY).fetchone())
    return found[0] == found[1]


def repair(
    source_url: str,
    target_url: str,
    *,
    wish: Wish | None = None,
    progress: Callable[[Repair], None] = lambda _: None,
) -> Repair:
    """Bring the target up to the source. Raises StoreUnavailable or StoreRefused.

    `progress` is told the totals after every page; what was told is stored, also if it breaks off.
    """
    wish = wish or Wish()
    with (
        translated(),
        connect(source_url, application_name="syncgate repair") as source,
        connect(target_url, application_name="syncgate repair") as target,
    ):
        for connection in (source, target):
            set_json_loads(decode_json, context=connection)
            connection.execute("SET row_security = off")
            connection.execute("SET timezone = 'UTC'")
        work = _Work(source, target, wish, progress=progress)
        work.totals.began_at = _now(source)
        for workspace_id in wish.workspaces or _workspaces(source):
            work.workspace(workspace_id)
        return work.totals


def _columns(source: Connection, target: Connection) -> tuple[str, ...]:
    """Give the table's columns, which must be the same on both sides."""
    ours, theirs = (
        tuple(row["name"] for row in connection.execute(statements.COLUMNS))
        for connection in (source, target)
    )
    if set(ours) != set(theirs):
        odd = ", ".join(sorted(set(ours) ^ set(theirs))) or "all of them"
        raise StoreRefused(
            f"the two stores have different columns ({odd}); run `syncgate migrate` on both",
            code="schema",
        )
    return ours


def _workspaces(source: Connection) -> tuple[str, ...]:
    found = (row["workspace_id"] for row in source.execute(statements.WORKSPACES))
    return tuple(each for each in found if each != PROOF_WORKSPACE)


def _now(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None
    now: datetime = row["now"]
    return now


def _clocks(source: Connection, target: Connection) -> _Clocks:
    """Ask both for the time, one between two looks at the other."""
    began = time.monotonic()
    first, theirs, second = _now(source), _now(target), _now(source)
    took = timedelta(seconds=time.monotonic() - began)
    return _Clocks(theirs - (first + (second - first) / 2), took + NEAR)


class _Work:
    """One run over both stores."""

    def __init__(
        self,
        source: Connection,
        target: Connection,
        wish: Wish,
        *,
        progress: Callable[[Repair], None],
    ) -> None:
        self.source = source
        self.target = target
        self.update = statements.update(_columns(source, target))
        self.clocks = _clocks(source, target)
        self.wish = wish
        self.progress = progress
        self.totals = Repair(wish.dry_run)

    def workspace(self, workspace_id: str) -> None:
        """Go through one workspace."""
        self.totals.workspaces.append(workspace_id)
        after = ""
        while numbers := self._next(workspace_id, after):
            again = self._page(workspace_id, numbers)
            if again:  # somebody created them between our look and our write
                self.totals.outcomes[Outcome.FAILED] += len(self._page(workspace_id, again))
            after = numbers[-1]
            self.progress(self.totals)

    def _next(self, workspace_id: str, after: str) -> list[str]:
        """Give the next property numbers that either store has or had."""
        asked = {"workspace": workspace_id, "after": after, "limit": self.wish.page}
        found: set[str] = set()
        for connection in (self.source, self.target):
            found.update(row["number"] for row in connection.execute(statements.NEXT, asked))
        return sorted(found)[: self.wish.page]

    def _page(self, workspace_id: str, numbers: Sequence[str]) -> list[str]:
        """Compare and mend one page in one transaction of the target; give what must be redone."""
        asked = {"workspace": workspace_id, "numbers": list(numbers)}
        with self.target.transaction(force_rollback=self.wish.dry_run):
            self.target.execute(statements.SPEAK_FOR, asked)
            rows = statements.ROWS if self.wish.dry_run else statements.ROWS_LOCKED
            stands = self._images(self.target, rows, asked)
            should = self._images(self.source, statements.ROWS, asked)
            differing = [n for n in numbers if _own(should.get(n)) != _own(stands.get(n))]
            page = _Page(self, workspace_id, should, stands)
            redo = page.settle(differing)
        self.totals.checked += len(numbers) - len(redo)
        self.totals.outcomes[Outcome.AGREES] += len(numbers) - len(differing)
        return redo

    @staticmethod
    def _images(
        connection: Connection, statement: str, asked: Mapping[str, Any]
    ) -> dict[str, Mapping[str, Any]]:
        found = connection.execute(statement, asked)
        return {row["number"]: row["image"] for row in found}


class _Page:
    """The listings of one page that differ."""

    def __init__(
        self,
        work: _Work,
        workspace_id: str,
        should: Mapping[str, Mapping[str, Any]],
        stands: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.work = work
        self.workspace_id = workspace_id
        self.should = should
        self.stands = stands

    def settle(self, numbers: Sequence[str]) -> list[str]:
        """Decide on each and write; give those that came to stand there meanwhile."""
        if not numbers:
            return []
        asked = {"workspace": self.workspace_id, "numbers": list(numbers)}
        ours, theirs = (
            {
                row["number"]: _Entry(row["at"], row["sync_id"])
                for row in connection.execute(statements.LAST, asked)
            }
            for connection in (self.work.source, self.work.target)
        )
        syncs = [entry.sync_id for entry in theirs.values() if entry.sync_id is not None]
        known = {
            row["sync_id"]
            for row in self.work.source.execute(statements.KNOWN_SYNCS, {**asked, "syncs": syncs})
        }
        redo = []
        for number in numbers:
            if number not in self.should and number not in ours:
                self.work.totals.outcomes[Outcome.UNKNOWN] += 1
                continue
            last = theirs.get(number)
            written_back = last is not None and last.sync_id in known
            conflict = None if written_back else self._conflict(number, ours.get(number), last)
            if conflict is not None:
                self._report(number, conflict)
            if conflict in {None, Conflict.OVERWRITTEN} and not self._write(
                number, ours.get(number)
            ):
                redo.append(number)
        return redo

    def _conflict(self, number: str, ours: _Entry | None, theirs: _Entry | None) -> Conflict | None:
        """Say who wins where the target is not just behind; None: it is."""
        source_at = ours.at if ours else self.should[number]["updated_at"]
        target_at = self._target_at(number, theirs)
        clocks = self.work.clocks
        lead = None if target_at is None else target_at - clocks.ahead - _instant(source_at)
        later = lead is not None and lead > clocks.margin
        if not later and self._had_before(number):
            return None
        if self.work.wish.overwrite:
            return Conflict.OVERWRITTEN
        if later:
            return Conflict.KEPT
        earlier = lead is not None and lead < -clocks.margin
        return Conflict.OVERWRITTEN if earlier else Conflict.UNDECIDED

    def _target_at(self, number: str, theirs: _Entry | None) -> datetime | None:
        if theirs is not None:
            return theirs.at
        row = self.stands.get(number)
        return None if row is None else _instant(row["updated_at"])

    def _had_before(self, number: str) -> bool:
        """Tell whether the source once held what the target holds now."""
        asked = {"workspace": self.workspace_id, "number": number}
        wanted = _own(self.stands.get(number))
        history = self.work.source.execute(statements.HISTORY, asked)
        return any(
            wanted == _own(image) for row in history for image in (row["before"], row["after"])
        )

    def _report(self, number: str, conflict: Conflict) -> None:
        totals = self.work.totals
        totals.conflicts[conflict] += 1
        if len(totals.found) < EXAMPLES:
            one, other = self.should.get(number) or {}, self.stands.get(number) or {}
            fields = tuple(
                name
                for name in sorted({**one, **other})
                if name not in _BOOKKEEPING and one.get(name) != other.get(name)
            )
            totals.found.append(Found(self.workspace_id, number, conflict.value, fields))

    def _write(self, number: str, entry: _Entry | None) -> bool:
        """Write the source's row; False if there is one now where there was none."""
        target, image = self.work.target, self.should.get(number)
        sync_id = entry.sync_id if entry else None
        asked: dict[str, Any] = {
            "workspace": self.workspace_id, "number": number,
            "image": None if image is None else Jsonb(image, dumps=encode_json),
            "sync_id": str(sync_id) if sync_id else "",
        }  # fmt: skip
        if image is None:
            outcome, statement = Outcome.DELETED, statements.DELETE
        elif number in self.stands:
            outcome, statement = Outcome.UPDATED, self.work.update
        else:
            outcome, statement = Outcome.CREATED, statements.INSERT
        try:
            with target.transaction():
                # The entry is written in the name of the sync that the source's entry is of.
                target.execute(statements.IN_THE_NAME_OF, asked)
                written = target.execute(statement, asked).rowcount
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            outcome, written = Outcome.FAILED, 1
            if len(self.work.totals.found) < EXAMPLES:
                said = error.diag.message_primary or str(error)
                self.work.totals.found.append(
                    Found(self.workspace_id, number, outcome.value, detail=said)
                )
        if not written:
            return False
        self.work.totals.outcomes[outcome] += 1
        return True


def _own(image: Image) -> Mapping[str, Any] | None:
    """Leave out what each store keeps for itself."""
    if image is None:
        return None
    return {name: value for name, value in image.items() if name not in _BOOKKEEPING}


def _instant(value: datetime | str) -> datetime:
    """Read the instant of an image, which is text there."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
