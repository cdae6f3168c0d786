"""
Is the data whole? Three questions, answered from one snapshot of the database.

*Does the journal explain the table?* Every row must be the last after image of its listing, and
every listing whose last entry leaves something standing must have its row. A row that vanished
without an entry is data loss; one that stands although its last entry removed it is somebody
writing past the journal. Rows older than the journal's retention have no entries at all and are
only counted.

*Is the journal continuous?* Each before image equals the previous after image of that listing.

*Does the table hold the feed?* Asked when a feed is given: a stored row agrees when writing the
feed's listing over it would change nothing, judged by digest, so that a difference of format is
none.

Duplicates are rows whose property numbers the codec would make one number of; the unique constraint
does not see those.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from psycopg.types.json import set_json_loads

from listings.codec import decode_json, digest, merge, stored_values
from listings.maintenance.connection import connect, translated
from listings.model import DEFAULT_WORKSPACE, FIELD_BY_NAME, System

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    from listings.codec import Row
    from listings.model import Listing

EXAMPLES: Final = 20
_FETCH: Final = 2000

_DUPLICATES: Final = """
    SELECT array_agg(property_number ORDER BY property_number) AS numbers
    FROM public.listings WHERE workspace_id = %(workspace)s
    GROUP BY regexp_replace(btrim(normalize(property_number, NFKC)), '\\s+', ' ', 'g')
    HAVING count(*) > 1
    ORDER BY 1
"""
_PER_SYSTEM: Final = """
    SELECT written_by, count(*) AS rows FROM public.listings
    WHERE workspace_id = %(workspace)s GROUP BY written_by
"""
_AGAINST_JOURNAL: Final = """
    WITH last AS (
      SELECT DISTINCT ON (property_number) property_number, after
      FROM public.listing_journal WHERE workspace_id = %(workspace)s
      ORDER BY property_number, seq DESC
    ), standing AS (
      SELECT property_number, to_jsonb(l) AS image
      FROM public.listings AS l WHERE workspace_id = %(workspace)s
    )
    SELECT property_number, CASE
        WHEN standing.image IS NULL THEN 'missing'
        WHEN last.property_number IS NULL THEN 'unjournaled'
        WHEN last.after IS NULL THEN 'extra'
        ELSE 'different' END AS kind
    FROM last FULL JOIN standing USING (property_number)
    WHERE standing.image IS DISTINCT FROM last.after
    ORDER BY property_number
"""
_GAPS: Final = """
    SELECT seq, property_number FROM (
      SELECT seq, property_number, before,
             lag(after) OVER listing AS previous, row_number() OVER listing AS place
      FROM public.listing_journal WHERE workspace_id = %(workspace)s
      WINDOW listing AS (PARTITION BY property_number ORDER BY seq)
    ) AS entry
    WHERE place > 1 AND before IS DISTINCT FROM previous
    ORDER BY seq
"""
_ENTRIES: Final = """
    SELECT count(*) AS entries FROM public.listing_journal WHERE workspace_id = %(workspace)s
