"""
What people can do, each as one plain method; the HTTP around it lives in `api`.

Every change goes through the control plane's one door, so that a person's order and the machine's
judgement take the same path through the transition table, are stored in the same transaction as
their audit row, and are answered with the state that resulted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.admin import alerted, compared, inputs, mirrored, models, view
from gateway.admin.auth import Caller, Scope
from gateway.core.model import Variant
from gateway.errors import (
    ConfigurationError,
    ForbiddenError,
    InvalidRequestError,
    RefusedError,
)
from gateway.ports import (
    Actor,
    Command,
    CommandKind,
    MeasurementDraft,
    ReportSeverity,
    UserReport,
)
from gateway.ports.alerts import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.admin.reports import Reporter
    from gateway.ports import AuditEntry, Clock, Control
    from gateway.ports.alerts import AlertDesk
    from gateway.ports.write_backs import WriteBackDesk

_FUTURE_SLACK_S: Final = 2.0
_US: Final = 1_000_000
MOST_ENDED: Final = 500


class NotFoundError(LookupError):
    """The thing named in the address does not exist; the message says what does."""

    def __init__(self, message: str, *, todo: str, detail_ja: str, fix_ja: str) -> None:
        super().__init__(message)
        self.todo = todo
        self.detail_ja = detail_ja
        self.fix_ja = fix_ja


class Operations:
    """The use cases of the admin port."""

    def __init__(
        self,
        control: Control,
        clock: Clock,
        desk: AlertDesk,
        *,
        write_backs: WriteBackDesk | None = None,
        reporter: Reporter,
    ) -> None:
        self.reporter = reporter
        self._write_backs = write_backs
        self._control = control
        self._clock = clock
        self._desk = desk

    def rollout(self) -> models.Rollout:
        """Show the present."""
        return view.rollout(self._control.view())

    async def change(self, kind: CommandKind, *, by: Caller, reason: str) -> models.Rollout:
        """Give one of the plain orders: start, pause, resume, rollback, stop, release."""
        return await self._perform(Command(kind), by=by, reason=reason)

    async def promote(self, *, force: bool, by: Caller, reason: str) -> models.Rollout:
        """Go on to the next phase; past gates that do not pass only with `force`."""
        if force and by.scope < Scope.ADMIN:
            raise ForbiddenError(
                "Promoting although gates do not pass needs the admin scope.",
                todo="Promote without force, or use a token of scope admin.",
                message_ja="ゲート不合格のまま進めるには admin 権限が必要です。",
                todo_ja="force なしで進めるか、admin 権限のトークンを使ってください。",
            )
        command = Command(CommandKind.PROMOTE, force=force)
        return await self._perform(command, by=by, reason=reason)

    async def weight(self, percent: float, *, by: Caller, reason: str) -> models.Rollout:
        """Set the share of the new system."""
        command = Command(CommandKind.WEIGHT, weight_bp=round(percent * 100))
        return await self._perform(command, by=by, reason=reason)

    async def hold(self, decision: int, *, by: Caller, reason: str) -> models.Rollout:
        """Answer a decision: nothing moves at its deadline."""
        known = {one.id: one for one in self._control.view().state.decisions}
        if decision not in known:
            listed = ", ".join(str(number) for number in known) or "none"
            raise NotFoundError(
                f"There is no decision {decision} (waiting now: {listed}).",
                todo="See `syncgate status` for those that wait.",
                detail_ja=f"判断 {decision} はありません(判断待ち: {listed})。",
                fix_ja="判断待ちのものは `syncgate status` で確認できます。",
            )
        command = Command(CommandKind.HOLD, decision=decision)
        return await self._perform(command, by=by, reason=reason)

    async def measure(self, measurement: inputs.Measured, *, by: Caller) -> models.Accepted:
        """Take in a figure that only somebody outside can know."""
        at_us = self._at_us(measurement.at)
        draft = MeasurementDraft(
            at_us=at_us,
            metric=measurement.metric,
            value=float(measurement.value),
            variant=Variant(measurement.system.value) if measurement.system else None,
            sample=measurement.sample,
            source=f"api:{by.name}",
        )
        try:
            await self._control.measure(draft)
        except InvalidRequestError as error:
            if {fault.where for fault in error.faults} == {"at"}:
                # Well-formed, but not at this time of day: a conflict, not a malformed request.
                raise RefusedError(error.message) from error
            raise
        return models.Accepted(accepted=True, at=view.instant(at_us))

    async def report(self, report: inputs.UserReportIn, *, by: Caller) -> models.Accepted:
        """Take in what a user told us."""
        now_us = self._clock.now_us()
        severity = ReportSeverity(report.severity.value)
        await self._control.report(UserReport(now_us, severity, report.text, by.name))
        return models.Accepted(accepted=True, at=view.instant(now_us))

    async def audit(self, *, before: int | None, limit: int) -> models.AuditPage:
        """Read changes, newest first."""
        entries = await self._control.store.audit(before_seq=before, limit=limit + 1)
        return models.AuditPage(
            items=[_audit_row(entry) for entry in entries[:limit]],
            next=_next([entry.seq for entry in entries], limit),
        )

    async def verify_audit(self) -> models.Verification:
        """Walk the audit's hash chain."""
        check = await self._control.store.verify_audit()
        return models.Verification(
            intact=check.intact, entries=check.entries, head=check.head, faults=list(check.faults)
        )

    async def decisions(self, *, before: int | None, limit: int) -> models.DecisionPage:
        """Read the machine's decisions, newest first."""
        rows = await self._control.store.decisions(before_seq=before, limit=limit + 1)
        items = [
            models.DecisionRow(
                id=row.seq,
                at=view.instant(row.at_us),
                verdict=row.verdict,
                sentence=row.sentence,
                inputs=dict(row.inputs),
                outcome=dict(row.outcome),
            )
            for row in rows[:limit]
        ]
        return models.DecisionPage(items=items, next=_next([row.seq for row in rows], limit))

    def comparisons(self) -> compared.Comparisons:
        """Show how far the two systems agree, and what differs."""
        return compared.comparisons(self._control.comparison.view(), self._control.view())

    def differences(self, *, before: int | None, limit: int) -> compared.DifferencePage:
        """Read kept differences, newest first."""
        return compared.page(*self._control.comparison.differences(before=before, limit=limit))

    async def add_rule(self, wish: compared.RuleIn, *, by: Caller) -> compared.Comparisons:
        """Decide about the differences at a path; what is kept is scored again."""
        actor = _actor(by)
        found = await self._control.comparison.decide(wish.rule(), by=actor)
        return compared.comparisons(found, self._control.view())

    async def put_right(self, wish: compared.FixIn, *, by: Caller) -> compared.Comparisons:
        """Close what differs at a path, and begin a new count."""
        actor = _actor(by)
        desk = self._control.comparison
        found = await desk.put_right(wish.pattern(), by=actor, reason=wish.reason)
        return compared.comparisons(found, self._control.view())

    async def write_backs(self) -> models.WriteBacks:
        """Show write-backs, and what of them is open."""
        desk = self._write_backs
        failures = [] if desk is None else await desk.failures(mirrored.LISTED)
        return mirrored.write_backs(self._control.view(), failures)

    async def repaired(self, told: mirrored.RepairIn, *, by: Caller) -> models.WriteBacks:
        """Take note of what a repair came to."""
        if self._write_backs is None:
            raise RefusedError(
                "This gateway keeps no record of write-backs.",
                message_ja="このゲートウェイは書き戻しを記録していません。",
            )
        await self._write_backs.repaired(told.report(), by=_actor(by), reason=told.reason)
        return await self.write_backs()

    async def alerts(self, asked: alerted.AlertsAsked) -> alerted.AlertList:
        """List what is wrong now, and what was lately."""
        since_us = self._clock.now_us() - asked.hours * 3_600 * _US
        over = await self._desk.ended(since_us=since_us, limit=MOST_ENDED)
        now = self._desk.view()
        if asked.rule is not None and not alerted.knows(now, over, asked.rule):
            listed = ", ".join(sorted(rule.name for rule in now.plan.rules))
            raise RefusedError(
                "There is no such rule.",
                code="unknown-rule",
                todo=f"Ask for one of {listed}, or for none.",
                message_ja="該当するルールはありません。",
                todo_ja=f"次のどれかを指定するか、指定を省いてください: {listed}",
            )
        return alerted.alert_list(now, over, asked)

    async def acknowledge(self, number: int, *, by: Caller, reason: str) -> alerted.Alert:
        """Answer for an alert: nobody else is called."""
        now = self._desk.view()
        if number >= now.book.next_number and now.deciding:
            listed = ", ".join(str(one.number) for one in now.book.open) or "none"
            raise NotFoundError(
                f"There is no alert {number} (open now: {listed}).",
                todo="See `syncgate alerts`.",
                detail_ja=f"アラート {number} はありません(未解消: {listed})。",
                fix_ja="`syncgate alerts` で確認できます。",
            )
        incident = await self._desk.acknowledge(number, by=_actor(by), reason=reason)
        return alerted.one_alert(incident, self._desk.view())

    async def silence(self, wish: alerted.SilenceIn, *, by: Caller) -> alerted.Silence:
        """Tell nothing of a rule for a while."""
        until_us = alerted.until_us(self._clock.now_us(), wish.minutes)
        made = await self._desk.silence(
            wish.rule, system=wish.system, until_us=until_us, by=_actor(by), reason=wish.reason
        )
        return alerted.one_silence(made)

    async def lift(self, silence: int, *, by: Caller, reason: str) -> alerted.Silence:
        """End a silence now."""
        if silence not in {one.id for one in self._desk.view().book.silences}:
            known = ", ".join(str(one.id) for one in self._desk.view().book.silences) or "none"
            raise NotFoundError(
                f"There is no silence {silence} (now: {known}).",
                todo="See `syncgate silence`.",
                detail_ja=f"抑止 {silence} はありません(現在: {known})。",
                fix_ja="`syncgate silence` で確認できます。",
            )
        return alerted.one_silence(await self._desk.lift(silence, by=_actor(by), reason=reason))

    async def messages(self, asked: alerted.MessagesAsked) -> alerted.MessageList:
        """List what was sent, newest first."""
        state = None if asked.state is None else DeliveryState(asked.state)
        found = await self._desk.deliveries(incident=asked.alert, state=state, limit=asked.limit)
        return alerted.message_list(found)

    async def resend(self, wish: alerted.ResendIn, *, by: Caller) -> alerted.MessageList:
        """Send a message that was given up after all."""
        await self._desk.revive(wish.id, by=_actor(by), reason=wish.reason)
        return await self.messages(alerted.MessagesAsked())

    async def reload(self, *, by: Caller, reason: str) -> models.Rollout:
        """Read policy and alerts again; a mistake in either is a refusal that names it."""
        try:
            await self._desk.reload(by=_actor(by), reason=reason)
            return view.rollout(await self._control.reload_policy(by=_actor(by), reason=reason))
        except ConfigurationError as error:
            raise RefusedError(str(error), code="policy", todo=error.todo.strip()) from error

    async def _perform(self, command: Command, *, by: Caller, reason: str) -> models.Rollout:
        actor = _actor(by)
        return view.rollout(await self._control.perform(command, by=actor, reason=reason))

    def _at_us(self, at: datetime | None) -> int:
        """Place a wall-clock instant on the steady clock; the future is no time for a fact."""
        now_us = self._clock.now_us()
        if at is None:
            return now_us
        age_s = self._clock.wall_us() / _US - at.timestamp()
        if age_s < -_FUTURE_SLACK_S:
            raise RefusedError(
                f"at: {at.isoformat()} lies in the future.",
                todo="Leave `at` out, or set the clock of the machine that measures.",
                message_ja=f"at: {at.isoformat()} は未来の時刻です。",
                todo_ja="`at` を省くか、計測する機器の時計を合わせてください。",
            )
        return now_us - max(0, round(age_s * _US))


def _actor(caller: Caller) -> Actor:
    return Actor(name=caller.name, ip=caller.ip or None, user_agent=caller.user_agent or None)


def _next(numbers: Sequence[int], limit: int) -> int | None:
    """One row more than asked was read: if it is there, another page follows."""
    return numbers[limit - 1] if len(numbers) > limit else None


def _audit_row(entry: AuditEntry) -> models.AuditRow:
    return models.AuditRow(
        id=entry.seq,
        at=view.instant(entry.at_us),
        actor=entry.actor.name,
        action=entry.action,
        reason=entry.reason,
        before=dict(entry.before),
        after=dict(entry.after),
        ip=entry.actor.ip,
        user_agent=entry.actor.user_agent,
        previous=entry.previous,
        digest=entry.digest,
    )
