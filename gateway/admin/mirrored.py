"""What is mirrored and what is written back, as people read it and what they may say about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from gateway.admin import inputs, models
from gateway.core.rollout import Status
from gateway.ports.write_backs import RepairReport, WriteBackView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway import ports
    from gateway.core.rollout import Route
    from gateway.ports.write_backs import WriteBackFailure

LISTED: Final = 100
_S: Final = 1_000_000
_ONE_STORE: Final = (
    "Not needed: both systems write the same database.",
    "不要: 両システムは同じデータベースに書き込みます。",
)
_RETIRED: Final = (
    "Over: the rollout is complete and old is retired.",
    "終了: 移行が完了し、旧システムは退役しました。",
)
_ON: Final = (
    "What new writes is written to old as well.",
    "新システムの書き込みは旧システムにも反映されます。",
)
_OPEN: Final = (
    "{open:,} writes may be missing in old: run `syncgate repair` before going back.",
    "旧に未反映の可能性がある書き込み {open:,} 件。戻す前に `syncgate repair` を実行のこと。",
)


class RepairIn(inputs.Input):
    """What a repair came to; failures from before it began are cleared if nothing was left."""

    reason: inputs.Reason
    began_at: Annotated[inputs.Instant, Field(description="When the repair began to look.")]
    repaired: Annotated[int, Field(ge=0, le=10**12, strict=True), inputs.WholeNumber]
    left: Annotated[int, Field(ge=0, le=10**12, strict=True), inputs.WholeNumber]

    def report(self) -> RepairReport:
        """Give it in the control plane's words."""
        return RepairReport(round(self.began_at.timestamp() * _S), self.repaired, self.left)


def mirror_of(view: ports.ControlView, routing: Route) -> models.Mirror:
    """Show what is mirrored, or why it is not."""
    known = view.mirror
    traffic = known.traffic if known else None
    return models.Mirror(
        on=known.on if known else routing.mirror_to is not None and routing.mirror_rate > 0,
        to=routing.mirror_to,
        rate=routing.mirror_rate,
        dry_run=routing.mirror_dry,
        why_off=known.why_not if known else None,
        proven=known.proven if known else None,
        means=known.means if known else None,
        traffic=None
        if traffic is None
        else models.MirrorTraffic(
            sent=traffic.sent,
            compared=traffic.compared,
            dropped=dict(traffic.dropped),
            in_flight=traffic.in_flight,
            waiting=traffic.waiting,
            held_bytes=traffic.held_bytes,
        ),
        write_back=write_back_of(view),
    )


def write_back_of(view: ports.ControlView) -> models.WriteBack:
    """Show what is written back, and what of it old may lack."""
    known = view.mirror.write_back if view.mirror else None
    known = known or WriteBackView()
    ledger, needed = known.ledger, view.plan.stores_apart
    if ledger.open:
        why = tuple(text.format(open=ledger.open) for text in _OPEN)
    elif not needed:
        why = _ONE_STORE
    else:
        why = _RETIRED if view.state.status is Status.COMPLETED else _ON
    return models.WriteBack(
        needed=needed,
        why=models.Sentence(en=why[0], ja=why[1]),
        on=known.on,
        agreed=known.agreed,
        failed=known.failed,
        failed_by_reason=dict(known.reasons),
        waiting=known.waiting,
        held_bytes=known.held_bytes,
        open=ledger.open,
        open_since=None if ledger.first_us is None else _at(ledger.first_us),
        cleared=ledger.cleared,
        repaired=ledger.repaired_rows,
        repaired_at=None if ledger.repaired_at_us is None else _at(ledger.repaired_at_us),
        trouble=known.trouble,
    )


def write_backs(view: ports.ControlView, failures: Sequence[WriteBackFailure]) -> models.WriteBacks:
    """Show write-backs with the failures that are open."""
    return models.WriteBacks(
        write_back=write_back_of(view),
        items=[
            models.WriteBackFailure(
                at=_at(each.from_us),
                until=_at(each.to_us),
                reason=each.reason,
                sync_id=each.sync_id,
                request_id=each.request_id,
                path=each.path,
                listings=each.listings,
                count=each.count,
            )
            for each in failures
        ],
    )


def _at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / _S, tz=UTC)
