"""`syncgate serve`: every mistake of settings and policy at once, then the gateway."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gateway.cli.session import Exit
from gateway.errors import SyncgateError

if TYPE_CHECKING:
    from gateway.core.rollout import Plan
    from gateway.settings import Settings


def serve() -> None:
    """Run until told to stop."""
    settings, plan, mistakes = read()
    if settings is not None:
        mistakes += alert_mistakes(settings)
    if settings is None or plan is None or mistakes:
        sys.stderr.write("\n".join(mistakes) + "\n")
        raise typer.Exit(Exit.USAGE)
    from gateway.bootstrap import serve as run  # noqa: PLC0415 - only once all is well

    raise typer.Exit(run(settings, plan))


def read() -> tuple[Settings | None, Plan | None, list[str]]:
    """Read settings and policy; a mistake in one does not hide those in the other."""
    from gateway.bootstrap import read_policy  # noqa: PLC0415 - a look need not load the gateway
    from gateway.policy import DEFAULT_POLICY  # noqa: PLC0415 - as above
    from gateway.settings import load_settings  # noqa: PLC0415 - as above

    mistakes: list[str] = []
    settings: Settings | None = None
    plan: Plan | None = None
    try:
        settings = load_settings()
        path = settings.policy_path
    except SyncgateError as error:
        mistakes.append(str(error))
        path = Path(os.environ.get("GATEWAY_POLICY") or DEFAULT_POLICY)
    try:
        plan = read_policy(path)
    except SyncgateError as error:
        mistakes.append(str(error))
    return settings, plan, mistakes


def alert_mistakes(settings: Settings) -> list[str]:
    """Read everything about alerts; a mistake in one file does not hide those in another."""
    from gateway.adapters.clock import SystemClock  # noqa: PLC0415 - as above
    from gateway.bootstrap.channels import build_channels  # noqa: PLC0415 - as above
    from gateway.bootstrap.files import read_alerts, read_messages  # noqa: PLC0415 - as above
    from gateway.settings import load_secrets  # noqa: PLC0415 - as above

    try:
        alerts = read_alerts(settings.policy_path)
    except SyncgateError as error:
        return [str(error)]
    mistakes: list[str] = []
    for read_more in (
        lambda: build_channels(
            alerts.channels, settings, secrets=load_secrets(), clock=SystemClock()
        ),
        lambda: read_messages(settings.policy_path, alerts),
    ):
        try:
            read_more()
        except SyncgateError as error:
            mistakes.append(str(error))
    return mistakes
