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
    settings, policy, mistakes = read()
    if settings is None or policy is None:
        sys.stderr.write("\n".join(mistakes) + "\n")
        raise typer.Exit(Exit.USAGE)
    from gateway.bootstrap import serve as run  # noqa: PLC0415 - only once all is well

    try:
        code = run(settings)
    except SyncgateError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(error.exit_code) from None
    raise typer.Exit(code or 0)


def read() -> tuple[Settings | None, Plan | None, list[str]]:
    """Read settings and policy; a mistake in one does not hide those in the other."""
    from gateway.policy import DEFAULT_POLICY, PolicyError, load_policy  # noqa: PLC0415 - as above
    from gateway.settings import load_settings  # noqa: PLC0415 - as above

    mistakes: list[str] = []
    settings: Settings | None = None
    policy: Plan | None = None
    try:
        settings = load_settings()
        path = settings.policy_path
    except SyncgateError as error:
        mistakes.append(str(error))
        path = Path(os.environ.get("GATEWAY_POLICY") or DEFAULT_POLICY)
    try:
        policy = load_policy(path)
    except (PolicyError, OSError) as error:
        mistakes.append(str(error))
    return settings, policy, mistakes
