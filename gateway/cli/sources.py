"""What `syncgate doctor` asks of the Prometheus that the policy names queries for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.adapters.promql import PromQl
from gateway.bootstrap.sources import checked_sources
from gateway.errors import PolicyError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.cli.texts import Texts
    from gateway.settings import Settings


def outcomes(say: Texts, settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Ask each query once: (name, status, detail, what to do); nothing where nothing is asked."""
    try:
        sources = checked_sources(settings)
    except PolicyError as error:
        yield "sources", "fail", error.message, error.todo.strip()
        return
    token = settings.prometheus_token
    for source in sources:
        assert settings.prometheus_url is not None
        asking = PromQl(
            settings.prometheus_url,
            source.query,
            max_age_s=source.max_age_s,
            token=token.get_secret_value() if token else None,
        )
        system = source.system.value if source.system else say("dr_source_whole")
        try:
            value = asyncio.run(asking.read())
        except UnreachableError as error:
            detail = f"{source.metric.value} ({system}): {error.message}"
            yield "source", "fail", detail, say("dr_source_fix")
        else:
            said = say("dr_source", metric=source.metric.value, system=system, value=f"{value:g}")
            yield "source", "pass", said, ""
