"""
[[sources]] of config/rollout.toml: figures that a Prometheus knows, asked for by PromQL.

They stand in the policy, because gates are judged by them; where the Prometheus is and what it asks
for as a token are settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.model import Variant
from gateway.policy.faults import tables_of, text_of
from gateway.policy.reading import parse_policy
from gateway.policy.shape import SourceTable

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.core.analysis import Metric


@dataclass(frozen=True, slots=True)
class Source:
    """One figure: every `every_s` the query is asked; nothing older than `max_age_s` counts."""

    metric: Metric
    system: Variant | None
    query: str
    every_s: int
    max_age_s: int


def load_sources(path: Path) -> tuple[Source, ...]:
    """Read the sources of a policy file. Raises PolicyError with all faults of the file."""
    text = text_of(path)
    parse_policy(text, source=str(path))
    tables = [
        SourceTable.model_validate(one) for one in tables_of(text, str(path)).get("sources", [])
    ]
    return tuple(
        Source(
            metric=table.metric,
            system=Variant(table.system) if table.system else None,
            query=table.query,
            every_s=table.every_s,
            max_age_s=table.max_age_s,
        )
        for table in tables
    )
