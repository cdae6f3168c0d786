"""
Alerts as the admin API takes and shows them.

Shown are the open ones, worst first, and those that ended lately; a figure not known is null.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway.admin import inputs
from gateway.admin.models import Output, Sentence, System
from gateway.admin.view import instant
from gateway.core import alerts
from gateway.core.analysis import Severity
from gateway.core.model import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.ports.alerts import AlertsView, DeliveryRecord, Ended

_MINUTE_US: Final = 60 * SECOND_US
_MOST_MINUTES: Final = 366 * 24 * 60
RuleName = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_]*(:[A-Za-z0-9_.:-]*)?)$", max_length=200),
]


class AlertState(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    """Open and not told while the silence lasts."""
    RESOLVED = "resolved"


class AlertLevel(StrEnum):
    """How bad."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlertsAsked(BaseModel):
    """Which alerts."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=500)
    state: AlertState | None = Field(default=None, description="Only those that stand so.")
    level: AlertLevel | None = Field(default=None, description="Only those of this level.")
    rule: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Only those of this rule."
    )
    system: Literal["old", "new", "whole"] | None = Field(
        default=None, description="Only those of it."
    )
    hours: int = Field(default=24, ge=1, le=24 * 366, description="Ended within so many hours.")


class MessagesAsked(BaseModel):
    """Which messages."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=50, ge=1, le=500)
    alert: int | None = Field(default=None, ge=1, le=2**53, description="Only those of this alert.")
    state: Literal["waiting", "delivered", "dead"] | None = Field(
        default=None, description="Only those that stand so."
    )


class SilenceIn(inputs.Change):
    """Tell nothing of a rule for a while; every silence ends."""

    rule: RuleName = Field(examples=["cpu"])
    """Its name, or `*` for all."""
    system: Literal["old", "new"] | None = None
    """Only of this one; default: whatever the system."""
    minutes: Annotated[int, Field(ge=1, le=_MOST_MINUTES), inputs.WholeNumber]
    """For how long, from now."""


class ResendIn(inputs.Change):
    """Send a message that was given up after all."""

    id: Annotated[str, Field(min_length=1, max_length=200)]


class Ack(Output):
    """Somebody has it."""

    by: str
    reason: str
    at: datetime


class Alert(Output):
    """One trouble of one rule and system."""

    id: int
    rule: str
    system: System | None
    """Null: the whole, neither of the two in particular."""
    level: AlertLevel
    """The worst it has reached."""
    state: AlertState
    title: Sentence
    text: Sentence
    """Why, as it stood when its level was reached, and how it stands now where that differs."""
    value: float | None
    """When it reached its level."""
    threshold: float | None
    sample: int
    value_now: float | None
    raised_at: datetime
    answer_by: datetime | None
    """When the next people are asked; null: never, or somebody has it."""
    step: int
    """The rung of the escalation that is asked now, from 1."""
    asked: list[str]
    """Who that is."""
    acknowledged: Ack | None
    ended_at: datetime | None
    lasted_s: float
    todo: str
    """What to run next."""


class Silence(Output):
    """Nothing is told of a rule until the end; what still stands then is."""

    id: int
    rule: str
    system: System | None
    since: datetime
    until: datetime
    by: str
    reason: str


class AlertList(Output):
    """What is wrong now, worst first; what was lately; what is silenced."""

    items: list[Alert]
    recent: list[Alert]
    """Ended within the hours that were asked for, newest first."""
    silences: list[Silence]
    channels: list[str]
    """Those that are set up; what has no other goes to the log."""
    stored: bool
    """All of it is in the store."""


class Message(Output):
    """One message to people over one channel in one language."""

    id: str
    alert: int | None
    channel: str
    level: AlertLevel
    stage: str
    language: str
    message: str
    title: str
    state: str
    """waiting, delivered or dead (given up)."""
    attempts: int
    made_at: datetime
    next_at: datetime | None
    """When it is tried (again); null: it is settled."""
    settled_at: datetime | None
    reason: str
    """What went wrong last."""


class MessageList(Output):
    """Messages, newest first."""

    items: list[Message]


def alert_list(view: AlertsView, ended: Sequence[Ended], asked: AlertsAsked) -> AlertList:
    """Show what was asked for."""
    shown = [one_alert(one, view) for one in view.book.open]
    shown.sort(key=lambda one: (-Severity(one.level.value).rank, one.id))
    over = [one_alert(alerts.incident_from_json(one.document), view) for one in ended]
    return AlertList(
        items=list(_chosen(shown, asked)),
        recent=list(_chosen(over, asked)),
        silences=[one_silence(one) for one in view.book.silences],
        channels=list(view.channels),
        stored=view.stored,
    )


