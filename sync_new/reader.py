"""
Reading rows: by property number in addresses of bounded length, and in keyset pages.

A server may hold back rows beyond a maximum of its own without a word (Supabase: 1,000). So a short
answer is never taken for the end: reading by number asks how many there are, pages go on until one
is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sync_new.query import equals, greater, one_of, query, slices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from listings.store import WriteContext
    from sync_new.postgrest import PostgrestClient

PAGE_ROWS: Final = 1000
_ORDER: Final = ("order", "property_number.asc")


async def rows_by_number(
    client: PostgrestClient, workspace_id: str, numbers: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Read the listings of these property numbers, by property number."""
    found: dict[str, dict[str, Any]] = {}
    for part in slices(numbers):
        wanted = (
            ("workspace_id", equals(workspace_id)),
            ("property_number", one_of(part)),
            _ORDER,
        )
        answer = await client.call(
            "GET",
            f"listings?{query(*wanted)}",
            workspace_id=workspace_id,
            prefer="count=exact",
        )
        rows = list(answer.body)
        while len(rows) < (answer.total or 0):
            after = ("property_number", greater(rows[-1]["property_number"]))
            more = await client.call(
                "GET", f"listings?{query(*wanted, after)}", workspace_id=workspace_id
            )
            if not more.body:
                break
            rows += more.body
        found.update((row["property_number"], row) for row in rows)
    return found


async def page(
    client: PostgrestClient,
    workspace_id: str,
    *,
    after: str,
    limit: int,
    select: str = "*",
) -> list[dict[str, Any]]:
    """Read up to `limit` rows after a property number, in order."""
    rows: list[dict[str, Any]] = []
    while len(rows) < limit:
        start = rows[-1]["property_number"] if rows else after
        answer = await client.call(
            "GET",
            "listings?"
            + query(
                ("select", select),
                ("workspace_id", equals(workspace_id)),
                ("property_number", greater(start)),
                _ORDER,
                ("limit", str(min(limit - len(rows), PAGE_ROWS))),
            ),
            workspace_id=workspace_id,
        )
        if not answer.body:
            break
        rows += answer.body
    return rows


async def numbers(client: PostgrestClient, workspace_id: str) -> frozenset[str]:
    """Read every property number of the workspace."""
    found: set[str] = set()
    after = ""
    while True:
        rows = await page(
            client, workspace_id, after=after, limit=PAGE_ROWS, select="property_number"
        )
        if not rows:
            return frozenset(found)
        found.update(row["property_number"] for row in rows)
        after = rows[-1]["property_number"]


async def before_images(
    client: PostgrestClient, context: WriteContext, numbers: Sequence[str]
) -> dict[str, dict[str, Any] | None]:
    """Read what stood before the shadowed sync wrote; numbers it did not write are absent."""
    images: dict[str, dict[str, Any] | None] = {}
    assert context.shadow_of is not None
    async for row in _journal(client, context.workspace_id, context.shadow_of, numbers):
        images.setdefault(row["property_number"], row["before"])
    return images


async def rows_after(
    client: PostgrestClient, workspace_id: str, sync_id: UUID, numbers: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Read the listings as a sync left them: as it wrote them, else as they stand."""
    written: dict[str, dict[str, Any] | None] = {}
    async for row in _journal(client, workspace_id, sync_id, numbers):
        written[row["property_number"]] = row["after"]
    others = [number for number in numbers if number not in written]
    standing = await rows_by_number(client, workspace_id, others) if others else {}
    return standing | {number: row for number, row in written.items() if row is not None}


async def _journal(
    client: PostgrestClient, workspace_id: str, sync_id: UUID, numbers: Sequence[str]
) -> AsyncIterator[dict[str, Any]]:
    """Read what one sync wrote to these listings, in order."""
    for part in slices(numbers):
        after_seq = 0
        while True:
            answer = await client.call(
                "GET",
                "listing_journal?"
                + query(
                    ("select", "seq,property_number,before,after"),
                    ("workspace_id", equals(workspace_id)),
                    ("sync_id", equals(sync_id)),
                    ("property_number", one_of(part)),
                    ("seq", greater(str(after_seq))),
                    ("order", "seq.asc"),
                ),
                workspace_id=workspace_id,
            )
            if not answer.body:
                break
            for row in answer.body:
                yield row
            if len({row["property_number"] for row in answer.body}) == len(part):
                break  # a sync writes a listing once; only a short answer has more behind it
            after_seq = answer.body[-1]["seq"]
