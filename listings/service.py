"""
A sync service as a process: settings, log, socket, feed, store, app, in that order.

`main` is all that ``python -m sync_old`` and ``python -m sync_new`` do; they differ in the store they
make. What is wrong with the settings or the mapping is told at once and in full, exit code 2; a
taken port is exit code 1. A database that is down is neither: the service starts, says 503, and
recovers by itself.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from listings.api import create_app
from listings.errors import InvalidInput
from listings.http.serve import Address, bind, configure_logging, serve
from listings.settings import SettingsFault, load_settings, port_name
from listings.source.feed import NoFeed, load_feed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from listings.model import System
    from listings.settings import ServiceSettings
    from listings.store import ListingStore
    from listings.sync import ListingFeed

EXIT_USAGE: Final = 2


def main(
    system: System,
    make_store: Callable[[ServiceSettings], ListingStore],
    argv: Sequence[str] | None = None,
) -> int:
    """Run one service until it is told to stop; returns the exit code."""
    arguments = _arguments(system, argv)
    try:
        settings = load_settings(system)
        feed = make_feed(settings)
    except SettingsFault as exc:
        return _refuse(system, exc.faults)
    except InvalidInput as exc:
        return _refuse(
            system,
            [f"{exc.detail}"]
            + [
                f"{fault.field}: expected {fault.expected}, got {fault.got}" for fault in exc.faults
            ],
        )
    configure_logging(settings.log_level, settings.log_file_path)
    listener = bind(Address(settings.host, settings.port(system), port_name(system)))
    app = create_app(make_store(settings), feed, settings)
    return serve(app, listener, name=f"sync_{system.value}", with_parent=arguments.die_with_parent)


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


def _arguments(system: System, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m sync_{system.value}",
        description="Settings come from the environment or .env; see listings/settings.py.",
    )
    parser.add_argument(
        "--die-with-parent",
        action="store_true",
        help="stop when the process that started this one dies, however it dies",
    )
    return parser.parse_args(argv)


def _refuse(system: System, faults: Sequence[str]) -> int:
    sys.stderr.write(f"sync_{system.value} cannot start; change the following and try again:\n")
    sys.stderr.writelines(f"  {fault}\n" for fault in faults)
    return EXIT_USAGE
