"""What people are shown of mirror and write-backs."""

from __future__ import annotations

from dataclasses import replace

from gateway.admin.mirrored import mirror_of, write_back_of, write_backs
from gateway.control.gauges import gauges, mirror_traffic
from gateway.core.rollout import Status, route
from gateway.core.rollout.state import State
from gateway.link import MirrorCounts, ShadowCounts
from gateway.ports import ControlView, MirrorView
from gateway.ports.write_backs import WriteBackFailure, WriteBackLedger, WriteBackView
from tests.support.plans import quick_plan

COUNTS = MirrorCounts(
    ShadowCounts(
        matched=7, differed=2, failed=3, unanswered={"answer cut off": 3},
        dropped={"queue_full": 4},
    ),
    ShadowCounts(matched=9, dropped={"queue_full": 5}),
    in_flight=1, waiting=2, held_bytes=300,
)  # fmt: skip


def view(back: WriteBackView | None = None, *, apart: bool = False) -> ControlView:
    """A control plane that mirrors, with or without write-backs."""
    mirror = MirrorView(1.0, on=True, traffic=mirror_traffic(COUNTS), write_back=back)
    return ControlView(
        at_us=10, state=State(), plan=replace(quick_plan(), stores_apart=apart), judgement=None,
        gates=(), inputs=None, watch=None, systems=(), workers=(), events=(), mirror=mirror,
    )  # fmt: skip


def test_shadows_are_counted_with_the_reasons_and_without_the_controls() -> None:
    """Sent, compared, lost by reason, and what is under way now."""
    shown = mirror_of(view(), route(State(), quick_plan())).traffic
    assert shown is not None
    assert (shown.sent, shown.compared) == (12, 9)
    assert shown.dropped == {"answer cut off": 3, "queue_full": 4}
    assert (shown.in_flight, shown.waiting, shown.held_bytes) == (1, 2, 300)


def test_why_write_backs_are_on_off_or_not_needed() -> None:
    """One database, two, over, and first of all what old may lack."""
    open_ones = WriteBackView(on=True, ledger=WriteBackLedger(open=6, first_us=5, last_us=9))
    assert write_back_of(view()).why.en.startswith("Not needed")
    assert write_back_of(replace(view(), mirror=None)).needed is False
    assert write_back_of(view(WriteBackView(on=True), apart=True)).why.en.startswith("What new")
    over = view(WriteBackView(), apart=True)
    over = replace(over, state=replace(over.state, status=Status.COMPLETED))
    assert "retired" in write_back_of(over).why.en
    told = write_back_of(view(open_ones, apart=True))
    assert told.why.en.startswith("6 writes may be missing")
    assert (told.open, told.open_since is None) == (6, False)
    assert " 6 件" in told.why.ja


def test_failures_are_listed_with_their_sync_and_time() -> None:
    """As the record gives them."""
    listed = write_backs(view(), [WriteBackFailure(1_000_000, 2_000_000, "why", "s", "r", "/p", 3)])
    (item,) = listed.items
    assert (item.reason, item.sync_id, item.request_id, item.count) == ("why", "s", "r", 1)
    assert (item.until - item.at).total_seconds() == 1


def test_prometheus_has_what_outlives_a_restart() -> None:
    """Open, cleared, repaired; absent where no record is kept."""
    ledger = WriteBackLedger(open=6, cleared=4, repaired_rows=9)
    cells = gauges(view(WriteBackView(on=True, ledger=ledger)))
    told = {name: value for name, value in cells.items() if "write_backs" in name}
    assert told == {
        "syncgate_write_backs_open": 6, "syncgate_write_backs_on": 1.0,
        "syncgate_write_backs_cleared_total": 4, "syncgate_write_backs_repaired_rows_total": 9,
    }  # fmt: skip
    assert not any("write_backs" in name for name in gauges(view()))