"""
_ROWS: Final = """
    SELECT * FROM public.listings WHERE workspace_id = %(workspace)s ORDER BY property_number
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one listing: what should stand there, and what does."""

    property_number: str
    field: str
    expected: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The table against something else; property numbers, all of them."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing was found."""
        return not (self.missing or self.extra or self.different)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found; `against_feed` is None when no feed was given."""

    workspace_id: str
    rows: int
    per_system: Mapping[str, int]
    duplicates: tuple[tuple[str, ...], ...]
    against_journal: Comparison
    unjournaled: int
    entries: int
    gaps: tuple[int, ...]
    against_feed: Comparison | None = None
    feed_listings: int | None = None
    checked: Comparison = field(init=False)

    def __post_init__(self) -> None:
        chosen = self.against_journal if self.against_feed is None else self.against_feed
        object.__setattr__(self, "checked", chosen)

    @property
    def mismatches(self) -> int:
        """Everything that is wrong, as one figure (the metric `integrity_mismatches`)."""
        journal = self.against_journal
        found = len(self.duplicates) + len(self.gaps)
        found += len(journal.missing) + len(journal.extra) + len(journal.different)
        if (feed := self.against_feed) is not None:
            found += len(feed.missing) + len(feed.extra) + len(feed.different)
        return found

    @property
    def lost(self) -> int:
        """Rows that the journal says stand and that do not (the metric `data_loss`)."""
        return len(self.against_journal.missing)

    def as_json(self, *, examples: int = EXAMPLES) -> dict[str, Any]:
        """Give the figures, with a few examples of each.

        `missing`, `extra` and `different` are against the feed if there is one, else the journal.
        """
        return {
            "workspace": self.workspace_id,
            "rows": self.rows,
            "duplicates": len(self.duplicates),
            "missing": len(self.checked.missing),
            "extra": len(self.checked.extra),
            "different": len(self.checked.different),
            "per_system": dict(self.per_system),
            "mismatches": self.mismatches,
            "against": "journal" if self.against_feed is None else "feed",
            "feed_listings": self.feed_listings,
            "journal": {
                "entries": self.entries,
                "gaps": len(self.gaps),
                "missing": len(self.against_journal.missing),
                "extra": len(self.against_journal.extra),
                "different": len(self.against_journal.different),
                "unjournaled": self.unjournaled,
            },
            "examples": {
                "duplicates": [list(group) for group in self.duplicates[:examples]],
                "missing": list(self.checked.missing[:examples]),
                "extra": list(self.checked.extra[:examples]),
                "different": [
                    {
                        "propertyNumber": each.property_number,
                        "field": each.field,
                        "expected": each.expected,
                        "found": each.found,
                    }
                    for each in self.checked.differences[:examples]
                ],
                "gaps": list(self.gaps[:examples]),
            },
        }


def verify(
    database_url: str,
    *,
    workspace_id: str = DEFAULT_WORKSPACE,
    feed: Iterable[Listing] | None = None,
) -> Verification:
    """Check one workspace, reading only. Raises StoreUnavailable or StoreRefused.

    `feed` is everything that should stand there, as the codec reads it.
    """
    asked = {"workspace": workspace_id}
    with translated(), connect(database_url, application_name="syncgate verify") as connection:
        set_json_loads(decode_json, context=connection)
        # An answer that row-level security has thinned out would be half a truth: refuse instead.
        connection.execute("SET row_security = off")
        connection.execute("SET timezone = 'UTC'")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        against_journal, unjournaled = _against_journal(connection, asked)
        counts = connection.execute(_PER_SYSTEM, asked).fetchall()
        per_system = {system.value: 0 for system in System}
        per_system.update({row["written_by"]: row["rows"] for row in counts})
        duplicates = connection.execute(_DUPLICATES, asked).fetchall()
        entries = connection.execute(_ENTRIES, asked).fetchone()
        gaps = connection.execute(_GAPS, asked).fetchall()
        expected = None if feed is None else {each.property_number: each for each in feed}
        return Verification(
            workspace_id=workspace_id,
            rows=sum(per_system.values()),
            per_system=per_system,
            duplicates=tuple(tuple(row["numbers"]) for row in duplicates),
            against_journal=against_journal,
            unjournaled=unjournaled,
            entries=entries["entries"] if entries else 0,
            gaps=tuple(row["seq"] for row in gaps),
            against_feed=None if expected is None else _against_feed(connection, asked, expected),
            feed_listings=None if expected is None else len(expected),
        )


def _against_journal(
    connection: psycopg.Connection[dict[str, Any]], asked: Mapping[str, str]
) -> tuple[Comparison, int]:
    found: dict[str, list[str]] = {}
    for row in connection.execute(_AGAINST_JOURNAL, asked):
        found.setdefault(row["kind"], []).append(row["property_number"])
    comparison = Comparison(
        missing=tuple(found.get("missing", ())),
        extra=tuple(found.get("extra", ())),
        different=tuple(found.get("different", ())),
    )
    return comparison, len(found.get("unjournaled", ()))


def _against_feed(
    connection: psycopg.Connection[dict[str, Any]],
    asked: Mapping[str, str],
    expected: Mapping[str, Listing],
) -> Comparison:
    seen: set[str] = set()
    extra: list[str] = []
    different: list[str] = []
    differences: list[Difference] = []
    with connection.cursor(name="verify_rows") as cursor:
        cursor.itersize = _FETCH
        for row in cursor.execute(_ROWS, asked):
            number = row["property_number"]
            seen.add(number)
            if (listing := expected.get(number)) is None:
                extra.append(number)
                continue
            stands = stored_values(row)
            should = merge(stands, listing)
            if _digest(number, should) != _digest(number, stands):
                different.append(number)
                if len(differences) < EXAMPLES:
                    differences += _differences(number, should, stands)
    missing = tuple(sorted(expected.keys() - seen))
    return Comparison(missing, tuple(extra), tuple(different), tuple(differences))


def _digest(number: str, row: Row) -> str:
    return digest(number, row.fields, row.extra)


def _differences(number: str, should: Row, stands: Row) -> list[Difference]:
    """Name the fields that make two rows' digests differ, by asking the digest itself."""
    found = []
    for name in FIELD_BY_NAME:
        one, other = {name: should.fields[name]}, {name: stands.fields[name]}
        if digest(number, one, {}) != digest(number, other, {}):
            found.append(
                Difference(number, name, _shown(should.fields[name]), _shown(stands.fields[name]))
            )
    if digest(number, {}, should.extra) != digest(number, {}, stands.extra):
        found.append(Difference(number, "extra", _shown(should.extra), _shown(stands.extra)))
    return found


def _shown(value: object) -> str | None:
    return None if value is None else str(value)
