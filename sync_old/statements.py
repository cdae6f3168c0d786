"""
The SQL of the old service, built from the one field table.

An upsert sets only the columns its listing spoke of, and only if one of them differs: an absent
field keeps its value, and a write without a change is no write.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from psycopg import sql

RUN_COLUMNS: Final = (
    "workspace_id", "system", "sync_id", "mode", "status", "started_at", "completed_at",
    "total", "success", "failed", "skipped", "errors",
)  # fmt: skip
_RUN_KEY: Final = ("workspace_id", "system", "sync_id")

# One round trip tells the transaction who it is; `true` makes each setting end with it.
IDENTIFY: Final = sql.SQL(
    "SELECT set_config('sync.system', 'old', true), set_config('sync.workspace', %s, true),"
    " set_config('sync.sync_id', %s, true)"
)
IDENTIFY_AS_ROLE: Final = sql.SQL(
    "SELECT set_config('role', 'sync_old', true), set_config('sync.system', 'old', true),"
    " set_config('sync.workspace', %s, true), set_config('sync.sync_id', %s, true)"
)
LOCK_TIMEOUT: Final = sql.SQL("SET LOCAL lock_timeout = '1s'")
RESTORE_BEFORE: Final = sql.SQL("SELECT public.sync_restore_before(%s, %s, %s)")
ONE: Final = sql.SQL(
    "SELECT * FROM public.listings WHERE workspace_id = %s AND property_number = %s"
)
PAGE: Final = sql.SQL(
    "SELECT * FROM public.listings WHERE workspace_id = %s AND property_number > %s"
    " ORDER BY property_number LIMIT %s"
)
NUMBERS: Final = sql.SQL("SELECT property_number FROM public.listings WHERE workspace_id = %s")
ONE_RUN: Final = sql.SQL(
    "SELECT * FROM public.sync_history WHERE workspace_id = %s AND system = 'old' AND sync_id = %s"
)
RUNS: Final = sql.SQL(
    "SELECT * FROM public.sync_history WHERE workspace_id = %s AND system = 'old'"
    " AND started_at < coalesce(%s::timestamptz, 'infinity')"
    " ORDER BY started_at DESC, sync_id LIMIT %s"
)
CHECK: Final = sql.SQL(
    "SELECT (SELECT count(*) FROM public.sync_state),"
    " (SELECT property_number FROM public.listings LIMIT 1)"
)
ROWS_AFTER: Final = sql.SQL(
    "SELECT coalesce("
    " (SELECT j.after FROM public.listing_journal AS j"
    "  WHERE j.workspace_id = %(workspace)s AND j.property_number = n.number"
    "  AND j.sync_id = %(sync_id)s ORDER BY j.seq DESC LIMIT 1),"
    " (SELECT to_jsonb(l) FROM public.listings AS l"
    "  WHERE l.workspace_id = %(workspace)s AND l.property_number = n.number)) AS image"
    " FROM unnest(%(numbers)s::text[]) AS n(number)"
)
LEFT_BEHIND: Final = sql.SQL(
    "SELECT (SELECT count(*) FROM public.listings"
    "  WHERE workspace_id = %(workspace)s AND property_number = %(number)s) AS rows,"
    " (SELECT count(*) FROM public.listing_journal"
    "  WHERE workspace_id = %(workspace)s AND property_number = %(number)s) AS entries"
)


@lru_cache(maxsize=256)
def upsert(columns: tuple[str, ...]) -> sql.Composed:
    """Write one listing; parameters are workspace, property number, then `columns` in order."""
    names = [sql.Identifier(column) for column in columns]
    insert = sql.SQL("INSERT INTO public.listings AS l ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, ("workspace_id", "property_number", *columns))),
        sql.SQL(", ").join([sql.Placeholder()] * (len(columns) + 2)),
    )
    conflict = sql.SQL(" ON CONFLICT (workspace_id, property_number) DO ")
    if not names:
        return insert + conflict + sql.SQL("NOTHING RETURNING *")
    update = sql.SQL("UPDATE SET {} WHERE ({}) IS DISTINCT FROM ({}) RETURNING *").format(
        sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in names),
        sql.SQL(", ").join(sql.SQL("l.{}").format(name) for name in names),
        sql.SQL(", ").join(sql.SQL("EXCLUDED.{}").format(name) for name in names),
    )
    return insert + conflict + update


def _record_run() -> sql.Composed:
    changing = [sql.Identifier(name) for name in RUN_COLUMNS if name not in _RUN_KEY]
    return sql.SQL(
        "INSERT INTO public.sync_history ({}) VALUES ({})"
        " ON CONFLICT (workspace_id, system, sync_id) DO UPDATE SET {}"
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, RUN_COLUMNS)),
        sql.SQL(", ").join([sql.Placeholder()] * len(RUN_COLUMNS)),
        sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in changing),
    )


RECORD_RUN: Final = _record_run()
