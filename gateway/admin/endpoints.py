"""
The table of everything the admin API answers: from it come the routes and the OpenAPI document.

A row names the call, the scope it needs, what it takes and what it gives, so that the code that
answers and the page that promises cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, TypeAdapter

from gateway.admin import alerted, compared, inputs, mirrored, models, reports
from gateway.admin.auth import Caller, Scope
from gateway.admin.intake import Page
from gateway.core.period import Kind
from gateway.ports import CommandKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.admin.operations import Operations

PREFIX: Final = "/api/v1"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, checked: who, and with what."""

    operations: Operations
    caller: Caller
    body: Any
    page: Any
    """The query: a `Page`, or what the row says."""
    item: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table."""

    method: str
    path: str
    scope: Scope
    summary: str
    answer: type[models.Output]
    run: Callable[[Call], Awaitable[models.Output]]
    body: Any = None
    paged: bool = False
    query: type[BaseModel] | None = None
    """What may be asked, where that is more than a page."""
    status: int = 200
    refuses: bool = False
    """Answers 409 when the rules say no."""
    page: bool = False
    """Also answered as HTML, to those who ask for that."""
    item: str | None = None
    """Name of the number in the path; it answers 404 when there is no such thing."""

    @property
    def asked(self) -> type[BaseModel] | None:
        """What the query may be."""
        return self.query or (Page if self.paged else None)

    @property
    def shape(self) -> TypeAdapter[Any] | None:
        """What the body must be."""
        return None if self.body is None else TypeAdapter(self.body)


async def _rollout(call: Call) -> models.Output:
    return call.operations.rollout()


async def _promote(call: Call) -> models.Output:
    body: inputs.Promotion = call.body
    return await call.operations.promote(force=body.force, by=call.caller, reason=body.reason)


async def _weight(call: Call) -> models.Output:
    body: inputs.WeightChange = call.body
    return await call.operations.weight(body.percent, by=call.caller, reason=body.reason)


async def _hold(call: Call) -> models.Output:
    body: inputs.Change = call.body
    return await call.operations.hold(call.item, by=call.caller, reason=body.reason)


async def _measure(call: Call) -> models.Output:
    return await call.operations.measure(call.body, by=call.caller)


async def _report(call: Call) -> models.Output:
    return await call.operations.report(call.body, by=call.caller)


async def _decisions(call: Call) -> models.Output:
    return await call.operations.decisions(before=call.page.before, limit=call.page.limit)


async def _audit(call: Call) -> models.Output:
    return await call.operations.audit(before=call.page.before, limit=call.page.limit)


async def _verify(call: Call) -> models.Output:
    return await call.operations.verify_audit()


async def _alerts(call: Call) -> models.Output:
    return await call.operations.alerts(call.page)


async def _acknowledge(call: Call) -> models.Output:
    return await call.operations.acknowledge(call.item, by=call.caller, reason=call.body.reason)


async def _silence(call: Call) -> models.Output:
    return await call.operations.silence(call.body, by=call.caller)


async def _lift(call: Call) -> models.Output:
    return await call.operations.lift(call.item, by=call.caller, reason=call.body.reason)


async def _messages(call: Call) -> models.Output:
    return await call.operations.messages(call.page)


async def _resend(call: Call) -> models.Output:
    return await call.operations.resend(call.body, by=call.caller)


async def _reload(call: Call) -> models.Output:
    return await call.operations.reload(by=call.caller, reason=call.body.reason)


async def _comparisons(call: Call) -> models.Output:
    return call.operations.comparisons()


async def _differences(call: Call) -> models.Output:
    return call.operations.differences(before=call.page.before, limit=call.page.limit)


async def _rule(call: Call) -> models.Output:
    return await call.operations.add_rule(call.body, by=call.caller)


async def _fix(call: Call) -> models.Output:
    return await call.operations.put_right(call.body, by=call.caller)


async def _write_backs(call: Call) -> models.Output:
    return await call.operations.write_backs()


async def _repaired(call: Call) -> models.Output:
    return await call.operations.repaired(call.body, by=call.caller)


def _order(kind: CommandKind, summary: str) -> Endpoint:
    """Build the row of an order that needs nothing but its reason."""

    async def run(call: Call) -> models.Output:
        body: inputs.Change = call.body
        return await call.operations.change(kind, by=call.caller, reason=body.reason)

    return Endpoint(
        method="POST",
        path=f"/rollout/{kind.value.replace('_', '-')}",
        scope=Scope.OPERATOR,
        summary=summary,
        body=inputs.Change,
        answer=models.Rollout,
        run=run,
        refuses=True,
    )


def _reporting(kind: Kind, summary: str) -> Endpoint:
    async def run(call: Call) -> models.Output:
        asked: reports.ReportAsked = call.page
        return await call.operations.reporter.make(kind, asked.at)

    return Endpoint(
        "GET", f"/reports/{kind.value}", Scope.VIEWER, summary, reports.Report, run,
        query=reports.ReportAsked, page=True,
    )  # fmt: skip


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        "GET",
        "/rollout",
        Scope.VIEWER,
        "Phase, weight, gates, evidence, and why things stand as they do",
        models.Rollout,
        _rollout,
    ),
    _order(CommandKind.START, "Enter the first phase"),
    Endpoint(
        "POST",
        "/rollout/promote",
        Scope.OPERATOR,
        "Enter the next phase; refused with the failing gates unless forced",
        models.Rollout,
        _promote,
        body=inputs.Promotion,
        refuses=True,
    ),
    _order(CommandKind.PAUSE, "Keep the weight and stop the phase's clock; the guard stays on"),
    _order(CommandKind.RESUME, "Go on after a pause, or leave a rollback at weight 0"),
    _order(CommandKind.ROLLBACK, "Take all traffic back to the old system"),
    _order(CommandKind.EMERGENCY_STOP, "Stop the new system; outranks everything until released"),
    _order(CommandKind.RELEASE, "Leave the emergency stop, at weight 0"),
    Endpoint(
        "POST",
        "/rollout/weight",
        Scope.OPERATOR,
        "Set the share of the new system",
        models.Rollout,
        _weight,
        body=inputs.WeightChange,
        refuses=True,
    ),
    Endpoint(
        "GET",
        "/decisions",
        Scope.VIEWER,
        "What the machine decided, with all it was decided on",
        models.DecisionPage,
        _decisions,
        paged=True,
    ),
    Endpoint(
        "POST",
        "/decisions/{id}/hold",
        Scope.OPERATOR,
        "Answer a decision: nothing moves at its deadline",
        models.Rollout,
        _hold,
        body=inputs.Change,
        refuses=True,
        item="id",
    ),
    Endpoint(
        "GET",
        "/audit",
        Scope.VIEWER,
        "Who changed what, and why",
        models.AuditPage,
        _audit,
        paged=True,
    ),
    Endpoint(
        "GET",
        "/audit/verification",
        Scope.VIEWER,
        "Walk the audit's hash chain; names every row that is broken",
        models.Verification,
        _verify,
    ),
    Endpoint(
        "GET",
        "/alerts",
        Scope.VIEWER,
        "What is wrong now, worst first; what was lately; what is silenced",
        alerted.AlertList,
        _alerts,
        query=alerted.AlertsAsked,
        refuses=True,
    ),
    Endpoint(
        "POST",
        "/alerts/{id}/ack",
        Scope.OPERATOR,
        "Answer for an alert: nobody else is called",
        alerted.Alert,
        _acknowledge,
        body=inputs.Change,
        refuses=True,
        item="id",
    ),
    Endpoint(
        "POST",
        "/alerts/silences",
        Scope.OPERATOR,
        "Tell nothing of a rule for a while; what still stands at the end is told then",
        alerted.Silence,
        _silence,
        body=alerted.SilenceIn,
        refuses=True,
        status=201,
    ),
    Endpoint(
        "DELETE",
        "/alerts/silences/{id}",
        Scope.OPERATOR,
        "End a silence now",
        alerted.Silence,
        _lift,
        body=inputs.Change,
        refuses=True,
        item="id",
    ),
    Endpoint(
        "GET",
        "/alerts/messages",
        Scope.VIEWER,
        "What was sent to whom over what, and what could not be",
        alerted.MessageList,
        _messages,
        query=alerted.MessagesAsked,
    ),
    Endpoint(
        "POST",
        "/alerts/messages/resend",
        Scope.OPERATOR,
        "Send a message that was given up after all",
        alerted.MessageList,
        _resend,
        body=alerted.ResendIn,
        refuses=True,
    ),
    Endpoint(
        "POST",
        "/policy/reload",
        Scope.ADMIN,
        "Read policy and alerts again; a file with a mistake leaves the old one in force",
        models.Rollout,
        _reload,
        body=inputs.Change,
        refuses=True,
    ),
    Endpoint(
        "GET",
        "/comparisons",
        Scope.VIEWER,
        "Whether old and new agree, how surely, and what differs",
        compared.Comparisons,
        _comparisons,
    ),
    Endpoint(
        "GET",
        "/comparisons/differences",
        Scope.VIEWER,
        "A fair sample of the differences; all of it as CSV at /comparisons/differences.csv",
        compared.DifferencePage,
        _differences,
        paged=True,
    ),
    Endpoint(
        "POST",
        "/comparisons/rules",
        Scope.OPERATOR,
        "Decide about the differences at a path; what is kept is scored again",
        compared.Comparisons,
        _rule,
        body=compared.RuleIn,
        refuses=True,
    ),
    Endpoint(
        "POST",
        "/comparisons/fixes",
        Scope.OPERATOR,
        "Say that the differences at a path (** everything) were put right: count them anew",
        compared.Comparisons,
        _fix,
        body=compared.FixIn,
        refuses=True,
    ),
    Endpoint(
        "GET",
        "/write-backs",
        Scope.VIEWER,
        "Read what was written back to old, and what of it old may lack",
        models.WriteBacks,
        _write_backs,
    ),
    Endpoint(
        "POST",
        "/write-backs/repairs",
        Scope.OPERATOR,
        "Report what a repair came to; failures it has put right are cleared",
        models.WriteBacks,
        _repaired,
        body=mirrored.RepairIn,
        refuses=True,
    ),
    _reporting(Kind.DAILY, "A day against the one before: figures, alerts, decisions"),
    _reporting(Kind.WEEKLY, "A week against the one before, and what users said"),
    Endpoint(
        "POST",
        "/measurements",
        Scope.OPERATOR,
        "Report a figure that only somebody outside can know",
        models.Accepted,
        _measure,
        body=inputs.MeasurementIn,
        status=202,
        refuses=True,
    ),
    Endpoint(
        "POST",
        "/user-reports",
        Scope.OPERATOR,
        "Report what a user told us",
        models.Accepted,
        _report,
        body=inputs.UserReportIn,
        status=202,
    ),
)
