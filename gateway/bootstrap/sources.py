"""Figures from elsewhere, each in a loop: what the policy asks for, and the database's load."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.adapters.promql import PromQl
from gateway.bootstrap.files import read_sources
from gateway.control.sources import watch_source
from gateway.core.analysis import Metric
from gateway.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.control.controller import Controller
    from gateway.control.watching import Loop
    from gateway.policy import Source
    from gateway.ports import Clock, FigureSource
    from gateway.settings import Settings

_LOAD: Final = Metric.DATABASE_LOAD_RATIO
_TODO: Final = "Set GATEWAY_PROMETHEUS_URL, or take [[sources]] out of the policy."


def checked_sources(settings: Settings) -> tuple[Source, ...]:
    """Read the sources; PolicyError when there is nobody to ask."""
    sources = read_sources(settings.policy_path)
    if sources and settings.prometheus_url is None:
        where = f"{settings.policy_path} sources"
        fault = Fault(where, "have nobody to ask", "GATEWAY_PROMETHEUS_URL to be set")
        raise PolicyError("Policy", (fault,), todo=_TODO)
    return sources


def source_loops(
    settings: Settings, sources: Sequence[Source], *, controller: Controller, clock: Clock
) -> Iterator[Loop]:
    """Give one loop per source, and one for the database's load unless a source tells it."""
    watched = partial(watch_source, controller, clock=clock)
    for source in sources:
        yield partial(
            watched,
            _asking(settings, source),
            name="Prometheus",
            metric=source.metric,
            variant=source.system,
            every_s=source.every_s,
        )
    told = any(one.metric is _LOAD and one.system is None for one in sources)
    load = None if told else _database_load(settings)
    if load is not None:
        every_s = settings.monitoring_interval_ms / 1_000
        yield partial(watched, load, name="PostgreSQL", metric=_LOAD, variant=None, every_s=every_s)


def _asking(settings: Settings, source: Source) -> FigureSource:
    assert settings.prometheus_url is not None
    token = settings.prometheus_token
    return PromQl(
        settings.prometheus_url,
        source.query,
        max_age_s=source.max_age_s,
        token=token.get_secret_value() if token else None,
    )


def _database_load(settings: Settings) -> FigureSource | None:
    if settings.database_url is None:
        return None
    from gateway.adapters.database_load import DatabaseLoad  # noqa: PLC0415 - psycopg loads slowly

    return DatabaseLoad(settings.database_url.get_secret_value())
