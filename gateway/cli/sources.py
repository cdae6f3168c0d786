"""What `syncgate doctor` asks of the Prometheus that the policy names queries for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.adapters.promql import PromQl
from gateway.bootstrap.sources import checked_sources
from gateway.errors import PolicyError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings import Settings

_FIX: Final = "Try the query in Prometheus: it must give exactly one number, now."


def outcomes(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
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
        of = f"{source.metric.value} of {source.system.value if source.system else 'the whole'}"
        try:
            value = asyncio.run(asking.read())
        except UnreachableError as error:
            yield "source", "fail", f"{of}: {error.message}", _FIX
        else:
            yield "source", "pass", f"{of} is {value:g}", ""
