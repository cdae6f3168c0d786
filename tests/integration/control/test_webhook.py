"""The alert webhook: what it gets, and that its address stays a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.adapters.notify.webhook import WebhookNotifier
from gateway.errors import UnreachableError
from gateway.ports import Notice

if TYPE_CHECKING:
    from tests.support.upstream import Upstream

NOTICE = Notice("critical", "rolled_back", "All traffic is back on old.", 1, key="errors")


async def test_a_notice_is_posted(new: Upstream) -> None:
    """One POST per notice, as JSON."""
    webhook = WebhookNotifier(f"{new.url}/hooks/secret-path")
    before = new.count("POST /hooks/secret-path")
    await webhook.notify(NOTICE)
    await webhook.close()
    assert new.count("POST /hooks/secret-path") == before + 1
    assert new.seen()["headers"]["/hooks/secret-path"]["content-type"] == "application/json"


async def test_a_failure_names_no_address(new: Upstream) -> None:
    """Refused or unreachable: the reason is told, the secret in the URL is not."""
    new.script(status=500)
    for url in (f"{new.url}/hooks/secret-path", "http://127.0.0.1:1/secret-path"):
        webhook = WebhookNotifier(url)
        with pytest.raises(UnreachableError) as failure:
            await webhook.notify(NOTICE)
        await webhook.close()
        assert "secret-path" not in str(failure.value)
