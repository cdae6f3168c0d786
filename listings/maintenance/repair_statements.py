"""The SQL of `repair`; every statement speaks of one workspace and is bounded by a page."""

from __future__ import annotations

from typing import Final

from psycopg import sql

IDENTITY: Final = (
    "SELECT (SELECT system_identifier FROM pg_control_system()) AS cluster,"
    " current_database() AS database"
)
COLUMNS: Final = (
    "SELECT attname AS name FROM pg_catalog.pg_attribute"
    " WHERE attrelid = 'public.listings'::regclass AND attnum > 0 AND NOT attisdropped"
    " ORDER BY attnum"
)
WORKSPACES: Final = (
    "SELECT workspace_id FROM public.listings"
    " UNION SELECT workspace_id FROM public.listing_journal ORDER BY 1"
)
NEXT: Final = """
    (SELECT property_number AS number FROM public.listings
     WHERE workspace_id = %(workspace)s AND property_number > %(after)s
     ORDER BY property_number LIMIT %(limit)s)
    UNION
    (SELECT DISTINCT property_number FROM public.listing_journal
     WHERE workspace_id = %(workspace)s AND property_number > %(after)s
     ORDER BY property_number LIMIT %(limit)s)
    ORDER BY 1 LIMIT %(limit)s
"""
SPEAK_FOR: Final = "SELECT set_config('sync.workspace', %(workspace)s, true)"
ROWS: Final = """
    SELECT property_number AS number, to_jsonb(l) AS image FROM public.listings AS l
    WHERE workspace_id = %(workspace)s AND property_number = ANY (%(numbers)s)
    ORDER BY property_number
"""
ROWS_LOCKED: Final = ROWS + " FOR UPDATE"
LAST: Final = """
    SELECT DISTINCT ON (property_number) property_number AS number, at, sync_id
    FROM public.listing_journal
    WHERE workspace_id = %(workspace)s AND property_number = ANY (%(numbers)s)
    ORDER BY property_number, seq DESC
"""
KNOWN_SYNCS: Final = """
    SELECT sync_id FROM unnest(%(syncs)s::uuid[]) AS asked(sync_id)
    WHERE EXISTS (SELECT FROM public.listing_journal AS j WHERE j.sync_id = asked.sync_id)
       OR EXISTS (SELECT FROM public.sync_history AS h WHERE h.sync_id = asked.sync_id)
"""
HISTORY: Final = """
    SELECT before, after FROM public.listing_journal
    WHERE workspace_id = %(workspace)s AND property_number = %(number)s
    ORDER BY seq DESC LIMIT 1000
"""
IN_THE_NAME_OF: Final = (
    "SELECT set_config('sync.system', '', true), set_config('sync.sync_id', %(sync_id)s, true)"
)
INSERT: Final = """
    INSERT INTO public.listings
    SELECT r.* FROM jsonb_populate_record(NULL::public.listings, %(image)s) AS r
    ON CONFLICT (workspace_id, property_number) DO NOTHING
"""
DELETE: Final = (
    "DELETE FROM public.listings"
    " WHERE workspace_id = %(workspace)s AND property_number = %(number)s"
)
_KEPT: Final = frozenset({"id", "workspace_id", "property_number", "created_at", "updated_at"})


def update(columns: tuple[str, ...]) -> str:
    """Set every column of a row but its key and what the table keeps itself."""
    changing = [sql.Identifier(name) for name in columns if name not in _KEPT]
    statement = sql.SQL(
        "UPDATE public.listings AS l SET {} "
        "FROM jsonb_populate_record(NULL::public.listings, %(image)s) AS r "
        "WHERE l.workspace_id = %(workspace)s AND l.property_number = %(number)s"
    ).format(sql.SQL(", ").join(sql.SQL("{0} = r.{0}").format(name) for name in changing))
    return statement.as_string(None)
