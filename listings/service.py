"""
A sync service from start to end, the same for both; only the store is given.

What cannot be used ends the process with exit code 2 (settings, the feed's description) or 1 (a
store that refuses, a taken port), and a sentence that says what to do. A store that merely does not
answer is no reason not to start: it is said in the log, and the service answers 503 until it is
back.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final

import structlog

from listings.api import create_app
from listings.errors import InvalidInput, SourceUnavailable, StoreRefused, StoreUnavailable
from listings.http.serve import Address, bind, configure_logging, refuse, serve
from listings.settings import SettingsFault, load_settings, port_name
from listings.source.feed import NoFeed, load_feed

if TYPE_CHECKING:
    from collections.abc import Callable

    from listings.model import System
    from listings.settings import ServiceSettings
    from listings.store import ListingStore
    from listings.sync import ListingFeed

EXIT_USAGE: Final = 2

_log = structlog.get_logger("listings.service")


def run(system: System, make_store: Callable[[ServiceSettings], ListingStore]) -> int:
    """Run one service until a signal ends it; returns the exit code."""
    name = f"sync_{system.value}"
    try:
        settings = load_settings(system)
        feed = make_feed(settings)
    except SettingsFault as exc:
        return _cannot_start(name, exc.faults)
    except InvalidInput as exc:
        faults = [
            f"{fault.field}: expected {fault.expected}, got {fault.got}" for fault in exc.faults
        ]
        return _cannot_start(name, (exc.detail, *faults))
    except SourceUnavailable as exc:
        return _cannot_start(name, (str(exc),))
    configure_logging(settings.log_level, settings.log_file_path)
    listener = bind(Address(settings.host, settings.port(system), port_name(system)))
    _look_at(make_store(settings), name)
    app = create_app(make_store(settings), feed, settings)
    with_parent = os.environ.get("SYNC_DIE_WITH_PARENT") == "1"
    return serve(app, listener, name=name, with_parent=with_parent)


def make_feed(settings: ServiceSettings) -> ListingFeed:
    """
    Build the feed; without a mapping at the default place the service still takes pushes.

    A mapping that is there and wrong, or named and not there, raises InvalidInput.
    """
    if "source" not in settings.model_fields_set and not settings.source.exists():
        return NoFeed(
            f"There is no {settings.source} here, so there is no feed to sync; "
            'name a mapping in SYNC_SOURCE, or send listings with {"mode": "push"}.'
        )
    return load_feed(settings.source, environ=os.environ, source_file=settings.source_file)


def _cannot_start(name: str, faults: tuple[str, ...]) -> int:
    sys.stderr.write(f"{name} cannot start:\n" + "".join(f"  {fault}\n" for fault in faults))
    return EXIT_USAGE


def _look_at(store: ListingStore, name: str) -> None:
    """Check a store of its own: connections made here would belong to a loop that ends."""

    async def look() -> None:
        try:
            await store.check()
        finally:
            await store.close()

    try:
        asyncio.run(look())
    except StoreRefused as exc:
        refuse(f"{name} cannot start: {exc.detail} ({exc.code})")
    except StoreUnavailable as exc:
        _log.warning("store_unavailable_at_start", service=name, detail=exc.detail)
