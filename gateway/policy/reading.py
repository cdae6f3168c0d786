"""Read a policy file: its shape first, then what only the whole can show; all faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gateway.core.analysis import Gate, Limit, Trigger
from gateway.core.model import Weight
from gateway.core.rollout import Deadlines, Fairness, Freeze, Mirror, Phase, Plan
from gateway.policy.checks import whole_file_faults
from gateway.policy.faults import PolicyError, expected, located, tables_of, text_of
from gateway.policy.lines import line_numbers
from gateway.policy.shape import (
    GateTable,
    LimitTable,
    OnceFreeze,
    PhaseTable,
    PolicyFile,
    TriggerTable,
    WeeklyFreeze,
)

DEFAULT_POLICY: Final = Path("config/rollout.toml")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def load_policy(path: Path) -> Plan:
    """Read and check a policy file. Raises PolicyError."""
    return parse_policy(text_of(path), source=str(path))


def parse_policy(text: str, *, source: str = "policy") -> Plan:
    """Read and check a policy. Raises PolicyError with all faults."""
    raw = tables_of(text, source)
    lines = line_numbers(text)
    try:
        file = PolicyFile.model_validate(raw)
    except ValidationError as error:
        shape = [(each["loc"], expected(each)) for each in error.errors(include_url=False)]
        faults = shape + whole_file_faults(raw)
        raise PolicyError(source, located(faults, lines)) from error
    faults = whole_file_faults(raw)
    if faults:
        raise PolicyError(source, located(faults, lines))
    return _plan(file)


def policy_schema() -> dict[str, Any]:
    """Give the JSON Schema of a policy file."""
    schema = PolicyFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _plan(file: PolicyFile) -> Plan:
    fairness = file.fairness.model_dump()
    fairness["blame_alpha"] = fairness.pop("blame_significance")
    return Plan(
        name=file.name,
        phases=tuple(_phase(phase) for phase in file.phases),
        triggers=tuple(_trigger(trigger) for trigger in file.triggers),
        limits=tuple(_limit(limit) for limit in file.limits),
        goals=tuple(_gate(gate) for gate in file.goals),
        deadlines=Deadlines(**file.deadlines.model_dump()),
        fairness=Fairness(**fairness),
        freezes=(
            *(_weekly(freeze) for freeze in file.weekly_freezes),
            *(_once(freeze) for freeze in file.once_freezes),
        ),
        stores_apart=file.stores == "two",
    )


def _phase(table: PhaseTable) -> Phase:
    write = table.write_percent if table.weight_percent is None else table.weight_percent
    read = table.read_percent if table.weight_percent is None else table.weight_percent
    mirror = None if table.mirror is None else Mirror(**table.mirror.model_dump())
    return Phase(
        id=table.id, title=table.title, title_ja=table.title_ja,
        write_bp=_weight(write), read_bp=_weight(read), bake_s=table.bake_s,
        auto_promote=table.auto_promote, mirror=mirror,
        gates=tuple(_gate(gate) for gate in table.gates),
        triggers=tuple(_trigger(trigger) for trigger in table.triggers),
    )  # fmt: skip


def _weight(percent: float | None) -> Weight:
    return Weight(round((percent or 0.0) * 100))


def _gate(table: GateTable) -> Gate:
    return Gate(**dict(table))


def _trigger(table: TriggerTable) -> Trigger:
    return Trigger(**dict(table))


def _limit(table: LimitTable) -> Limit:
    plain = dict(table)
    return Limit(comparison=plain.pop("worse"), **plain)


def _weekly(table: WeeklyFreeze) -> Freeze:
    def of_week_s(day: str, time: str) -> int:
        hours, minutes = time.split(":")
        return (_DAYS.index(day) * 24 + int(hours)) * 3600 + int(minutes) * 60

    return Freeze(
        name=table.name, weekly=True,
        start_s=of_week_s(table.from_day, table.from_time),
        end_s=of_week_s(table.to_day, table.to_time),
        offset_s=table.utc_offset_minutes * 60,
    )  # fmt: skip


def _once(table: OnceFreeze) -> Freeze:
    start_s, end_s = int(table.from_at.timestamp()), int(table.to_at.timestamp())
    return Freeze(name=table.name, weekly=False, start_s=start_s, end_s=end_s)
