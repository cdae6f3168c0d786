"""The gateway's own calls: who they say they are, and what counts as an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.http_probe import HttpProbe
from gateway.core.model import Variant
from gateway.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.upstream import Upstream


@pytest.fixture
async def probe(old: Upstream, new: Upstream) -> AsyncIterator[HttpProbe]:
    """A probe of the two services with a short deadline."""
    urls = {Variant.BASELINE: old.url, Variant.CANARY: new.url}
    probe = HttpProbe(urls, clock=SystemClock(), deadline_s=0.3, metrics_deadline_s=0.3)
    yield probe
    await probe.close()


async def test_a_probe_is_told_from_a_client(probe: HttpProbe, new: Upstream) -> None:
    """It names itself, and carries neither request id nor forwarded address."""
    assert (await probe.health(Variant.CANARY)).healthy
    await probe.metrics(Variant.CANARY)
    for path in ("/health", "/api/metrics"):
        headers = new.seen()["headers"][path]
        assert headers["user-agent"] == "syncgate-probe"
        assert not {"x-request-id", "x-forwarded-for"} & set(headers)


async def test_an_unwell_a_frozen_and_a_dead_system_are_told_apart(
    probe: HttpProbe, new: Upstream
) -> None:
    """Each reason is its own sentence; nothing is raised."""
    new.script(health=503)
    assert (await probe.health(Variant.CANARY)).reason == "/health answered 503"
    new.freeze()
    try:
        frozen = await probe.health(Variant.CANARY)
    finally:
        new.thaw()
    assert frozen.reason == "/health did not answer within 0.3 s"
    new.kill()
    try:
        dead = await probe.health(Variant.CANARY)
    finally:
        new.start_again()
    assert not dead.healthy
    assert "accepts connections" in dead.reason or "well-formed" in dead.reason


@pytest.mark.parametrize("answer", ["text", [1], 7])
async def test_figures_that_are_no_object_are_none(
    probe: HttpProbe, new: Upstream, answer: object
) -> None:
    """A malformed answer is as good as none, and never half believed."""
    new.script(metrics=answer)
    with pytest.raises(UnreachableError):
        await probe.metrics(Variant.CANARY)