def knows(view: AlertsView, ended: Sequence[Ended], rule: str) -> bool:
    """Whether there is, or was lately, such a rule: one of the plan, or of the gateway itself."""
    named = {one.name for one in view.plan.rules} | {sign.rule for sign in view.signs}
    named |= {one.rule for one in view.book.open} | {one.rule for one in ended}
    return rule in named or rule.partition(":")[0] in alerts.TITLES


def _chosen(shown: Iterable[Alert], asked: AlertsAsked) -> Iterable[Alert]:
    system = None if asked.system in {None, "whole"} else asked.system
    matching = (
        one
        for one in shown
        if (asked.state in {None, one.state})
        and (asked.level in {None, one.level})
        and (asked.rule in {None, one.rule})
        and (asked.system is None or (one.system and one.system.value) == system)
    )
    return (one for _, one in zip(range(asked.limit), matching, strict=False))


def one_alert(incident: alerts.Incident, view: AlertsView) -> Alert:
    """Show one."""
    ended_us, ack = incident.ended_us, incident.ack
    sign = next((s for s in view.signs if (s.rule, s.system) == incident.key), None)
    rung = view.plan.ladder[min(incident.step, len(view.plan.ladder)) - 1]
    return Alert(
        id=incident.number,
        rule=incident.rule,
        system=System(incident.system) if incident.system else None,
        level=AlertLevel(incident.level.value),
        state=_state(incident, view),
        title=_sentence(incident.title),
        text=_text(incident, sign, view),
        value=incident.value,
        threshold=incident.threshold,
        sample=incident.sample,
        value_now=sign.value if sign and ended_us is None else None,
        raised_at=instant(incident.raised_us),
        answer_by=None if incident.due_us is None else instant(incident.due_us),
        step=incident.step,
        asked=list(rung.names),
        acknowledged=None
        if ack is None
        else Ack(by=ack.by, reason=ack.reason, at=instant(ack.at_us)),
        ended_at=None if ended_us is None else instant(ended_us),
        lasted_s=((view.at_us if ended_us is None else ended_us) - incident.raised_us) / SECOND_US,
        todo=incident.todo,
    )


def _text(incident: alerts.Incident, sign: alerts.Sign | None, view: AlertsView) -> Sentence:
    """Say why; a figure of then that is another one now is not left in the present tense."""
    why = _sentence(incident.why)
    rule = next((one for one in view.plan.rules if one.name == incident.rule), None)
    if rule is None or incident.value is None:
        return why
    if incident.ended_us is not None:
        return Sentence(
            en=f"{why.en} That was when it reached its level.",
            ja=f"{why.ja}これはその重大度に達した時点の値です。",
        )
    value = sign.value if sign else None
    now = [alerts.figure(rule, value, language) for language in (0, 1)]
    if now[0] == alerts.figure(rule, incident.value, 0):
        return why
    return Sentence(
        en=f"{why.en} That was when it reached its level; now it is {now[0]}.",
        ja=f"{why.ja}これはその重大度に達した時点の値で、現在は {now[1]} です。",
    )


def _state(incident: alerts.Incident, view: AlertsView) -> AlertState:
    if incident.ended_us is not None:
        return AlertState.RESOLVED
    if incident.ack is not None:
        return AlertState.ACKNOWLEDGED
    silenced = view.book.silenced(incident, view.at_us)
    return AlertState.SILENCED if silenced else AlertState.OPEN


def _sentence(this: Any) -> Sentence:
    return Sentence(en=this.en, ja=this.ja)


def one_silence(silence: alerts.Silence) -> Silence:
    """Show a silence."""
    return Silence(
        id=silence.id,
        rule=silence.rule,
        system=System(silence.system) if silence.system else None,
        since=instant(silence.since_us),
        until=instant(silence.until_us),
        by=silence.by,
        reason=silence.reason,
    )


def message_list(records: Iterable[DeliveryRecord]) -> MessageList:
    """Show messages."""
    return MessageList(items=[_message(record) for record in records])


def _message(record: DeliveryRecord) -> Message:
    one = record.delivery
    waits = record.state.value == "waiting"
    return Message(
        id=one.id,
        alert=one.incident or None,
        channel=one.channel,
        level=AlertLevel(one.level.value),
        stage=one.stage.value,
        language=one.language.value,
        message=one.message,
        title=str(one.figures.get("title") or ""),
        state=record.state.value,
        attempts=one.attempts,
        made_at=instant(one.made_us),
        next_at=instant(one.next_us) if waits else None,
        settled_at=None if record.settled_us is None else instant(record.settled_us),
        reason=record.reason,
    )


def until_us(now_us: int, minutes: int) -> int:
    """Give the end of a silence."""
    return now_us + minutes * _MINUTE_US
