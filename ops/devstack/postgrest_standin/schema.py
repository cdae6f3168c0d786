"""What the database has: tables with their columns and keys, and functions with their arguments."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its SQL type, and the expression of its default if it has one."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of `table` refer to `target_columns` of `target`."""

    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view; `primary_key` is empty where it has none."""

    name: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """One overload; `arguments` are (name, type) of its inputs, the last `defaults` optional."""

    name: str
    arguments: tuple[tuple[str, str], ...]
    defaults: int
    returns_set: bool
    returns_void: bool
    returns_row: bool
    is_volatile: bool

    def accepts(self, given: set[str]) -> bool:
        """Whether it can be called with exactly these arguments."""
        names = [name for name, _ in self.arguments]
        required = names[: len(names) - self.defaults]
        return set(required) <= given <= set(names)


@dataclass(frozen=True, slots=True)
class Schema:
    """One exposed schema."""

    name: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    foreign_keys: Sequence[ForeignKey] = ()
    functions: Mapping[str, Sequence[Function]] = field(default_factory=dict)


_COLUMNS: Final = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       case when a.attidentity <> '' then
                 format('nextval(%%L)', pg_get_serial_sequence(c.oid::regclass::text, a.attname))
            when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'v', 'm', 'f', 'p')
order by c.relname, a.attnum"""

_KEYS: Final = """
select k.contype::text, c.relname, t.relname,
       array(select attname::text from unnest(k.conkey) with ordinality as n(num, i)
             join pg_attribute on attrelid = k.conrelid and attnum = n.num order by n.i),
       array(select attname::text from unnest(k.confkey) with ordinality as n(num, i)
             join pg_attribute on attrelid = k.confrelid and attnum = n.num order by n.i)
from pg_constraint k
join pg_class c on c.oid = k.conrelid
left join pg_class t on t.oid = k.confrelid and t.relnamespace = c.relnamespace
where c.relnamespace = %s::regnamespace and k.contype in ('p', 'f') and k.conparentid = 0"""

_FUNCTIONS: Final = """
select p.proname, coalesce(p.proargnames, '{}'), coalesce(p.proargmodes::text[], '{}'),
       array(select format_type(o, null)
             from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality u(o, i)
             order by i),
       p.pronargdefaults, p.proretset, p.prorettype = 'void'::regtype,
       (t.typtype = 'c' or p.prorettype = 'record'::regtype), p.provolatile = 'v'
from pg_proc p join pg_type t on t.oid = p.prorettype
where p.pronamespace = %s::regnamespace and p.prokind = 'f'"""


async def load(connection: psycopg.AsyncConnection[Any], name: str) -> Schema:
    """Read one schema."""
    columns: defaultdict[str, dict[str, Column]] = defaultdict(dict)
    for table, column, type_, default in await _rows(connection, _COLUMNS, name):
        columns[table][column] = Column(column, type_, default)
    primary_keys: dict[str, tuple[str, ...]] = {}
    foreign_keys: list[ForeignKey] = []
    for kind, table, target, own, other in await _rows(connection, _KEYS, name):
        if kind == "p":
            primary_keys[table] = tuple(own)
        elif target is not None:
            foreign_keys.append(ForeignKey(table, tuple(own), target, tuple(other)))
    functions: defaultdict[str, list[Function]] = defaultdict(list)
    for row in await _rows(connection, _FUNCTIONS, name):
        functions[row[0]].append(_function(*row))
    tables = {
        table: Table(table, found, primary_keys.get(table, ())) for table, found in columns.items()
    }
    return Schema(name, tables, tuple(foreign_keys), dict(functions))


def _function(
    name: str,
    names: list[str],
    modes: list[str],
    types: list[str],
    *facts: Any,
) -> Function:
    modes = modes or ["i"] * len(types)
    names = names or [""] * len(types)
    inputs = [
        (argument, type_)
        for argument, type_, mode in zip(names, types, modes, strict=False)
        if mode in "ibv"
    ]
    defaults, returns_set, returns_void, returns_row, is_volatile = facts
    has_outputs = any(mode in "ot" for mode in modes)
    return Function(
        name,
        tuple(inputs),
        defaults,
        returns_set,
        returns_void,
        returns_row or has_outputs,
        is_volatile,
    )


async def _rows(
    connection: psycopg.AsyncConnection[Any], statement: str, schema: str
) -> list[tuple[Any, ...]]:
    quoted = '"' + schema.replace('"', '""') + '"'
    cursor = await connection.execute(statement, (quoted,))
    return await cursor.fetchall()
