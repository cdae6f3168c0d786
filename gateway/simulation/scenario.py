"""
A scenario file: the world and what happens in it, what people do, and what must come of it.

Instants and spans are written as people say them, from the start of the scenario: "9d 12h", "90s".
A fault replaces figures of one system or both while it lasts; with `ramp` it grows there from the
usual figure. Mistakes are named all at once, with their line.
"""

from __future__ import annotations

import re
import tomllib
from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.policy.lines import line_numbers, line_of

LIBRARY: Final = Path("config/scenarios")
MAX_SCENARIO_BYTES: Final = 256 * 1024
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|m|s)")
_UNITS_S: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def span_s(text: object) -> float:
    """Read "9d 12h 5m 30s" as seconds."""
    if not isinstance(text, str) or not _SPAN.fullmatch(text.split()[-1] if text.split() else ""):
        raise ValueError('expected a span such as "9d 12h" or "90s"')
    parts = text.split()
    found = [_SPAN.fullmatch(part) for part in parts]
    if not all(found):
        raise ValueError('expected a span such as "9d 12h" or "90s"')
    return sum(float(match[1]) * _UNITS_S[match[2]] for match in found if match)


Span = Annotated[float, BeforeValidator(span_s)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Table(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class System(Table):
    """How one system usually behaves."""

    error_ratio: Ratio = 0.0005
    rejected_ratio: Ratio = 0.001
    latency_p95_ms: Positive = 20.0
    sync_s_per_1000: Positive = 100.0


class Traffic(Table):
    """How much there is to do."""

    requests_per_s: Annotated[float, Field(ge=0, le=10_000)] = 4.0
    night_ratio: Ratio = 0.3
    """The share of it that is left in the deepest night; a cosine over the day."""
    sync_ratio: Ratio = 0.2
    """The share of requests that are syncs."""


class Machine(Table):
    """What is measured beside the traffic."""

    cpu_ratio: Ratio = 0.35
    memory_ratio: Ratio = 0.40
    disk_ratio: Ratio = 0.30
    network_ratio: Ratio = 0.10
    database_load_ratio: Ratio = 0.25
    api_usage_ratio: Ratio = 0.30
    match_ratio: Ratio = 0.9990
    """The share of mirrored listings on which both agree."""


class Fault(Table):
    """Something is different for a while."""

    name: str
    at: Span
    lasts: Span
    system: Literal["old", "new", "both"] = "new"
    error_ratio: Ratio | None = None
    rejected_ratio: Ratio | None = None
    sync_s_per_1000: Positive | None = None
    latency_p95_ms: Positive | None = None
    ramp: bool = False
    """Grow there over the whole time instead of at once."""
    down: bool = False
    """Health probes fail as well."""
    every: Span | None = None
    """Come again after so long, until `times`."""
    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    traffic_ratio: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Times the usual traffic."""
    measures: dict[str, float] = {}
    """Figures of the machine, replaced; nan is allowed here."""
    silent: list[str] = []
    """Metrics that are not measured any more; "traffic" means the workers' reports."""
    clock_jump_s: float = 0.0
    """At the beginning the gateway's clock jumps; it stays so."""


class OrderTable(Table):
    """A person does something."""

    at: Span
    order: Literal[
        "start", "promote", "pause", "resume", "weight", "rollback", "stop", "release", "hold"
    ]
    percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    force: bool = False
    reason: str = "as planned"


class ReportTable(Table):
    """A user tells us something."""

    at: Span
    serious: bool = False


class Operator(Table):
    """What people do by themselves."""

    starts: bool = True
    promotes_after: Span | None = 3_600.0
    """So long after the gateway says that everything passes; absent: never."""
    holds_decisions: bool = False


class Expect(Table):
    """What must come of it."""

    status: str
    weight_percent: float
    happens: list[str] = []
    """These events, in this order (others may stand between)."""
    never: list[str] = []
    at_most_once: list[str] = []
    first_event: str | None = None
    first_after: Span | None = None
    first_within_s: float | None = None
    """`first_event` comes no earlier than `first_after` and so many seconds later at the most."""


class Scenario(Table):
    """A whole scenario."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    title: str
    policy: str = "rollout.toml"
    """Beside the folder of scenarios."""
    begins: datetime
    lasts: Span
    seed: int = 1
    traffic: Traffic = Traffic()
    old: System = System()
    new: System = System(error_ratio=0.0004, sync_s_per_1000=80.0)
    machine: Machine = Machine()
    operator: Operator = Operator()
    faults: list[Fault] = []
    orders: list[OrderTable] = []
    reports: list[ReportTable] = []
    expect: Expect


class ScenarioError(ValueError):
    """The scenario cannot be used; the message names every mistake with its line."""


def parse_scenario(text: str, *, source: str = "scenario") -> Scenario:
    """Read a scenario. Raises ScenarioError."""
    if len(text) > MAX_SCENARIO_BYTES:
        raise ScenarioError(f"{source}: expected at most {MAX_SCENARIO_BYTES // 1024} KiB")
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(f"{source}: expected TOML: {error}") from error
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        lines = line_numbers(text)
        faults = sorted(
            (line_of(tuple(each["loc"]), lines), ".".join(map(str, each["loc"])), each["msg"])
            for each in error.errors(include_url=False)
        )
        message = "\n".join(f"{source}:{line}: {key}: {text}" for line, key, text in faults)
        raise ScenarioError(message) from error


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises ScenarioError."""
    try:
        if path.stat().st_size > MAX_SCENARIO_BYTES:
            raise ScenarioError(f"{path}: expected at most {MAX_SCENARIO_BYTES // 1024} KiB")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    return parse_scenario(text, source=str(path))


def library(folder: Path = LIBRARY) -> tuple[str, ...]:
    """List the names of the scenarios that ship."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def find_scenario(name: str, folder: Path = LIBRARY) -> Path:
    """Find a scenario by its name in the library, or by its path. Raises ScenarioError."""
    shipped = folder / f"{name}.toml"
    if shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(library(folder)) or "none"
    raise ScenarioError(f"no scenario {name!r}: give a file, or one of {known}")
