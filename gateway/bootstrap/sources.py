"""Figures of a Prometheus: what the policy asks, where the settings say, each in a loop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.adapters.promql import PromQl
from gateway.bootstrap.files import read_sources
from gateway.control.sources import watch_source
from gateway.core.analysis import Metric
from gateway.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.control.controller import Controller
    from gateway.control.watching import Loop
    from gateway.policy import Source
    from gateway.ports import Clock
    from gateway.settings import Settings

_TODO: Final = "Set GATEWAY_PROMETHEUS_URL, or take [[sources]] out of the policy."


def checked_sources(settings: Settings) -> tuple[Source, ...]:
    """Read the sources; PolicyError when there is nobody to ask."""
    sources = read_sources(settings.policy_path)
    if sources and settings.prometheus_url is None:
        where = f"{settings.policy_path} sources"
        fault = Fault(where, "have nobody to ask", "GATEWAY_PROMETHEUS_URL to be set")
        raise PolicyError("Policy", (fault,), todo=_TODO)
    return sources


def has_load(sources: Iterable[Source]) -> bool:
    """Whether the database's load comes from there, and need not be read from the database."""
    return any(one.metric is Metric.DATABASE_LOAD_RATIO and one.system is None for one in sources)


def source_loops(
    settings: Settings, sources: Iterable[Source], *, controller: Controller, clock: Clock
) -> Iterator[Loop]:
    """Give one loop per source."""
    if settings.prometheus_url is None:
        return
    token = settings.prometheus_token
    for source in sources:
        asking = PromQl(
            settings.prometheus_url,
            source.query,
            max_age_s=source.max_age_s,
            token=token.get_secret_value() if token else None,
        )
        yield partial(
            watch_source,
            controller,
            asking,
            metric=source.metric,
            variant=source.system,
            clock=clock,
            every_s=source.every_s,
        )
