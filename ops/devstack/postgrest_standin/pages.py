"""Which rows are answered: limit and offset, the Range header, the server's own limit."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ops.devstack.postgrest_standin.failures import range_not_satisfiable

if TYPE_CHECKING:
    from ops.devstack.postgrest_standin.query import Query


def paged(asked: Query, header: str | None, most: int | None) -> Query:
    """Return the query with one limit and one offset: what is in every range that was given."""
    first = max(asked.offset or 0, 0)
    if asked.limit is not None and asked.limit < 0:
        raise range_not_satisfiable("Limit should be greater than or equal to zero.")
    end = None if asked.limit is None else first + asked.limit
    if match := re.fullmatch(r"(?:items=)?(\d+)-(\d*)", header or ""):
        lower, upper = int(match[1]), int(match[2]) + 1 if match[2] else None
        if upper is not None and lower >= upper:
            raise range_not_satisfiable(
                "The lower boundary must be lower than or equal to the upper boundary in the "
                "Range header."
            )
        first = max(first, lower)
        end = min((edge for edge in (end, upper) if edge is not None), default=None)
        if end is not None and end <= first:
            raise range_not_satisfiable("Limit should be greater than or equal to zero.")
    limit = None if end is None else end - first
    if most is not None:
        limit = most if limit is None else min(limit, most)
    return replace(asked, offset=first, limit=limit)


def content_range(offset: int, rows: int, total: int | None) -> str:
    """Write Content-Range: which rows these are, of how many."""
    shown = f"{offset}-{offset + rows - 1}" if rows and total != 0 else "*"
    return f"{shown}/{'*' if total is None else total}"
