"""
What every state store must do, whatever it is made of.

A test module subclasses `StateStoreContract` and gives `store` and `reopened` fixtures; each
adapter then runs the same tests.
"""

from __future__ import annotations

import asyncio
import itertools
import math

import pytest

from gateway.core.model import Variant
from gateway.errors import StoreUnavailableError, VersionConflictError
from gateway.ports import (
    Actor,
    AuditDraft,
    DecisionDraft,
    EventDraft,
    MeasurementDraft,
    ReportSeverity,
    StateStore,
    Transition,
    UserReport,
)

ALICE = Actor("alice", "192.0.2.7", "curl/8")


def audit(action: str, at_us: int = 1) -> AuditDraft:
    """One change by Alice."""
    return AuditDraft(at_us, ALICE, action, {"weight": 0}, {"weight": 1}, "because é 日本")


def step(version: int, number: int) -> Transition:
    """A whole step: state, audit, decision and event, all carrying `number`."""
    return Transition(
        version,
        document={"number": number, "text": "日本"},
        audit=(audit(f"step-{number}", number),),
        decisions=(DecisionDraft(number, "pass", "why", {"in": number}, {"out": number}),),
        events=(EventDraft(number, "stepped", f"step {number}", {"number": number}),),
    )


class StateStoreContract:
    """See the module."""

    async def test_a_new_store_knows_nothing(self, store: StateStore) -> None:
        """None is not an empty state: nobody ever stored one."""
        assert await store.load() is None
        assert await store.audit() == []
        assert await store.events() == []
        check = await store.verify_audit()
        assert (check.entries, check.intact) == (0, True)

    async def test_a_step_is_stored_whole(self, store: StateStore) -> None:
        """State, audit, decision and event of one step come back as they went in."""
        committed = await store.commit(step(0, 7))
        assert committed.version == 1
        stored = await store.load()
        assert stored is not None
        assert (stored.version, stored.document) == (1, {"number": 7, "text": "日本"})
        [entry] = await store.audit()
        assert (entry.seq, entry.actor, entry.action, entry.reason) == (
            1, ALICE, "step-7", "because é 日本",
        )  # fmt: skip
        assert (entry.before, entry.after) == ({"weight": 0}, {"weight": 1})
        [decision] = await store.decisions()
        assert (decision.sentence, decision.inputs, decision.outcome) == (
            "why", {"in": 7}, {"out": 7},
        )  # fmt: skip
        assert list(committed.events) == await store.events()

    async def test_it_outlives_its_process(
        self, store: StateStore, reopened: StateStore | None
    ) -> None:
        """What was committed is there for whoever opens it next."""
        del store
        if reopened is None:
            pytest.skip("this store lives in a server")
        stored = await reopened.load()
        assert stored is not None
        assert stored.document["number"] == 1

    async def test_who_acts_on_an_old_state_loses(self, store: StateStore) -> None:
        """Compare and set: a stale version stores nothing at all, not even its audit."""
        await store.commit(step(0, 1))
        with pytest.raises(VersionConflictError):
            await store.commit(step(0, 2))
        stored = await store.load()
        assert stored is not None
        assert (stored.version, stored.document["number"]) == (1, 1)
        assert len(await store.audit()) == 1
        assert len(await store.events()) == 1

    async def test_of_many_writers_at_once_one_wins(self, store: StateStore) -> None:
        """Ten transitions from the same version: exactly one is stored."""
        results = await asyncio.gather(
            *(store.commit(step(0, number)) for number in range(10)), return_exceptions=True
        )
        assert sum(not isinstance(result, BaseException) for result in results) == 1
        assert sum(isinstance(result, VersionConflictError) for result in results) == 9
        assert len(await store.audit()) == 1

    @pytest.mark.parametrize("document", [{}, {"text": "x" * 2_000_000}])
    async def test_blank_and_oversized_states_are_refused(
        self, store: StateStore, document: dict[str, object]
    ) -> None:
        """They never take the place of a good state."""
        await store.commit(step(0, 1))
        with pytest.raises(StoreUnavailableError):
            await store.commit(Transition(1, document=document, audit=(audit("bad"),)))
        stored = await store.load()
        assert stored is not None
        assert stored.document["number"] == 1
        assert len(await store.audit()) == 1

    async def test_a_record_without_a_state_needs_no_version(self, store: StateStore) -> None:
        """Events, measurements and reports do not race with the state."""
        await store.commit(step(0, 1))
        committed = await store.commit(Transition(0, events=(EventDraft(5, "seen", "text"),)))
        assert committed.version == 1
        assert [event.kind for event in committed.events] == ["seen"]

    async def test_the_audit_is_a_chain(self, store: StateStore) -> None:
        """Each entry names the digest before it; walking it finds it whole."""
        for number in range(5):
            await store.commit(step(number, number))
        entries = list(reversed(await store.audit()))
        assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
        for before, after in itertools.pairwise(entries):
            assert after.previous == before.digest
        check = await store.verify_audit()
        assert (check.entries, check.head, check.faults) == (5, entries[-1].digest, ())

    async def test_pages_go_on_where_they_ended(self, store: StateStore) -> None:
        """Newest first with a bound for audit and decisions; oldest first for events."""
        for number in range(6):
            await store.commit(step(number, number))
        first = await store.audit(limit=4)
        rest = await store.audit(before_seq=first[-1].seq, limit=4)
        assert [entry.seq for entry in first + rest] == [6, 5, 4, 3, 2, 1]
        decided = await store.decisions(limit=2)
        assert [one.at_us for one in decided] == [5, 4]
        seen = await store.events(limit=4)
        more = await store.events(after_seq=seen[-1].seq)
        assert [event.at_us for event in seen + more] == [0, 1, 2, 3, 4, 5]
        assert [event.at_us for event in await store.latest_events(limit=2)] == [4, 5]

    async def test_figures_and_reports_come_back_by_age(self, store: StateStore) -> None:
        """What is older than asked stays out; variant, sample and source are kept."""
        figures = (
            MeasurementDraft(10, "cpu_ratio", 0.5),
            MeasurementDraft(20, "success_ratio", 0.99, Variant.CANARY, 100, "poll"),
        )
        reports = (
            UserReport(10, ReportSeverity.MINOR, "slow", "bob"),
            UserReport(20, ReportSeverity.SERIOUS, "消えた", "bob"),
        )
        await store.commit(Transition(0, measurements=figures, reports=reports))
        assert await store.measurements(since_us=0) == list(figures)
        assert await store.measurements(since_us=15) == [figures[1]]
        assert await store.reports(since_us=15) == [reports[1]]

    async def test_what_is_no_number_is_refused_whole(self, store: StateStore) -> None:
        """NaN has no place in a store; the step it came with is not half stored."""
        bad = Transition(
            0,
            events=(EventDraft(1, "kind", "text"),),
            measurements=(MeasurementDraft(1, "cpu_ratio", math.nan),),
        )
        with pytest.raises(StoreUnavailableError):
            await store.commit(bad)
        assert await store.events() == []
