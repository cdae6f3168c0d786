"""The services' app over an in-memory store, and a feed that is given as text."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from listings.api import create_app
from listings.settings import ServiceSettings
from listings.source.csv_file import read_csv
from listings.source.feed import load_feed
from listings.source.mapping import read_listings
from tests.support.memory_store import MemoryStore
from tests.support.shared import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from listings.errors import ListingsError
    from listings.source.mapping import ColumnMapping, FeedContents

SYNC = "/api/property-listings/sync"


@dataclass
class TextFeed:
    """A feed whose text a test changes between syncs."""

    text: str | bytes = ""
    mapping: ColumnMapping = field(
        default_factory=lambda: load_feed(ROOT / "config/source.toml", environ={}).mapping
    )
    failure: ListingsError | None = None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return "test feed"

    async def read(self) -> FeedContents:
        """Read the text as it is now."""
        if self.failure is not None:
            raise self.failure
        data = self.text.encode() if isinstance(self.text, str) else self.text
        return read_listings(read_csv(data, self.name), self.mapping, self.name)


@dataclass
class Service:
    """A client of the app, and what stands behind it."""

    client: httpx2.AsyncClient
    store: MemoryStore
    feed: TextFeed

    async def sync(self, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
        """Ask for a sync."""
        return await self.client.post(SYNC, json=body, headers=headers)

    async def push(self, *listings: dict[str, Any], **body: Any) -> httpx2.Response:
        """Push listings."""
        return await self.sync(mode="push", listings=list(listings), **body)


@asynccontextmanager
async def service(
    store: MemoryStore | None = None, feed: TextFeed | None = None, **settings: Any
) -> AsyncIterator[Service]:
    """Serve in this process; an exception the app lets through fails the test."""
    store, feed = store or MemoryStore(), feed or TextFeed()
    app = create_app(store, feed, ServiceSettings(_env_file=None, **settings))
    transport = httpx2.ASGITransport(app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield Service(client, store, feed)
