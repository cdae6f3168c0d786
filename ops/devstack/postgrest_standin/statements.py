"""
The SQL of a request.

Every value goes in as a literal that PostgreSQL itself types ('5' compared with an integer column
is an integer), the way PostgREST does it. Answers are built as JSON by the database, so numbers,
dates and money look as they look from the real server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg.sql import SQL, Composed, Identifier, Literal

from ops.devstack.postgrest_standin import failures
from ops.devstack.postgrest_standin.query import Embedded, Filter, Selected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.devstack.postgrest_standin.query import Condition, Field, Order, Query
    from ops.devstack.postgrest_standin.schema import Column, Function, Schema, Table

_OPERATORS: Final = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "isdistinct": "is distinct from",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
}
_IS: Final = {
    "null": "null",
    "true": "true",
    "false": "false",
    "unknown": "unknown",
    "not_null": "not null",
}
# How many rows of an upsert were inserted: each candidate counts up, each conflict down again.
_INSERTED: Final = "coalesce(nullif(current_setting('pgrst.inserted', true), ''), '0')::int"
_COUNT_UP: Final = f"set_config('pgrst.inserted', ({_INSERTED} + 1)::text, true) <> ''"
_COUNT_DOWN: Final = f"set_config('pgrst.inserted', ({_INSERTED} - 1)::text, true) <> ''"
_SOURCE: Final = Identifier("pgrst_source")


def read(schema: Schema, table: Table, query: Query, *, counted: bool) -> Composed:
    """Select; answers (rows, body, total or null)."""
    where = _where(table.name, query.conditions)
    relation = Identifier(schema.name, table.name)
    counting = SQL("(SELECT count(*) FROM {}{})").format(relation, where)
    return SQL(
        "SELECT count(*), coalesce(json_agg(_t), '[]')::text, {} FROM (SELECT {} FROM {}{}{}{}) _t"
    ).format(
        counting if counted else SQL("null::bigint"),
        _selection(schema, table, query, Identifier(table.name)),
        relation,
        where,
        _order_by(query.order, Identifier(table.name)),
        _page(query),
    )


def insert(
    schema: Schema,
    table: Table,
    query: Query,
    *,
    body: str,
    columns: Sequence[str],
    defaults: bool,
    on_conflict: Sequence[str],
    resolution: str | None,
    only: Sequence[Condition] = (),
    returning: bool,
) -> Composed:
    """Insert or upsert every element of the JSON body; answers (rows, body, inserted).

    `only` keeps those elements of the body for which it holds (PUT names one row by its key).
    """
    relation = Identifier(schema.name, table.name)
    known = [_column(table, name) for name in columns]
    names = SQL(", ").join(Identifier(column.name) for column in known)
    if known:
        source = SQL("({}) SELECT {} FROM {} pgrst_body WHERE {}{}").format(
            names,
            names,
            _records(body, known, defaults=defaults),
            SQL(_COUNT_UP),
            Composed([SQL(" AND {}").format(_condition(part, "pgrst_body")) for part in only]),
        )
    elif body.strip() == "[]":
        source = SQL("SELECT WHERE false").format()
    else:
        source = SQL("DEFAULT VALUES").format()
    conflict = SQL("").format()
    if resolution and on_conflict:
        conflict = SQL(" ON CONFLICT ({}) DO {}").format(
            SQL(", ").join(Identifier(name) for name in on_conflict),
            _merge(known) if resolution == "merge-duplicates" and known else SQL("NOTHING"),
        )
    write = SQL("INSERT INTO {} {}{}").format(relation, source, conflict)
    return _written(schema, table, query, write, returning=returning)


def update(
    schema: Schema,
    table: Table,
    query: Query,
    *,
    body: str,
    columns: Sequence[str],
    defaults: bool,
    returning: bool,
) -> Composed:
    """PATCH: set the columns of one JSON object on every row that fits."""
    known = [_column(table, name) for name in columns]
    if not known:  # nothing to set is no error, and no write
        write = SQL("SELECT * FROM {} WHERE false").format(Identifier(schema.name, table.name))
        return _written(schema, table, query, write, returning=returning, returns=False)
    write = SQL("UPDATE {} SET {} FROM (SELECT * FROM {} _b LIMIT 1) pgrst_body{}").format(
        Identifier(schema.name, table.name),
        SQL(", ").join(
            SQL("{} = pgrst_body.{}").format(Identifier(column.name), Identifier(column.name))
            for column in known
        ),
        _records(body, known, defaults=defaults),
        _where(table.name, query.conditions),
    )
    return _written(schema, table, query, write, returning=returning)


def delete(schema: Schema, table: Table, query: Query, *, returning: bool) -> Composed:
    """DELETE every row that fits."""
    write = SQL("DELETE FROM {}{}").format(
        Identifier(schema.name, table.name), _where(table.name, query.conditions)
    )
    return _written(schema, table, query, write, returning=returning)


def call(schema: Schema, function: Function, arguments: str, query: Query) -> Composed:
    """Call a function with the members of a JSON object; answers (rows, body, null)."""
    given = [(name, type_) for name, type_ in function.arguments if name in _keys(arguments)]
    if given:
        record = SQL(", ").join(
            SQL("{} {}").format(Identifier(name), SQL(type_)) for name, type_ in given
        )
        named = SQL(", ").join(
            SQL("{} := (SELECT {} FROM pgrst_args)").format(Identifier(name), Identifier(name))
            for name, _ in given
        )
        head = SQL("WITH pgrst_args AS (SELECT * FROM json_to_record({}::json) _({})) ").format(
            Literal(arguments), record
        )
    else:
        head, named = SQL("").format(), SQL("").format()
    invoked = SQL("{}({})").format(Identifier(schema.name, function.name), named)
    if function.returns_row:
        rows = SQL("SELECT {} FROM {} pgrst_call{}{}{}").format(
            _columns([part for part in query.selected if isinstance(part, Selected)], _CALL),
            invoked,
            _where("pgrst_call", query.conditions),
            _order_by(query.order, _CALL),
            _page(query),
        )
        body = SQL("coalesce(json_agg(_t), '[]')")
    else:
        rows = SQL("SELECT {} AS pgrst_scalar{}").format(invoked, _page(query))
        body = SQL("coalesce(json_agg(_t.pgrst_scalar), '[]')")
    return SQL("{}SELECT count(*), {}::text, null::bigint FROM ({}) _t").format(head, body, rows)


_CALL: Final = Identifier("pgrst_call")


def _keys(arguments: str) -> set[str]:
    import orjson  # noqa: PLC0415 - the one place where SQL depends on what a body holds

    return set(orjson.loads(arguments))


def _written(
    schema: Schema,
    table: Table,
    query: Query,
    write: Composed,
    *,
    returning: bool,
    returns: bool = True,
) -> Composed:
    """Run a write as a common table expression and describe what it returned."""
    if not returning:
        # No RETURNING of columns: it would ask for the right to read them.
        tail = SQL(" RETURNING 1" if returns else "").format()
        return SQL("WITH {} AS ({}{}) SELECT count(*), '', {} FROM {}").format(
            _SOURCE, write, tail, SQL(_INSERTED), _SOURCE
        )
    tail = SQL(" RETURNING {}.*").format(Identifier(table.name)) if returns else SQL("").format()
    return SQL(
        "WITH {} AS ({}{}) SELECT count(*), coalesce(json_agg(_t), '[]')::text, {} "
        "FROM (SELECT {} FROM {}{}) _t"
    ).format(
        _SOURCE,
        write,
        tail,
        SQL(_INSERTED),
        _selection(schema, table, query, _SOURCE),
        _SOURCE,
        _order_by(query.order, _SOURCE),
    )


def _merge(columns: Sequence[Column]) -> Composed:
    return SQL("UPDATE SET {} WHERE {}").format(
        SQL(", ").join(
            SQL("{} = EXCLUDED.{}").format(Identifier(column.name), Identifier(column.name))
            for column in columns
        ),
        SQL(_COUNT_DOWN),
    )


def _records(body: str, columns: Sequence[Column], *, defaults: bool) -> Composed:
    """Make rows of the body: one object, or an array of objects."""
    payload = SQL(
        "(SELECT CASE WHEN json_typeof(_j) = 'array' THEN _j ELSE json_build_array(_j) END "
        "FROM (SELECT {}::json AS _j) _p)"
    ).format(Literal(body))
    with_default = [column for column in columns if column.default is not None]
    if defaults and with_default:
        pairs = SQL(", ").join(
            SQL("{}, {}").format(Literal(column.name), SQL(column.default or "null"))
            for column in with_default
        )
        payload = SQL(
            "(SELECT json_agg(jsonb_build_object({}) || e::jsonb) FROM json_array_elements({}) e)"
        ).format(pairs, payload)
    record = SQL(", ").join(
        SQL("{} {}").format(Identifier(column.name), SQL(column.type)) for column in columns
    )
    return SQL("(SELECT * FROM json_to_recordset({}) _({}))").format(payload, record)


def _column(table: Table, name: str) -> Column:
    found = table.columns.get(name)
    if found is None:
        raise failures.unknown_column(table.name, name)
    return found


def _selection(schema: Schema, table: Table, query: Query, source: Identifier) -> Composed:
    parts: list[Composed] = []
    for item in query.selected:
        if isinstance(item, Embedded):
            order = query.embedded_order.get(item.alias, query.embedded_order.get(item.table, ()))
            parts.append(_embedded(schema, table, item, order, source))
        else:
            parts.append(_columns([item], source))
    return SQL(", ").join(parts)


def _embedded(
    schema: Schema, table: Table, item: Embedded, order: Sequence[Order], source: Identifier
) -> Composed:
    """Nest related rows: those that refer to us as an array, the one we refer to as an object."""
    inner = Identifier("pgrst_embedded")
    for key in schema.foreign_keys:
        if key.table == item.table and key.target == table.name:
            pairs, body = zip(key.columns, key.target_columns, strict=True), "json_agg(_e)"
            break
    else:
        for key in schema.foreign_keys:
            if key.table == table.name and key.target == item.table:
                pairs, body = zip(key.target_columns, key.columns, strict=True), "json_agg(_e)->0"
                break
        else:
            raise failures.unknown_relation(table.name, item.table, schema.name)
    joined = SQL(" AND ").join(
        SQL("{}.{} = {}.{}").format(inner, Identifier(theirs), source, Identifier(ours))
        for theirs, ours in pairs
    )
    if body == "json_agg(_e)":
        body = "coalesce(json_agg(_e), '[]')"
    return SQL("(SELECT {} FROM (SELECT {} FROM {} {} WHERE {}{}) _e) AS {}").format(
        SQL(body),
        _columns(item.selected, inner),
        Identifier(schema.name, item.table),
        inner,
        joined,
        _order_by(order, inner),
        Identifier(item.alias),
    )


def _columns(selected: Iterable[Selected], source: Identifier) -> Composed:
    return SQL(", ").join(_selected(item, source) for item in selected)


def _selected(item: Selected, source: Identifier) -> Composed:
    if item.field.name == "*":
        return SQL("{}.*").format(source)
    value = _field(item.field, source)
    if item.cast:
        value = SQL("CAST({} AS {})").format(value, SQL(item.cast))
    keys = [key for _, key in item.field.path if not key.isdigit()]
    name = item.alias or (keys[-1] if keys else None)
    if name is None and item.cast:
        name = item.field.name
    return SQL("{} AS {}").format(value, Identifier(name)) if name else value


def _field(field: Field, source: Identifier) -> Composed:
    column = SQL("{}.{}").format(source, Identifier(field.name))
    if not field.path:
        return column
    steps = Composed(
        [
            SQL("{}{}").format(SQL(arrow), Literal(int(key) if key.isdigit() else key))
            for arrow, key in field.path
        ]
    )
    return SQL("to_jsonb({}){}").format(column, steps)


def _where(source: str, conditions: Sequence[Condition]) -> Composed:
    if not conditions:
        return SQL("").format()
    return SQL(" WHERE {}").format(
        SQL(" AND ").join(_condition(condition, source) for condition in conditions)
    )


def _condition(condition: Condition, source: str) -> Composed:
    negation = SQL("NOT ") if condition.negated else SQL("")
    if isinstance(condition, Filter):
        return SQL("{}({})").format(negation, _filter(condition, source))
    joiner = SQL(" AND ") if condition.joiner == "and" else SQL(" OR ")
    inner = joiner.join(_condition(part, source) for part in condition.conditions)
    return SQL("{}({})").format(negation, inner)


def _filter(condition: Filter, source: str) -> Composed:
    left = _field(condition.field, Identifier(source))
    if condition.operator == "in":
        return SQL("{} = ANY ({})").format(left, Literal(_array(condition.values)))
    (value,) = condition.values
    if condition.operator == "is":
        if value.lower() not in _IS:
            raise failures.bad_query("filter", f"is.{value}")
        return SQL("{} IS {}").format(left, SQL(_IS[value.lower()]))
    if condition.operator in {"like", "ilike"}:
        value = value.replace("*", "%")
    return SQL("{} {} {}").format(left, SQL(_OPERATORS[condition.operator]), Literal(value))


def _array(values: Sequence[str]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


def _order_by(order: Sequence[Order], source: Identifier) -> Composed:
    if not order:
        return SQL("").format()
    keys = [SQL("{}{}").format(_field(key.field, source), SQL(key.words)) for key in order]
    return SQL(" ORDER BY {}").format(SQL(", ").join(keys))


def _page(query: Query) -> Composed:
    limit = SQL(" LIMIT {}").format(Literal(query.limit)) if query.limit is not None else SQL("")
    offset = SQL(" OFFSET {}").format(Literal(query.offset)) if query.offset else SQL("")
    return SQL("{}{}").format(limit, offset)
