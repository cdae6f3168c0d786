"""
What people do about alerts: take one, keep silence for a while, send again, read the file again.

Everything is put on record in the rollout's audit, with who and why.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.core import alerts
from gateway.core.model import SECOND_US
from gateway.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.control.alerting import Alerting
    from gateway.ports import Actor, Clock
    from gateway.ports.alerts import (
        AlertSettings,
        AlertStore,
        AlertsView,
        DeliveryRecord,
        DeliveryState,
        Ended,
    )

_HOUR_S: Final = 3_600


class AlertsDesk:
    """`AlertDesk`: the door for people."""

    def __init__(
        self,
        alerting: Alerting,
        store: AlertStore,
        *,
        clock: Clock,
        audit: Callable[..., Awaitable[None]],
        reload: Callable[[], Awaitable[AlertSettings]],
    ) -> None:
        self._alerting = alerting
        self._store = store
        self._clock = clock
        self._audit = audit
        self._reload = reload

    def view(self) -> AlertsView:
        """Show the present."""
        return self._alerting.view()

    async def ended(self, *, since_us: int = 0, limit: int = 100) -> list[Ended]:
        """Read incidents that are over, newest first."""
        return await self._store.ended(since_us=since_us, limit=limit)

    async def deliveries(
        self, *, incident: int | None = None, state: DeliveryState | None = None, limit: int = 100
    ) -> list[DeliveryRecord]:
        """Read what was sent, newest first."""
        return await self._store.records(incident=incident, state=state, limit=limit)

    async def acknowledge(self, number: int, *, by: Actor, reason: str) -> alerts.Incident:
        """Let somebody answer for an open incident, and put that on record."""

        def answer(
            book: alerts.Book, plan: alerts.AlertPlan
        ) -> tuple[alerts.Outcome, alerts.Incident]:
            incident = book.incident(number)
            if incident is None:
                raise _not_open(number, book)
            if incident.ack is not None:
                raise _taken(incident, incident.ack)
            ack = alerts.Ack(by.name, reason, self._clock.now_us())
            outcome = alerts.acknowledge(book, plan, number, ack)
            return outcome, replace(incident, ack=ack, due_us=None)

        incident = await self._alerting.change(answer)
        text = f"{by.name} has taken alert {number} ({incident.title.en})."
        await self._audit("alert.acknowledge", by=by, reason=reason, text=text)
        return incident

    async def silence(
        self, rule: str, *, system: str | None, until_us: int, by: Actor, reason: str
    ) -> alerts.Silence:
        """Tell nothing of a rule until then."""
        self._check_silence(rule, until_us)
        now_us = self._clock.now_us()
        wish = alerts.Silence(0, rule, system, now_us, until_us, by.name, reason)

        def add(book: alerts.Book, _: alerts.AlertPlan) -> tuple[alerts.Outcome, alerts.Silence]:
            if len(book.silences) >= alerts.MOST_SILENCES:
                raise RefusedError(
                    f"There are {alerts.MOST_SILENCES} silences already.",
                    todo="End one first: syncgate silence --end ID --reason ...",
                    message_ja=f"抑止は既に {alerts.MOST_SILENCES} 件あります。",
                    todo_ja="先に syncgate silence --end ID --reason ... で終了してください。",
                )
            after = alerts.silence(book, wish)
            return alerts.Outcome(after), after.silences[-1]

        made = await self._alerting.change(add)
        minutes = round((until_us - now_us) / SECOND_US / 60)
        span = f"{minutes} min" if minutes < 120 else f"{minutes / 60:.3g} h"  # noqa: PLR2004 - as people say it
        text = f"{by.name} silences {_what(made)} for {span}."
        await self._audit("alert.silence", by=by, reason=reason, text=text)
        return made

    def _check_silence(self, rule: str, until_us: int) -> None:
        view = self._alerting.view()
        longest_us = view.at_us + view.plan.max_silence_s * SECOND_US
        known = {one.name for one in view.plan.rules} | {sign.rule for sign in view.signs}
        if not view.at_us < until_us <= longest_us:
            hours = view.plan.max_silence_s // _HOUR_S
            raise RefusedError(
                "The end of this silence (minutes) is not from now on, or it is too far away.",
                code="silence-too-long",
                todo=f"Choose an end that is at most {hours} h away; it can be renewed.",
                message_ja="抑止の終了時刻が過去か、遠すぎます。",
                todo_ja=f"{hours} 時間以内に終わるようにしてください(更新できます)。",
            )
        if rule != alerts.EVERYTHING and rule not in known:
            listed = ", ".join(sorted(one.name for one in view.plan.rules))
            raise RefusedError(
                f"There is no rule {rule!r} to silence.",
                code="unknown-rule",
                todo=f"Name all (in the API: *) or one of {listed}.",
                message_ja=f"ルール {rule!r} はありません。",
                todo_ja=f"all(API では *)または次のどれかを指定してください: {listed}",
            )

    async def lift(self, silence_id: int, *, by: Actor, reason: str) -> alerts.Silence:
        """End a silence now."""

        def end(book: alerts.Book, _: alerts.AlertPlan) -> tuple[alerts.Outcome, alerts.Silence]:
            found = next((one for one in book.silences if one.id == silence_id), None)
            if found is None:
                listed = ", ".join(str(one.id) for one in book.silences) or "none"
                raise RefusedError(
                    f"There is no silence {silence_id} (now: {listed}).",
                    todo="See `syncgate silence`.",
                    message_ja=f"抑止 {silence_id} はありません(現在: {listed})。",
                    todo_ja="`syncgate silence` で確認してください。",
                )
            return alerts.Outcome(alerts.lift(book, silence_id)), found

        found = await self._alerting.change(end)
        text = f"{by.name} ended the silence of {_what(found)}."
        await self._audit("alert.unsilence", by=by, reason=reason, text=text)
        self._alerting.wake()
        return found

    async def revive(self, delivery_id: str, *, by: Actor, reason: str) -> None:
        """Send a dead message after all."""
        if not await self._store.revive(delivery_id, next_us=self._clock.now_us()):
            raise RefusedError(
                "There is no message of that id that was given up.",
                todo="See `syncgate alerts --messages`.",
                message_ja="該当する配信不能メッセージはありません。",
                todo_ja="`syncgate alerts --messages` で確認してください。",
            )
        text = f"{by.name} has message {delivery_id} sent again."
        await self._audit("alert.resend", by=by, reason=reason, text=text)

    async def reload(self, *, by: Actor, reason: str) -> None:
        """Read the alerts file again; PolicyError leaves the old one in force."""
        settings = await self._reload()
        text = f"{len(settings.plan.rules)} alert rules are in force."
        await self._audit("alerts.reload", by=by, reason=reason, text=text)


def _not_open(number: int, book: alerts.Book) -> RefusedError:
    listed = ", ".join(str(one.number) for one in book.open) or "none"
    return RefusedError(
        f"Alert {number} is not open (open now: {listed}).",
        todo="See `syncgate alerts`.",
        code="not_open",
        message_ja=f"アラート {number} は未解決ではありません(未解決: {listed})。",
        todo_ja="`syncgate alerts` で確認してください。",
    )


def _taken(incident: alerts.Incident, ack: alerts.Ack) -> RefusedError:
    return RefusedError(
        f"Alert {incident.number} was taken by {ack.by} already: {ack.reason}",
        todo="Nothing needs to be done.",
        code="already_acknowledged",
        message_ja=f"アラート {incident.number} は {ack.by} が対応中です: {ack.reason}",
        todo_ja="必要な操作はありません。",
    )


def _what(silence: alerts.Silence) -> str:
    rule = "everything" if silence.rule == alerts.EVERYTHING else silence.rule
    return f"{rule} of {silence.system}" if silence.system else rule
