"""Who may come in: limits of a worker and of an address, and those who come too late."""

from __future__ import annotations

from gateway.proxy.door import Door, Entry


def test_an_address_has_its_own_limit() -> None:
    """The second of its kind is told, somebody else gets in."""
    door = Door(limit=10, per_address=1, told=5)
    assert door.enter("a") is Entry.INSIDE
    assert door.enter("a") is Entry.TOLD
    assert door.enter("b") is Entry.INSIDE
    assert door.inside == 2


def test_who_is_told_takes_nobodys_place() -> None:
    """Once one has left there is room again, however many still read their answer."""
    door = Door(limit=2, per_address=2, told=5)
    assert [door.enter("a"), door.enter("a"), door.enter("a")] == [
        Entry.INSIDE, Entry.INSIDE, Entry.TOLD,
    ]  # fmt: skip
    assert door.enter("b") is Entry.TOLD
    door.leave("a", Entry.INSIDE)
    assert door.enter("b") is Entry.INSIDE
    assert door.inside == 2


def test_so_many_are_told_at_a_time() -> None:
    """The rest is cut off; who has read the answer makes room for the next."""
    door = Door(limit=1, per_address=0, told=2)
    door.enter("a")
    assert [door.enter("b") for _ in range(3)] == [Entry.TOLD, Entry.TOLD, Entry.CUT_OFF]
    door.leave("b", Entry.CUT_OFF)
    assert door.enter("b") is Entry.CUT_OFF
    door.leave("b", Entry.TOLD)
    assert door.enter("b") is Entry.TOLD


def test_a_limit_of_none_is_none() -> None:
    """And everybody who leaves is forgotten."""
    door = Door(limit=0, per_address=0, told=0)
    for _ in range(1_000):
        assert door.enter("a") is Entry.INSIDE
    for _ in range(1_000):
        door.leave("a", Entry.INSIDE)
    assert door.inside == 0
    assert door.enter("a") is Entry.INSIDE
