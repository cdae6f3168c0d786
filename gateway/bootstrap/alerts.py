"""Everything that alerts are made of, joined: store, book, channels, messages, links, the desk."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.adapters.alert_store import SqliteAlertStore
from gateway.adapters.links import Links
from gateway.bootstrap.channels import build_channels
from gateway.bootstrap.files import read_alerts, read_messages
from gateway.control.alert_desk import AlertsDesk
from gateway.control.alerting import Alerting
from gateway.control.deliveries import Deliveries
from gateway.errors import StateUnreadableError
from gateway.ports.alerts import AlertSettings
from gateway.settings import load_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from gateway.adapters.messages import Templates
    from gateway.bootstrap.channels import Channels
    from gateway.control.controller import Controller
    from gateway.control.snapshots import Snapshots
    from gateway.policy import AlertPolicy
    from gateway.ports import Clock, Lease, Notice
    from gateway.ports.alerts import AlertStore
    from gateway.settings import Settings

_KEY_FILE: Final = "link.key"
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class AlertFiles:
    """What the files and the environment say of alerts, without a mistake."""

    settings: AlertSettings
    channels: Channels
    messages: Templates


@dataclass(slots=True)
class Alerts:
    """All of it, not yet started."""

    store: AlertStore
    channels: Channels
    deliveries: Deliveries
    alerting: Alerting
    desk: AlertsDesk
    links: Links
    lease: Lease
    read: Callable[[], AlertFiles]
    alone: Alerts | None = None
    """Tells people from this replica's own disk while the fleet's store is away."""

    def tell(self, notice: Notice) -> None:
        """Take in something to be told; never waits, never fails."""
        self.alerting.tell(notice)
        if self.alone is not None and self.alone.lease.held:
            self.alone.tell(notice)

    async def restore(self) -> None:
        """Take up what was stored before a restart."""
        await self.alerting.restore()
        if self.alone is not None:
            await self.alone.restore()

    async def reload(self) -> AlertSettings:
        """Take up what the files say now; with a mistake in any of them all stays as it was."""
        found = await asyncio.to_thread(self.read)
        for each in (self, self.alone):
            if each is not None:
                await each.take_up(found)
        return found.settings

    async def take_up(self, found: AlertFiles) -> None:
        """Tell people by these rules, channels and words from now on."""
        self.channels = found.channels
        self.deliveries.use(found.messages, found.channels.ready, found.channels.per_minute)
        await self.alerting.use(found.settings)

    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Give what runs for as long as the gateway does."""
        own = [self.alerting.run, self.deliveries.run]
        return own + (self.alone.loops() if self.alone is not None else [])

    async def close(self) -> None:
        """Let go of channels and file, once nothing is sent any more."""
        if self.alone is not None:
            await self.alone.close()
        for channel in self.channels.ready.values():
            await channel.close()
        await self.store.close()


def build_alerts(
    settings: Settings,
    *,
    admin_url: str,
    clock: Clock,
    lease: Lease,
    controller: Controller,
    snapshots: Snapshots,
    store: AlertStore | None = None,
) -> Alerts:
    """Join it; ConfigurationError with every fault of alerts.toml, messages or channels."""
    read = partial(read_files, settings, clock)
    found = read()
    links = Links(
        secret=_link_secret(settings), base=(settings.public_url or admin_url).rstrip("/")
    )
    store = store or SqliteAlertStore(settings.state_dir)
    deliveries = Deliveries(
        store,
        found.messages,
        found.channels.ready,
        clock=clock,
        lease=lease,
        draw=random.random,
        per_minute=found.channels.per_minute,
    )
    alerting = Alerting(
        store,
        found.settings,
        view=controller.view,
        readings=snapshots.readings,
        clock=clock,
        lease=lease,
        outbox=deliveries,
        link=lambda one, now_us, valid_s: links.make(one, now_us=now_us, valid_s=valid_s),
    )
    desk = AlertsDesk(
        alerting,
        store,
        clock=clock,
        audit=controller.note_change,
        reload=lambda: alerts.reload(),  # noqa: PLW0108 - made below
    )
    alerts = Alerts(store, found.channels, deliveries, alerting, desk, links, lease, read)
    return alerts


def read_files(settings: Settings, clock: Clock) -> AlertFiles:
    """Read all of it; PolicyError, MessagesError or SettingsError with every fault."""
    policy = read_alerts(settings.policy_path)
    channels = build_channels(policy.channels, settings, secrets=load_secrets(), clock=clock)
    messages = read_messages(settings.policy_path, policy)
    return AlertFiles(alert_settings(policy), channels, messages)


def alert_settings(found: AlertPolicy) -> AlertSettings:
    """Give what alerts are decided by."""
    return AlertSettings(
        plan=found.plan,
        languages={one.name: one.languages for one in found.channels if one.languages},
        link_valid_s=found.link_valid_s,
    )


def _link_secret(settings: Settings) -> bytes:
    """Give the key that signs links: from the environment, else one of our own in a file."""
    if settings.link_secret is not None:
        return settings.link_secret.get_secret_value().encode()
    path = settings.state_dir / _KEY_FILE
    try:
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(_KEY_BYTES))
        key = path.read_text().strip()
    except OSError as error:
        raise StateUnreadableError(
            f"{path} cannot be used ({error.strerror}).",
            todo="Make the state directory writable, or set GATEWAY_LINK_SECRET.",
        ) from error
    if len(key) < _KEY_BYTES:
        raise StateUnreadableError(
            f"{path} holds no key.", todo="Delete it; links that were sent stop working."
        )
    return key.encode()
