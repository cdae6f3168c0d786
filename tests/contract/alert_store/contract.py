"""
What every alert store must do, whatever it is made of.

A test module subclasses `AlertStoreContract` and gives `store` and `reopened` fixtures (the latter:
a store after `commit(BOOK, deliveries=(delivery("kept"),))`, closed and opened again).
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.analysis import Severity
from gateway.errors import StoreUnavailableError, VersionConflictError
from gateway.ports.alerts import (
    AlertStore,
    Delivery,
    DeliveryState,
    Ended,
    Language,
    Stage,
)

BOOK = {"format": 1, "text": "日本", "open": [{"number": 1}]}


def delivery(name: str, **more: Any) -> Delivery:
    """One message for Slack; ready at once."""
    plain: dict[str, Any] = {
        "id": name, "incident": 1, "channel": "slack", "level": Severity.HIGH,
        "stage": Stage.RAISED, "language": Language.JA, "message": "alert",
        "figures": {"why": "'; drop table é 日本", "value": 0.02, "names": ["a"], "x": None},
        "made_us": 100, "next_us": 100,
    }  # fmt: skip
    return Delivery(**plain | more)


def over(number: int, ended_us: int) -> Ended:
    """One incident that is over."""
    return Ended(number, "errors", "new", Severity.HIGH, ended_us - 5, ended_us, {"n": number})


class AlertStoreContract:
    """See the module."""

    async def test_a_new_store_knows_nothing(self, store: AlertStore) -> None:
        """None is not an empty book: nobody ever stored one."""
        assert await store.load() is None
        assert await store.due(now_us=10**18) == []
        assert await store.next_due_us() is None
        assert await store.records() == []
        assert await store.ended() == []
        assert dict(await store.counts()) == dict.fromkeys(DeliveryState, 0)

    async def test_book_deliveries_and_ends_are_stored_together(self, store: AlertStore) -> None:
        """As they were given, characters and all."""
        one = delivery("a")
        version = await store.commit(
            BOOK, expected_version=0, token=1, deliveries=(one,), ended=(over(3, 50),)
        )
        stored = await store.load()
        assert stored is not None
        assert (stored.version, stored.document) == (version, BOOK)
        assert await store.due(now_us=100) == [one]
        assert await store.ended() == [over(3, 50)]

    async def test_what_was_stored_is_there_again(self, reopened: AlertStore) -> None:
        """After the process ended."""
        stored = await reopened.load()
        assert stored is not None
        assert stored.document == BOOK
        assert [one.id for one in await reopened.due(now_us=100)] == ["kept"]
        assert await reopened.commit(BOOK, expected_version=stored.version, token=1) == (
            stored.version + 1
        )

    async def test_a_version_is_compared_and_set(self, store: AlertStore) -> None:
        """Whoever acts on an old book loses, deliveries included."""
        await store.commit(BOOK, expected_version=0, token=1)
        for wrong in (0, 2):
            with pytest.raises(VersionConflictError):
                await store.commit(
                    BOOK, expected_version=wrong, token=1, deliveries=(delivery("x"),)
                )
        assert await store.due(now_us=10**18) == []

    async def test_a_lower_token_loses(self, store: AlertStore) -> None:
        """Somebody else holds the lease now; the version does not matter."""
        version = await store.commit(BOOK, expected_version=0, token=7)
        with pytest.raises(VersionConflictError):
            await store.commit(BOOK, expected_version=version, token=6)
        assert await store.commit(BOOK, expected_version=version, token=7) == version + 1
        assert await store.commit(BOOK, expected_version=version + 1, token=9) == version + 2

    async def test_for_a_person_only_the_version_decides(self, store: AlertStore) -> None:
        """Whoever is asked may answer, lease or not; and the fence stays as high as it was."""
        await store.commit(BOOK, expected_version=0, token=7)
        with pytest.raises(VersionConflictError):
            await store.commit(BOOK, expected_version=0, token=0)
        assert await store.commit(BOOK | {"by": "jun"}, expected_version=1, token=0) == 2
        with pytest.raises(VersionConflictError):
            await store.commit(BOOK, expected_version=2, token=6)

    async def test_of_many_at_once_one_wins(self, store: AlertStore) -> None:
        """Ten writers on the same version."""
        tries = [
            store.commit(
                BOOK | {"by": n}, expected_version=0, token=1, deliveries=(delivery(f"{n}"),)
            )
            for n in range(10)
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)
        won = [n for n, result in enumerate(results) if not isinstance(result, BaseException)]
        assert len(won) == 1
        assert [one.id for one in await store.due(now_us=100)] == [str(won[0])]
        assert all(
            isinstance(r, VersionConflictError) for n, r in enumerate(results) if n not in won
        )

    @pytest.mark.parametrize("document", [{}, {"text": "x" * (9 * 1024 * 1024)}])
    async def test_a_blank_or_oversized_book_replaces_nothing(
        self, store: AlertStore, document: dict[str, str]
    ) -> None:
        """A good book is never replaced by one that cannot be."""
        await store.commit(BOOK, expected_version=0, token=1)
        with pytest.raises(StoreUnavailableError):
            await store.commit(document, expected_version=1, token=1)
        stored = await store.load()
        assert stored is not None
        assert stored.document == BOOK

    async def test_the_same_again_stays_as_it_is(self, store: AlertStore) -> None:
        """After a crash the same deliveries may come twice; one that arrived is not sent again."""
        await store.commit(
            BOOK, expected_version=0, token=1, deliveries=(delivery("a"),), ended=(over(3, 50),)
        )
        await store.delivered("a", at_us=200)
        await store.commit(
            BOOK, expected_version=1, token=1, deliveries=(delivery("a"),), ended=(over(3, 50),)
        )
        assert await store.due(now_us=10**18) == []
        assert len(await store.records()) == 1
        assert len(await store.ended()) == 1

    async def test_the_worst_goes_first_then_the_oldest(self, store: AlertStore) -> None:
        """A flood of small news does not hold up the one that matters."""
        many = (
            delivery("low", level=Severity.LOW, made_us=1),
            delivery("high-2", made_us=3),
            delivery("high-1", made_us=2),
            delivery("critical", level=Severity.CRITICAL, made_us=9),
            delivery("later", level=Severity.CRITICAL, next_us=101),
        )
        await store.commit(BOOK, expected_version=0, token=1, deliveries=many)
        due = [one.id for one in await store.due(now_us=100)]
        assert due == ["critical", "high-1", "high-2", "low"]
        assert [one.id for one in await store.due(now_us=100, limit=2)] == due[:2]
        assert await store.next_due_us() == 100

    async def test_a_failed_try_waits_and_is_counted(self, store: AlertStore) -> None:
        """Not before its time; what went wrong is kept."""
        await store.commit(BOOK, expected_version=0, token=1, deliveries=(delivery("a"),))
        await store.failed("a", next_us=500, reason="answered 500")
        await store.failed("a", next_us=900, reason="answered 503")
        assert await store.due(now_us=899) == []
        assert await store.next_due_us() == 900
        (again,) = await store.due(now_us=900)
        assert (again.id, again.attempts, again.next_us) == ("a", 2, 900)
        (record,) = await store.records()
        assert (record.state, record.reason) == (DeliveryState.WAITING, "answered 503")

    async def test_what_is_settled_stays_settled(self, store: AlertStore) -> None:
        """Late words about it change nothing; unknown ids are no error."""
        await store.commit(
            BOOK, expected_version=0, token=1, deliveries=(delivery("a"), delivery("b"))
        )
        await store.delivered("a", at_us=200)
        await store.dead("b", at_us=300, reason="refused")
        await store.failed("a", next_us=1, reason="late")
        await store.dead("a", at_us=400, reason="late")
        await store.delivered("b", at_us=400)
        await store.delivered("unknown", at_us=1)
        assert await store.due(now_us=10**18) == []
        found = {r.delivery.id: (r.state, r.settled_us, r.reason) for r in await store.records()}
        assert found == {
            "a": (DeliveryState.DELIVERED, 200, ""),
            "b": (DeliveryState.DEAD, 300, "refused"),
        }
        assert dict(await store.counts()) == {
            DeliveryState.WAITING: 0, DeliveryState.DELIVERED: 1, DeliveryState.DEAD: 1,
        }  # fmt: skip

    async def test_a_dead_one_can_be_revived_and_only_a_dead_one(self, store: AlertStore) -> None:
        """The credentials were corrected: it is sent after all, with its tries begun anew."""
        await store.commit(
            BOOK, expected_version=0, token=1, deliveries=(delivery("a"), delivery("b"))
        )
        await store.failed("a", next_us=200, reason="no")
        await store.dead("a", at_us=300, reason="refused")
        assert await store.revive("a", next_us=400)
        assert not await store.revive("a", next_us=400)
        assert not await store.revive("b", next_us=400)
        assert not await store.revive("unknown", next_us=400)
        (alive,) = [one for one in await store.due(now_us=400) if one.id == "a"]
        assert alive.attempts == 0

    async def test_people_see_the_newest_first(self, store: AlertStore) -> None:
        """Of all, of one incident, of one state."""
        many = tuple(delivery(f"d{n}", incident=n % 2) for n in range(6))
        await store.commit(BOOK, expected_version=0, token=1, deliveries=many)
        await store.delivered("d1", at_us=1)

        async def ids(**asked: Any) -> list[str]:
            return [record.delivery.id for record in await store.records(**asked)]

        assert await ids() == ["d5", "d4", "d3", "d2", "d1", "d0"]
        assert await ids(limit=2) == ["d5", "d4"]
        assert await ids(incident=1) == ["d5", "d3", "d1"]
        assert await ids(state=DeliveryState.DELIVERED) == ["d1"]
        assert await ids(incident=1, state=DeliveryState.WAITING) == ["d5", "d3"]

    async def test_what_is_over_is_found_by_its_end(self, store: AlertStore) -> None:
        """Newest first, not older than asked, not more than asked."""
        ends = tuple(over(n, 10 * n) for n in range(1, 6))
        await store.commit(BOOK, expected_version=0, token=1, ended=ends)
        assert [one.number for one in await store.ended()] == [5, 4, 3, 2, 1]
        assert [one.number for one in await store.ended(since_us=30)] == [5, 4, 3]
        assert [one.number for one in await store.ended(limit=2)] == [5, 4]
