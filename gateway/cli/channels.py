"""
`syncgate doctor` on alerts: the files, what each channel lacks, and a test message through each.

A test message reaches people, so it is asked for first (`--yes` answers, `--dry-run` only shows).
Whether a channel works is known when its receiver took a message, not before.
"""

from __future__ import annotations

import asyncio
import getpass
import uuid
from typing import TYPE_CHECKING, Any

import typer

from gateway.errors import SyncgateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.adapters.messages import Templates
    from gateway.bootstrap.channels import Channels
    from gateway.cli.session import Session
    from gateway.cli.texts import Texts
    from gateway.ports.alerts import Channel, Rendered
    from gateway.settings import Settings

Outcome = tuple[str, str, str, str]
"""Name, status, detail, what to do."""


def outcomes(
    session: Session, settings: Settings, *, yes: bool, dry_run: bool
) -> Iterator[Outcome]:
    """Check files and settings; send what was agreed to."""
    say = session.say
    try:
        channels, messages, rules = _read(settings)
    except SyncgateError as fault:
        yield "alerts", "fail", fault.message, fault.todo.strip() or say("dr_alerts_fix")
        return
    yield "alerts", "pass", say("dr_alerts", rules=rules, channels=len(channels.kinds)), ""
    for name, variables in channels.unset.items():
        yield name, "todo", say("dr_unset"), say("dr_unset_fix", names=", ".join(variables))
    test = _test_message(session, messages)
    chosen = _chosen(session, channels, yes=yes, dry_run=dry_run)
    loud = {name: way for name, way in channels.ready.items() if channels.kinds[name] != "log"}
    answers = asyncio.run(_send_all(loud, test)) if chosen else {}
    for name in loud:
        kind = channels.kinds[name]
        if name in answers:
            yield (name, *_tried(say, kind, answers[name], unsigned=name in channels.unsigned))
        elif dry_run:
            yield name, "todo", say("dr_channel_would", kind=kind, title=test.title), ""
        else:
            yield name, "todo", say("dr_channel_set", kind=kind), say("dr_channel_try")


def _tried(
    say: Texts, kind: str, error: SyncgateError | None, *, unsigned: bool
) -> tuple[str, str, str]:
    if error is not None:
        return "fail", f"{kind}: {error.message}", error.todo or say("dr_channel_fix")
    if unsigned:
        return "pass", say("dr_channel_unsigned", kind=kind), say("dr_unsigned_fix")
    return "pass", say("dr_channel_took", kind=kind), ""


def _read(settings: Settings) -> tuple[Channels, Templates, int]:
    from gateway.adapters.clock import SystemClock  # noqa: PLC0415 - only the doctor needs it
    from gateway.bootstrap.channels import build_channels  # noqa: PLC0415 - as above
    from gateway.bootstrap.files import read_alerts, read_messages  # noqa: PLC0415 - as above
    from gateway.settings import load_secrets  # noqa: PLC0415 - as above

    alerts = read_alerts(settings.policy_path)
    messages = read_messages(settings.policy_path, alerts)
    clock = SystemClock()
    channels = build_channels(alerts.channels, settings, secrets=load_secrets(), clock=clock)
    return channels, messages, len(alerts.plan.rules)


def _chosen(session: Session, channels: Channels, *, yes: bool, dry_run: bool) -> bool:
    """Ask whether people may be bothered."""
    if dry_run or {channels.kinds[name] for name in channels.ready} <= {"log"}:
        return False
    if yes:
        return True
    if session.as_json or not session.interactive:
        return False
    names = ", ".join(name for name in channels.ready if channels.kinds[name] != "log")
    return typer.confirm(session.say("send_tests", names=names), err=True)


def _test_message(session: Session, messages: Templates) -> Rendered:
    from gateway.adapters.clock import SystemClock  # noqa: PLC0415 - only the doctor needs it
    from gateway.core.analysis import Severity  # noqa: PLC0415 - as above
    from gateway.ports.alerts import Delivery, Language, Stage  # noqa: PLC0415 - as above

    figures: dict[str, Any] = {"rule": "test", "actor": _me()}
    return messages.render(
        Delivery(
            id=f"test-{uuid.uuid4()}",
            incident=0,
            channel="test",
            level=Severity.LOW,
            stage=Stage.TOLD,
            language=Language(session.say.language),
            message="test",
            figures=figures,
            made_us=SystemClock().wall_us(),
        )
    )


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "doctor"


async def _send_all(
    ready: Mapping[str, Channel], test: Rendered
) -> dict[str, SyncgateError | None]:
    found = await asyncio.gather(*(_send(channel, test) for channel in ready.values()))
    return dict(zip(ready, found, strict=True))


async def _send(channel: Channel, test: Rendered) -> SyncgateError | None:
    try:
        await channel.send(test)
    except SyncgateError as error:
        return error
    finally:
        await channel.close()
    return None
