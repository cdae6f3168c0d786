"""Read a policy file: its shape first, then what only the whole can show; all faults at once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from gateway.core.analysis import Gate, Limit, Trigger
from gateway.core.model import Weight
from gateway.core.rollout import Deadlines, Fairness, Freeze, Mirror, Phase, Plan
from gateway.policy.checks import whole_file_faults
from gateway.policy.lines import line_numbers, line_of
from gateway.policy.shape import (
    GateTable,
    LimitTable,
    OnceFreeze,
    PhaseTable,
    PolicyFile,
    TriggerTable,
    WeeklyFreeze,
)

if TYPE_CHECKING:
    from gateway.policy.lines import Path as KeyPath

DEFAULT_POLICY: Final = Path("config/rollout.toml")
MAX_POLICY_BYTES: Final = 256 * 1024
_TOML_LINE: Final = re.compile(r"\(at line (\d+)")
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One mistake: where it stands and what was expected there."""

    line: int
    key: str
    problem: str


class PolicyError(ValueError):
    """The policy cannot be used; `faults` names every mistake. The old one stays in force."""

    def __init__(self, source: str, faults: tuple[PolicyFault, ...]) -> None:
        self.source = source
        self.faults = faults
        super().__init__("\n".join(f"{source}:{f.line}: {f.key}: {f.problem}" for f in faults))


def load_policy(path: Path) -> Plan:
    """Read and check a policy file. Raises PolicyError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        problem = f"cannot be read ({error.strerror}): expected a policy file here"
        raise PolicyError(str(path), (PolicyFault(0, "file", problem),)) from error
    if len(raw) > MAX_POLICY_BYTES:
        problem = f"expected at most {MAX_POLICY_BYTES // 1024} KiB"
        raise PolicyError(str(path), (PolicyFault(0, "file", problem),))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fault = PolicyFault(line, "file", "expected UTF-8 text")
        raise PolicyError(str(path), (fault,)) from error
    return parse_policy(text, source=str(path))


def parse_policy(text: str, *, source: str = "policy") -> Plan:
    """Read and check a policy. Raises PolicyError with all faults."""
    if len(text) > MAX_POLICY_BYTES:
        problem = f"expected at most {MAX_POLICY_BYTES // 1024} KiB"
        raise PolicyError(source, (PolicyFault(0, "file", problem),))
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _TOML_LINE.search(str(error))
        fault = PolicyFault(int(found[1]) if found else 0, "file", f"expected TOML: {error}")
        raise PolicyError(source, (fault,)) from error
    lines = line_numbers(text)
    try:
        file = PolicyFile.model_validate(raw)
    except ValidationError as error:
        shape = [(each["loc"], _expected(each)) for each in error.errors(include_url=False)]
        faults = shape + whole_file_faults(raw)
        raise PolicyError(source, _located(faults, lines)) from error
    faults = whole_file_faults(raw)
    if faults:
        raise PolicyError(source, _located(faults, lines))
    return _plan(file)


def _located(
    faults: list[tuple[KeyPath, str]], lines: dict[KeyPath, int]
) -> tuple[PolicyFault, ...]:
    located = {
        PolicyFault(line_of(path, lines), _dotted(path) or "file", problem)
        for path, problem in faults
    }
    return tuple(sorted(located, key=lambda fault: (fault.line, fault.key, fault.problem)))


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _expected(error: Any) -> str:
    """Say in plain words what should have stood there."""
    kind, context = error["type"], error.get("ctx", {})
    found = repr(error["input"])[:60]
    if kind == "missing":
        return "missing; this key is required"
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "enum":
        return f"expected {context['expected']}, found {found}"
    if kind in _BOUNDS:
        key, word = _BOUNDS[kind]
        return f"expected {word} {context[key]}, found {found}"
    message = str(error["msg"])
    return f"{message[0].lower()}{message[1:]}, found {found}"


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
